"""What is known of each line of the answer, in rows of one size."""

import numpy as np

from complyq_workers.results.lines import RowArray
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
