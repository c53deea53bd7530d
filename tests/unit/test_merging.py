"""Reading the parts of a job, and merging them into one payload."""

import io
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from complyq_producer.errors import ObjectNotFoundError
from complyq_workers.merging import MergedPayload, merge_parts
from complyq_workers.results import PartIds, PartMissingError, PartUnreadableError, parts
from complyq_workers.together import Together, in_threads, one_by_one

T = TypeVar("T")
R = TypeVar("R")

IDS = st.one_of(st.integers(1, 40), st.integers(10**18, 10**18 + 30), st.integers(1, 2**64 - 1))


def text_of(ids: Iterable[int]) -> bytes:
    return b"".join(b"%d\n" % identifier for identifier in sorted(ids))


def part_of(text: bytes, number: int = 0, size: int | None = None) -> PartIds:
    return PartIds("b1", number, lambda: io.BytesIO(text), size)


def merged(folder: Path, chosen: list[PartIds]) -> bytes:
    into = folder / "payload.txt"
    payload = merge_parts(chosen, into, spool_dir=folder)
    text = into.read_bytes()
    assert payload == MergedPayload(text.count(b"\n"), len(text))
    return text


@settings(deadline=None)
@given(
    job=st.lists(st.tuples(st.sets(IDS, max_size=30), st.booleans()), max_size=12),
    block=st.sampled_from([7, 60, 1_000]),
    group=st.sampled_from([0, 90, 1_000]),
    together=st.sampled_from([one_by_one, in_threads]),
)
def test_payload_is_the_sorted_union(
    job: list[tuple[set[int], bool]], block: int, group: int, together: Together
) -> None:
    """Every ID of any part is uploaded once, in order, however the parts are cut and fetched."""
    texts = [(text_of(ids), sized) for ids, sized in job]
    chosen = [part_of(text, size=len(text) if sized else None) for text, sized in texts]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_BLOCK_BYTES", block)
        patch.setattr(parts, "_GROUP_BYTES", group)
        into = Path(folder) / "payload.txt"
        payload = merge_parts(chosen, into, spool_dir=Path(folder), together=together)
        expected = text_of(set().union(*(ids for ids, _ in job)))
        assert into.read_bytes() == expected
        assert payload == MergedPayload(expected.count(b"\n"), len(expected))


def test_order_of_the_parts_does_not_change_a_byte(tmp_path: Path) -> None:
    """Two workers that merge the same plan upload the same bytes."""
    chosen = [part_of(text_of(range(start, 4_000, 7))) for start in (1, 900, 2_000)]
    assert merged(tmp_path, chosen) == merged(tmp_path, chosen[::-1])


def test_ten_thousand_batches_are_one_payload(tmp_path: Path) -> None:
    """Batches of a few IDs, many of them shared, are merged without one lost."""
    rng = np.random.default_rng(4)
    texts = [text_of(set(ids)) for ids in rng.integers(1, 2**63, (10_000, 5)).tolist()]
    texts[5_000:] = [text_of({*map(int, text.split()), 7}) for text in texts[:5_000]]
    text = merged(tmp_path, [part_of(text, number, len(text)) for number, text in enumerate(texts)])
    assert text == text_of(set(map(int, b"".join(texts).split())))


def test_small_parts_are_fetched_together_and_large_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand requests do not wait for each other, and what is fetched at once is bounded in bytes."""
    monkeypatch.setattr(parts, "_BLOCK_BYTES", 50)
    monkeypatch.setattr(parts, "_GROUP_BYTES", 100)
    fetched: list[list[object]] = []

    def together(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        items = list(items)
        fetched.append([*items])
        return one_by_one(work, items)

    texts = [text_of(range(10**8, 10**8 + count)) for count in (3, 3, 3, 3, 200, 1, 4, 4, 3)]  # of ten bytes each
    chosen = [part_of(text, number, len(text)) for number, text in enumerate(texts)]
    blocks = list(parts.read_parts(chosen, together=together))
    assert fetched == [[0, 1, 2], [5, 6, 7]]
    assert np.bincount(np.concatenate([block.places for block in blocks])).tolist() == [3, 3, 3, 3, 200, 1, 4, 4, 3]


BAD = [
    b"5\n4\n",
    b"5\n5\n",
    b"5\nx\n",
    b"0\n1\n",
    b"5\n\n7\n",
    b"5\n7",
    b"+5\n",
    b"5\n18446744073709551616\n",
    b"\xff\n",
]


@pytest.mark.parametrize("sized", [True, False], ids=["fetched", "streamed"])
@pytest.mark.parametrize("text", BAD)
def test_part_that_is_not_ascending_ids_is_named(tmp_path: Path, text: bytes, *, sized: bool) -> None:
    """Whose part is damaged is told, so that only its batch has to fail."""
    around = [part_of(b"1\n9\n", 0, 4), part_of(b"2\n", 2, 2)]
    damaged = PartIds("b2", 7, lambda: io.BytesIO(text), len(text) if sized else None)
    with pytest.raises(PartUnreadableError, match="Part 7 of batch b2") as caught:
        merge_parts([around[0], damaged, around[1]], tmp_path / "payload", spool_dir=tmp_path)
    assert (caught.value.batch_id, caught.value.part) == ("b2", 7)


@pytest.mark.parametrize("among", [0, 1], ids=["streamed", "fetched"])
def test_part_that_was_cut_short_is_refused(tmp_path: Path, among: int) -> None:
    """IDs that a store lost would never be checked, and would be called compliant: they are missed instead."""
    cut = PartIds("b2", 0, lambda: io.BytesIO(b"5\n6\n"), 6)
    with pytest.raises(PartUnreadableError, match="4 bytes instead of 6"):
        merge_parts([*[part_of(b"1\n", 0, 2)] * among, cut], tmp_path / "payload", spool_dir=tmp_path)


@pytest.mark.parametrize("size", [2, None], ids=["fetched", "streamed"])
@pytest.mark.parametrize("together", [one_by_one, in_threads])
def test_part_that_is_missing_is_named(tmp_path: Path, size: int | None, together: Together) -> None:
    """A batch whose part is gone can be told from the others in its job, and the store's own words are kept."""

    def gone() -> io.BytesIO:
        raise ObjectNotFoundError("no object")

    chosen = [part_of(b"1\n", 0, 2), PartIds("b2", 3, gone, size), part_of(b"1\n", 1, 2)]
    with pytest.raises(PartMissingError) as caught:
        merge_parts(chosen, tmp_path / "payload", spool_dir=tmp_path, together=together)
    assert (caught.value.batch_id, caught.value.part) == ("b2", 3)
    assert isinstance(caught.value.__cause__, ObjectNotFoundError)


def test_parts_are_closed_when_the_work_is_stopped(tmp_path: Path) -> None:
    """A worker that lost its lease stops by raising, and keeps no connection."""
    stream = io.BytesIO(b"1\n")

    def beat() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        merge_parts([PartIds("b1", 0, lambda: stream)], tmp_path / "payload", spool_dir=tmp_path, beat=beat)
    assert stream.closed


MEASURE = """
import io, pathlib, re, sys
from complyq_workers.merging import merge_parts
from complyq_workers.results import PartIds
count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
def opened(number):
    return io.BytesIO(b"".join(b"%d\\n" % (10**18 + place * count + number) for place in range(2_000_000 // count)))
size = len(opened(0).getvalue())
def part(number):
    return PartIds(f"b{number}", 0, lambda: opened(number), size)
parts = [part(number) for number in range(count)]
before = peak()
payload = merge_parts(parts, folder / "payload", spool_dir=folder)
print(payload.count, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("count", [40, 10_000])
def test_memory_does_not_grow_with_the_job(tmp_path: Path, count: int) -> None:
    """Two million IDs, 40 MB of text, are merged in less memory than they have bytes, of few batches or of many."""
    command = [sys.executable, "-c", MEASURE, str(count), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    merged_ids, megabytes = done.stdout.split()
    assert int(merged_ids) == 2_000_000
    assert float(megabytes) < 60
