"""What a competitor is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

IdArray: TypeAlias = npt.NDArray[np.uint64]

JOB_TYPE = "tweets"
MAX_ID = 2**64 - 1
SMALL_BATCH_IDS = 100
"""What a batch has where it is the number of batches that counts."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Paths are absolute; `folder` is this run's own, on a disk."""

    ids_file: str
    """One decimal ID a line, in no order, some of them again."""
    folder: str
    store_url: str
    """Where results belong: file:// or s3://, the latter with the AWS variables in the environment."""
    api_url: str
    storage_url: str
    token: str
    poll_seconds: float
    """How long to wait before a job is looked at again."""
    max_upload_bytes: int
    batches: int = 1
    """Into how many batches of equal size the IDs are cut; only Complyq knows what that is."""
    merge: bool = True
    """Whether these may share a job."""
    rate: float = 0.1
    """The share of IDs that X flags; for who checks batch by batch, after the clock has stopped."""
    download_mb: int = 0
    """MB a second at which X sends each result; 0: as fast as it can. Only who has many jobs side by side asks for it."""
    limit_mb: int = 0
    """MB of memory that each process may have for data of its own; 0: as much as there is."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a competitor found out; of what its kind does not find out, nothing."""

    unique: int | None = None
    flagged: int | None = None
    by_action: dict[str, int] | None = None
    by_reason: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """A competitor that has started: everything is imported, connected and warm.

    Attributes:
        run: what is measured.
        ids: asked for afterwards, unmeasured: the IDs that it found, flagged ones or, where it only reads, unique ones.
        figures: asked for afterwards: what else is worth knowing, for example seconds by phase.
    """

    run: Callable[[], Answer]
    ids: Callable[[], IdArray]
    figures: Callable[[], Mapping[str, Any]] = dict


Start: TypeAlias = Callable[[Task], AbstractContextManager[Contender]]
