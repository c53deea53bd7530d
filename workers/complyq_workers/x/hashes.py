"""The checksums and sizes that Cloud Storage tells in its headers.

https://cloud.google.com/storage/docs/xml-api/reference-headers
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def goog_hashes(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Read `x-goog-hash: crc32c=…,md5=…` into bytes (the CRC big-endian); what cannot be read is left out."""
    parts = (part.strip().partition("=") for part in headers.get("x-goog-hash", "").split(","))
    found = {name.lower(): _decoded(value) for name, _, value in parts}
    return {name: value for name, value in found.items() if value}


def number_in(headers: Mapping[str, str], name: str) -> int | None:
    """Read a header that holds a number of bytes; None where it is absent or no number."""
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
