"""`python -m racing.uploading_x PAYLOAD RECEIVED …`: `complyq simulator` far away; it keeps what is uploaded, to be compared.

Each of its answers takes LATENCY_SECONDS more. It knows the checksums of the payload before it is asked: Cloud Storage computes them while bytes come in, on machines of
its own, where the simulator would take processors from who is measured. RECEIVED appears when an upload is complete.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import requests

from complyq_producer.embedded.processes import child_process
from complyq_producer.ids.values import text_slices, to_text
from complyq_simulator import sessions
from complyq_simulator.command import app
from complyq_simulator.http import Request, Response
from complyq_simulator.uploads import digest
from complyq_simulator.world import World
from racing.services import TOKEN, SimulatedX, announced, ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_simulator.jobs import Job
    from complyq_simulator.uploads import Digest
    from racing.inputs import Input

LATENCY_SECONDS = 0.05
_STORAGE_REQUESTS = ("session", "upload", "query")
_SECONDS = 60


class Control:
    """What tests do with a simulator: have a request fail, and see which there were."""

    def __init__(self, api_url: str) -> None:
        self._url = f"{api_url}/_simulator"
        self._session = requests.Session()
        self._session.trust_env = False

    def cut(self, after_bytes: int) -> None:
        """Have one upload cut after so many bytes."""
        fault = {"on": "upload", "fault": "disconnect", "after_bytes": after_bytes}
        self._session.post(f"{self._url}/faults", json=fault, timeout=_SECONDS).raise_for_status()

    def storage_requests(self) -> list[dict[str, Any]]:
        """Return the lines of the journal that tell of requests to the storage."""
        journal = self._session.get(f"{self._url}/journal", timeout=_SECONDS)
        lines = msgspec.json.Decoder(dict[str, Any]).decode_lines(journal.content)
        return [line for line in lines if line.get("op") in _STORAGE_REQUESTS]


@contextmanager
def distant_x(folder: Path, given: Input) -> Iterator[SimulatedX]:
    """Run an X that is far away, and lay out the payload of the race beside its input."""
    temporary = folder / "x"
    temporary.mkdir()
    write_payload(given)
    command = [sys.executable, "-m", "racing.uploading_x", str(payload_of(given.path)), str(received_in(folder))]
    options = ["--port=0", f"--token={TOKEN}"]
    with child_process([*command, *options], ours() | {"TMPDIR": str(temporary)}, folder / "x.log") as child:
        child.wait_ready(lambda: bool(announced(child)))
        yield SimulatedX(**announced(child), pid=child.pid)


def payload_of(ids: Path) -> Path:
    """Return where the payload of a file of IDs is: each once, ascending."""
    return ids.with_suffix(".payload")


def received_in(folder: Path) -> Path:
    """Return where the upload of a run is once it is complete."""
    return folder / "received.txt"


def write_payload(given: Input) -> None:
    """Write the payload, once."""
    target = payload_of(given.path)
    if not target.exists():
        with target.open("wb") as file:
            file.writelines(to_text(ids) for ids in text_slices(given.unique))


def main(payload: Path, received: Path) -> None:
    """Serve until interrupted; the other arguments are those of `complyq simulator`."""
    known = digest(payload)

    async def checksums(_: Path) -> Digest:
        return known

    def accept(_: World, job: Job, upload: Path, size: int) -> None:
        job.received = size
        upload.replace(received)

    async def deliver_late(request: Request, response: Response) -> None:
        await asyncio.sleep(LATENCY_SECONDS)
        await deliver(request, response)

    deliver = Request.deliver
    setattr(Request, deliver.__name__, deliver_late)
    sessions.__dict__["checksums"] = checksums
    setattr(World, World.accept.__name__, accept)
    app(sys.argv[3:])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
