"""What a phase of a soak leaves behind for the checker: files in a folder, made by those who saw it happen.

about.json       what is known beforehand: names, origins, the simulator's seed, secrets
requests.jsonl   what callers asked for and were told
journal.jsonl    what the simulator saw
stream.jsonl     the results queue at the end, entry by entry
recorded.jsonl   every copy that a listener got, in order
store/           every object of the store
*.log            what the processes logged
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from soak.ids import IdRange

ENDS = ("completed", "failed", "cancelled")


class Request(msgspec.Struct, kw_only=True):
    """A batch as its caller knows it. Its label `request` holds `id`, so that the batch is found in any case."""

    id: str
    type: str
    ids: IdRange
    key: str | None = None
    told: list[str] = []
    """The batch ids that calls of `enqueue` returned."""
    cancelled: bool = False
    """Whether `cancel` was called."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a phase beforehand."""

    name: str
    namespace: str
    store_url: str
    storage_host: str
    seed: int
    flagged_rate: float
    secrets: list[str]
    """Texts that no log and no object may hold."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of an event."""

    body: bytes
    event: dict[str, Any]

    @property
    def id(self) -> str:
        """The event's id."""
        return str(self.event["id"])

    @property
    def kind(self) -> str:
        """What it says: results, completed, failed, cancelled, parked."""
        return str(self.event["type"]).split(".")[2]

    @property
    def is_end(self) -> bool:
        """Whether it is the last event of its batch."""
        return self.kind in ENDS


@dataclass
class Evidence:
    """All that the checker judges by."""

    about: About
    requests: list[Request]
    journal: list[dict[str, Any]]
    stream: list[Copy]
    recorded: list[Copy]
    objects: dict[str, bytes]
    logs: dict[str, str]

    @cached_property
    def request_of(self) -> dict[str, Request]:
        """The requests by id."""
        return {request.id: request for request in self.requests}

    @cached_property
    def accepted(self) -> dict[str, dict[str, Any]]:
        """The records of all accepted batches by batch id."""
        names = [name for name in self.objects if name.startswith("batches/") and name.endswith("/batch.json")]
        return {name.split("/")[1]: self.fact(name) for name in sorted(names)}

    @cached_property
    def events_of(self) -> dict[str, list[Copy]]:
        """The stream's copies by the batch that they are about."""
        found: dict[str, list[Copy]] = {}
        for copy in self.stream:
            found.setdefault(str(copy.event["subject"]), []).append(copy)
        return found

    @property
    def job_changes(self) -> Iterator[dict[str, Any]]:
        """The journal's changes of jobs."""
        return (line for line in self.journal if line["kind"] == "job")

    @property
    def x_requests(self) -> Iterator[dict[str, Any]]:
        """The journal's requests."""
        return (line for line in self.journal if line["kind"] == "request")

    def fact(self, key: str) -> dict[str, Any]:
        """Read a fact that is there."""
        content: dict[str, Any] = json.loads(self.objects[key])
        return content

    def names(self, prefix: str) -> list[str]:
        """List the objects under a prefix."""
        return sorted(name for name in self.objects if name.startswith(prefix))

    def key_of(self, url: str) -> str:
        """Return the key of an object that an event names."""
        return url.removeprefix(self.about.store_url + "/")


def copies_of(bodies: Iterable[bytes]) -> list[Copy]:
    """Read events; lines that a killed listener left unfinished are none."""
    found = []
    for body in bodies:
        try:
            found.append(Copy(body, json.loads(body)))
        except ValueError:
            continue
    return found


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write one line for each."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def save_request(path: Path, requests: Iterable[Request]) -> None:
    """Write down what callers asked for."""
    write_lines(path / "requests.jsonl", map(msgspec.json.encode, requests))


def save_about(path: Path, about: About) -> None:
    """Write down what is known beforehand."""
    (path / "about.json").write_bytes(msgspec.json.encode(about))


def load(folder: Path) -> Evidence:
    """Read what a phase left in its folder."""
    return Evidence(
        about=msgspec.json.decode((folder / "about.json").read_bytes(), type=About),
        requests=[msgspec.json.decode(line, type=Request) for line in _lines(folder / "requests.jsonl")],
        journal=[json.loads(line) for line in _lines(folder / "journal.jsonl")],
        stream=copies_of(_lines(folder / "stream.jsonl")),
        recorded=copies_of(_lines(folder / "recorded.jsonl")),
        objects=dict(_objects(folder / "store")),
        logs={path.name: path.read_text(errors="replace") for path in sorted(folder.glob("*.log"))},
    )


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines() if line] if path.exists() else []


def _objects(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the objects of a directory store; what is being written has a name that no object can have."""
    for path in root.rglob("*"):
        key = path.relative_to(root).as_posix()
        if path.is_file() and not key.startswith("~"):
            yield key, path.read_bytes()
