"""What is known of each line of the answer, in rows of one size."""

import numpy as np
import numpy.typing as npt

from complyq_workers.results.lines import ByteArray, RowArray
from complyq_workers.results.shapes import SLOT_BYTES, SLOTS

ROW = np.dtype(
    [
        ("id", "<u8"),
        ("place", "<u4"),  # of a part that holds the ID, once that is known
        ("kind", "<u2"),  # what the line says: see `Kinds`
        ("shape", "<u2"),  # how it is written: see `Shapes`
        ("rank", "u1"),  # how strongly it speaks for its ID
        ("slots", "u1", (SLOTS, SLOT_BYTES)),  # its digits, but for the ID's
    ]
)
NO_ROWS: RowArray = np.empty(0, ROW)

ID_COLUMNS = 24
_GROUP = np.uint64(10_000)
_FOUR_DIGITS = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), np.uint32)


def to_numbers(digits: ByteArray) -> npt.NDArray[np.uint64]:
    """The number in each row of 24 digits; eight at once are summed up in pairs, in fours, in eights."""
    groups = digits.view("<u8")
    groups = ((groups & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64(10 * 2**8 + 1)) >> np.uint64(8)
    groups = ((groups & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(100 * 2**16 + 1)) >> np.uint64(16)
    groups = ((groups & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(10_000 * 2**32 + 1)) >> np.uint64(32)
    return (groups[:, 0] * np.uint64(10**8) + groups[:, 1]) * np.uint64(10**8) + groups[:, 2]


def to_digits(numbers: npt.NDArray[np.uint64]) -> ByteArray:
    """Each number in a row of 20 digits; four at once are looked up."""
    groups = np.empty((len(numbers), 5), np.uint32)
    for group in (4, 3, 2, 1, 0):
        quotients = numbers // _GROUP
        groups[:, group] = _FOUR_DIGITS[numbers - quotients * _GROUP]
        numbers = quotients
    return groups.view(np.uint8)
