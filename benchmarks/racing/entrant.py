"""`python -m racing.entrant NAME`: one competitor in a process of its own.

It reads its task from standard input, gets ready and says so; it runs when told to; it gives its answer; and when that
has been noted it shows what it found, so that checking costs it nothing.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from racing.inputs import digest
from racing.task import Answer, Task

if TYPE_CHECKING:
    from racing.task import Start

# Imported when they start: what one needs must not be in another's memory.
STARTS = {
    "complyq": "racing.complyq_stack:start",
    "twarc2": "racing.twarc_peer:start",
    "tutorial": "racing.tutorial:start",
    "straight": "racing.straight:start",
    "straight, IDs stored": "racing.straight:start_storing_ids",
    "ingest": "racing.reading:start_ingest",
    "per-line set": "racing.reading:start_set",
    "one stream": "racing.uploading:start_stream",
    "8 MiB chunks": "racing.uploading:start_chunks",
    "google-resumable-media": "racing.uploading:start_googles",
    "one stream, cut once": "racing.uploading:start_cut",
    "enqueue": "racing.enqueueing:start",
    "all at once": "racing.chain:start_all_at_once",
    "one by one": "racing.chain:start_one_by_one",
    "straight, one by one": "racing.chain:start_straight",
    "1 process": "racing.scaling:start_1",
    "2 processes": "racing.scaling:start_2",
    "4 processes": "racing.scaling:start_4",
    "costs": "costing.entrant:start",
}


_STACK_BYTES = 1 << 20


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, and the seconds it took by the competitor's own clock."""

    seconds: float
    answer: Answer


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What can be checked, and what else is worth knowing."""

    digest: str
    figures: dict[str, object]


def main(name: str) -> None:
    """Take part once."""
    inward, outward = sys.stdin.buffer, _private_output()
    task = msgspec.json.decode(inward.readline(), type=Task)
    if task.limit_mb:
        _limit_memory(task.limit_mb * 1_000_000)
    with _start(name)(task) as contender:
        _say(outward, {"ready": True})
        inward.readline()
        begun = time.monotonic()
        answer = contender.run()
        _say(outward, Ran(seconds=time.monotonic() - begun, answer=answer))
        inward.readline()
        _lift_limit()  # to show all flagged IDs takes more than to find them
        _say(outward, Shown(digest=digest(contender.ids()), figures=dict(contender.figures())))


def _limit_memory(size: int) -> None:
    """Bound what each process from here on may have for itself, whether it uses it or not.

    The stacks of threads count in full, so they must not have the usual 8 MB each.
    """
    resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _lift_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _start(name: str) -> Start:
    module, _, function = STARTS[name].partition(":")
    start: Start = getattr(import_module(module), function)
    return start


def _private_output() -> BinaryIO:
    """Keep standard output for ourselves: whatever a competitor prints goes to standard error."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def _say(outward: BinaryIO, message: object) -> None:
    outward.write(msgspec.json.encode(message) + b"\n")
    outward.flush()


if __name__ == "__main__":
    main(sys.argv[1])
