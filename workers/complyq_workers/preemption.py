"""Tells running steps that their worker shuts down: what cannot end in time checkpoints.

The instant by which they must lies in memory that the processes of a worker share, made before they are forked. So a
step learns of it without a message, a signal or a system call.
"""

from __future__ import annotations

import mmap
import struct
import time

from complyq_config.errors import ComplyqError

LONGEST_MARGIN_SECONDS = 5.0
_INSTANT = struct.Struct("d")
_shared = mmap.mmap(-1, _INSTANT.size)


class PreemptedError(ComplyqError):
    """The worker shuts down. The step goes on elsewhere from where it is."""


def begin(grace_seconds: float) -> None:
    """Have steps checkpoint in time before the grace period is over."""
    margin = min(LONGEST_MARGIN_SECONDS, grace_seconds / 3)
    # The monotonic clock is that of the machine on Linux and macOS, the same in every process.
    _INSTANT.pack_into(_shared, 0, time.monotonic() + grace_seconds - margin)


def has_begun() -> bool:
    """Whether the worker of this process shuts down."""
    return bool(_INSTANT.unpack_from(_shared)[0])


def is_due() -> bool:
    """Whether a step that still runs must checkpoint now."""
    instant = _INSTANT.unpack_from(_shared)[0]
    return bool(instant) and time.monotonic() >= instant
