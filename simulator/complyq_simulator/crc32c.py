"""The checksum that Cloud Storage gives for every object, over Google's own implementation of it."""

from base64 import b64encode
from collections.abc import Callable

import google_crc32c

extend: Callable[[int, bytes], int] = google_crc32c.extend
"""Return the checksum of some bytes more; begin with 0."""


def encoded(checksum: int) -> str:
    """Write a checksum as `x-goog-hash` does: base64 of its bytes, the highest first."""
    return b64encode(checksum.to_bytes(4, "big")).decode()
