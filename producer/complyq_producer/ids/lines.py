"""IDs from text, one a line."""

from collections.abc import Iterable, Iterator

import numpy as np

from complyq_producer.errors import UnreadableInputError
from complyq_producer.ids.digits import LineReader
from complyq_producer.ids.rejects import Rejects
from complyq_producer.ids.values import IdArray, parse_exactly

_AROUND = b" \t\r"
_LONGEST_LINE = 65_536
_SHOWN_BYTES = 256
_LINE_FEED = 10


def parse_lines(blocks: Iterable[bytes], rejects: Rejects, name: str) -> Iterator[IdArray]:
    """Yield the valid IDs, some thousands at a time, in the order of the lines.

    Spaces, tabs and carriage returns around an ID do not matter, blank lines are passed over, leading zeros too.
    A line of more than 65,536 bytes is never an ID.

    Args:
        blocks: the text, cut anywhere.
        rejects: counts the lines that hold something else.
        name: the input's, for messages.

    Raises:
        UnreadableInputError: the input is not text.
    """
    reader = LineReader()
    position = 1
    for chunk in _whole_lines(blocks):
        values = reader.read(chunk.replace(b"\r\n", b"\n") if b"\r" in chunk else chunk)
        yield _each(chunk, position, rejects, name) if values is None else values
        position += int(
            np.count_nonzero(np.frombuffer(chunk, np.uint8) == _LINE_FEED)
        )  # `count` takes ten times as long


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(block)[:end]))
            rest = block[end:]
        else:
            rest += block
        rest = rest[: _LONGEST_LINE + 1]  # still too long, and bounded
    if rest:
        yield rest + b"\n"


def _each(chunk: bytes, position: int, rejects: Rejects, name: str) -> IdArray:
    values = []
    for number, line in enumerate(chunk.split(b"\n")[:-1], position):
        text = line.strip(_AROUND)
        too_long = len(line) > _LONGEST_LINE  # cut, so that what is left may look like an ID, or blank
        value = None if too_long else parse_exactly(text)
        if value is not None:
            values.append(value)
        elif text or too_long:
            rejects.add(number, _decoded(text, number, name))
    return np.array(values, np.uint64)


def _decoded(line: bytes, number: int, name: str) -> str:
    if b"\0" in line:
        raise UnreadableInputError(
            f"{name} is not a text file: line {number} holds NUL bytes; give UTF-8 text with one ID a line, or its gzip"
        )
    try:
        return line[:_SHOWN_BYTES].decode(errors="strict" if len(line) <= _SHOWN_BYTES else "replace")
    except UnicodeDecodeError:
        raise UnreadableInputError(
            f"{name} is not a text file: line {number} is not UTF-8; give UTF-8 text with one ID a line, or its gzip"
        ) from None
