"""`complyq enqueue`, `status`, `cancel`, `results` and `watch`, as processes of their own."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from complyq_producer.store import DirectoryStore
from support.command_line import CommandLine
from support.inline_workers import inline_workers, producer_of
from support.redis_server import running_redis_server
from support.simulator_process import running_simulator

POSTS = range(10**18, 10**18 + 500)
UNKNOWN = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """An installation without any server."""
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A Redis of this module's own."""
    with running_redis_server() as server:
        yield server.url


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, str, list[str]]:
    """A batch that completed, and the results that the library gives for it."""
    cli = CommandLine(tmp_path_factory.mktemp("completed"))
    with (
        running_simulator(flagged_rate=0.2) as simulator,
        inline_workers(DirectoryStore(cli.store), simulator, cli.folder) as workers,
    ):
        producer = producer_of(workers)
        batch = producer.enqueue(POSTS, "tweets", name="done")
        workers.run_until(lambda: producer.status(batch.id).state.is_final)
        return cli, batch.id, [result.to_json().decode() for result in producer.results(batch.id)]


def test_enqueue_prints_exactly_the_promised_fields(cli: CommandLine, redis_url: str) -> None:
    """`--json` prints one object with the counts; a repeated call with the key says that the batch was known."""
    cli.settings = {"COMPLYQ_REDIS_URL": redis_url, "COMPLYQ_BROKER_URL": redis_url}
    arguments = ("enqueue", "tweets", "-", "--json", "--key", "k", "--label", "tenant=a", "--name", "n")
    first = cli.run(*arguments, stdin=b"20\n10\n20\n")
    again = cli.run(*arguments, stdin=b"10\n20\n20\n")
    assert (first.code, first.err) == (0, "")
    facts = {"type": "tweets", "key": "k", "submitted": 3, "invalid": 0, "duplicates": 1, "unique": 2, "parts": 1}
    assert list(first.json()) == ["batch_id", *facts, "created"]
    assert first.json() == {"batch_id": first.json()["batch_id"], **facts, "created": True}
    assert again.json() == {**first.json(), "created": False}


def test_enqueue_accepts_gzip_and_says_what_to_do_next(cli: CommandLine, redis_url: str) -> None:
    """People are told the batch's id and the command that follows it."""
    cli.settings = {"COMPLYQ_REDIS_URL": redis_url, "COMPLYQ_BROKER_URL": redis_url}
    (cli.folder / "ids.gz").write_bytes(gzip.compress(b"1\r\n\r\n2\r\nx\r\n2\r\n"))
    done = cli.run("enqueue", "users", "ids.gz", "--on-invalid", "skip", "--deadline", "1d12h")
    assert (done.code, done.err) == (0, "")
    assert "2 user IDs (1 duplicates, 1 invalid lines left out)" in done.out
    assert "complyq watch " in done.out


def test_enqueue_without_a_broker_warns_and_keeps_the_batch(cli: CommandLine) -> None:
    """The batch is a fact: it is accepted, shown by `status`, and the caller is told that it starts later."""
    done = cli.run("enqueue", "tweets", "-", "--json", "--name", "late", stdin=b"1\n2\n")
    assert done.code == 0
    assert "complyq doctor" in done.err
    listed = cli.run("status", "--batches", "--json").json()
    assert (listed["batch_id"], listed["name"], listed["state"]) == (done.json()["batch_id"], "late", "accepted")
    assert "late" in cli.run("status", "--batches").out


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("tweets", "-"), b"1\nabc\n", "abc"),
        (("tweets", "-"), b"\n", "no"),
        (("posts", "-"), b"1\n", "'posts'"),
        (("tweets", "nowhere.txt"), b"", "nowhere.txt"),
        (("tweets", "-", "--label", "tenant"), b"1\n", "KEY=VALUE"),
        (("tweets", "-", "--label", "a=1", "--label", "a=2"), b"1\n", "twice"),
        (("tweets", "-", "--deadline", "tomorrow"), b"1\n", "RFC 3339"),
        (("tweets", "-", "--deadline", "24"), b"1\n", "24h"),
        (("tweets", "-", "--deadline", "2027-01-01"), b"1\n", "time zone"),
        (("tweets", "-", "--priority", "asap"), b"1\n", "asap"),
        (("tweets",), b"", "FILE"),
    ],
)
def test_bad_input_is_refused_with_exit_code_2(
    cli: CommandLine, arguments: tuple[str, ...], stdin: bytes, said: str
) -> None:
    """One message says what is wrong; nothing is enqueued and there is no traceback."""
    refused = cli.run("enqueue", *arguments, stdin=stdin)
    assert refused.code == 2
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert not list(cli.store.rglob("batch.json"))


def test_a_key_used_for_other_ids_is_refused(cli: CommandLine) -> None:
    """Exit code 2, and the first batch stays."""
    assert cli.run("enqueue", "tweets", "-", "--key", "k", stdin=b"1\n").code == 0
    refused = cli.run("enqueue", "tweets", "-", "--key", "k", stdin=b"2\n")
    assert refused.code == 2
    assert "use another key" in refused.err


def test_an_unknown_batch_is_named(cli: CommandLine) -> None:
    """Asking for what is not there is wrong use, told in one message: a script can tell it from a failed batch."""
    for name in ("status", "watch", "results", "cancel"):
        for batch_id in (UNKNOWN, "nonsense"):
            refused = cli.run(name, batch_id)
            assert (refused.code, refused.out) == (2, "")
            assert batch_id in refused.err
            assert "Traceback" not in refused.err


def test_a_waiting_batch_is_cancelled_by_wish(cli: CommandLine) -> None:
    """The wish is recorded and shown, though no worker runs; its results are refused meanwhile."""
    batch_id = cli.run("enqueue", "tweets", "-", "--json", stdin=b"1\n").json()["batch_id"]
    assert cli.run("results", batch_id).code == 1
    assert cli.run("cancel", batch_id).code == 0
    assert cli.run("status", batch_id, "--json").json()["cancel_requested"] is True
    assert "cancel asked for" in cli.run("status", batch_id).out


def test_status_of_a_completed_batch_has_the_promised_fields(completed: tuple[CommandLine, str, list[str]]) -> None:
    """State, counts, jobs and times in one object; no open batches are left."""
    cli, batch_id, results = completed
    status = cli.run("status", batch_id, "--json").json()
    promised = "batch_id type name key labels state submitted unique flagged parts parts_done jobs error"
    assert set(promised.split()) <= set(status)
    assert (status["state"], status["flagged"], status["name"]) == ("completed", len(results), "done")
    assert "completed" in cli.run("status", batch_id).out


def test_watch_of_a_completed_batch_ends_at_once(completed: tuple[CommandLine, str, list[str]]) -> None:
    """Exit code 0, progress to standard error, what to do next to standard output."""
    cli, batch_id, results = completed
    watched = cli.run("watch", batch_id)
    assert watched.code == 0
    assert f"done: completed: {len(results)} of 500 IDs flagged" in watched.err
    assert f"complyq results {batch_id}" in watched.out
    assert cli.run("watch", batch_id, "--json").json()["state"] == "completed"


def test_results_are_the_stored_lines(completed: tuple[CommandLine, str, list[str]]) -> None:
    """The same to standard output and to a file as through the library."""
    cli, batch_id, results = completed
    assert cli.run("results", batch_id).out.splitlines() == results
    assert cli.run("results", batch_id, "--out", "r.jsonl").code == 0
    assert (cli.folder / "r.jsonl").read_text().splitlines() == results
    assert not list(cli.folder.glob("*.partial"))


def test_results_into_a_folder_that_is_not_there(completed: tuple[CommandLine, str, list[str]]) -> None:
    """Refused as wrong use, without a traceback."""
    cli, batch_id, _ = completed
    refused = cli.run("results", batch_id, "--out", "nowhere/r.jsonl")
    assert refused.code == 2
    assert "nowhere/r.jsonl cannot be written" in refused.err
