"""An object store in S3, or in any server that speaks its protocol and honours conditional writes.

The AWS variables, profiles and roles are read by boto3 as always (AWS_ENDPOINT_URL for other servers).
Rules of conditional writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import base64
import hashlib
import io
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import boto3
import structlog
from botocore.config import Config

from complyq_producer.errors import ObjectNotFoundError, StoreError, StoreUnavailableError
from complyq_producer.store.port import ObjectInfo, StoredObject, check_key, check_prefix
from complyq_producer.store.s3_bodies import md5_of, slices
from complyq_producer.store.s3_errors import (
    ConflictError,
    PreconditionError,
    RangeError,
    UploadGoneError,
    translated,
)
from complyq_producer.store.s3_reading import Fetched, ResumingReader, fetched_from
from complyq_producer.store.verification import verify_create_once

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        GetObjectRequestTypeDef,
        ListObjectsV2OutputTypeDef,
        ListObjectsV2RequestPaginateTypeDef,
    )

_log = structlog.get_logger(__name__)

_ONE_PUT_BYTES = 8 << 20
_PART_BYTES = 8 << 20  # S3 wants at least 5 MiB for all parts but the last
_MAX_PARTS = 10_000
_PARTS_AT_ONCE = 2  # of one object: while one is answered the next is on its way
_BUFFER_BYTES = 256 << 10
_CONFLICT_ATTEMPTS = 8
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=32,
    tcp_keepalive=True,
    request_checksum_calculation="when_required",  # newer checksums are refused by some S3-compatible servers
    response_checksum_validation="when_required",
)


class S3Store:
    """Keeps objects in a bucket below `prefix` ("" for none); the store's clock is S3's, in whole seconds."""

    def __init__(self, bucket: str, prefix: str = "", *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._sleep = sleep
        self._of_process: dict[int, _Connections] = {}

    def __repr__(self) -> str:
        return f"S3Store({self._bucket!r}, {self._root.rstrip('/')!r})"

    def create(self, key: str, body: bytes) -> bool:
        """Create the object unless the key exists."""
        return self._settled(key, lambda: self._put(key, body))

    def create_from(self, key: str, source: BinaryIO) -> bool:
        """Create the object from the file's position to its end unless the key exists, in parts where it is large."""
        start = source.tell()
        size = source.seek(0, io.SEEK_END) - start
        if size > _ONE_PUT_BYTES:
            return self._create_in_parts(key, source, start, size)
        source.seek(start)
        return self.create(key, source.read(size))

    def replace(self, key: str, body: bytes) -> None:
        """Put other content in the place of an object, or create it."""
        with translated("replace", self.url(key)):
            self._client().put_object(Bucket=self._bucket, Key=self._name(key), Body=body, ContentMD5=_md5(body))

    def read(self, key: str) -> StoredObject:
        """Return the whole object, or raise ObjectNotFoundError."""
        fetched = self._fetch(key, 0, None)
        with self._reader(key, fetched) as reader:
            return StoredObject(reader.read(), fetched.modified_at)

    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        """Stream the object from `offset` bytes to its end, or raise ObjectNotFoundError."""
        if offset < 0:
            raise ValueError(f"offset {offset} is negative")
        with self._reader(key, self._fetch(key, offset, None)) as reader:
            yield reader

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None if there is none."""
        with suppress(ObjectNotFoundError), translated("look up", self.url(key)):
            head = self._client().head_object(Bucket=self._bucket, Key=self._name(key))
            return ObjectInfo(key, head["ContentLength"], head["LastModified"].replace(microsecond=0))
        return None

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects under `prefix` behind `after`, ascending by key, a thousand per request."""
        wanted: ListObjectsV2RequestPaginateTypeDef = {
            "Bucket": self._bucket,
            "Prefix": self._root + check_prefix(prefix),
        }
        if after:
            wanted["StartAfter"] = self._root + after
        pages = self._client().get_paginator("list_objects_v2").paginate(**wanted)
        return self._listed(f"s3://{self._bucket}/{wanted['Prefix']}", iter(pages))

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        with suppress(ObjectNotFoundError), translated("delete", self.url(key)):
            self._client().delete_object(Bucket=self._bucket, Key=self._name(key))

    def url(self, key: str) -> str:
        """Return `s3://<bucket>/<prefix>/<key>`."""
        return f"s3://{self._bucket}/{self._name(key)}"

    def verify(self) -> None:
        """Prove that objects are created once, by single and by multipart uploads."""
        verify_create_once(self, self._create_in_one_part)

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones."""
        connections = self._connections()
        with connections.lock:
            if connections.client is not None:
                connections.client.close()
                connections.client = None

    def _name(self, key: str) -> str:
        return self._root + check_key(key)

    def _client(self) -> "S3Client":
        connections = self._connections()
        with connections.lock:
            if connections.client is None:
                with translated("reach", f"s3://{self._bucket}"):
                    connections.client = boto3.session.Session().client("s3", config=_CONFIG)
            return connections.client

    def _connections(self) -> "_Connections":
        """Return this process's own: after a fork, neither sockets nor a lock that was held may be shared."""
        return self._of_process.setdefault(os.getpid(), _Connections())

    def _put(self, key: str, body: bytes) -> bool:
        with suppress(PreconditionError), translated("create", self.url(key)):
            self._client().put_object(
                Bucket=self._bucket, Key=self._name(key), Body=body, ContentMD5=_md5(body), IfNoneMatch="*"
            )
            return True
        return False

    def _settled(self, key: str, attempt: Callable[[], bool]) -> bool:
        """Repeat the attempt while S3 answers that another write of the key is under way."""
        for number in range(_CONFLICT_ATTEMPTS):
            with suppress(ConflictError):
                return attempt()
            self._sleep(random.uniform(0.5, 1) * 0.1 * 2**number)  # noqa: S311 - spreads writers, hides nothing
        raise StoreUnavailableError(f"other writes of {self.url(key)} were under way at every attempt; try again later")

    def _create_in_parts(self, key: str, source: BinaryIO, start: int, size: int) -> bool:
        if self.info(key) is not None:  # saves sending what would be refused at the end
            return False

        def attempt() -> bool:
            source.seek(start)
            return self._upload_in_parts(key, source, size)

        return self._settled(key, attempt)

    def _create_in_one_part(self, key: str, source: BinaryIO) -> bool:
        """Use a multipart upload where none is needed, without looking first: for the proof that S3 refuses it."""
        return self._settled(key, lambda: self._upload_in_parts(key, source, 1))

    def _upload_in_parts(self, key: str, source: BinaryIO, size: int) -> bool:
        with translated("create", self.url(key)):
            begun = self._client().create_multipart_upload(Bucket=self._bucket, Key=self._name(key))
        upload = begun["UploadId"]
        try:
            parts = self._send_parts(key, upload, source, size)
            return self._complete(key, upload, parts)
        except BaseException as error:
            self._abort(key, upload)
            if isinstance(error, PreconditionError):
                return False
            raise

    def _send_parts(self, key: str, upload: str, source: BinaryIO, size: int) -> "Sequence[CompletedPartTypeDef]":
        bodies = list(slices(source, size, max(_PART_BYTES, -(-size // _MAX_PARTS))))
        with ThreadPoolExecutor(min(_PARTS_AT_ONCE, len(bodies)), thread_name_prefix="s3") as threads:
            sent = [
                threads.submit(copy_context().run, self._send_part, key, upload, number, body)
                for number, body in enumerate(bodies, 1)
            ]
            try:
                return [part.result() for part in sent]
            finally:
                threads.shutdown(cancel_futures=True)

    def _send_part(self, key: str, upload: str, number: int, body: BinaryIO) -> "CompletedPartTypeDef":
        with translated("create", self.url(key)):
            sent = self._client().upload_part(
                Bucket=self._bucket,
                Key=self._name(key),
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ContentMD5=md5_of(body),
            )
        return {"PartNumber": number, "ETag": sent["ETag"]}

    def _complete(self, key: str, upload: str, parts: "Sequence[CompletedPartTypeDef]") -> bool:
        try:
            with translated("create", self.url(key)):
                self._client().complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=self._name(key),
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                )
            return True
        except UploadGoneError:
            if self.info(key) is None:
                raise
            return False  # completed, by this upload whose answer was lost or by another writer

    def _abort(self, key: str, upload: str) -> None:
        try:
            with translated("abort the upload of", self.url(key)):
                self._client().abort_multipart_upload(Bucket=self._bucket, Key=self._name(key), UploadId=upload)
        except StoreError as error:
            _log.info("store_abort_failed", url=self.url(key), reason=str(error))

    def _reader(self, key: str, fetched: Fetched) -> io.BufferedReader:
        raw = ResumingReader(fetched, lambda offset, etag: self._fetch(key, offset, etag), self._sleep)
        return io.BufferedReader(raw, _BUFFER_BYTES)

    def _fetch(self, key: str, offset: int, etag: str | None) -> Fetched:
        wanted: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": self._name(key)}
        if offset:
            wanted["Range"] = f"bytes={offset}-"
        if etag is not None:
            wanted["IfMatch"] = etag
        try:
            with translated("read", self.url(key)):
                return fetched_from(self._client().get_object(**wanted), offset)
        except RangeError:
            return self._nothing_behind(key, offset)

    def _nothing_behind(self, key: str, offset: int) -> Fetched:
        """Return the empty rest of an object that ends at `offset` or before."""
        info = self.info(key)
        if info is None or info.size > offset:
            raise StoreError(f"the store has no bytes of {self.url(key)} from {offset} on, and says that there are")
        return Fetched(io.BytesIO(), offset, offset, "", info.modified_at)

    def _listed(self, url: str, pages: "Iterator[ListObjectsV2OutputTypeDef]") -> Iterator[ObjectInfo]:
        while True:
            with translated("list", url):
                page = next(pages, None)
            if page is None:
                return
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self._root)
                yield ObjectInfo(key, entry["Size"], entry["LastModified"].replace(microsecond=0))


@dataclass
class _Connections:
    lock: threading.Lock = field(default_factory=threading.Lock)
    client: "S3Client | None" = None


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
