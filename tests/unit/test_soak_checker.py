"""The soak's judge: satisfied with what went well, and not with any of the faults it is there to find."""

import copy
import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from soak.checker import RULES, check
from soak.evidence import About, Evidence, Request, copies_of, load, save_about, save_request, write_lines
from soak.ids import IdRange
from soak.submit import submit
from support.simulator_process import Simulator, running_simulator
from support.world import World, world_of

REQUESTS = (
    Request(id="tweets-0", type="tweets", key="a", ids=IdRange(first=10**18, count=3_000, step=7, duplicates=5)),
    Request(id="tweets-1", type="tweets", ids=IdRange(first=10**18 + 70, count=500, step=7, invalid=2)),
    Request(id="users-0", type="users", ids=IdRange(first=5, count=40, step=3), cancelled=True),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What three batches left behind that went well: two completed, one was cancelled."""
    folder = tmp_path_factory.mktemp("soak")
    with running_simulator(seed=5, flagged_rate=0.1) as simulator:
        for world in world_of(simulator, folder):
            _run(world)
            _testify(world, simulator, folder)
    return load(folder)


@pytest.fixture
def evidence(whole: Evidence) -> Evidence:
    """A copy to be doctored."""
    return copy.deepcopy(whole)


def _run(world: World) -> None:
    for request in REQUESTS:
        request.told = [submit(world.producer, request).id]
        if request.cancelled:
            world.producer.cancel(request.told[0])
    world.workers.run_until(lambda: not list(world.producer.open_batches()))
    world.workers.run_all()


def _testify(world: World, simulator: Simulator, folder: Path) -> None:
    bodies = [body for _, body in world.workers.events.events]
    save_about(
        folder,
        About(
            name="test",
            namespace="tests",
            store_url=f"file://{folder}/store",
            storage_host=simulator.storage_url.removeprefix("http://"),
            seed=5,
            flagged_rate=0.1,
            secrets=["soak-bearer-1"],
        ),
    )
    save_request(folder, REQUESTS)
    write_lines(folder / "journal.jsonl", (json.dumps(line).encode() for line in simulator.journal()))
    write_lines(folder / "stream.jsonl", bodies)
    write_lines(folder / "recorded.jsonl", bodies)
    (folder / "workers.log").write_text("nothing to hide\n")


def test_nothing_is_wrong_with_what_went_well(evidence: Evidence) -> None:
    """Batches, events and jobs as they should be are no violations."""
    assert check(evidence) == []
    assert sorted(found.kind for found in evidence.stream if found.is_end) == ["cancelled", "completed", "completed"]


def _batch(evidence: Evidence, request: str = "tweets-0") -> str:
    [batch_id] = evidence.request_of[request].told
    return batch_id


def _change(evidence: Evidence, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change an event on the queue and as it was delivered."""
    for copies in (evidence.stream, evidence.recorded):
        event = json.loads(copies[number].body)
        change(event)
        copies[number : number + 1] = copies_of([json.dumps(event).encode()])


def _number(evidence: Evidence, id_: str) -> int:
    return next(number for number, found in enumerate(evidence.stream) if found.id == id_)


def _lose_event(evidence: Evidence) -> None:
    """A results message never came."""
    number = _number(evidence, f"{_batch(evidence)}/0/0")
    del evidence.stream[number], evidence.recorded[number]


def _lose_end(evidence: Evidence) -> None:
    """A batch ended silently."""
    number = _number(evidence, f"{_batch(evidence)}/completed")
    del evidence.stream[number], evidence.recorded[number]


def _lose_delivery(evidence: Evidence) -> None:
    """A listener did not get an event that is on the queue."""
    del evidence.recorded[0]


def _lose_from_queue(evidence: Evidence) -> None:
    """An event was delivered and is not on the queue."""
    del evidence.stream[-1]


def _foreign_event(evidence: Evidence) -> None:
    """An event about a batch that was never accepted."""
    event = json.loads(evidence.stream[0].body) | {"id": "1/completed", "subject": "1"}
    evidence.stream += copies_of([json.dumps(event).encode()])
    evidence.recorded += copies_of([json.dumps(event).encode()])


def _second_content(evidence: Evidence) -> None:
    """Two events share an id and not their content."""
    event = json.loads(evidence.stream[0].body) | {"time": "2026-11-22T00:00:00.000Z"}
    evidence.stream += copies_of([json.dumps(event).encode()])


def _second_content_delivered(evidence: Evidence) -> None:
    """A listener got something else than what is on the queue."""
    event = json.loads(evidence.recorded[0].body)
    event["data"]["name"] = "another"
    evidence.recorded += copies_of([json.dumps(event).encode()])


def _missing_field(evidence: Evidence) -> None:
    """An event lacks what its schema promises."""
    _change(evidence, len(evidence.stream) - 1, lambda event: event["data"].pop("key"))


def _second_end(evidence: Evidence) -> None:
    """A batch that completed was also announced as failed."""
    end = json.loads(evidence.stream[_number(evidence, f"{_batch(evidence)}/completed")].body)
    end |= {"id": f"{_batch(evidence)}/failed", "type": "complyq.batch.failed.v1"}
    evidence.stream += copies_of([json.dumps(end).encode()])
    evidence.recorded += copies_of([json.dumps(end).encode()])


def _end_too_early(evidence: Evidence) -> None:
    """The end stands before the results."""
    number = _number(evidence, f"{_batch(evidence)}/completed")
    for copies in (evidence.stream, evidence.recorded):
        copies.insert(0, copies.pop(number))


def _missing_result(evidence: Evidence) -> None:
    """A flagged ID is missing in the message."""
    _change(evidence, _number(evidence, f"{_batch(evidence)}/0/0"), lambda event: event["data"]["results"].pop())


def _foreign_result(evidence: Evidence) -> None:
    """A message holds a result of another batch's ID."""

    def add(event: dict[str, Any]) -> None:
        event["data"]["results"].append({**event["data"]["results"][0], "id": "12"})

    _change(evidence, _number(evidence, f"{_batch(evidence)}/0/0"), add)


def _other_action(evidence: Evidence) -> None:
    """Stored and published alike, but not what X said."""
    _replace_object(evidence, lambda lines: [line.replace(b'"delete"', b'"scrub_geo"') for line in lines])


def _truncated_object(evidence: Evidence) -> None:
    """Results that were cut at a line's end and taken for whole."""
    _replace_object(evidence, lambda lines: lines[:-1])


def _replace_object(evidence: Evidence, change: Callable[[list[bytes]], list[bytes]]) -> None:
    [key] = evidence.names(f"results/{_batch(evidence)}/")
    evidence.objects[key] = gzip.compress(
        b"".join(change(gzip.decompress(evidence.objects[key]).splitlines(keepends=True)))
    )


def _wrong_count(evidence: Evidence) -> None:
    """The numbers of the end do not add up."""

    def change(event: dict[str, Any]) -> None:
        event["data"]["compliant"] -= 1

    _change(evidence, _number(evidence, f"{_batch(evidence)}/completed"), change)


def _wrong_submitted(evidence: Evidence) -> None:
    """A duplicate was not counted."""

    def change(event: dict[str, Any]) -> None:
        event["data"]["submitted"] -= 1
        event["data"]["duplicates"] -= 1

    _change(evidence, _number(evidence, f"{_batch(evidence)}/completed"), change)


def _lost_batch(evidence: Evidence) -> None:
    """A caller was told of a batch that does not exist."""
    evidence.request_of["tweets-1"].told = ["0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"]


def _uninvited_batch(evidence: Evidence) -> None:
    """A batch that no caller asked for."""
    evidence.requests.pop(0)


def _lost_ids(evidence: Evidence) -> None:
    """The stored IDs are not those that were given."""
    [name] = evidence.names(f"batches/{_batch(evidence)}/ids/")
    evidence.objects[name] = evidence.objects[name].split(b"\n", 1)[1]


def _second_batch_of_key(evidence: Evidence) -> None:
    """A key led to two batches."""
    evidence.request_of["tweets-0"].told.append(_batch(evidence, "tweets-1"))


def _failed_batch(evidence: Evidence) -> None:
    """A batch failed that could not."""
    batch_id = _batch(evidence)

    def change(event: dict[str, Any]) -> None:
        event |= {"id": f"{batch_id}/failed", "type": "complyq.batch.failed.v1"}

    _change(evidence, _number(evidence, f"{batch_id}/completed"), change)
    key = f"batches/{batch_id}/outcome.json"
    evidence.objects[key] = evidence.objects[key].replace(b'"completed"', b'"failed"')


def _uncalled_cancel(evidence: Evidence) -> None:
    """A batch ended cancelled, and nobody had asked for that."""
    evidence.request_of["users-0"].cancelled = False


def _open_batch(evidence: Evidence) -> None:
    """A marker of a batch was left behind."""
    evidence.objects[f"open/batches/tweets/{_batch(evidence)}"] = b""


def _open_plan(evidence: Evidence) -> None:
    """A plan was never closed."""
    del evidence.objects["jobs/tweets/00000001/collected.json"]


def _gap_in_plans(evidence: Evidence) -> None:
    """A number of a plan was left out."""
    for name in evidence.names("jobs/tweets/00000001/"):
        evidence.objects[name.replace("00000001", "00000003")] = evidence.objects.pop(name)


def _two_active_jobs(evidence: Evidence) -> None:
    """A job was created while another of its type was active."""
    change = next(line for line in evidence.job_changes if line["from"] is None and line["type"] == "tweets")
    place = evidence.journal.index(change)
    evidence.journal.insert(place, {**change, "remote_id": "1"})


def _two_uploads(evidence: Evidence) -> None:
    """The IDs of a plan went to two jobs."""
    change = next(line for line in evidence.job_changes if line["from"] is None)
    upload = next(
        line for line in evidence.x_requests if line["op"] == "upload" and change["remote_id"] in line["path"]
    )
    evidence.journal += [
        {**change, "remote_id": "1"},
        {**change, "remote_id": "1", "to": "failed"},
        {**upload, "path": upload["path"].replace(change["remote_id"], "1")},
    ]


def _unknown_job(evidence: Evidence) -> None:
    """A job of ours that no plan explains."""
    change = next(line for line in evidence.job_changes if line["from"] is None)
    change["name"] = change["name"][:-1] + "x"


def _bearer_abroad(evidence: Evidence) -> None:
    """The bearer went to the storage."""
    next(line for line in evidence.x_requests if line["op"] == "upload")["authorization"] = True


def _token_in_log(evidence: Evidence) -> None:
    """The bearer stands in a log."""
    evidence.logs["workers.log"] += "Authorization: Bearer soak-bearer-1\n"


def _url_in_fact(evidence: Evidence) -> None:
    """A session's URI stands in a fact as it is."""
    evidence.objects["jobs/tweets/00000001/session-000.json"] = b'{"uri":"http://127.0.0.1/b/o?upload_id=abcdefgh1"}'


DOCTORED: Mapping[Callable[[Evidence], None], set[str]] = {
    _lose_event: {"results_come_before_the_end", "results_are_exact"},
    _lose_end: {"one_end_for_a_batch"},
    _lose_delivery: {"everything_is_delivered"},
    _lose_from_queue: {"everything_is_delivered", "one_end_for_a_batch"},
    _foreign_event: {"no_event_is_foreign"},
    _second_content: {"same_id_same_content"},
    _second_content_delivered: {"same_id_same_content"},
    _missing_field: {"events_keep_the_contract"},
    _second_end: {"one_end_for_a_batch"},
    _end_too_early: {"results_come_before_the_end"},
    _missing_result: {"results_are_exact"},
    _foreign_result: {"results_are_exact"},
    _other_action: {"results_are_exact"},
    _truncated_object: {"results_are_exact"},
    _wrong_count: {"counts_add_up"},
    _wrong_submitted: {"counts_add_up"},
    _lost_batch: {"no_batch_is_lost"},
    _uninvited_batch: {"no_batch_is_lost"},
    _lost_ids: {"results_are_exact"},
    _second_batch_of_key: {"same_key_same_batch"},
    _failed_batch: {"batches_end_as_they_must"},
    _uncalled_cancel: {"batches_end_as_they_must"},
    _open_batch: {"nothing_is_left_open"},
    _open_plan: {"nothing_is_left_open"},
    _gap_in_plans: {"nothing_is_left_open", "jobs_belong_to_plans"},
    _two_active_jobs: {"one_active_job_of_a_type"},
    _two_uploads: {"one_upload_for_a_plan"},
    _unknown_job: {"jobs_belong_to_plans"},
    _bearer_abroad: {"bearer_stays_home"},
    _token_in_log: {"no_secret_is_written"},
    _url_in_fact: {"no_secret_is_written"},
}
"""What is done to the evidence, and the rules that must see it."""


@pytest.mark.parametrize("doctor", DOCTORED, ids=lambda doctor: doctor.__name__.removeprefix("_"))
def test_a_fault_is_found(evidence: Evidence, doctor: Callable[[Evidence], None]) -> None:
    """Each broken promise is seen by the rule that guards it."""
    doctor(evidence)
    assert {violation.rule for violation in check(evidence)} >= DOCTORED[doctor]


def test_every_rule_has_a_fault_that_it_finds() -> None:
    """No rule is there that never objects."""
    assert set().union(*DOCTORED.values()) == {rule.__name__ for rule in RULES}
