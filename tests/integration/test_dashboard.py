"""`complyq dashboard`: what the page shows, with a real store and a real Redis, and that it only reads."""

import signal
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from complyq_producer.facts import Attempt, Parked, utc_now
from complyq_producer.layout import BatchKeys, JobKeys
from complyq_producer.model import BatchId
from support.command_line import CommandLine
from support.dashboard_site import EVIL, DashboardSite, dashboard_site, fill
from support.real_workers import wait_until
from support.standing import TWEETS

ESCAPED = "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;"


@pytest.fixture
def site(tmp_path: Path, redis_server: str) -> Iterator[DashboardSite]:
    """A page of an empty installation."""
    with dashboard_site(tmp_path, redis_server) as running:
        yield running


def test_an_empty_installation_is_told_as_such(site: DashboardSite) -> None:
    """Free slots, no jobs, no batches, no results."""
    page = site.text()
    for words in ("Nothing runs", "No job yet", "No open batches", "No results yet", "not known"):
        assert words in page


def test_slots_jobs_queue_batches_and_budget_are_on_the_page(site: DashboardSite) -> None:
    """Also for a browser without scripts: all of it is in the HTML."""
    fill(site)
    page = site.text()
    for words in (
        "Uploading", "(25%)", "X's id 4100", "job 42 is ready: 10 IDs of 1 batch", "1 batch, 10 IDs", "for 14 min 00 s",
        "97 of 150", "refused by X", "waiting, place 1 in the queue", "completed: 0 of 10 IDs flagged", "Ended with the last jobs",
        'class="span planned"', 'class="span checking"', 'class="expected"', "1 result of the last 1 job",
    ):  # fmt: skip
        assert words in page, words


def test_a_batch_has_a_page_that_can_be_linked_to(site: DashboardSite) -> None:
    """Parts, jobs, events, and what happened."""
    mine = fill(site)
    page = site.text(f"/batches/{mine}")
    for words in (
        mine,
        "in job 41",
        "in job 42",
        "waiting",
        "tenant=",
        "Job 41 created at X",
        "Accepted",
        "None yet",
        "parts",
    ):
        assert words in page, words
    ended = site.text("/batches/0193a1bb")
    assert "complyq.batch.completed.v1" in ended
    assert "0193a1bb/completed" in ended
    assert "not confirmed yet" in ended


def test_what_went_wrong_stands_on_the_page_of_the_batch(site: DashboardSite) -> None:
    """The attempt with X's words, escaped; what is parked, with the command that lets it go on."""
    standing = site.standing
    mine = site.enqueue()
    keys = BatchKeys(BatchId(mine))
    standing.plan(7, {mine: [0]})
    reason = f"the worker died {EVIL}"
    parked = Parked(name="7", plan=7, step="upload_job", starts=5, reason=reason, until=utc_now() + timedelta(hours=3))
    standing.ledger.facts.create(JobKeys(TWEETS, 7).parked, parked)
    failed = Attempt(plan=6, status="failed", error=f"X said {EVIL}", counted=True)
    standing.ledger.facts.create(keys.attempt(1, 6), failed)
    standing.ledger.facts.create(keys.attempt(0, 7), Attempt(plan=7, status="parked", error=None, counted=False))
    page = site.text(f"/batches/{mine}")
    for words in (
        f"the worker died {ESCAPED}", f"complyq release {mine}", f"X said {ESCAPED} — counts as a failure",
        "Job 6 did not check part 1: failed", "complyq.batch.parked.v1",
    ):  # fmt: skip
        assert words in page, words
    assert "<script>alert" not in page


def test_what_others_wrote_is_escaped_everywhere(site: DashboardSite) -> None:
    """A batch that is called like a script is a name, on both pages and in both streams."""
    mine = fill(site)
    for path in ("/", f"/batches/{mine}", f"/batches/{mine}?parts=2"):
        page = site.text(path)
        assert ESCAPED in page
        assert "<script>alert" not in page
    for path in ("/events", f"/batches/{mine}/events"):
        pieces = "".join(next(site.pieces(path)).values())
        assert ESCAPED in pieces
        assert "<script" not in pieces
    strange = site.get("/find", params={"q": EVIL})
    assert (strange.status_code, "<script>alert" in strange.text) == (404, False)


def test_a_stream_brings_what_changed(site: DashboardSite) -> None:
    """First all pieces, then those that differ."""
    fill(site)
    events = site.pieces()
    first = next(events)
    assert set(first) == {"summary", "problem", "slots", "timeline", "batches", "results", "asof"}
    assert "uploading" in first["summary"]
    site.standing.uploaded(41, seconds_ago=1)
    site.standing.show_job(41, "processing")
    later = next(pieces for pieces in events if "summary" in pieces)
    assert "X is checking" in later["summary"]
    assert "X is checking" in later["slots"]
    assert "results" not in later


def test_many_parts_are_shown_by_pages(site: DashboardSite) -> None:
    """Fifty at a time."""
    mine = site.enqueue(count=1500)
    parts = site.producer.status(mine).parts
    assert parts > 100
    first, third = site.text(f"/batches/{mine}"), site.text(f"/batches/{mine}?parts=3")
    assert (first.count('scope="row">'), "?parts=2#parts" in first) == (50, True)
    assert 'scope="row">100<' in third
    for strange in ("0", "-1", "x", "9" * 30, "1e3", "²"):
        assert site.get(f"/batches/{mine}", params={"parts": strange}).status_code == 200


def test_the_oldest_of_many_open_batches_are_shown(site: DashboardSite) -> None:
    """The page stays as long as it is, and says that there are more."""
    for number in range(14):
        site.standing.batch(f"0193a1b{number:x}")
    page = site.text()
    assert page.count('href="/batches/') == 10
    assert "complyq status --batches" in page


def test_a_batch_is_found_by_id_and_by_key(site: DashboardSite) -> None:
    """The form leads to its page."""
    mine = site.enqueue(key="archive/2026 11")
    for text in (mine, "archive/2026 11", f" {mine} "):
        found = site.get("/find", params={"q": text})
        assert (found.status_code, found.headers["location"]) == (303, f"/batches/{mine}")


@pytest.mark.parametrize(
    "path", ["/batches/0193", "/batches/..%2f..%2fkeys", "/batches/X", "/nothing", "/batches/0193/events"]
)
def test_what_is_not_there_is_said(site: DashboardSite, path: str) -> None:
    """404, with a way back."""
    answer = site.get(path)
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


def test_nothing_but_reading_is_answered(site: DashboardSite) -> None:
    """HEAD says what GET would; whatever would change something is refused; the store stays as it is."""
    mine = fill(site)
    before = sorted(info.key for info in site.standing.store.list(""))
    for path in ("/", "/events", f"/batches/{mine}", f"/batches/{mine}/events", "/find?q=x", "/static/dashboard.css"):
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            refused = requests.request(method, site.url.rstrip("/") + path, timeout=30)
            assert refused.status_code == 405, (method, path)
        head = requests.head(site.url.rstrip("/") + path, timeout=30)
        assert head.status_code == site.get(path, stream=True).status_code
    assert sorted(info.key for info in site.standing.store.list("")) == before


def test_a_redis_that_is_down_is_said(tmp_path: Path) -> None:
    """The store tells the rest."""
    with dashboard_site(tmp_path, "redis://127.0.0.1:1/0") as site:
        site.standing.batch("0193a1ba")
        page = site.text()
    assert "COMPLYQ_REDIS_URL" in page
    assert "0193a1ba" in page


def test_facts_of_a_newer_version_are_said_and_the_page_stays(site: DashboardSite) -> None:
    """What was read before is shown, with the reason why it is not newer."""
    site.standing.batch("0193a1ba")
    assert "0193a1ba" in site.text()
    site.standing.store.create("open/jobs/tweets/00000009", b"")
    site.standing.store.create("jobs/tweets/00000009/plan.json", b'{"schema": 99}')
    wait_until(lambda: "upgrade Complyq" in site.text())
    assert "0193a1ba" in site.text()


def test_other_machines_are_let_in_with_a_token_only(tmp_path: Path) -> None:
    """The command refuses, names the variable, and ends with exit code 2; a short token is none."""
    cli = CommandLine(tmp_path)
    refused = cli.run("dashboard", "--host", "0.0.0.0", "--port", "0")
    assert (refused.code, "COMPLYQ_DASHBOARD_TOKEN" in refused.err) == (2, True)
    short = cli.run("dashboard", env={"COMPLYQ_DASHBOARD_TOKEN": "short-token"})
    assert (short.code, "at least 16 characters" in short.err) == (2, True)
    assert "short-token" not in short.err


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    """One line that names the option, and exit code 2."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused = CommandLine(tmp_path).run("dashboard", "--port", str(other.getsockname()[1]))
    assert refused.code == 2
    assert "--port" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_a_stream_ends_in_good_order_with_the_server(tmp_path: Path, redis_server: str) -> None:
    """It is not cut off, and nobody waits for it."""
    with dashboard_site(tmp_path, redis_server) as site:
        stream = requests.get(f"{site.url}events", stream=True, timeout=30)
        lines = stream.iter_lines()
        assert next(lines) == b"retry: 2000"
    assert all(isinstance(line, bytes) for line in lines)  # would raise where the last chunk is missing
    stream.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_while_somebody_looks(tmp_path: Path, redis_server: str, number: signal.Signals) -> None:
    """An open stream ends in good order; it does not hold up the end."""
    cli = CommandLine(tmp_path, {"COMPLYQ_REDIS_URL": redis_server})
    with cli.start("dashboard", "--port", "0") as process:
        assert process.stderr
        line = process.stderr.readline().decode()
        url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        with requests.get(f"{url}events", stream=True, timeout=30) as stream:
            lines = stream.iter_lines()
            assert next(lines) == b"retry: 2000"
            process.send_signal(number)
            assert all(isinstance(line, bytes) for line in lines)
        _, err = process.communicate(timeout=30)
    assert b"Traceback" not in err
    assert process.returncode in {128 + number, -number}


def test_without_its_packages_the_command_says_what_to_install(tmp_path: Path) -> None:
    """The base install knows the command and names the extra."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'starlette' else find(n, *a)\n"
    )
    refused = CommandLine(tmp_path).run("dashboard", env={"PYTHONPATH": str(hidden)})
    assert refused.code == 2
    assert "pip install 'complyq[dashboard]'" in refused.err
