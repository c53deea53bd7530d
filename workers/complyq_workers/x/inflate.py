"""Decodes gzip bodies piece by piece, so that a small body cannot fill the memory, and can be stopped before the disk."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from complyq_config.errors import ComplyqError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1 << 20


class MalformedBodyError(ComplyqError):
    """A compressed body is damaged."""


class Inflater:
    """Decodes one gzip body, of one member or several."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    @property
    def complete(self) -> bool:
        """Whether the body may end here: at the end of a member, or before anything came."""
        return self._member.eof or not self._begun

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Decode the next bytes, in pieces of at most 1 MiB.

        Raises:
            MalformedBodyError: They are damaged.
        """
        self._begun = self._begun or bool(block)
        while block:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            piece = self._inflated(block)
            if piece:
                yield piece
            block = self._member.unconsumed_tail or self._member.unused_data

    def _inflated(self, block: bytes) -> bytes:
        try:
            piece = self._member.decompress(block, _PIECE_BYTES)
        except zlib.error:
            piece = None
        if piece is None:
            raise MalformedBodyError("The compressed body is damaged.")
        return piece
