"""The object store: a port, and its implementations for S3, a directory and memory.

`S3Store` is imported by `open_store` only when an s3 URL asks for it, since boto3 takes long to import.
"""

from complyq_producer.store.directory import DirectoryStore
from complyq_producer.store.memory import MemoryStore
from complyq_producer.store.opening import open_store
from complyq_producer.store.port import ObjectInfo, ObjectStore, StoredObject, check_key, check_prefix

__all__ = [
    "DirectoryStore",
    "MemoryStore",
    "ObjectInfo",
    "ObjectStore",
    "StoredObject",
    "check_key",
    "check_prefix",
    "open_store",
]
