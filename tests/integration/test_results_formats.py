"""Batches whose results are stored as Parquet, alone or beside JSON lines, to their published end."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from complyq_config.errors import ConfigurationError
from complyq_config.settings import ResultsFormat
from complyq_producer import Producer, task_names
from complyq_producer.facts import Collected, CollectedPart
from complyq_producer.layout import BatchKeys
from complyq_producer.model import ObjectFormat
from complyq_producer.results import Result
from complyq_producer.stored_lines import stored_lines
from complyq_producer.tables import require_pyarrow
from complyq_workers.pipeline import Ports
from complyq_workers.x.messages import Reply
from simulation.equipment import NothingLive
from simulation.shape import PART_BYTES
from simulation.x_server import action_of
from support.command_line import CommandLine
from support.quiet_world import DiedError, QuietWorld, die

COLLECT = task_names.COLLECT_JOB
LINES, TABLE = ObjectFormat.JSON_LINES, ObjectFormat.PARQUET
FORMATS: list[ResultsFormat] = ["parquet", "both"]
IDS = range(10**8 + 5, 10**8 + 11)
FEW_STEPS = 15
MANY_IDS = range(10**8, 10**8 + 30)
HOLDS: dict[ResultsFormat, list[ObjectFormat]] = {"jsonl": [LINES], "parquet": [TABLE], "both": [LINES, TABLE]}


def world_of_small_parts(folder: Path, max_upload_bytes: int = 10_000) -> QuietWorld:
    """An X with Cloud Storage, and a producer that puts two IDs into a part."""
    world = QuietWorld(folder, max_upload_bytes=max_upload_bytes)
    world.producer = Producer(
        store=world.store,
        poke=world.world,
        live=NothingLive(),
        spool_dir=world.world.spool,
        part_bytes=PART_BYTES,
        now=world.ports.clock.now,
    )
    return world


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """A world whose jobs carry all parts."""
    return world_of_small_parts(tmp_path)


def set_format(world: QuietWorld, results_format: ResultsFormat) -> Ports:
    """Have workers store results in a format from now on."""
    world.ports = replace(world.ports, limits=replace(world.ports.limits, results_format=results_format))
    return world.ports


def collected(world: QuietWorld, plan: int = 1) -> list[CollectedPart]:
    """What a job gave, by its fact."""
    found = world.job(plan).collected
    assert found is not None
    return found.parts


def lines_of(world: QuietWorld, key: str, format_: ObjectFormat) -> list[bytes]:
    """The lines that an object stands for."""
    return list(stored_lines(BytesIO(world.store.read(key).body), format_, world.ports.limits.spool_dir))


def answer(*actions: tuple[int, str]) -> Reply:
    """What X may answer."""
    body = b"".join(json.dumps({"id": str(number), "action": action}).encode() + b"\n" for number, action in actions)
    return Reply(200, {"content-length": str(len(body))}, body)


def flagged(ids: Sequence[int]) -> list[str]:
    """The IDs that X flags."""
    return [str(number) for number in ids if action_of(number)]


@pytest.mark.parametrize("results_format", FORMATS)
def test_a_batch_is_published_from_what_is_stored(world: QuietWorld, results_format: ResultsFormat) -> None:
    """Events hold the results; the end names each object with its format, size and checksum, and both say the same."""
    set_format(world, results_format)
    batch = world.enqueue(IDS)
    assert world.finish(batch.id) == "completed"
    results = list(world.producer.results(batch.id))
    assert [result.id for result in results] == flagged(IDS)
    *told, end = world.events()
    assert [line for event in told for line in event["data"]["results"]] == [
        json.loads(one.to_json()) for one in results
    ]
    objects = end["data"]["objects"]
    assert [(item["part"], item["format"]) for item in objects] == [
        (part, format_) for part in range(3) for format_ in HOLDS[results_format]
    ]
    assert all(_is_stored(world, item) for item in objects)
    assert {info.key for info in world.store.list("results/")} == set(map(_key, objects))


def _key(item: dict[str, Any]) -> str:
    url: str = item["url"]
    return "results/" + url.partition("/results/")[2]


def _is_stored(world: QuietWorld, item: dict[str, Any]) -> bool:
    body = world.store.read(_key(item)).body
    lines = lines_of(world, _key(item), ObjectFormat(item["format"]))
    found = (len(body), hashlib.sha256(body).hexdigest(), len(lines))
    return found == (item["bytes"], item["sha256"], item["count"]) and _key(item).endswith(f".{item['format']}")


@pytest.mark.parametrize("results_format", FORMATS)
def test_a_reference_says_what_it_points_to(world: QuietWorld, results_format: ResultsFormat) -> None:
    """To JSON lines where there are any, to Parquet where it is alone."""
    set_format(world, results_format)
    batch = world.enqueue(MANY_IDS)
    world.finish(batch.id)
    references = [event["data"]["ref"] for event in world.events()[:-1]]
    assert sum(reference["count"] for reference in references) == len(flagged(MANY_IDS))
    assert {reference["format"] for reference in references} == {HOLDS[results_format][0]}
    for reference in references:
        assert _is_stored(world, reference)


@pytest.mark.parametrize("results_format", ["jsonl", *FORMATS])
def test_json_lines_alone_leave_facts_as_they_were(world: QuietWorld, results_format: ResultsFormat) -> None:
    """Older workers and services read them; other formats are told in fields that these leave alone."""
    set_format(world, results_format)
    batch = world.enqueue(IDS)
    world.finish(batch.id)
    (part, *_) = json.loads(world.store.read("jobs/tweets/00000001/collected.json").body)["parts"]
    (counted, *_) = json.loads(world.store.read(BatchKeys(batch.id).outcome).body)["counted"]
    added = {"jsonl": set(), "parquet": {"format"}, "both": {"also"}}[results_format]
    assert {"format", "also"} & part.keys() == added
    assert counted.keys() == {"part", "plan"} | (added & {"format"})


@pytest.mark.parametrize(("collecting", "publishing"), [("parquet", "jsonl"), ("jsonl", "parquet"), ("both", "jsonl")])
def test_workers_go_by_what_is_stored_not_by_their_own_setting(
    world: QuietWorld, collecting: ResultsFormat, publishing: ResultsFormat
) -> None:
    """While a new setting is rolled out one worker collects, another one publishes."""
    set_format(world, collecting)
    batch = world.enqueue(IDS)
    world.run_to("collected")
    set_format(world, publishing)
    world.finish(batch.id)
    assert [result.id for result in world.producer.results(batch.id)] == flagged(IDS)
    *told, end = world.events()
    assert [result["id"] for event in told for result in event["data"]["results"]] == flagged(IDS)
    assert [item["format"] for item in end["data"]["objects"]] == HOLDS[collecting] * 3


def test_a_batch_may_be_stored_in_several_formats(tmp_path: Path) -> None:
    """Its parts were collected by workers with different settings: its results are read one after another."""
    world = world_of_small_parts(tmp_path, max_upload_bytes=PART_BYTES)
    batch = world.enqueue(IDS)
    formats: list[ResultsFormat] = ["parquet", "jsonl", "both"]
    for plan, results_format in enumerate(formats, 1):
        set_format(world, results_format)
        world.run_to("collected", plan)
    world.finish(batch.id)
    assert [result.id for result in world.producer.results(batch.id)] == flagged(IDS)
    assert [item["format"] for item in world.events()[-1]["data"]["objects"]] == [TABLE, LINES, LINES, TABLE]


def dies_before(world: QuietWorld, results_format: ResultsFormat, what: str) -> None:
    """Have a worker store results, and die before it creates a certain object."""
    world.run_to("finished")
    set_format(world, results_format)
    dying = world.interrupted(lambda name, *args: name.startswith("create") and what in args[0], die)
    with pytest.raises(DiedError):
        world.run(COLLECT, "tweets", 1, ports=dying)


@pytest.mark.parametrize("again", [True, False])
def test_a_table_that_another_worker_stored_is_what_counts(world: QuietWorld, *, again: bool) -> None:
    """Whether X tells the second one the same or something else: count, checksum and messages are those of the object."""
    batch = world.enqueue(IDS[:2])
    world.run_to("finished")
    world.transport.meddle("download", answer((IDS[0], "hide"), (IDS[1], "delete")))
    dies_before(world, "parquet", "collected.json")
    later = answer((IDS[0], "hide"), (IDS[1], "delete")) if again else answer((IDS[1], "rehydrate"))
    world.transport.meddle("download", later)
    world.finish(batch.id)
    (part,) = collected(world)
    body = world.store.read(part.key).body
    assert (part.format, part.bytes, part.sha256) == (TABLE, len(body), hashlib.sha256(body).hexdigest())
    assert (part.count, part.by_action, part.messages) == (2, {"delete": 1, "hide": 1}, [2])
    (told, _) = world.events()
    assert [result["action"] for result in told["data"]["results"]] == ["hide", "delete"]


@pytest.mark.parametrize(
    ("first", "before"),
    [("both", "collected.json"), ("both", ".parquet"), ("jsonl", "collected"), ("parquet", "collected")],
)
def test_what_one_worker_left_another_completes(world: QuietWorld, first: ResultsFormat, before: str) -> None:
    """It died with some of the objects stored, as it or its setting had them."""
    batch = world.enqueue(IDS)
    dies_before(world, first, before)
    set_format(world, "both")
    world.finish(batch.id)
    for part in collected(world):
        (table,) = part.also
        assert lines_of(world, table.key, TABLE) == lines_of(world, part.key, LINES)
        assert hashlib.sha256(world.store.read(table.key).body).hexdigest() == table.sha256


@pytest.mark.parametrize("first", ["jsonl", "parquet"])
@pytest.mark.parametrize("told", [[(IDS[0], "hide")], []])
def test_objects_that_say_different_things_never_stand_side_by_side(
    world: QuietWorld, first: ResultsFormat, told: list[tuple[int, str]]
) -> None:
    """X told the first worker something else: the part is not collected with one of each, however often it is tried."""
    world.enqueue(IDS[:2])
    world.run_to("finished")
    world.transport.meddle("download", answer(*told))
    dies_before(world, first, "collected")
    set_format(world, "both")
    assert world.run(COLLECT, "tweets", 1).again_in is not None
    assert not world.has_fact("collected")
    world.run_until(lambda: world.has_fact("collected"), FEW_STEPS)
    found = world.job().collected
    assert isinstance(found, Collected)
    assert not found.available


def test_a_batch_of_parts_that_differ_is_checked_anew(world: QuietWorld) -> None:
    """By another job, whose objects have names of their own."""
    batch = world.enqueue(IDS[:2])
    world.run_to("finished")
    world.transport.meddle("download", answer((IDS[0], "hide")))
    dies_before(world, "jsonl", "collected")
    set_format(world, "both")
    world.run_until(lambda: world.has_fact("collected"), FEW_STEPS)
    assert world.finish(batch.id) == "completed"
    assert [result.id for result in world.producer.results(batch.id)] == flagged(IDS[:2])
    assert {_key(item).rsplit("/", 1)[1] for item in world.events()[-1]["data"]["objects"]} == {
        "part-00000-00000002.jsonl.gz", "part-00000-00000002.parquet",
    }  # fmt: skip


@pytest.mark.parametrize("results_format", FORMATS)
def test_the_same_results_of_another_library_are_taken_for_the_same(
    world: QuietWorld, results_format: ResultsFormat
) -> None:
    """A worker with another version of pyarrow stored a table: its bytes differ, its results do not."""
    batch = world.enqueue(IDS[:2])
    dies_before(world, "parquet", "collected")
    key = BatchKeys(batch.id).results_of(0, 1, TABLE)
    table, other = pq.read_table(BytesIO(world.store.read(key).body)), BytesIO()
    pq.write_table(table, other, compression="none")
    world.store.delete(key)
    world.store.create(key, other.getvalue())
    set_format(world, results_format)
    world.finish(batch.id)
    (item,) = [item for item in world.events()[-1]["data"]["objects"] if item["format"] == TABLE]
    assert _is_stored(world, item)
    assert _key(item) == key


WITHOUT = "import sys; sys.modules['pyarrow'] = None; "
SAYS = "pip install 'complyq[parquet]'"


def test_a_worker_that_cannot_write_parquet_says_so_at_its_start(tmp_path: Path) -> None:
    """Rather than when the first job is to be collected."""
    environment = {
        **os.environ,
        **CommandLine(tmp_path).environment(),
        "COMPLYQ_BEARER_TOKEN": "AAAAtoken",
        "COMPLYQ_RESULTS_FORMAT": "both",
    }
    program = WITHOUT + "from complyq_workers.command import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, "--role", "control"],
        check=False,
        env=environment,
        capture_output=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert SAYS in ended.stderr.decode()


@pytest.mark.parametrize(("installed", "verdict"), [(True, "ok"), (False, "failed")])
def test_the_doctor_looks_for_what_parquet_needs(tmp_path: Path, installed: bool, verdict: str) -> None:  # noqa: FBT001
    """With the way to mend it."""
    environment = {**CommandLine(tmp_path).environment(), "COMPLYQ_RESULTS_FORMAT": "parquet"}
    program = ("" if installed else WITHOUT) + "from complyq_producer.cli.main import main; main()"
    command = [sys.executable, "-c", program, "doctor", "--json"]
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, timeout=60)
    found = {line["check"]: line for line in map(json.loads, ended.stdout.splitlines())}["Results format"]
    assert found["verdict"] == verdict
    assert (SAYS in found["found"]) is not installed


def test_results_that_cannot_be_read_here_are_refused_at_once(
    world: QuietWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service without pyarrow is told before it has read anything; results as JSON lines it reads."""
    batches = []
    for results_format in ("jsonl", "parquet"):
        set_format(world, results_format)
        batches.append(world.enqueue(IDS).id)
        world.finish(batches[-1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match="needs pyarrow"):
        require_pyarrow()
    assert len(list(world.producer.results(batches[0]))) == len(flagged(IDS))
    with pytest.raises(ConfigurationError, match="needs pyarrow"):
        world.producer.results(batches[1])


def test_results_are_read_like_any_others(world: QuietWorld) -> None:
    """The same `Result`s come of both formats."""
    found: list[list[Result]] = []
    for results_format in ("jsonl", "parquet"):
        set_format(world, results_format)
        batch = world.enqueue(MANY_IDS)
        world.finish(batch.id)
        found.append(list(world.producer.results(batch.id)))
    assert found[0] == found[1] != []
