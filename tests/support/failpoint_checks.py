"""What must be true when a journey has come to its end, whatever died on the way."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from complyq_producer.model import BatchState
from support.failpoint_cases import CASES, OTHER_CASES, Journey, Submitted
from support.failpoint_site import PATIENCE, Site
from support.real_workers import wait_for_end, wait_until

ACTIVE = {"created", "in_progress"}


def assert_exact(site: Site, journey: Journey, submitted: Sequence[Submitted]) -> None:
    """Each batch has ended as it must, its results and events are exact, and nothing is left open."""
    for batch in submitted:
        status = wait_for_end(site.producer, batch.id, PATIENCE)
        assert status.state is journey.state, status
    journey.end(site)
    wait_until(lambda: nothing_is_open(site), PATIENCE)
    for batch in submitted:
        assert_events(site.events(batch.id), batch, journey.state)
        if journey.state is BatchState.COMPLETED:
            stored = [result.id for result in site.producer.results(batch.id)]
            assert stored == sorted(batch.flagged), f"{len(stored)} results instead of {len(batch.flagged)}"
    assert_one_job_at_a_time(site)
    assert_nothing_unforeseen(site)


def assert_events(events: Sequence[dict[str, Any]], batch: Submitted, state: BatchState) -> None:
    """Each event stands once in the stream, in order, the end last; together they hold the results."""
    *results, end = events
    data, ids = end["data"], [event["id"] for event in events]
    messages = Counter(event["data"]["part"] for event in results)
    numbers = [f"{part}/{sequence}" for part in sorted(messages) for sequence in range(messages[part])]
    assert ids == [f"{batch.id}/{last}" for last in (*numbers, state)], ids
    assert len(results) == data["results_messages"]
    told = [line["id"] for event in results for line in event["data"]["results"]]
    assert told == sorted(batch.flagged), f"{len(told)} results instead of {len(batch.flagged)}"
    assert (data["flagged"], data["rejected"]) == (len(batch.flagged), batch.rejected), data


def assert_one_job_at_a_time(site: Site) -> None:
    """X never had two active jobs of a type."""
    active: dict[str, set[str]] = {"tweets": set(), "users": set()}
    for line in site.simulator.journal():
        if line["kind"] == "job":
            change = active[line["type"]].add if line["to"] in ACTIVE else active[line["type"]].discard
            change(line["remote_id"])
            assert len(active[line["type"]]) <= 1, f"two active jobs of {line['type']}: {line}"


def assert_nothing_unforeseen(site: Site) -> None:
    """No error that nobody foresaw, and no side effect that has no case of its own."""
    surprises = site.surprises()
    assert not surprises, surprises
    unknown = {reached.name for reached in site.points.reached()} - {*CASES, *OTHER_CASES}
    assert not unknown, f"failpoints without a case: {unknown}"


def nothing_is_open(site: Site) -> bool:
    """Only the marker of each type's highest plan stays."""
    types = Counter(marker.rsplit("/", 1)[0] for marker in site.open_markers())
    return set(types) <= {"open/jobs/tweets", "open/jobs/users"} and set(types.values()) <= {1}
