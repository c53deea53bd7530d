"""Lines for whoever watches a soak."""

import sys
import time

_BEGUN = time.monotonic()


def say(text: str) -> None:
    """Write a line to standard error, with the seconds since the beginning."""
    sys.stderr.write(f"[{time.monotonic() - _BEGUN:6.1f}] {text}\n")
    sys.stderr.flush()
