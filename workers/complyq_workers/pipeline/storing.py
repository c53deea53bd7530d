"""Stores what a job gave for a part. Where another writer was first, what it stored is what counts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

import msgspec

from complyq_config.errors import ComplyqError
from complyq_producer.facts import ResultsObject
from complyq_producer.layout import BatchKeys
from complyq_producer.model import BatchId, ObjectFormat
from complyq_producer.stored_lines import stored_lines
from complyq_workers.pipeline.recording import StoredPart
from complyq_workers.results import HashedStream, count_lines, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from complyq_workers.pipeline.ports import Ports
    from complyq_workers.results import PartFiles, PartSummary, ResultsFile


class DifferentResultsError(ComplyqError):
    """Another writer stored other results of a part, so that its objects would not say the same."""


def store_part(ports: Ports, plan: int, files: PartFiles) -> StoredPart:
    """Store the objects of a part, or find out what stands in their place.

    Raises:
        DamagedResultsError: what stands there is not what was written.
        DifferentResultsError: objects in several formats are wanted, and would not say the same.
    """
    stored = _store(ports, plan, files)
    also = tuple(_store_beside(ports, plan, files, file, stored) for file in files.also)
    return replace(stored, also=also)


def _store(ports: Ports, plan: int, files: PartFiles) -> StoredPart:
    keys = BatchKeys(BatchId(files.batch_id))
    key, rejected_key = keys.results_of(files.part, plan, files.format), keys.rejected_of(files.part, plan)
    told = partial(StoredPart, keys.batch_id, files.part, key=key, format=files.format)
    if files.rejected:
        _create_from(ports, rejected_key, files.rejected)
    if _create_from(ports, key, files.results):
        return told(files.summary, rejected_key=rejected_key if files.rejected else None)
    standing_rejected = rejected_key if ports.store.info(rejected_key) else None
    return told(_summary_of(ports, key, standing_rejected, files), rejected_key=standing_rejected)


def _summary_of(ports: Ports, key: str, rejected_key: str | None, files: PartFiles) -> PartSummary:
    """Describe what another writer stored. Results that are the very ones we have need not be read once more."""
    opener = partial(ports.store.open, rejected_key) if rejected_key else None
    if _measured(ports, key)[1] == files.summary.sha256:
        return msgspec.structs.replace(files.summary, rejected=count_lines(opener))
    read = partial(stored_lines, format_=files.format, spool_dir=ports.limits.spool_dir)
    return summarize(partial(ports.store.open, key), opener, read)


def _store_beside(ports: Ports, plan: int, files: PartFiles, file: ResultsFile, stored: StoredPart) -> ResultsObject:
    """Store the results in another format, if what stands in the first one says the same as ours."""
    key = BatchKeys(stored.batch_id).results_of(files.part, plan, file.format)
    if stored.summary.sha256 != files.summary.sha256:
        _require_same(ports, stored.key, stored.format, files)
    length, sha256 = file.packed.bytes, file.packed.sha256
    if not _create_from(ports, key, file.path):
        length, sha256 = _measured(ports, key)
    if sha256 != file.packed.sha256:
        _require_same(ports, key, file.format, files)
    return ResultsObject(key=key, format=file.format, bytes=length, sha256=sha256)


def _require_same(ports: Ports, key: str, format_: ObjectFormat, files: PartFiles) -> None:
    """Compare line by line: of another version the bytes may differ."""
    with ports.store.open(key) as theirs, files.results.open("rb") as ours:
        pairs = zip_longest(_lines(ports, theirs, format_), _lines(ports, ours, files.format))
        if not all(their == our for their, our in pairs):
            raise DifferentResultsError(f"{key} holds other results than those that X gave now")


def _lines(ports: Ports, stream: BinaryIO, format_: ObjectFormat) -> Iterator[bytes]:
    return stored_lines(stream, format_, ports.limits.spool_dir)


def _measured(ports: Ports, key: str) -> tuple[int, str]:
    with ports.store.open(key) as stream:
        hashed = HashedStream(stream)
        hashed.read_to_end()
    return hashed.length, hashed.digest.hexdigest()


def _create_from(ports: Ports, key: str, path: Path) -> bool:
    with path.open("rb") as file:
        return ports.store.create_from(key, file)
