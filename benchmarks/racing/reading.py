"""Validation and removal of duplicates by itself: ours, and the set that is filled line by line."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from complyq_producer.ids import ingest
from racing.task import MAX_ID, Answer, Contender

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from complyq_producer.ids import IngestedIds
    from racing.task import IdArray, Task


@contextmanager
def start_ingest(task: Task) -> Iterator[Contender]:
    """Read with `ingest`: afterwards the parts lie on the disk as text, ready to be stored."""
    with ExitStack() as kept:
        ingested: list[IngestedIds] = []

        def run() -> Answer:
            reading = ingest(task.ids_file, spool_dir=Path(task.folder) / "spool", on_invalid="refuse")
            ingested.append(kept.enter_context(reading))
            return Answer(unique=ingested[0].unique)

        yield Contender(run, lambda: _ids(part.file.read() for part in ingested[0].parts()))


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
