"""Kombu's RabbitMQ transport, which waits for no answer for ever.

The original waits as long as it takes: for a broker that hangs, and for one that is short of memory or disk, which
takes nothing from a connection that has published, not even that it is to be closed. Whoever enqueues would hang with it.
"""

from typing import Any

from amqp.exceptions import AMQPError, MessageNacked
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES, pyamqp

SCHEME = "complyq-amqp"
"""A scheme of our own in the URLs that kombu gets: amqp stays kombu's in services that use it for something else."""
ANSWER_SECONDS = 5.0
"""RabbitMQ has so long to answer whatever it is asked."""

NOT_SENT = (OperationalError, OSError, AMQPError, MessageNacked)
"""What sending a message raises, through either broker. Kombu gives RabbitMQ's refusals its own name only where it tries again."""


class Connection(pyamqp.Connection):  # type: ignore[misc] # kombu ships no types
    """Gives up when an answer takes too long."""

    def connect(self, *args: Any, **options: Any) -> Any:
        """Connect, and have everything after that end in time."""
        connected = super().connect(*args, **options)
        self.transport.sock.settimeout(ANSWER_SECONDS)
        return connected

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Read a frame. A connection on which none came in time is left without a farewell, which would wait again."""
        try:
            return super().blocking_read(timeout)
        except TimeoutError:
            if timeout is None:  # with a time of its own Celery only asks whether something came
                self.collect()
            raise


class Transport(pyamqp.Transport):  # type: ignore[misc] # kombu ships no types
    """What the scheme means, with TLS or without."""

    Connection = Connection


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:{Transport.__name__}"
