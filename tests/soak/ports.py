"""Ports for servers that go away for a while."""

import random
import socket
from contextlib import suppress

_BELOW_EPHEMERAL = range(15_000, 32_000)


def lasting_port() -> int:
    """Return a free loopback port that the system gives to no outgoing connection, so that it is still free later.

    From the ephemeral range somebody's connection may take it while the server is down, even a client's that tries to
    reach the server, which then talks to itself.
    """
    while True:
        port = random.choice(_BELOW_EPHEMERAL)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
