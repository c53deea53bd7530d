"""What happens when a failpoint is reached: it is counted over all processes, and the armed one kills or freezes."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
import uuid_utils

VARIABLE = "COMPLYQ_FAILPOINTS"
"""Names the file that says which failpoint is armed. Processes read it each time: no restart is needed to arm another."""


class When(StrEnum):
    """On which side of a side effect. After one is as good as before the next; before serves those that come first."""

    BEFORE = "before"
    AFTER = "after"


class Action(StrEnum):
    """What an armed failpoint does."""

    KILL_WORKER = "kill_worker"
    """SIGKILL to the process group, as a machine that loses power: workers under test have a group of their own."""
    KILL_PROCESS = "kill_process"
    """SIGKILL to this process only: the step crashes, its worker lives."""
    STOP_PROCESS = "stop_process"
    """SIGSTOP to this process: it is frozen in mid-step until somebody wakes it."""


class Armed(msgspec.Struct, frozen=True, kw_only=True):
    """The armed failpoint, as it stands in the file."""

    at: str
    when: When = When.AFTER
    hit: int | Literal["every"] = 1
    """Which time, counted from the arming; each arming strikes once, or every time."""
    then: Action = Action.KILL_WORKER
    id: str = msgspec.field(default_factory=lambda: uuid_utils.uuid4().hex)
    """Tells the hits of this arming from those of earlier ones."""


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log: a process came by a failpoint."""

    name: str
    when: When
    armed: str
    """The arming that was in force."""
    pid: int


def act(action: Action) -> None:
    """Do to this process, or to its worker, what the armed failpoint says."""
    if action is Action.KILL_WORKER:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    else:
        os.kill(os.getpid(), signal.SIGKILL if action is Action.KILL_PROCESS else signal.SIGSTOP)


_turn = threading.Lock()
"""Of the threads of a process one at a time has the log: frozen, the process must not have it by another one."""


@dataclass(frozen=True, slots=True)
class Failpoints:
    """The failpoints of an installation: a file that arms one, and beside it a log of all that were reached."""

    file: Path
    act: Callable[[Action], None] = act

    @property
    def log(self) -> Path:
        """Where each process writes down what it reaches."""
        return self.file.with_name(f"{self.file.name}.reached")

    def arm(self, at: str, *, when: When = When.AFTER, hit: int | Literal["every"] = 1, then: Action) -> Armed:
        """Arm a failpoint in place of the one that was, and begin a new log."""
        armed = Armed(at=at, when=when, hit=hit, then=then)
        fresh = self.file.with_name(f"{self.file.name}.new")
        fresh.write_bytes(msgspec.json.encode(armed))
        self.log.unlink(missing_ok=True)
        fresh.replace(self.file)
        return armed

    def disarm(self) -> None:
        """Arm nothing. What is reached is still written down."""
        self.file.unlink(missing_ok=True)

    def reached(self) -> list[Reached]:
        """Return what was reached since the last arming, by all processes, in order."""
        return _decode(self.log.read_bytes()) if self.log.exists() else []

    def reach(self, name: str, when: When = When.AFTER) -> None:
        """Write down that a failpoint was reached, and do what it is armed with, if it is."""
        armed = self._armed()
        reached = Reached(name=name, when=when, armed=armed.id if armed else "", pid=os.getpid())
        with _turn:
            with _locked(self.log) as log:
                log.write(msgspec.json.encode(reached) + b"\n")
                strikes = armed is not None and _strikes(armed, reached, log)
            if armed and strikes:  # outside the file's lock, which a frozen process would keep
                self.act(armed.then)

    def _armed(self) -> Armed | None:
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Armed)
        except FileNotFoundError:
            return None


def reach(name: str) -> None:
    """Reach a failpoint that belongs to no port, right after its side effect."""
    points = enabled()
    if points:
        points.reach(name)


def enabled() -> Failpoints | None:
    """Return the failpoints, if this process runs with any."""
    file = os.environ.get(VARIABLE)
    return Failpoints(Path(file)) if file else None


def _strikes(armed: Armed, reached: Reached, log: BinaryIO) -> bool:
    if (armed.at, armed.when) != (reached.name, reached.when):
        return False
    log.seek(0)
    same = [line for line in _decode(log.read()) if msgspec.structs.replace(line, pid=reached.pid) == reached]
    return armed.hit in {len(same), "every"}


def _decode(lines: bytes) -> list[Reached]:
    whole = lines[: lines.rfind(b"\n") + 1]  # another process may just be writing the last one
    return msgspec.json.Decoder(Reached).decode_lines(whole)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading and appending, for one process at a time; a killed one leaves it free."""
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
        file.flush()
