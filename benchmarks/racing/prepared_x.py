"""`python -m racing.prepared_x ANSWERS …`: `complyq simulator` that has worked out answers before it is asked.

What X does with a job is nobody's merit, and on a small machine it would take processors from who is measured. So the
answer to the IDs of a race is made once, by the simulator's own code, and a job whose upload has one of the sizes that
these IDs can have gets a copy of it at once. All other jobs are answered as ever. Of what is uploaded only the CRC-32C
is given, as Cloud Storage does for composed objects: MD5 would take this machine longer than the rest of an upload.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from complyq_simulator import sessions, world
from complyq_simulator.command import app
from complyq_simulator.jobs import Job
from complyq_simulator.results import Question, Results, answer
from complyq_simulator.uploads import Digest, digest
from complyq_simulator.world import World
from racing.inputs import SEED
from racing.task import JOB_TYPE


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as the simulator sends it: `path` holds `size` bytes. `uploads` are the sizes of uploads that get it."""

    path: str
    size: int
    crc32c: str
    uploads: list[int]


def prepare(target: Path, rate: float, files: Mapping[Path, Sequence[int]]) -> None:
    """Work out the answers to files of IDs, and describe them in `target`.

    Raises:
        ValueError: two files may give uploads of the same size, so that X could not tell them apart.
    """
    sizes = [size for uploads in files.values() for size in set(uploads)]
    if len(sizes) != len(set(sizes)):
        raise ValueError(f"some of {len(files)} files of IDs are too much alike in size")
    prepared = [_answer_to(ids, rate, list(uploads)) for ids, uploads in files.items()]
    target.write_bytes(msgspec.json.encode(prepared))


def _answer_to(ids: Path, rate: float, uploads: list[int]) -> Prepared:
    found = answer(Question(ids, JOB_TYPE, SEED, rate), ids.with_name(f"{ids.stem}-{rate:g}.jsonl"))
    return Prepared(path=str(found.path), size=found.size, crc32c=found.crc32c, uploads=uploads)


def _answered(by_size: Mapping[int, Prepared], question: Question, target: Path) -> Results:
    prepared = by_size.get(question.upload.stat().st_size)
    if question.type != JOB_TYPE or prepared is None:
        return answer(question, target)
    os.link(prepared.path, target)
    return Results(target, prepared.size, prepared.crc32c)


def _accept(x: World, job: Job, upload: Path, size: int) -> None:
    """Take a complete upload as the simulator does, but have its answer ready before the upload is confirmed."""
    if x.jobs.uploaded(job):
        job.received = size
        question = Question(upload, job.type, x.settings.seed, x.settings.flagged_rate)
        job.results = world.__dict__["answer"](question, x.new_file())
    upload.unlink()


async def _checksums(path: Path) -> Digest:
    return await asyncio.to_thread(digest, path, with_md5=False)


def main(description: Path) -> None:
    """Serve until interrupted; the other arguments are those of `complyq simulator`."""
    prepared = msgspec.json.decode(description.read_bytes(), type=list[Prepared])
    by_size = {size: each for each in prepared for size in each.uploads}
    world.__dict__["answer"] = partial(_answered, by_size)
    setattr(World, World.accept.__name__, _accept)
    sessions.__dict__["checksums"] = _checksums
    app(sys.argv[2:])


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        description, share, *given = sys.argv[2:]
        uploads = [[int(size) for size in sizes.split(",")] for sizes in given[1::2]]
        prepare(Path(description), float(share), dict(zip(map(Path, given[::2]), uploads, strict=True)))
    else:
        main(Path(sys.argv[1]))
