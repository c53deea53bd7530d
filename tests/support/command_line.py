"""Runs `complyq` as a person or a script does: a process of its own with an environment of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

NOBODY_LISTENS = "redis://127.0.0.1:1/0"
_MODULE = "from complyq_producer.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Read the only line of standard output."""
        [line] = self.lines()
        return line

    def lines(self) -> list[dict[str, Any]]:
        """Read each line of standard output as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(slots=True)
class CommandLine:
    """An installation in a folder, as its settings describe it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.folder / "store"

    def environment(self) -> dict[str, str]:
        """Return what a command finds in its environment."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "COMPLYQ_STORE_URL": self.store.as_uri(),
            "COMPLYQ_SPOOL_DIR": str(self.folder / "spool"),
            "COMPLYQ_REDIS_URL": NOBODY_LISTENS,
            "COMPLYQ_BROKER_URL": NOBODY_LISTENS,
            **self.settings,
        }

    def run(self, *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Finished:
        """Run a command to its end."""
        with self.start(*arguments, env=env) as process:
            out, err = process.communicate(stdin, timeout=100)
        return Finished(process.returncode, out.decode(), err.decode())

    def start(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            command(*arguments),
            env={**self.environment(), **(env or {})},
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def command(*arguments: str | Path) -> Sequence[str]:
    """Return the arguments of a process that runs `complyq`."""
    return [sys.executable, "-c", _MODULE, *map(str, arguments)]


def processes_of(folder: Path) -> list[str]:
    """List the processes that have to do with a folder: they work in it, or command line or environment name it."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [process.cwd(), *process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(process.cmdline()))
    return found
