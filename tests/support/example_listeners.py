"""The listeners of `examples/listeners`, each with the archive that it keeps."""

import importlib.util
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from support.node_packages import node_with

EXAMPLES = Path(__file__).parents[2] / "examples" / "listeners"
Verdicts = dict[tuple[str, str], tuple[str, str, bool]]
"""By type and ID: action, when it was checked, whether it is done."""


class ExampleListener(Protocol):
    """A listener and its archive."""

    @property
    def group(self) -> str:
        """The name of its group on a queue of the namespace `tests`."""

    @property
    def command(self) -> list[str]:
        """How it is started."""

    def fill(self, content: Mapping[str, Iterable[str]]) -> None:
        """Put content into the archive, as IDs by type."""

    def content(self, type_: str) -> set[str]:
        """Return the IDs whose content is kept."""

    def verdicts(self) -> Verdicts:
        """Return what the listener noted of IDs."""

    def ended(self) -> dict[str, tuple[str, int]]:
        """Return how batches ended, and with how many unchecked IDs."""


@contextmanager
def running(listener: ExampleListener, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a listener until the block ends, which kills it."""
    with subprocess.Popen(listener.command, env={**os.environ, **environment}, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass(frozen=True)
class PythonListener:
    """`listener.py`, with an SQLite database."""

    path: Path
    group: str = "archive@tests"

    @property
    def command(self) -> list[str]:
        """How it is started."""
        return [sys.executable, str(EXAMPLES / "listener.py"), str(self.path)]

    def fill(self, content: Mapping[str, Iterable[str]]) -> None:
        """Put content into the archive."""
        rows = [(type_, id_, "text") for type_, ids in content.items() for id_ in ids]
        with closing(sqlite3.connect(self.path)) as database, database:
            database.executescript(_example().TABLES)
            database.executemany("INSERT INTO content VALUES (?, ?, ?)", rows)

    def content(self, type_: str) -> set[str]:
        """Return the IDs whose content is kept."""
        return {id_ for (id_,) in self._rows("SELECT id FROM content WHERE type = ?", type_)}

    def verdicts(self) -> Verdicts:
        """Return what the listener noted of IDs."""
        rows = self._rows("SELECT type, id, action, checked_at, done FROM verdict")
        return {(type_, id_): (action, checked_at, bool(done)) for type_, id_, action, checked_at, done in rows}

    def ended(self) -> dict[str, tuple[str, int]]:
        """Return how batches ended."""
        return {
            batch: (state, unchecked)
            for batch, state, unchecked in self._rows("SELECT batch_id, state, unchecked FROM ended")
        }

    def _rows(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(query, values).fetchall()


@dataclass(frozen=True)
class NodeListener:
    """`listener.mjs`, with a folder of files."""

    folder: Path
    program: Path
    group: str = "archive-node@tests"

    @classmethod
    def installed(cls, folder: Path, config: pytest.Config) -> "NodeListener":
        """Install what it needs; skips where that cannot be had."""
        needed: dict[str, str] = json.loads((EXAMPLES / "package.json").read_text())["dependencies"]
        home = node_with(needed, config)
        program = home / "listener.mjs"
        shutil.copyfile(EXAMPLES / "listener.mjs", program)
        return cls(folder, program)

    @property
    def command(self) -> list[str]:
        """How it is started."""
        return ["node", str(self.program), str(self.folder)]

    def fill(self, content: Mapping[str, Iterable[str]]) -> None:
        """Put content into the archive."""
        for type_, ids in content.items():
            (self.folder / "content" / type_).mkdir(parents=True, exist_ok=True)
            for id_ in ids:
                (self.folder / "content" / type_ / f"{id_}.json").write_text("{}")

    def content(self, type_: str) -> set[str]:
        """Return the IDs whose content is kept."""
        return {path.stem for path in (self.folder / "content" / type_).glob("*.json")}

    def verdicts(self) -> Verdicts:
        """Return what the listener noted of IDs."""
        found: Verdicts = {}
        for path in (self.folder / "verdicts").glob("*/*.json"):
            said = json.loads(path.read_text())
            found[path.parent.name, path.stem] = (said["action"], said["checked_at"], said["done"])
        return found

    def ended(self) -> dict[str, tuple[str, int]]:
        """Return how batches ended."""
        said = {path.stem: json.loads(path.read_text()) for path in (self.folder / "ended").glob("*.json")}
        return {batch: (one["state"], one["unchecked"]) for batch, one in said.items()}


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("example_listener", EXAMPLES / "listener.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
