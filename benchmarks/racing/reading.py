"""Validation and removal of duplicates by itself: ours, and the set that is filled line by line."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from complyq_producer.ids import ingest
from racing.task import MAX_ID, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from racing.task import IdArray, Task


@contextmanager
def start_ingest(task: Task) -> Iterator[Contender]:
    """Read with `ingest`, and write the parts to files."""
    folder = Path(task.folder)

    def run() -> Answer:
        with ingest(task.ids_file, spool_dir=folder / "spool", on_invalid="refuse") as ingested:
            ingested.each_part(lambda part: (folder / f"part-{part.index:05}.txt").write_bytes(part.text))
            return Answer(unique=ingested.unique)

    yield Contender(run, lambda: _ids(path.read_bytes() for path in sorted(folder.glob("part-*.txt"))))


@contextmanager
def start_set(task: Task) -> Iterator[Contender]:
    """Read with a set."""
    copy = Path(task.folder) / "unique.txt"
    yield Contender(lambda: Answer(unique=write_unique(Path(task.ids_file), copy)), lambda: _ids([copy.read_bytes()]))


def write_unique(source: Path, target: Path) -> int:
    """Copy each valid ID once, in the order in which they come, and return how many there are.

    Raises:
        ValueError: a line holds no ID.
    """
    seen = set()
    with source.open() as lines, target.open("w") as file:
        for line in lines:
            text = line.strip()
            if not text.isdigit() or not 0 < int(text) <= MAX_ID:
                raise ValueError(f"not an ID: {text[:40]!r}")
            if text not in seen:
                seen.add(text)
                file.write(text + "\n")
    return len(seen)


def _ids(texts: Iterable[bytes]) -> IdArray:
    return np.concatenate([np.fromstring(text, np.uint64, sep="\n") for text in texts])
