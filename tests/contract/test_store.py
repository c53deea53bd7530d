"""What is true of every object store: the suite runs against a directory, memory, and S3 over the wire."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from complyq_producer.errors import ObjectNotFoundError
from complyq_producer.facts import FactStore, Published
from complyq_producer.store import DirectoryStore, MemoryStore, ObjectStore, open_store
from complyq_producer.store.s3 import S3Store
from support.crowds import CROWD, all_at_once
from support.s3_server import S3Server

BIG_BYTES = 20_000_000


@pytest.fixture(params=["directory", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """An empty store of each kind."""
    if request.param == "directory":
        yield DirectoryStore(tmp_path / "store")
    elif request.param == "memory":
        yield MemoryStore()
    else:
        server: S3Server = request.getfixturevalue("s3_environment")
        with closing(S3Store(server.bucket, f"contract/{uuid4().hex}")) as s3:
            yield s3


def test_an_object_is_created_once(store: ObjectStore) -> None:
    """The first writer wins; the second is told so and changes nothing."""
    assert store.create("jobs/tweets/1/plan.json", b"first")
    assert not store.create("jobs/tweets/1/plan.json", b"second")
    assert not store.create_from("jobs/tweets/1/plan.json", io.BytesIO(b"third"))
    assert store.read("jobs/tweets/1/plan.json").body == b"first"


def test_of_many_writers_one_wins(store: ObjectStore) -> None:
    """However many write one key at once, one is told that it won, and its body is there whole."""
    won = all_at_once(lambda number: store.create("contested/fact.json", _body_of(number)))
    assert won.count(True) == 1
    assert store.read("contested/fact.json").body == _body_of(won.index(True))


def test_of_many_writers_of_files_one_wins(store: ObjectStore) -> None:
    """The same for files, whichever way a writer brings them."""

    def write(number: int) -> bool:
        body = _body_of(number)
        return (
            store.create_from("contested/payload", io.BytesIO(body))
            if number % 4
            else store.create("contested/payload", body)
        )

    won = all_at_once(write)
    assert won.count(True) == 1
    assert store.read("contested/payload").body == _body_of(won.index(True))


def test_of_many_writers_of_large_files_one_wins(store: ObjectStore) -> None:
    """The same for objects that are sent in parts: no object is made of two writers' bytes."""
    bodies = [bytes([number]) * 9_000_000 for number in range(4)]
    won = all_at_once(lambda number: store.create_from("contested/large", io.BytesIO(bodies[number])), len(bodies))
    assert won.count(True) == 1
    assert store.read("contested/large").body == bodies[won.index(True)]


def test_of_many_facts_one_stands(store: ObjectStore) -> None:
    """All who record a fact at once go on from the same one, and one of them knows that it is his."""
    facts = FactStore(store)
    recorded = all_at_once(lambda number: facts.create("fact.json", Published(messages=number)))
    assert len({fact.nonce for fact, _ in recorded}) == 1
    assert [ours for _, ours in recorded].count(True) == 1


def test_readers_see_whole_objects_or_none(store: ObjectStore) -> None:
    """While an object is created, deleted and created again, nobody reads half of it."""
    body = _body_of(60)

    def use(number: int) -> set[int]:
        seen = set()
        for _ in range(5):
            if number == 0:
                store.create("contested/fact.json", body)
                store.delete("contested/fact.json")
            else:
                with suppress(ObjectNotFoundError):
                    seen.add(len(store.read("contested/fact.json").body))
                seen.update(info.size for info in store.list("contested/"))
        return seen

    assert set().union(*all_at_once(use, 8)) <= {len(body)}


def test_many_may_delete(store: ObjectStore) -> None:
    """All are told that the object is gone, and it is."""
    store.create("done/marker", b"")
    all_at_once(lambda _: store.delete("done/marker"))
    assert store.info("done/marker") is None


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    """Markers have no body, and are there all the same."""
    assert store.create("open/marker", b"")
    assert not store.create("open/marker", b"")
    assert store.read("open/marker").body == b""
    with store.open("open/marker") as stream:
        assert stream.read() == b""


def test_a_file_is_stored_from_its_position(store: ObjectStore) -> None:
    """What was read of a file already is not stored again."""
    source = io.BytesIO(b"header|payload")
    source.seek(7)
    assert store.create_from("batches/b/ids/00000.txt", source)
    assert store.read("batches/b/ids/00000.txt").body == b"payload"


def test_a_large_object_is_created_once(store: ObjectStore, tmp_path: Path) -> None:
    """Create-once holds for objects that are sent in parts, and every byte arrives."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(bytes(range(256)) * (BIG_BYTES // 256))
    second.write_bytes(b"x" * BIG_BYTES)
    with first.open("rb") as source:
        assert store.create_from("big", source)
    with second.open("rb") as source:
        assert not store.create_from("big", source)
    with store.open("big") as stream:
        assert stream.read() == first.read_bytes()
    info = store.info("big")
    assert info is not None
    assert info.size == first.stat().st_size


@pytest.mark.parametrize("offset", [0, 1, 499_999, 500_000, 600_000])
def test_a_stream_starts_at_any_offset(store: ObjectStore, offset: int) -> None:
    """Reading goes on where it stopped; at the end or behind it there is nothing."""
    body = _body_of(5).ljust(500_000, b".")
    store.create("payload.txt", body)
    with store.open("payload.txt", offset) as stream:
        chunks = iter(lambda: stream.read(70_000), b"")
        assert b"".join(chunks) == body[offset:]


def test_a_stream_gives_lines(store: ObjectStore) -> None:
    """Results are read line by line, without holding them all."""
    store.create("results", b"".join(b"%d\n" % number for number in range(50_000)))
    with store.open("results") as stream:
        assert [int(line) for line in stream] == list(range(50_000))


def test_a_stream_is_read_only(store: ObjectStore) -> None:
    """Nothing can be changed through what is being read, and it is closed behind its reader."""
    store.create("results", b"12345")
    with store.open("results", 1) as stream:
        assert (stream.readable(), stream.writable()) == (True, False)
        assert stream.read(2) == b"23"
    assert stream.closed


def test_a_stream_from_memory_is_no_more_than_one_from_s3(s3_environment: S3Server) -> None:
    """What works with the store for tests works with S3: a stream that only moves forward."""
    with closing(S3Store(s3_environment.bucket, f"contract/{uuid4().hex}")) as s3:
        for store in (MemoryStore(), s3):
            store.create("results", b"12345")
            with store.open("results") as stream:
                assert not stream.seekable()
                with pytest.raises(io.UnsupportedOperation):
                    stream.seek(0)


def test_a_missing_object_is_told_from_a_broken_store(store: ObjectStore) -> None:
    """No object is its own error, wherever one is asked for."""
    store.create("there/is/one", b"")
    for missing in ("nothing", "there/is", "there/is/one/below"):
        assert store.info(missing) is None
        with pytest.raises(ObjectNotFoundError, match=missing):
            store.read(missing)
        with pytest.raises(ObjectNotFoundError, match=missing), store.open(missing):
            pass


def test_a_negative_offset_is_refused(store: ObjectStore) -> None:
    """A wrong offset never reads something else in silence."""
    store.create("payload.txt", b"12345")
    with pytest.raises(ValueError, match="-1"), store.open("payload.txt", -1):
        pass


def test_info_read_and_list_agree(store: ObjectStore) -> None:
    """Size and the store's time are the same however one asks, and the time is in UTC."""
    store.create("fact.json", b"12345")
    info = store.info("fact.json")
    assert info is not None
    assert (info.key, info.size) == ("fact.json", 5)
    assert list(store.list("")) == [info]
    assert store.read("fact.json").modified_at == info.modified_at
    assert abs((datetime.now(UTC) - info.modified_at).total_seconds()) < 3600


def test_listing_is_in_the_order_of_whole_keys(store: ObjectStore) -> None:
    """A slash sorts among other characters, behind '-' and '.', whatever a store's folders are like."""
    keys = ["a-b", "a.txt", "a/b", "a/b.c/d", "a/b0", "a/c/d", "a0", "aB", "a_", "ab", "b/c", "B"]
    for key in ("a/b/x", *keys):
        if key != "a/b":
            store.create(key, b"")
    expected = sorted(["a/b/x", *(key for key in keys if key != "a/b")])
    assert [info.key for info in store.list("")] == expected
    assert [info.key for info in store.list("a")] == [key for key in expected if key.startswith("a")]
    for after in ("a", "a-b", "a/", "a/b", "a/b/x", "a/c", "zz"):
        assert [info.key for info in store.list("", after=after)] == [key for key in expected if key > after]


def test_a_prefix_may_end_within_a_segment(store: ObjectStore) -> None:
    """A prefix is a beginning of keys, not a folder; with `after` both bounds hold."""
    for key in (
        "results/b/part-00000-1",
        "results/b/part-00000-12",
        "results/b/part-00001-1",
        "results/c/part-00000-1",
    ):
        store.create(key, b"")
    assert [info.key for info in store.list("results/b/part-00000-1")] == [
        "results/b/part-00000-1",
        "results/b/part-00000-12",
    ]
    assert [info.key for info in store.list("results/b/", after="results/b/part-00000-1")] == [
        "results/b/part-00000-12",
        "results/b/part-00001-1",
    ]
    assert list(store.list("results/b/part-00000-1/")) == []
    assert list(store.list("nothing/")) == []


def test_listings_go_on_beyond_a_page(store: ObjectStore) -> None:
    """More objects than one answer holds are all listed, once each, in order, from any point."""
    keys = [f"open/{number:05d}" for number in range(1205)]
    with ThreadPoolExecutor(8) as writers:
        assert all(writers.map(lambda key: store.create(key, b""), reversed(keys)))
    assert [info.key for info in store.list("open/")] == keys
    assert [info.key for info in store.list("open/", after=keys[99])] == keys[100:]
    assert next(iter(store.list("open/"))).key == keys[0]


def test_what_is_replaced_is_the_new_content_for_everybody(store: ObjectStore) -> None:
    """It stands in the listing once, with its new size; where there was nothing it is created."""
    store.create("batches/b/batch.json", b"first, and long")
    store.replace("batches/b/batch.json", b"second")
    store.replace("batches/b/other.json", b"third")
    assert store.read("batches/b/batch.json").body == b"second"
    found = [(info.key, info.size) for info in store.list("batches/")]
    assert found == [("batches/b/batch.json", 6), ("batches/b/other.json", 5)]
    assert not store.create("batches/b/batch.json", b"fourth")


def test_what_is_replaced_is_never_seen_in_part(store: ObjectStore) -> None:
    """Readers and other writers at the same time find one whole content or another."""
    store.create("contested/fact.json", _body_of(0))

    def use(number: int) -> bytes:
        store.replace("contested/fact.json", _body_of(number))
        return store.read("contested/fact.json").body

    bodies = {_body_of(number) for number in range(CROWD)}
    assert set(all_at_once(use)) <= bodies
    assert store.read("contested/fact.json").body in bodies


def test_deleting_is_repeatable(store: ObjectStore) -> None:
    """A deleted object is gone, deleting again is no error, and the key is free again."""
    store.create("done/2026-11-22/batch", b"1")
    store.delete("done/2026-11-22/batch")
    store.delete("done/2026-11-22/batch")
    store.delete("never/was")
    assert store.info("done/2026-11-22/batch") is None
    assert list(store.list("")) == []
    assert store.create("done/2026-11-22/batch", b"2")


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/./b", "a b", "ä", "a\n", "x" * 801])
def test_malformed_keys_are_refused(store: ObjectStore, key: str) -> None:
    """A key that could leave the store, or that two stores would read differently, never reaches one."""
    for use in (store.read, store.info, store.delete, store.url):
        with pytest.raises(ValueError, match="key"):
            use(key)
    with pytest.raises(ValueError, match="key"):
        store.create(key, b"")
    with pytest.raises(ValueError, match="key"):
        store.replace(key, b"")


@pytest.mark.parametrize("prefix", ["/", "a//", "../", "./a", "a b"])
def test_malformed_prefixes_are_refused(store: ObjectStore, prefix: str) -> None:
    """A prefix that no key can have is a mistake, not an empty listing."""
    with pytest.raises(ValueError, match="key"):
        list(store.list(prefix))


def test_a_url_tells_where_an_object_is(store: ObjectStore) -> None:
    """Others get a URL that ends with the key."""
    assert store.url("results/b/part").endswith("/results/b/part")
    assert store.url("results/b/part").startswith(("file:///", "s3://", "memory:///"))


def test_a_good_store_is_verified(store: ObjectStore) -> None:
    """A store that keeps its word passes, and the probe leaves nothing behind."""
    store.verify()
    assert list(store.list("")) == []


def test_an_opened_store_is_one_of_them(s3_environment: S3Server, tmp_path: Path) -> None:
    """A URL is all that is needed to open a store."""
    for url in (f"file://{tmp_path}/a%20b", f"s3://{s3_environment.bucket}/opened/{uuid4().hex}/"):
        store = open_store(url)
        assert store.create("probe", b"1")
        assert store.read("probe").body == b"1"
        if isinstance(store, S3Store):
            store.close()
    assert (tmp_path / "a b" / "probe").read_bytes() == b"1"


def _body_of(number: int) -> bytes:
    return json.dumps({"writer": number, "padding": "x" * number * 100}).encode()
