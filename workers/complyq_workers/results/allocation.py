"""How the C library allocates the arrays of a collection."""

import numpy as np

_LARGEST_BYTES = 31 << 20


def keep_freed_memory() -> None:
    """Have freed blocks of some megabytes kept for the next ones, 64 MB of them at most, in this process.

    Else each is given back to the system and asked for again, page by page. glibc learns how large blocks become from
    the largest one that was freed, up to 32 MB. Nothing is written to that one, so it costs nothing; elsewhere neither
    does it help.
    """
    np.empty(_LARGEST_BYTES, np.uint8)
