"""Decodes gzip bodies piece by piece, so that a small body cannot fill the memory or the disk."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from complyq_config.errors import ComplyqError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1 << 20
_MOST_GROWTH = 200
_FREE_BYTES = 64 << 20


class MalformedBodyError(ComplyqError):
    """A compressed body is damaged, or expands beyond what results could."""


class Inflater:
    """Decodes one gzip body, of one member or several."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._taken = 0
        self._given = 0

    @property
    def complete(self) -> bool:
        """Whether the body may end here: at the end of a member, or before anything came."""
        return self._member.eof or not self._taken

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Decode the next bytes, in pieces of at most 1 MiB.

        Raises:
            MalformedBodyError: They are damaged, or expand more than 200 times.
        """
        self._taken += len(block)
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
        self._given += len(piece)
        if self._given > max(_FREE_BYTES, _MOST_GROWTH * self._taken):
            raise MalformedBodyError(f"The compressed body expands more than {_MOST_GROWTH} times.")
        return piece
