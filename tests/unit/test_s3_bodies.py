"""What is true of a file that is sent in slices."""

import base64
import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from complyq_producer.store.s3_bodies import md5_of, slices

CONTENT = os.urandom(3_000_000)


@pytest.mark.parametrize("length", [1_000_000, 700_001, 2_999_999, 3_000_000, 9_000_000])
def test_slices_are_read_side_by_side(length: int) -> None:
    """Together they are the file from its position on, whoever reads which one when."""
    source = io.BytesIO(b"header|" + CONTENT)
    source.seek(7)
    with ThreadPoolExecutor(4) as threads:
        bodies = list(threads.map(lambda body: body.read(), slices(source, len(CONTENT), length)))
    assert b"".join(bodies) == CONTENT
    assert [len(body) for body in bodies[:-1]] == [length] * (len(bodies) - 1)


def test_a_slice_can_be_sent_again() -> None:
    """After its checksum, and after an attempt that broke off, it is read from its beginning, and no further than its end."""
    _, second = slices(io.BytesIO(CONTENT), 2_000_000, 1_000_000)
    expected = CONTENT[1_000_000:2_000_000]
    assert md5_of(second) == base64.b64encode(hashlib.md5(expected, usedforsecurity=False).digest()).decode()
    assert second.read(300_000) == expected[:300_000]
    second.seek(0)
    assert second.read() == expected
    assert second.seek(0, io.SEEK_END) == second.tell() == 1_000_000
    assert second.read() == b""


def test_a_file_that_became_shorter_is_an_error() -> None:
    """Less than was announced is never sent as if it were all."""
    (body,) = slices(io.BytesIO(CONTENT), len(CONTENT) + 1, 9_000_000)
    with pytest.raises(OSError, match="shorter"):
        body.read()
