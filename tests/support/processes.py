"""Other processes, as the system sees them."""

from __future__ import annotations

import os
import time
from pathlib import Path

_LONG_ENOUGH = 60.0


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def ends(pid: int) -> bool:
    """Wait for the process to end; tell whether it did."""
    deadline = time.monotonic() + _LONG_ENOUGH
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not runs(pid)
