"""`complyq status`: what is going on, as a process of its own with a real Redis."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from complyq_producer.facts import utc_now
from complyq_producer.store import DirectoryStore
from complyq_workers.coordination import Quota, RedisCoordination
from support.command_line import CommandLine
from support.redis_server import running_redis_server
from support.standing import Standing


@dataclass
class Site:
    """An installation in which everything stands still, and its command line."""

    cli: CommandLine
    standing: Standing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A merged job has the slot, the next one is ready, and two batches wait."""
    cli = CommandLine(tmp_path_factory.mktemp("site"))
    with running_redis_server() as server:
        cli.settings = {"COMPLYQ_REDIS_URL": server.url, "COMPLYQ_BROKER_URL": server.url}
        standing = Standing(DirectoryStore(cli.store), RedisCoordination(server.url, "default"))
        _fill(standing)
        yield Site(cli, standing)


def _fill(standing: Standing) -> None:
    standing.took(1200)
    for name in ("a", "b", "c", "d", "e"):
        deadline = utc_now() + timedelta(minutes=5) if name == "b" else None
        standing.batch(f"0193a1b{name}", parts=2 if name == "c" else 1, deadline=deadline)
    standing.plan(41, {"0193a1ba": [0], "0193a1bb": [0], "0193a1bc": [0]})
    standing.created(41, at=timedelta(minutes=-13))
    standing.uploaded(41, seconds_ago=600)
    standing.show_job(41, "processing")
    standing.plan(42, {"0193a1bc": [1]})
    standing.show_queue({"0193a1bd": 0, "0193a1be": 1})
    for endpoint, remaining in (("create", 149), ("get", 97)):
        standing.shown.reserve(endpoint, "n")
        standing.shown.settle(endpoint, "n", Quota(limit=150, remaining=remaining, seconds_left=600))
    standing.shown.block("list", 300)


def test_people_see_slot_queue_estimate_and_budget(site: Site) -> None:
    """One table for the types, one for the requests, in words."""
    shown = site.cli.run("status")
    assert (shown.code, shown.err) == (0, "")
    for words in (
        "tweets", "users", "job 41: X is checking", "29 IDs of 3 batches", "4100", "job 42 is ready",
        "2 batches, 20 IDs", "for 14 min", "20 min 00 s", "149 of 150", "97 of 150", "refused by X", "not known", "free",
    ):  # fmt: skip
        assert words in shown.out
    assert max(map(len, shown.out.splitlines())) <= 110


def test_programs_see_the_same_as_one_object(site: Site) -> None:
    """By type and by endpoint; what is not known is null."""
    told = site.cli.run("status", "--json").json()
    assert list(told) == ["redis_answers", "types", "budgets"]
    posts, users = told["types"]["tweets"], told["types"]["users"]
    assert (posts["slot"]["plan"], posts["slot"]["remote_id"], posts["slot"]["phase"]) == (41, "4100", "processing")
    assert (posts["next"]["plan"], posts["queue"]["batches"], posts["queue"]["jobs"]) == (42, 2, 2)
    assert posts["estimate"] > utc_now().isoformat()
    assert (users["slot"], users["queue"], users["estimate"], users["open_batches"]) == (None, None, None, 0)
    assert told["budgets"]["get"]["remaining"] == 97


def test_a_merged_batch_and_one_of_several_jobs_are_told_in_full(site: Site) -> None:
    """Jobs, who shares them, parts, the estimate and the warning that it comes too late."""
    late = site.cli.run("status", "0193a1bb").out
    assert "41, X's 4100: uploaded, 29 IDs, shared by 3 batches" in late
    assert "may be late: due" in late
    split = site.cli.run("status", "0193a1bc", "--json").json()
    assert [job["plan"] for job in split["jobs"]] == [41, 42]
    assert (split["parts"], split["parts_done"], split["late"]) == (2, 0, False)
    waiting = site.cli.run("status", "0193a1be").out
    assert "place 2 in the queue, 1 job of the queue before its own, done about" in waiting


def test_all_open_batches_are_listed_by_wish(site: Site) -> None:
    """A row, or a line of JSON, for each."""
    listed = site.cli.run("status", "--batches", "--json").lines()
    assert {line["batch_id"]: line["state"] for line in listed} == {
        "0193a1ba": "running", "0193a1bb": "running", "0193a1bc": "running", "0193a1bd": "waiting",
        "0193a1be": "waiting",
    }  # fmt: skip
    assert len(site.cli.run("status", "--batches").out.splitlines()) == 1 + len(listed)
    both = site.cli.run("status", "0193a1ba", "--batches")
    assert (both.code, both.out) == (2, "")


def test_a_redis_that_is_down_is_said_in_one_line(site: Site) -> None:
    """The store tells the rest."""
    nobody = {"COMPLYQ_REDIS_URL": "redis://127.0.0.1:1/0"}
    shown = site.cli.run("status", env=nobody)
    assert shown.code == 0
    assert len(shown.err.splitlines()) == 1
    assert "COMPLYQ_REDIS_URL" in shown.err
    assert "job 41: uploaded" in shown.out
    assert "5, by the store" in shown.out
    assert "requests to X" not in shown.out
    told = site.cli.run("status", "--json", env=nobody)
    assert (told.err, told.json()["redis_answers"], told.json()["types"]["tweets"]["open_batches"]) == ("", False, 5)


def test_nothing_open_is_said(tmp_path: Path) -> None:
    """Neither an empty table nor an error."""
    listed = CommandLine(tmp_path).run("status", "--batches")
    assert (listed.code, listed.out, listed.err) == (0, "", "No open batches.\n")


def test_a_deadline_that_has_passed_is_said_and_kept(tmp_path: Path) -> None:
    """The batch is accepted all the same, and counts as late."""
    cli = CommandLine(tmp_path)
    done = cli.run("enqueue", "tweets", "-", "--json", "--deadline", "2020-01-01T00:00:00Z", stdin=b"1\n")
    assert done.code == 0
    assert "deadline 2020-01-01 00:00:00 UTC has passed" in done.err
    status = cli.run("status", done.json()["batch_id"], "--json").json()
    assert (status["late"], status["deadline"]) == (True, "2020-01-01T00:00:00Z")


def test_a_batch_that_ended_late_is_shown_so(tmp_path: Path) -> None:
    """By how much it missed its deadline."""
    cli, now = CommandLine(tmp_path), utc_now()
    standing = Standing(DirectoryStore(cli.store))
    standing.batch("0193a1ba", deadline=now - timedelta(hours=2))
    standing.ended("0193a1ba", at=now - timedelta(minutes=30))
    assert "late: 1 h 30 min after its deadline" in cli.run("status", "0193a1ba").out


def test_a_deadline_for_a_run_is_checked_before_anything_starts(tmp_path: Path) -> None:
    """A mistake costs no second."""
    refused = CommandLine(tmp_path).run("run", "tweets", "-", "--out", "r", "--simulate", "--deadline", "soon")
    assert refused.code == 2
    assert "--deadline 'soon'" in refused.err
    assert not (tmp_path / "r").exists()
