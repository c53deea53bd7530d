"""The simulator as a process of its own, whose clock is moved with the virtual one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, TYPE_CHECKING

import msgspec
import requests

from complyq_workers.x import Transport

if TYPE_CHECKING:
    from complyq_workers.x.messages import Reply, Request
    from complyq_workers.x.transport import StreamedReply

TOKEN = "replay"  # noqa: S105 - opens nothing but this simulator
_STOP_SECONDS = 20


class Entry(msgspec.Struct, frozen=True):
    """A line of the simulator's journal: a request that was answered, or a job whose status changed."""

    kind: str
    at: datetime
    op: str = ""
    status: int | None = None
    remote_id: str = ""
    name: str | None = None
    after: str = msgspec.field(default="", name="to")


@dataclass
class SimulatedX:
    """A running simulator. Its clock stands still unless it is moved."""

    api_url: str
    storage_url: str
    _session: requests.Session = field(default_factory=requests.Session)
    _second: float = 0.0

    def __post_init__(self) -> None:
        self._session.trust_env = False

    def epoch(self) -> datetime:
        """Return the time of day at which its clock began."""
        return self._advance(0.0)

    def move_to(self, second: float) -> None:
        """Move its clock to a second since its epoch; it never goes back."""
        if second > self._second:
            self._advance(second - self._second)
            self._second = second

    def journal(self) -> list[Entry]:
        """Return everything that happened, in order."""
        answer = self._session.get(f"{self.api_url}/_simulator/journal", timeout=60)
        decoder = msgspec.json.Decoder(Entry)
        return [decoder.decode(line) for line in answer.content.splitlines()]

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _advance(self, seconds: float) -> datetime:
        answer = self._session.post(f"{self.api_url}/_simulator/clock", json={"advance": seconds}, timeout=600)
        answer.raise_for_status()
        return datetime.fromisoformat(answer.json()["now"])


class LockstepTransport(Transport):
    """Sends requests once the clock of the simulator shows the time at which they are sent."""

    def __init__(self, simulator: SimulatedX, keep_up: Callable[[], None]) -> None:
        super().__init__([simulator.storage_url], simulator.api_url)
        self._keep_up = keep_up

    def send(self, request: Request, **options: int) -> Reply:
        """Send a request and read its answer."""
        self._keep_up()
        return super().send(request, **options)

    @contextmanager
    def stream(self, request: Request) -> Iterator[StreamedReply]:
        """Send a request and give its answer to be read."""
        self._keep_up()
        with super().stream(request) as reply:
            yield reply


@contextmanager
def simulated_x(**flags: float) -> Iterator[SimulatedX]:
    """Run a simulator with these flags.

    Raises:
        RuntimeError: it did not start, or it reported an error of its own.
    """
    options = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    command = [sys.executable, "-m", "complyq_simulator", "--port=0", f"--token={TOKEN}", "--still-clock", *options]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:  # noqa: S603 - ours
            simulator = None
            try:
                simulator = _connected(process, errors)
                yield simulator
            finally:
                if simulator:
                    simulator.close()
                process.terminate()
                process.wait(_STOP_SECONDS)
        if "Traceback" in (text := _text(errors)):
            raise RuntimeError(f"the simulator failed: {text}")


def _connected(process: subprocess.Popen[str], errors: IO[str]) -> SimulatedX:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.wait(_STOP_SECONDS)
        raise RuntimeError(f"the simulator did not start: {_text(errors)}")
    urls = json.loads(line)
    return SimulatedX(urls["api_url"], urls["storage_url"])


def _text(errors: IO[str]) -> str:
    errors.seek(0)
    return errors.read()
