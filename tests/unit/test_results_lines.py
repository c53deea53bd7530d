"""Stored results as services read them."""

import gzip
import io
import json

import pytest

from complyq_producer.results import DamagedResultsError, Rejected, Result, read_lines, read_rejected, read_results

FULL = Result("7", "tweets", "delete", "deleted", "2019-10-29T17:02:47.000Z", None, {"b": [1, "é"], "a": None})


def test_result_survives_its_line() -> None:
    """A result read from its own line is the same, with and without extra fields."""
    for result in (FULL, Result("8", "users"), Result("9", "users", extras={"extras": 1, "id_raw": 2})):
        assert Result.from_line(result.to_json()) == result


def test_line_survives_its_result() -> None:
    """A stored line read and written again has the same bytes."""
    line = FULL.to_json()
    assert Result.from_line(line + b"\n").to_json() == line
    assert list(json.loads(line)) == ["id", "type", "action", "reason", "created_at", "redacted_at", "a", "b"]


def test_numbers_that_only_x_understands_do_not_stop_reading() -> None:
    """A number beyond a double in an extra field is no reason to lose the result."""
    result = Result.from_line(b'{"id":"7","type":"tweets","action":"delete","big":1e400}')
    assert (result.id, result.extras) == ("7", {"big": float("inf")})


def test_rejected_survives_its_line() -> None:
    """A rejected ID read from its own line is the same."""
    for rejected in (Rejected("x", "users", "invalid_id"), Rejected("7", "tweets", {"code": 1}, {"hint": "é"})):
        assert Rejected.from_line(rejected.to_json()) == rejected


def test_objects_are_read_as_streams() -> None:
    """A gzip object of lines gives its results in order."""
    packed = gzip.compress(FULL.to_json() + b"\n" + Result("8", "tweets").to_json() + b"\n")
    assert [result.id for result in read_results(io.BytesIO(packed))] == ["7", "8"]
    errors = gzip.compress(Rejected("x", "users", "invalid_id").to_json() + b"\n")
    assert [rejected.error for rejected in read_rejected(io.BytesIO(errors))] == ["invalid_id"]
    assert list(read_lines(io.BytesIO(gzip.compress(b"")))) == []


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_object_that_is_cut_short_is_refused(cut: int) -> None:
    """Half an object is an error, never fewer results."""
    packed = gzip.compress(b"".join(Result(str(number), "tweets").to_json() + b"\n" for number in range(1, 100)))
    with pytest.raises(DamagedResultsError):
        list(read_results(io.BytesIO(packed[:-cut])))


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"type":"tweets"}', b'{"id":7,"type":"tweets"}'])
def test_line_that_is_none_is_refused(line: bytes) -> None:
    """What nobody stored is an error with a class of ours."""
    with pytest.raises(DamagedResultsError):
        Result.from_line(line)
