"""Chooses the object store by its URL."""

import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from complyq_config.errors import ConfigurationError
from complyq_producer.store.directory import DirectoryStore
from complyq_producer.store.port import ObjectStore, check_key

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")


def open_store(url: str) -> ObjectStore:
    """Return the store at `file:///path` or `s3://bucket/prefix`; nothing is contacted or created yet.

    Raises:
        ConfigurationError: the URL is neither.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise _wrong(url, "it takes no query and no fragment")
    if parts.scheme == "file":
        return _open_directory(url, parts)
    if parts.scheme == "s3":
        return _open_s3(url, parts)
    raise _wrong(url, "the scheme is neither file nor s3")


def _open_directory(url: str, parts: SplitResult) -> ObjectStore:
    if parts.netloc not in {"", "localhost"}:
        raise _wrong(url, f"a path begins with a third slash, {parts.netloc!r} stands where a host would")
    path = Path(unquote(parts.path))
    if not path.is_absolute() or path == Path(path.anchor):
        raise _wrong(url, "the path is missing")
    return DirectoryStore(path)


def _open_s3(url: str, parts: SplitResult) -> ObjectStore:
    from complyq_producer.store.s3 import S3Store  # noqa: PLC0415 - boto3 takes long to import, only s3 URLs need it

    if "@" in parts.netloc or ":" in parts.netloc:
        raise _wrong("s3://…", "it holds a bucket only; credentials and endpoint come from the AWS variables")
    if not _BUCKET.fullmatch(parts.netloc):
        raise _wrong(url, f"{parts.netloc!r} cannot be a bucket")
    return S3Store(parts.netloc, _prefix(url, parts.path.strip("/")))


def _prefix(url: str, prefix: str) -> str:
    try:
        return check_key(prefix) if prefix else ""
    except ValueError:
        raise _wrong(url, "the prefix holds more than letters, digits, '.', '_', '-' and '/'") from None


def _wrong(url: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"COMPLYQ_STORE_URL={url!r}: {why}; use file:///path or s3://bucket/prefix")
