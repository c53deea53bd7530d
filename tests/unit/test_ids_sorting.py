"""What is true of sorting more IDs than memory holds."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from complyq_producer.ids.sorting import Sorter
from complyq_producer.ids.spool import open_spool
from complyq_producer.ids.values import IdArray

RUN, BUCKET, STRIDE = 10_000, 4_000, 16


@pytest.fixture(scope="module")
def spool_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for temporary files."""
    return tmp_path_factory.mktemp("spool")


@settings(max_examples=100, deadline=None)
@given(
    arrays=st.lists(st.lists(st.one_of(st.integers(1, 40), st.integers(1, 2**64 - 1)), max_size=30), max_size=20),
    run=st.integers(1, 40),
    bucket=st.integers(1, 40),
    stride=st.integers(1, 8),
)
def test_any_input_comes_out_sorted_and_once(
    spool_dir: Path, arrays: list[list[int]], run: int, bucket: int, stride: int
) -> None:
    """Whatever the sizes, every ID is there, once, in order, across all slices."""
    with open_spool(spool_dir) as spool:
        sorter = Sorter(spool, run, bucket, stride)
        for values in arrays:
            sorter.add(np.array(values, np.uint64))
        ascending = [value for values in sorter.ascending() for value in values.tolist()]
    assert ascending == sorted({value for values in arrays for value in values})
    assert sorter.added == sum(map(len, arrays))


def _inputs() -> dict[str, IdArray]:
    rng = np.random.default_rng(3)
    count = 100_000
    return {
        "sorted": np.arange(1, count, dtype=np.uint64),
        "reversed": np.arange(count, 0, -1, dtype=np.uint64),
        "random": rng.integers(1, 2**63, count, dtype=np.uint64),
        "duplicates": rng.integers(1, 9_000, count, dtype=np.uint64),
        "one value and others": np.where(
            rng.random(count) < 0.4, np.uint64(7), rng.integers(1, 2**62, count, np.uint64)
        ),
        "skewed": np.exp2(rng.random(count) * 62).astype(np.uint64) + np.uint64(1),
    }


@pytest.mark.parametrize("name", _inputs())
def test_no_input_makes_a_bucket_large(spool_dir: Path, name: str) -> None:
    """Order, skew and repeated values do not decide how much is in memory at once."""
    values = _inputs()[name]
    with open_spool(spool_dir) as spool:
        sorter = Sorter(spool, RUN, BUCKET, STRIDE)
        for start in range(0, len(values), 3000):
            sorter.add(values[start : start + 3000])
        slices = list(sorter.ascending())
    assert not sorter.in_memory
    assert np.array_equal(np.concatenate(slices), np.unique(values))
    runs = -(-len(values) // RUN) + 1
    assert max(map(len, slices)) <= BUCKET + runs * STRIDE
