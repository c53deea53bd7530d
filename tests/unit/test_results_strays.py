"""Errors that name no ID of ours are kept in bounded memory, and each part gets its own."""

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from complyq_producer.results import Rejected
from complyq_workers.results import strays
from complyq_workers.results.strays import StrayErrors

KEPT = 3
LINES = st.lists(st.sampled_from([*(b"x%d\n" % number for number in range(9)), b"l" * 2_000 + b"\n"]), max_size=60)


@settings(deadline=None, max_examples=200)
@given(lines=LINES, cuts=st.lists(st.integers(0, 70), max_size=5))
def test_shares_are_cut_from_one_list(lines: list[bytes], cuts: list[int]) -> None:
    """Lines that sort first, each as often as X sent it, then stand-ins for all others; no share has those of another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strays, "_KEPT_LINES", KEPT)
        errors = StrayErrors("tweets")
        for line in lines:
            errors.add(line)
            assert len(errors._counts) <= 2 * KEPT
        kept = sorted(set(lines) - {b"l" * 2_000 + b"\n"})[:KEPT]
        told = sorted(line for line in lines if line in kept)
        other = Rejected("", "tweets", "not kept: X sent too many different errors").to_json() + b"\n"
        told += [other] * (len(lines) - len(told))
        ends = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
        for first, end in pairwise(ends):
            assert list(errors.lines(first, end - first)) == told[first:end]
        assert errors.total == len(lines)
