"""Deletes from an SQLite database what X wants deleted: a listener to copy.

    pip install complyq
    COMPLYQ_EVENTS_URL='redis://127.0.0.1:6379/0?stream=complyq.events' python listener.py archive.db

It works on every kind of results queue, and may be killed and started again at any time.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec

from complyq_producer import Event, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = """
    -- yours: what you keep of X, by kind ('tweets' or 'users') and ID
    CREATE TABLE IF NOT EXISTS content (type TEXT, id TEXT, body TEXT, PRIMARY KEY (type, id));

    -- the newest word about each ID; what deleting does not settle is work for somebody else, who marks it done
    CREATE TABLE IF NOT EXISTS verdict (
        type TEXT, id TEXT, action TEXT, reason TEXT, checked_at TEXT, done INTEGER, PRIMARY KEY (type, id)
    );

    -- how batches ended; IDs that were not checked have to be enqueued again
    CREATE TABLE IF NOT EXISTS ended (batch_id TEXT PRIMARY KEY, state TEXT, unchecked INTEGER, error TEXT);

    -- events that were handled
    CREATE TABLE IF NOT EXISTS handled (source TEXT, event_id TEXT, PRIMARY KEY (source, event_id));
"""


def main(path: str) -> None:
    """Handle events until the process is stopped."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(TABLES)
        # The name is stable: after a crash the unfinished event comes back at once. Several processes need several names.
        for event in listen(group="archive", consumer="archive-1"):
            with database:  # what is done, and that it is done: both, or neither
                handle(database, event)
            # From here on the event is settled; it is acknowledged when the loop asks for the next one.


def handle(database: sqlite3.Connection, event: Event) -> None:
    """Do what an event asks for, once."""
    seen = database.execute("INSERT OR IGNORE INTO handled VALUES (?, ?)", (event.source, event.id))
    if seen.rowcount == 0:
        return  # a copy
    match event.type:
        case "complyq.batch.results.v1":
            with results_of(event.data) as results:
                for result in results:
                    apply(database, result, event.data["checked_at"])
        case "complyq.batch.completed.v1" | "complyq.batch.failed.v1" | "complyq.batch.cancelled.v1":
            record_end(database, event)
        case "complyq.batch.parked.v1":
            print(f"{event.subject} waits for an operator: {event.data['reason']}", file=sys.stderr)
        case _:
            pass  # of a version to come


def apply(database: sqlite3.Connection, result: dict[str, Any], checked_at: str) -> None:
    """Follow one result, unless a newer one is known for this ID."""
    done = result["action"] == "delete"
    newest = database.execute(
        """
        INSERT INTO verdict VALUES (:type, :id, :action, :reason, :checked_at, :done)
        ON CONFLICT DO UPDATE SET action = :action, reason = :reason, checked_at = :checked_at, done = :done
        WHERE checked_at <= :checked_at
        """,
        {**result, "checked_at": checked_at, "done": done},
    )
    if newest.rowcount and done:
        database.execute("DELETE FROM content WHERE type = :type AND id = :id", result)


def record_end(database: sqlite3.Connection, event: Event) -> None:
    """Note how a batch ended."""
    state = event.type.split(".")[2]
    row = (event.subject, state, event.data.get("unchecked", 0), event.data.get("error"))
    database.execute("INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?)", row)


@contextmanager
def results_of(data: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
    """Read the results of an event, wherever they are; they are never all in memory."""
    if "results" in data:
        yield iter(data["results"])
        return
    ref = data["ref"]
    if ref["format"] != "jsonl.gz":
        raise ValueError(f"{ref['url']} is {ref['format']}: set COMPLYQ_RESULTS_FORMAT to jsonl or both")
    with fetched(ref) as file, gzip.open(file) as lines:
        yield (msgspec.json.decode(line) for line in lines)


@contextmanager
def fetched(ref: dict[str, Any]) -> Iterator[BinaryIO]:
    """Copy a stored object; nothing of it is used before all of it is known to be right."""
    with tempfile.TemporaryFile() as file:
        download(ref["url"], file)
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != ref["sha256"]:
            raise ValueError(f"{ref['url']} is not what the event says: SHA-256 {found}")
        file.seek(0)
        yield file


def download(url: str, target: BinaryIO) -> None:
    """Copy the object at s3://bucket/key or file:///path."""
    parts = urlsplit(url)
    if parts.scheme == "s3":
        import boto3  # noqa: PLC0415 - takes long to import, and only S3 needs it

        boto3.client("s3").download_fileobj(parts.netloc, parts.path.lstrip("/"), target)
        return
    with Path(url2pathname(parts.path)).open("rb") as source:
        shutil.copyfileobj(source, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
