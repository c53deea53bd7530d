"""What is true of a directory as an object store."""

import io
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from complyq_config.errors import ConfigurationError
from complyq_producer.errors import StoreError, StoreUnavailableError
from complyq_producer.store import DirectoryStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """An empty store."""
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that may be read but not written, by this process, also where the tests run as root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)
            Path(folder).chmod(0o755)


def test_what_a_crash_left_is_invisible(store: DirectoryStore, tmp_path: Path) -> None:
    """A half-written file is never listed or read, and does not stop the next writer."""
    store.create("a/fact.json", b"1")
    (tmp_path / "store" / "~staging" / "123-dead").write_bytes(b"half a fa")
    assert [info.key for info in store.list("")] == ["a/fact.json"]
    assert store.create("a/other.json", b"2")


def test_old_leftovers_are_removed(store: DirectoryStore, tmp_path: Path) -> None:
    """What crashed writers left a day ago goes when the store is verified; what is being written stays."""
    store.create("fact.json", b"1")
    old, fresh = (tmp_path / "store" / "~staging" / name for name in ("old", "fresh"))
    for leftover in (old, fresh):
        leftover.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.verify()
    assert not old.exists()
    assert fresh.exists()


def test_a_writer_that_fails_leaves_nothing(store: DirectoryStore, tmp_path: Path) -> None:
    """A source that breaks in the middle creates no object and leaves no file."""
    source = io.BytesIO(b"closed before it was read")
    source.close()
    with pytest.raises(ValueError, match="closed"):
        store.create_from("a/payload", source)
    assert list(store.list("")) == []
    assert list((tmp_path / "store" / "~staging").iterdir()) == []


def test_deleting_removes_empty_folders(store: DirectoryStore, tmp_path: Path) -> None:
    """Finished batches leave no empty folders, and neighbours stay."""
    for key in ("open/a/1", "open/b/1", "open/b/2"):
        store.create(key, b"")
    store.delete("open/a/1")
    store.delete("open/b/1")
    assert sorted(path.name for path in (tmp_path / "store" / "open").iterdir()) == ["b"]


def test_creating_and_deleting_in_one_folder_do_not_collide(store: DirectoryStore) -> None:
    """A folder that a delete removes at the moment of a create is made again."""
    failures: list[BaseException] = []

    def churn(name: str) -> None:
        try:
            for _ in range(200):
                assert store.create(f"open/batches/tweets/{name}", b"")
                store.delete(f"open/batches/tweets/{name}")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=churn, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(store.list("")) == []


def test_the_folder_of_objects_is_no_object(store: DirectoryStore) -> None:
    """A key that is another's folder is refused with words, not taken for an object that exists."""
    store.create("a/b", b"")
    with pytest.raises(StoreError, match="folder of other objects"):
        store.create("a", b"")
    with pytest.raises(StoreUnavailableError, match="Not a directory"):
        store.create("a/b/c", b"")


def test_foreign_files_are_no_objects(store: DirectoryStore, tmp_path: Path) -> None:
    """A disk's own folders and editors' copies are not listed."""
    store.create("fact.json", b"")
    (tmp_path / "store" / "lost+found").mkdir()
    (tmp_path / "store" / "fact.json~").touch()
    assert [info.key for info in store.list("")] == ["fact.json"]


def test_a_read_only_folder_is_said_plainly(unprivileged: Path) -> None:
    """The error names the folder, the reason and the setting."""
    store = DirectoryStore(unprivileged / "store")
    with pytest.raises(StoreUnavailableError, match=rf"{unprivileged}.*Permission denied.*COMPLYQ_STORE_URL"):
        store.create("fact.json", b"")
    with pytest.raises(StoreUnavailableError, match="Permission denied"):
        store.verify()


def test_a_store_that_is_not_there_yet_is_empty(store: DirectoryStore) -> None:
    """Asking before the first write is no error."""
    assert list(store.list("")) == []
    assert store.info("a") is None
    store.delete("a/b")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/lib/complyq",
        "file://relative/path",
        "file://",
        "file:///",
        "file:///a?b=c",
        "s3://",
        "s3://b",
        "s3://bucket/a b",
        "s3://bucket/../x",
        "s3://key:secret@bucket/x",
        "ftp://host/path",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """The error names the setting and what it may hold, and repeats no secret."""
    with pytest.raises(ConfigurationError, match=r"COMPLYQ_STORE_URL.*file:///path or s3://bucket/prefix") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
