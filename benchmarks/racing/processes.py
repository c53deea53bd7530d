"""What processes use, read from /proc: those of a competitor are all that descend from its first one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_PAUSE_SECONDS = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Used:
    """What one process used: CPU seconds so far, and the most memory at a time, in bytes."""

    name: str
    cpu_seconds: float
    peak_bytes: int


@dataclass(slots=True)
class Watch:
    """All processes of a competitor, those that have ended too (as they were when last seen)."""

    root: int
    seen: dict[int, Used] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Read what every process has used."""
        for pid in _descendants(self.root):
            with suppress(*_GONE):
                self.seen[pid] = _used(pid)

    def cpu_seconds(self) -> float:
        """Return the sum over all processes, as last seen."""
        return sum(used.cpu_seconds for used in self.seen.values())

    def peaks(self) -> list[tuple[str, int]]:
        """Return name and peak of each process, the largest first."""
        return sorted(((used.name, used.peak_bytes) for used in self.seen.values()), key=lambda peak: -peak[1])

    def _watch(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            self.look()


@contextmanager
def watched(root: int) -> Iterator[Watch]:
    """Look at a process and its descendants a few times a second, for the length of a block."""
    watch = Watch(root)
    thread = threading.Thread(target=watch._watch, daemon=True)  # noqa: SLF001 - of this module
    thread.start()
    try:
        yield watch
    finally:
        watch._ended.set()  # noqa: SLF001 - of this module
        thread.join()


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    with suppress(*_GONE):
        for thread in list(Path(f"/proc/{pid}/task").iterdir()):
            with suppress(*_GONE):
                for child in (thread / "children").read_text().split():
                    yield from _descendants(int(child))


def _used(pid: int) -> Used:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = int(status.get("VmHWM", "0").split()[0]) * 1024  # a process that ends has none any more
    return Used(status["Name"].strip(), (int(times[11]) + int(times[12])) / _TICKS, peak)
