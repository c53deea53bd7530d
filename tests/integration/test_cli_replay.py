"""`complyq replay` and `complyq purge`, as processes of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_producer.model import ReplayId
from complyq_producer.replays import open_replays
from complyq_producer.store import DirectoryStore
from complyq_workers.pipeline import Hint
from support.command_line import CommandLine
from support.inline_workers import InlineWorkers, inline_workers, producer_of
from support.simulator_process import running_simulator

POSTS = range(10**18, 10**18 + 500)
UNKNOWN = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


@dataclass
class Site:
    """An installation whose workers run when they are told to, and a batch that completed."""

    cli: CommandLine
    workers: InlineWorkers
    batch_id: str

    def replay(self) -> str:
        """Do what was asked for last; return its id."""
        [wanted] = open_replays(self.workers.ports.facts)
        while self.workers.pipeline.run(Hint(task_names.REPLAY, (wanted.replay_id,))).again_in is not None:
            pass
        return wanted.replay_id


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A batch that completed."""
    cli = CommandLine(tmp_path)
    with (
        running_simulator(flagged_rate=0.2) as simulator,
        inline_workers(DirectoryStore(cli.store), simulator, cli.folder) as workers,
    ):
        producer = producer_of(workers)
        batch = producer.enqueue(POSTS, "tweets", name="done")
        workers.run_until(lambda: producer.status(batch.id).published)
        workers.run_all()
        yield Site(cli, workers, batch.id)


def test_a_replay_is_asked_for_without_a_broker_and_done_when_workers_come(site: Site) -> None:
    """The wish is a fact. The command says what it is called, and what to check."""
    first = list(site.workers.events.events)
    asked = site.cli.run("replay", site.batch_id, "--no-wait", "--json")
    assert (asked.code, asked.json()["finished"]) == (0, False)
    assert site.replay() == ReplayId(asked.json()["replay_id"])
    assert site.workers.events.events == first * 2


def test_a_replay_is_waited_for(site: Site) -> None:
    """Progress to standard error, the sum to standard output."""
    with site.cli.start("replay", "--all") as process:
        while not list(open_replays(site.workers.ports.facts)):
            assert process.poll() is None
        site.replay()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    events = len(site.workers.events.events) // 2
    assert out.decode() == f"Published {events} events of 1 batch again.\n"


def test_a_replay_that_cannot_publish_a_batch_ends_with_1(site: Site) -> None:
    """Each batch that could not be published is named, with the reason."""
    store = site.workers.ports.store
    for info in list(store.list(f"results/{site.batch_id}/")):
        store.delete(info.key)
    with site.cli.start("replay", "--since", "1h") as process:
        while not list(open_replays(site.workers.ports.facts)):
            assert process.poll() is None
        site.replay()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Not published: batch {site.batch_id}: results that count are not in the store" in err.decode()


def test_a_dry_run_lists_the_batches_and_asks_for_nothing(site: Site) -> None:
    """Those that ended since then; nothing was older."""
    for arguments, found in (
        (("--all",), [site.batch_id]),
        (("--since", "1h"), [site.batch_id]),
        (("--since", "0s"), []),
    ):
        told = site.cli.run("replay", *arguments, "--dry-run")
        assert (told.code, told.out.split()) == (0, found)
    assert site.cli.run("replay", site.batch_id, "--dry-run", "--json").json()["batch_ids"] == [site.batch_id]
    assert not list(site.workers.ports.store.list("replays/"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--since TIME"),
        ((UNKNOWN, "--all"), "--since TIME"),
        ((UNKNOWN,), UNKNOWN),
        (("nonsense",), "'nonsense'"),
        (("--since", "yesterday"), "--since 'yesterday'"),
        (("--since", "2026-11-01T00:00:00"), "no time zone"),
    ],
)
def test_wrong_use_of_replay_is_refused_with_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """One message says what is wrong; nothing is asked for."""
    cli = CommandLine(tmp_path)
    refused = cli.run("replay", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert not list(cli.store.rglob("*.json"))


def test_a_purge_reports_what_it_removes_and_everything_says_so_afterwards(site: Site) -> None:
    """A dry run first, then the same; results and replay name the time, status keeps the counts."""
    flagged = site.cli.run("status", site.batch_id, "--json").json()["flagged"]
    told = site.cli.run("purge", "--days", "0", "--dry-run")
    assert told.out.startswith("Would remove 2 objects")
    assert site.cli.run("results", site.batch_id).code == 0
    done = site.cli.run("purge", "--days", "0", "--json").json()
    assert (done["batches"], done["objects"], done["dry_run"]) == (1, 2, False)
    for command in ("results", "replay"):
        refused = site.cli.run(command, site.batch_id)
        assert (refused.code, refused.out) == (1, "")
        assert f"batch {site.batch_id} was purged on 20" in refused.err
    status = site.cli.run("status", site.batch_id, "--json").json()
    assert (status["state"], status["flagged"], status["checked"]) == ("completed", flagged, 500)
    assert status["purged_at"]
    assert "its IDs and results are gone" in site.cli.run("status", site.batch_id).out
    assert "purged on" in site.cli.run("watch", site.batch_id).out
    assert site.cli.run("purge", "--days", "0").out.startswith("Removed 0 objects")


def test_a_purge_goes_by_the_setting_unless_it_is_told_otherwise(site: Site) -> None:
    """Without either it does not guess."""
    refused = site.cli.run("purge")
    assert refused.code == 2
    assert "--days 30, or set COMPLYQ_RETENTION_DAYS" in refused.err
    kept = site.cli.run("purge", "--json", env={"COMPLYQ_RETENTION_DAYS": "1"})
    assert kept.json()["batches"] == 0
    assert site.cli.run("purge", "--days", "-1").code == 2
