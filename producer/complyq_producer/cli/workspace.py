"""The folder of `complyq run`: what is under way lies in .complyq, what is done beside it."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from complyq_producer.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = "results.jsonl"
SUMMARY = "summary.json"
WORKER_LOG = "worker.log"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one run keeps its state and puts what it made. Paths are absolute."""

    out: Path

    @property
    def state(self) -> Path:
        """Store, Redis and logs; gone when the run is over."""
        return self.out / ".complyq"

    @property
    def store_url(self) -> str:
        """The store of the run."""
        return (self.state / "store").as_uri()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder.

        Raises:
            InvalidArgumentError: one is at work there.
        """
        lock = self._lock()
        try:
            yield
        finally:
            os.close(lock)

    def prepare(self, *, simulate: bool) -> bool:
        """Get the state ready, and return whether an earlier run is continued.

        A simulated X forgets its jobs when it ends, so such a run starts over.

        Raises:
            InvalidArgumentError: an unfinished run against X lies here, and this one is to be simulated.
        """
        self._clear_removed()
        begun, simulated = (self.state / "store").exists(), (self.state / "simulated").exists()
        if begun and simulate and not simulated:
            raise InvalidArgumentError(
                f"{self.out} holds an unfinished run against X: continue it without --simulate, or choose another --out"
            )
        if begun and simulated:
            self._start_over()
        if simulate:
            (self.state / "simulated").touch()
        else:
            (self.state / "simulated").unlink(missing_ok=True)
        return begun and not simulated

    def remove_state(self) -> None:
        """Remove what the run needed while it ran, all at once: half a state could not be continued."""
        self._clear_removed()
        self.state.rename(self._removed)
        self._clear_removed()

    @property
    def _removed(self) -> Path:
        return self.out / ".complyq.removed"

    def _clear_removed(self) -> None:
        shutil.rmtree(self._removed, ignore_errors=True)

    def _start_over(self) -> None:
        for entry in list(self.state.iterdir()):
            if entry.is_dir():
                shutil.rmtree(entry)

    def _lock(self) -> int:
        """Lock the state. Whoever had the lock before may have removed it meanwhile: then lock the new one."""
        while True:
            path = self._lock_file()
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise InvalidArgumentError(f"another `complyq run` is at work in {self.out}") from None
            if _is_same(path, lock):
                return lock
            os.close(lock)

    def _lock_file(self) -> Path:
        try:
            self.state.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidArgumentError(f"{self.state} cannot be created: {error.strerror}") from error
        return self.state / "lock"


def _is_same(path: Path, number: int) -> bool:
    return path.exists() and os.path.samestat(path.stat(), os.fstat(number))
