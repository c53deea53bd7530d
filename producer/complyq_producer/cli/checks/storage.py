"""Looks at the object store, at the folder for large sorts, and at what results are to be stored as."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from complyq_config.errors import ConfigurationError
from complyq_config.settings import disk_spool_dir
from complyq_producer.cli.checks.finding import Finding, failed, ok, warning
from complyq_producer.errors import StoreError, UnfitStoreError
from complyq_producer.store import open_store
from complyq_producer.tables import require_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from complyq_config.settings import Settings

BYTES_AN_ID = 30
COMFORTABLE_BYTES = 3_000_000_000


def check_store(settings: Settings) -> Iterator[Finding]:
    """Prove that the store creates objects once, with a probe that is removed again."""
    url = settings.store_url
    try:
        open_store(url).verify()
    except UnfitStoreError as error:
        yield failed("Store", str(error), "Use a store that honours conditional writes: Amazon S3, or a folder.")
    except (StoreError, ConfigurationError) as error:
        mend = "Correct COMPLYQ_STORE_URL; for S3 also the AWS variables, the bucket's existence and its permissions."
        yield failed("Store", f"{url}: {error}", mend)
    else:
        yield ok("Store", f"{url}, conditional writes proven")


def check_spool(settings: Settings) -> Iterator[Finding]:
    """Look whether large sorts have a disk to spill to."""
    try:
        folder = disk_spool_dir(settings)
        free = shutil.disk_usage(folder).free
    except (ConfigurationError, OSError) as error:
        yield failed("Spool folder", str(error), "Set COMPLYQ_SPOOL_DIR to a writable folder on a disk.")
        return
    found = f"{folder}, {free / 1e9:,.1f} GB free"
    if free < COMFORTABLE_BYTES:
        mend = (
            f"Enough for batches of {free // BYTES_AN_ID:,} IDs; make room, or set COMPLYQ_SPOOL_DIR to a larger disk."
        )
        yield warning("Spool folder", found, mend)
    else:
        yield ok("Spool folder", found)


def check_results_format(settings: Settings) -> Iterator[Finding]:
    """Look whether this machine can write and read results in the format that is set."""
    try:
        require_format(settings.results_format)
    except ConfigurationError as error:
        mend = "Install it wherever workers run and results are read, or set COMPLYQ_RESULTS_FORMAT=jsonl."
        yield failed("Results format", f"{settings.results_format}: {error}", mend)
    else:
        yield ok("Results format", settings.results_format)
