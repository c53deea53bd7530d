"""Reads stored results, whatever their format, as the lines that `results` describes."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import chain
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from complyq_config.errors import ConfigurationError
from complyq_producer.model import ObjectFormat
from complyq_producer.results import read_lines
from complyq_producer.tables import require_pyarrow, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from complyq_producer.facts import CountedPart, Outcome
    from complyq_producer.layout import BatchKeys
    from complyq_producer.store import ObjectStore

_COPY_BYTES = 1 << 20


def batch_lines(store: ObjectStore, keys: BatchKeys, outcome: Outcome, spool_dir: Path) -> Iterator[bytes]:
    """Stream the results that count of a batch that has ended, ascending by ID, each line with its newline.

    Raises:
        ConfigurationError: at once, if some are stored as Parquet alone and pyarrow is not installed.
        DamagedResultsError: while they are read, if an object is not what was written.
    """
    if any(part.format is ObjectFormat.PARQUET for part in outcome.counted):
        require_pyarrow()
    parts = sorted(outcome.counted, key=lambda part: part.part)
    return chain.from_iterable(_object_lines(store, keys, part, spool_dir) for part in parts)


def _object_lines(store: ObjectStore, keys: BatchKeys, part: CountedPart, spool_dir: Path) -> Iterator[bytes]:
    with store.open(keys.results_of(part.part, part.plan, part.format)) as stream:
        yield from stored_lines(stream, part.format, spool_dir)


def stored_lines(stream: BinaryIO, format_: ObjectFormat, spool_dir: Path) -> Iterator[bytes]:
    """Stream the lines of an object, ascending by ID, each with its newline.

    Args:
        stream: the object, which is read once from its beginning to its end.
        format_: its format.
        spool_dir: a folder for what can only be read where it can be sought in; made if it is missing.

    Raises:
        ConfigurationError: it is Parquet, and pyarrow is not installed, or the folder cannot be used.
        DamagedResultsError: the object is not what was written.
    """
    if format_ is ObjectFormat.JSON_LINES:
        yield from read_lines(stream)
        return
    with _temporary_file(spool_dir) as file:
        shutil.copyfileobj(stream, file, _COPY_BYTES)
        file.seek(0)
        yield from table_lines(file)


@contextmanager
def _temporary_file(folder: Path) -> Iterator[BinaryIO]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = TemporaryFile(dir=folder)  # noqa: SIM115 - closed below; errors of the block are not the folder's
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"cannot use {folder} for temporary files: {reason}; set COMPLYQ_SPOOL_DIR to a writable folder on a disk"
        ) from error
    with file:
        yield cast("BinaryIO", file)
