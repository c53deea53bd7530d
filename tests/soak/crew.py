"""Worker processes that are killed, stopped and frozen, and started again as a supervisor of services does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Member:
    """A place for a process that shall run; `absent` while it is meant to be away."""

    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    absent: bool = False


@dataclass
class Crew:
    """Processes with an environment and a log in common, each in a process group of its own."""

    environment: Mapping[str, str]
    log: Path
    members: list[Member] = field(default_factory=list)
    deaths: int = 0
    """How often a process was found dead that nobody had meant to be away."""

    def add(self, *arguments: str) -> Member:
        """Run `python -m` with these arguments, again and again."""
        member = Member([sys.executable, "-m", *arguments])
        self.members.append(member)
        self._start(member)
        return member

    def tend(self) -> None:
        """Start again what ended."""
        for member in self.members:
            if not member.absent and _has_ended(member):
                self.deaths += 1
                self._start(member)

    def kill(self, member: Member) -> None:
        """Kill a process with all that it started, as a machine that loses power does. It stays away."""
        member.absent = True
        _bury(member)

    def bring_back(self, member: Member) -> None:
        """Start a process that was away."""
        if member.absent:
            member.absent = False
            self._start(member)

    def signal(self, member: Member, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started."""
        if member.process and not _has_ended(member):
            os.killpg(member.process.pid, number)

    def tree(self, member: Member) -> list[psutil.Process]:
        """List the process and all that it started."""
        if member.process is None or _has_ended(member):
            return []
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(member.process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def stop(self, seconds: float = 0) -> int:
        """End all: politely, if there is time; return how many had to be killed."""
        for member in self.members:
            self.signal(member, signal.SIGCONT)
            if seconds and member.process and not _has_ended(member):
                member.process.terminate()
        deadline = time.monotonic() + seconds
        late = sum(not _ends_until(member, deadline) for member in self.members)
        for member in self.members:
            self.kill(member)
        return late

    def _start(self, member: Member) -> None:
        _bury(member)
        with self.log.open("ab") as log:
            member.process = subprocess.Popen(
                member.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@contextmanager
def running_crew(environment: Mapping[str, str], log: Path) -> Iterator[Crew]:
    """Make a crew without members; whatever runs at the end is killed."""
    crew = Crew(environment, log)
    try:
        yield crew
    finally:
        crew.stop()


def _has_ended(member: Member) -> bool:
    """Whether the process has ended. It is not reaped, so that nobody else gets its number before `_bury`."""
    if member.process is None:
        return True
    return os.waitid(os.P_PID, member.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ends_until(member: Member, deadline: float) -> bool:
    while not _has_ended(member):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _bury(member: Member) -> None:
    """Kill what is left of a process and of what it started, and reap it."""
    if member.process is None:
        return
    with suppress(ProcessLookupError):
        os.killpg(member.process.pid, signal.SIGKILL)
    member.process.wait()
    member.process = None
