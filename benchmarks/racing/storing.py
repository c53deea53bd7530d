"""Where straight-line code puts what it keeps: a folder, or a bucket through boto3."""

from __future__ import annotations

import os
import shutil
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast
from urllib.parse import unquote, urlsplit

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_BLOCK_BYTES = 1 << 20


class Shelf(Protocol):
    """Files by name."""

    def put(self, name: str, path: Path) -> None:
        """Keep a copy that outlives this machine, or at least its power."""

    def open(self, name: str, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        """Open what is kept for reading."""


def open_shelf(url: str) -> Shelf:
    """Choose by the URL of a store."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _Folder(Path(unquote(parts.path)))
    return _Bucket(parts.netloc, parts.path.strip("/"))


class _Folder:
    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root

    def put(self, name: str, path: Path) -> None:
        with path.open("rb") as source, (self._root / name).open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK_BYTES)
            target.flush()
            os.fsync(target.fileno())

    @contextmanager
    def open(self, name: str, offset: int = 0) -> Iterator[BinaryIO]:
        with (self._root / name).open("rb") as file:
            file.seek(offset)
            yield file


class _Bucket:
    def __init__(self, bucket: str, prefix: str) -> None:
        self._client = boto3.session.Session().client("s3")
        self._bucket = bucket
        self._prefix = prefix

    def put(self, name: str, path: Path) -> None:
        self._client.upload_file(str(path), self._bucket, f"{self._prefix}/{name}")

    @contextmanager
    def open(self, name: str, offset: int = 0) -> Iterator[BinaryIO]:
        found = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}", Range=f"bytes={offset}-")
        with closing(found["Body"]) as body:
            yield cast("BinaryIO", body)
