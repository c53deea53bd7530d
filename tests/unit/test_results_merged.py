"""Taking the answer of a job of many batches apart again."""

import gzip
import io
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.results import Rejected
from complyq_workers.results import (
    PartFiles,
    PartIds,
    PartMissingError,
    answer,
    chunks,
    groups,
    index,
    index_ids,
    summarize,
    writing,
)
from complyq_workers.results import parts as stored_parts
from complyq_workers.results.parse import id_number, parse_line
from complyq_workers.together import in_threads
from support.collecting import collect_answer

RANKS = {"delete": 4, "rehydrate": 3, "scrub_geo": 2, None: 1}
IDS = st.one_of(st.integers(1, 40), st.integers(2**64 - 20, 2**64 - 1))
# Batches, each a list of parts that have no ID in common; batches have.
JOBS = st.lists(
    st.lists(IDS, unique=True, min_size=1, max_size=30).flatmap(
        lambda ids: st.integers(1, 4).map(lambda parts: [sorted(ids)[at::parts] for at in range(parts)])
    ),
    min_size=1,
    max_size=6,
)
TIMES = st.sampled_from(["2019-10-29T17:02:47.000Z", "2020-02-29T17:02:47+00:00", "2019-10-29T17:02:47+02:00", None])
RESULTS = st.fixed_dictionaries(
    {"id": IDS.map(str), "action": st.sampled_from(list(RANKS)), "note": st.sampled_from(["", "a", "n" * 90, 5])},
    optional={"created_at": TIMES, "deleted_at": TIMES},
)
ERRORS = st.fixed_dictionaries({"id": st.one_of(IDS.map(str), st.sampled_from("xyz")), "error": st.sampled_from("ef")})
ANSWERS = st.lists(st.one_of(RESULTS, RESULTS, RESULTS, ERRORS), max_size=150)


class Counts(NamedTuple):
    """What else became of an answer's lines."""

    lines: int
    repeated: int
    foreign: int
    unattributed: int


Split = tuple[list[tuple[list[bytes], list[bytes]]], Counts]


def parts_of(job: list[list[list[int]]]) -> list[PartIds]:
    texts = [
        (f"b{batch}", number, b"".join(b"%d\n" % identifier for identifier in ids))
        for batch, slices in enumerate(job)
        for number, ids in enumerate(slices)
    ]
    return [PartIds(batch, number, lambda text=text: io.BytesIO(text), len(text)) for batch, number, text in texts]  # type: ignore[misc]


def naive(job: list[list[list[int]]], answer: list[bytes]) -> Split:
    """What each part gets, told from everything at once in memory."""
    asked = {identifier for batch in job for ids in batch for identifier in ids}
    best: dict[int, tuple[int, bytes]] = {}
    strays: list[bytes] = []
    repeated = foreign = 0
    for raw in answer:
        outcome = parse_line(raw, "tweets")
        assert outcome is not None
        number, line = id_number(outcome.id), outcome.to_json() + b"\n"
        error = isinstance(outcome, Rejected)
        rank = 0 if isinstance(outcome, Rejected) else RANKS[outcome.action]
        if number not in asked or number is None:
            strays += [line] if error else []
            foreign += not error
        else:
            repeated += number in best
            best[number] = min(best.get(number, (0, b"\xff")), (-rank, line))
    strays.sort()
    shared = strays if len(job) == 1 else []
    found = []
    for ids in (ids for batch in job for ids in batch):
        own = [best[identifier] for identifier in ids if identifier in best]
        lost, shared[:] = shared[: len(ids) - len(own)], shared[len(ids) - len(own) :]
        found.append(([line for rank, line in own if rank], [*(line for rank, line in own if not rank), *lost]))
    return found, Counts(len(answer), repeated, foreign, len(strays) if len(job) > 1 else len(shared))


def lines_of(files: PartFiles) -> tuple[list[bytes], list[bytes]]:
    results = gzip.decompress(files.results.read_bytes()).splitlines(keepends=True)
    rejected = gzip.decompress(files.rejected.read_bytes()).splitlines(keepends=True) if files.rejected else []
    assert (files.summary.count, files.summary.rejected) == (len(results), len(rejected))
    assert bool(rejected) == bool(files.rejected)
    rejected_file = files.rejected
    opened = (lambda: rejected_file.open("rb")) if rejected_file else None
    assert summarize(lambda: files.results.open("rb"), opened) == files.summary
    return results, rejected


def split(job: list[list[list[int]]], answer: list[bytes]) -> Split:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "answer").write_bytes(b"".join(answer))
        parts = parts_of(job)
        asked = index_ids(parts, folder)
        collection = collect_answer(folder / "answer", parts, asked, spool_dir=folder)
        counts = Counts(collection.lines, collection.repeated, collection.foreign, collection.unattributed)
        return [lines_of(files) for files in collection.parts], counts


@contextmanager
def small_scale() -> Iterator[None]:
    """Runs, ranges, groups and pieces so small that a few IDs fill several."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (index, "_RANGE_IDS", 5),
            (index, "_SAMPLE_EVERY", 2),
            (index, "_RUN_IDS", 7),
            (groups, "_GROUP_IDS", 12),
            (stored_parts, "_GROUP_BYTES", 60),
            (writing, "_SLICE_BYTES", 300),
            (answer, "_BLOCK_BYTES", 500),
            (chunks, "_ROWS_AT_ONCE", 4),
            (chunks, "_CHUNK_BYTES", 600),
        ):
            patch.setattr(module, name, value)
        yield


@settings(deadline=None, max_examples=150)
@given(job=JOBS, said=ANSWERS)
@example(
    job=[[list(range(100, 120))], [list(range(1, 31))]], said=[{"id": str(n), "action": None} for n in range(1, 120)]
)
def test_each_part_gets_what_a_dictionary_would_give_it(
    job: list[list[list[int]]], said: list[dict[str, str | None]]
) -> None:
    """Shared IDs, repeated lines, lines about others, errors: each part gets exactly what is about its IDs, in order."""
    lines = [json.dumps(line).encode() + b"\n" for line in said]
    with small_scale():
        assert split(job, lines) == naive(job, lines)


def test_ten_thousand_batches_each_get_their_own() -> None:
    """Of ten thousand batches in a job each gets all that is about its IDs and nothing else."""
    rng = random.Random(8)
    job = [[sorted({*rng.sample(range(1, 60_000), 5), 7})] for _ in range(10_000)]
    answer = [json.dumps({"id": str(n), "action": "delete"}).encode() + b"\n" for n in range(7, 60_500, 7)]
    rng.shuffle(answer)
    assert split(job, answer) == naive(job, answer)


def test_missing_part_is_named(tmp_path: Path) -> None:
    """Who collects learns which batch lost a part."""

    def gone() -> io.BytesIO:
        raise ObjectNotFoundError("no object")

    parts = [PartIds("b1", 0, lambda: io.BytesIO(b"1\n"), 2), PartIds("b9", 4, gone, 2)]
    with pytest.raises(PartMissingError) as caught:
        index_ids(parts, tmp_path, together=in_threads)
    assert (caught.value.batch_id, caught.value.part) == ("b9", 4)
