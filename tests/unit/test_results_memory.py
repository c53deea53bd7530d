"""Collecting takes the memory of a few pieces, whatever the job's size."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")

FIRST_ID = 10**18
TIMES = b'"created_at":"2019-10-29T17:02:47.000Z","redacted_at":"2020-07-29T17:02:47+00:00"'
A_LITTLE = 1.3
MEASURE = """
import io, pathlib, re, sys
from complyq_workers.results import AnswerRows, PartIds, collect, index_ids
folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
ids = folder / "ids"
size = ids.stat().st_size // count
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
def opened(number):
    if count == 1:
        return ids.open("rb")
    with ids.open("rb") as file:
        file.seek(number * size)
        return io.BytesIO(file.read(size))
def part(number):
    return PartIds(f"b{number}", 0, lambda: opened(number), size)
parts = [part(number) for number in range(count)]
before = peak()
asked = index_ids(parts, folder)
answer = AnswerRows("tweets", folder)
answer.read(folder / "answer")
collection = collect(answer, parts, asked, spool_dir=folder)
print(sum(part.summary.count for part in collection.parts), peak() - before)
"""


def write(folder: Path, lines: int, batches: int) -> None:
    """Write the IDs of batches that each have some of every range, and an answer that flags all of them."""
    ids = np.arange(FIRST_ID, FIRST_ID + lines)
    asked = ids.reshape(-1, batches).T.reshape(-1).tolist()
    (folder / "ids").write_bytes(b"%d\n" * lines % tuple(asked))
    flagged = np.random.default_rng(1).permutation(ids).tolist()
    line = b'{"id":"%d","action":"delete","reason":"deleted",' + TIMES + b"}\n"
    (folder / "answer").write_bytes(line * lines % tuple(flagged))


@cache
def megabytes(lines: int, batches: int) -> float:
    """What a process of its own needs to collect, beyond what it had before."""
    with TemporaryDirectory() as folder:
        write(Path(folder), lines, batches)
        command = [sys.executable, "-c", MEASURE, folder, str(batches)]
        flagged, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(flagged) == lines
    return float(peak)


def test_memory_does_not_grow_with_the_results() -> None:
    """Three times as many flagged IDs, 60 MB of answer more, are collected in about the same memory."""
    assert megabytes(600_000, 1) < A_LITTLE * megabytes(200_000, 1)


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    """The same flagged IDs of a thousand batches are taken apart in about the memory of one batch."""
    # Of so little memory that of a thousand batches' names is more than a little; it would be many times as much if it grew.
    assert megabytes(200_000, 1_000) < 1.5 * megabytes(200_000, 1)
