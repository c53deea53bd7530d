"""The batches of the demo, made from the example files."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from complyq_producer.client import Batch, OnInvalid, Producer

POSTS = "post-ids.txt.gz"
USERS = "user-ids.txt"
_JUNK = ("id", "https://x.com/i/status/20", "1234567890123456789012345")


@dataclass(frozen=True, slots=True)
class DemoBatch:
    """What the demo submits, and what it shows by that."""

    name: str
    type: str
    path: Path
    shows: str
    on_invalid: OnInvalid = "refuse"
    key: str | None = None

    def submit(self, producer: Producer) -> Batch:
        """Submit it as any service would."""
        return producer.enqueue(
            self.path, self.type, name=self.name, key=self.key, on_invalid=self.on_invalid, labels={"demo": "yes"}
        )


def demo_batches(folder: Path) -> list[DemoBatch]:
    """Write the files of the batches into a folder and return them in the order of their submission."""
    posts, users = _lines(gzip.decompress(example(POSTS).read_bytes())), _lines(example(USERS).read_bytes())
    archive = folder / POSTS
    archive.write_bytes(example(POSTS).read_bytes())
    recent = posts[-20_000:]
    # A file as it comes out of other tools: a headline, an address, a number too long, and the same IDs again.
    timeline = _write(folder / "timeline.txt", [*_JUNK, *recent, *recent[:1_500]])
    authors = _write(folder / "authors.txt", users)
    mentions = _write(folder / "mentions.txt", users[:3_000])
    return [
        DemoBatch("archive", "tweets", archive, "the example file as it is, gzip"),
        DemoBatch("timeline", "tweets", timeline, "bad lines are skipped, duplicates left out", on_invalid="skip"),
        DemoBatch("authors", "users", authors, "user IDs have a slot of their own", key="authors"),
        DemoBatch("mentions", "users", mentions, "waits until the users' slot is free"),
        DemoBatch("authors", "users", authors, "the same key and IDs: the same batch", key="authors"),
    ]


def example(name: str) -> Traversable:
    """Find an example file, which comes with the package."""
    return files("complyq_producer") / "examples" / name


def _lines(text: bytes) -> list[str]:
    return text.decode().split()


def _write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
