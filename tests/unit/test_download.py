"""What a download's headers promise, without a socket; and gzip bodies."""

import gzip
from base64 import b64encode

import pytest

from complyq_workers.download import (
    DownloadCorruptError,
    DownloadExpiredError,
    DownloadInterruptedError,
    DownloadRefusedError,
    DownloadUnverifiableError,
    continues,
    most_bytes,
    read_announced,
    refusal,
)
from complyq_workers.x import Reply, UnauthorizedError
from complyq_workers.x.inflate import Inflater, MalformedBodyError

HASH = f"crc32c={b64encode(b'1234').decode()}"
RESUMABLE = {"content-length": "100", "accept-ranges": "bytes", "etag": '"abc"'}


def test_what_storage_announces() -> None:
    """Length, checksum and a validator to resume with."""
    found = read_announced({**RESUMABLE, "x-goog-hash": HASH, "x-goog-stored-content-length": "100"})
    assert (found.length, found.crc32c, found.validator, found.encoding) == (100, b"1234", '"abc"', "")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "0"},
        {"transfer-encoding": "chunked"},
        {"x-goog-hash": HASH},
        {"x-goog-stored-content-length": "5"},
    ],
)
def test_one_way_to_know_the_end_is_enough(headers: dict[str, str]) -> None:
    """Length, chunks or checksum: each shows a truncated body."""
    read_announced(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-goog-hash": "md5=AAAA"},
        {"x-goog-hash": HASH, "x-goog-stored-content-encoding": "gzip"},
        {"content-length": "5", "content-encoding": "br"},
    ],
)
def test_a_body_whose_end_cannot_be_known_is_refused(headers: dict[str, str]) -> None:
    """A truncated download is never taken for "compliant"."""
    with pytest.raises(DownloadUnverifiableError):
        read_announced(headers)


def test_contradicting_lengths_are_corruption() -> None:
    """The answer is not the object."""
    with pytest.raises(DownloadCorruptError):
        read_announced({"content-length": "99", "x-goog-stored-content-length": "100"})


def test_hash_and_length_of_a_compressed_object_are_those_of_its_bytes_on_the_wire() -> None:
    """They are compared before decoding."""
    found = read_announced(
        {
            "content-length": "9",
            "content-encoding": "gzip",
            "x-goog-stored-content-encoding": "gzip",
            "x-goog-hash": HASH,
            "x-goog-stored-content-length": "9",
        }
    )
    assert (found.length, found.crc32c, found.encoding, found.validator) == (9, b"1234", "gzip", None)


@pytest.mark.parametrize(
    "headers",
    [
        {**RESUMABLE, "etag": 'W/"abc"'},
        {**RESUMABLE, "etag": ""},
        {**RESUMABLE, "accept-ranges": "none"},
        {"content-length": "100", "etag": '"abc"'},
        {**RESUMABLE, "content-encoding": "gzip"},
    ],
)
def test_resuming_needs_a_strong_validator_and_an_offer(headers: dict[str, str]) -> None:
    """Otherwise the download starts over."""
    assert read_announced(headers).validator is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-range": "bytes 40-99/100", "etag": '"abc"'}, True),
        ({"content-range": "bytes 40-99/*"}, True),
        ({"content-range": "bytes 41-99/100"}, False),
        ({"content-range": "bytes 40-98/99"}, False),
        ({"content-range": "bytes 40-99/100", "etag": '"other"'}, False),
        ({"content-range": "bytes 40-99/100", "content-encoding": "gzip"}, False),
        ({"content-range": "lines 40-99/100"}, False),
        ({}, False),
    ],
)
def test_only_the_very_next_bytes_continue(headers: dict[str, str], *, expected: bool) -> None:
    """A range of another place or object is not glued on."""
    assert continues(headers, 40, read_announced(RESUMABLE)) is expected


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, DownloadExpiredError),
        (403, DownloadExpiredError),
        (404, DownloadExpiredError),
        (410, DownloadExpiredError),
        (401, UnauthorizedError),
        (408, DownloadInterruptedError),
        (429, DownloadInterruptedError),
        (503, DownloadInterruptedError),
        (202, DownloadInterruptedError),
        (405, DownloadRefusedError),
    ],
)
def test_what_a_refusal_means(status: int, error: type[Exception]) -> None:
    """Gone for good, not now, or our fault."""
    found = refusal(Reply(status, {}, b'{"detail":"no feedbeef01 here"}'), "https://h/o?sig=feedbeef01")
    assert type(found) is error
    assert "feedbeef01" not in str(found)


def test_gzip_in_pieces() -> None:
    """Blocks may be cut anywhere, members may follow each other."""
    data = gzip.compress(b"one\n" * 1000) + gzip.compress(b"two\n")
    inflater = Inflater()
    assert inflater.complete
    out = b"".join(piece for start in range(0, len(data), 7) for piece in inflater.feed(data[start : start + 7]))
    assert out == b"one\n" * 1000 + b"two\n"
    assert inflater.complete


def test_a_truncated_gzip_is_not_complete() -> None:
    """The end of the last member was not seen."""
    inflater = Inflater()
    list(inflater.feed(gzip.compress(b"one\n" * 1000)[:-4]))
    assert not inflater.complete


def test_a_gzip_bomb_comes_in_small_pieces() -> None:
    """A few bytes do not become gigabytes in memory; who takes the pieces may stop after any."""
    sizes = list(map(len, Inflater().feed(gzip.compress(b"\0" * (20 << 20)))))
    assert sum(sizes) == 20 << 20
    assert max(sizes) <= 1 << 20


def test_the_most_that_results_may_have_grows_with_the_ids_asked_for() -> None:
    """Six times X's longest line for each ID, and never less than some megabytes."""
    line = len('{"id":"1265324480517361664","action":"rehydrate","created_at":"2019-10-29T17:02:47.000Z",'
               '"redacted_at":"2020-07-29T17:02:47.000Z","reason":"tweet_edited"}')  # fmt: skip
    assert most_bytes(10) < 20_000_000
    assert most_bytes(6_000_000) > 6 * line * 6_000_000


def test_a_damaged_gzip_is_an_error() -> None:
    """Garbage is said to be garbage."""
    with pytest.raises(MalformedBodyError):
        list(Inflater().feed(b"no gzip at all"))
