"""A payload on its way."""

import hashlib
import io

import google_crc32c
import pytest

from complyq_workers.upload import verify_hashes
from complyq_workers.upload.body import PayloadBody, RunningDigest
from complyq_workers.upload.errors import CorruptUploadError, PayloadMismatchError
from complyq_workers.upload.protocol import Hashes

DATA = b"123456789\n" * 1000


def hashes_of(data: bytes) -> Hashes:
    """Say what an honest server would."""
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    return Hashes(google_crc32c.value(data).to_bytes(4, "big"), md5, len(data))


def test_a_body_gives_exactly_its_length() -> None:
    """A chunk ends where it should, though the stored payload goes on."""
    told: list[int] = []
    body = PayloadBody(io.BytesIO(DATA), 25, RunningDigest(), told.append)
    assert (len(body), body.read(10), body.read(), body.read(10)) == (25, DATA[:10], DATA[10:25], b"")
    assert told == [0, 10, 25]


def test_a_short_payload_is_noticed() -> None:
    """Fewer stored bytes than planned never become a whole upload."""
    body = PayloadBody(io.BytesIO(b"12\n"), 10, RunningDigest(), lambda _: None)
    assert body.read(3) == b"12\n"
    with pytest.raises(PayloadMismatchError):
        body.read(3)
    assert isinstance(body.failure, PayloadMismatchError)


def test_what_the_caller_raises_is_kept() -> None:
    """A lost lease is told from a failed network, even where it is an OSError."""

    def stop(_: int) -> None:
        raise BrokenPipeError

    body = PayloadBody(io.BytesIO(DATA), 10, RunningDigest(), stop)
    with pytest.raises(BrokenPipeError):
        body.read(1)
    assert isinstance(body.failure, BrokenPipeError)


def test_a_whole_payload_is_verified() -> None:
    """Checksums that agree prove that the server has our bytes."""
    digest = RunningDigest()
    digest.update(DATA[:100])
    digest.seek(100)
    digest.update(DATA[100:])
    assert digest.verify(hashes_of(DATA), len(DATA))


def test_another_checksum_is_corruption() -> None:
    """The server stored other bytes, whatever their number."""
    digest = RunningDigest()
    digest.update(DATA)
    with pytest.raises(CorruptUploadError):
        digest.verify(hashes_of(b"other"), len(DATA))


@pytest.mark.parametrize("field", ["crc32c", "md5"])
def test_either_checksum_alone_is_enough(field: str) -> None:
    """MD5 takes reading the payload once more, which is done where a server gives nothing else."""

    def alone(data: bytes) -> Hashes:
        return Hashes(**({"crc32c": None, "md5": None} | {field: getattr(hashes_of(data), field)}))

    def source(_offset: int) -> io.BytesIO:
        return io.BytesIO(DATA)

    digest = RunningDigest()
    digest.update(DATA)
    assert digest.verify(alone(DATA), len(DATA)) is (field == "crc32c")
    assert verify_hashes(source, len(DATA), alone(DATA))
    with pytest.raises(CorruptUploadError):
        verify_hashes(source, len(DATA), alone(b"other"))


def test_a_gap_ends_the_digest_until_the_start_is_sent_again() -> None:
    """After resuming elsewhere nothing is claimed; from 0 on it counts anew."""
    digest = RunningDigest()
    digest.update(DATA)
    digest.seek(10)
    digest.update(DATA[10:])
    assert not digest.verify(hashes_of(DATA), len(DATA))
    digest.seek(0)
    digest.update(DATA)
    assert digest.verify(hashes_of(DATA), len(DATA))


def test_without_checksums_nothing_is_claimed() -> None:
    """The direct contract gives none."""
    digest = RunningDigest()
    digest.update(DATA)
    assert not digest.verify(Hashes(), len(DATA))
