"""What X, its storage or somebody between may send: nothing leads a request away, and no answer is believed too far."""

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog

from complyq_producer.model import BatchState
from complyq_workers.download import most_bytes
from complyq_workers.sealing import Sealer
from complyq_workers.x import StaticBearer, Timeouts, Transport
from support.network_watch import addresses, watched_network
from support.scripted_server import Exchange, Script, answering, in_turn, scripted_server
from support.simulator_process import Simulator
from support.world import World, has_job_fact

POSTS = list(range(10**18, 10**18 + 10))
UPLOAD_WINDOW_SECONDS = 16 * 60
REDIRECTS = [301, 302, 303, 307, 308]

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def log() -> Iterator[Lines]:
    """What the pipeline logs."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A port on which somebody listens whom no request may reach."""
    with scripted_server(answering(200)) as server:
        yield server.url
        assert server.seen == []


def events_of(log: Lines, event: str) -> Lines:
    """The lines of an event."""
    return [line for line in log if line["event"] == event]


def text_of(log: Lines) -> str:
    """All that was logged."""
    return "\n".join(str(value) for line in log for value in line.values())


def impatient(world: World) -> World:
    """Make every wait short."""
    world.workers.change_limits(poll_min_seconds=0.01, poll_max_seconds=0.02)
    return world


def forget_delays(world: World) -> None:
    """Lose what is postponed: the next sweep finds the work, and it is due."""
    world.workers.lose_messages()
    world.workers.coordination.flush()


def lookalikes(elsewhere: str, ours: str) -> dict[str, str]:
    """Origins that X has no business to name, with what the log says of each."""
    port = elsewhere.rpartition(":")[2]
    return {
        elsewhere: elsewhere,
        f"http://127.0.0.2:{port}": f"http://127.0.0.2:{port}",
        f"http://[::1]:{port}": f"http://[::1]:{port}",
        f"{ours}@127.0.0.1:{port}": f"127.0.0.1:{port}",
        "http://storage.googleapis.com": "http://storage.googleapis.com is plain http",
        "https://storage.googleapis.com.evil.example": "https://storage.googleapis.com.evil.example",
        "https://xn--strage-wxa.googleapis.com": "https://xn--strage-wxa.googleapis.com",
        "https://st\N{LATIN SMALL LETTER O WITH DIAERESIS}rage.googleapis.com": r"st\xf6rage.googleapis.com",
    }


@contextmanager
def only(simulator: Simulator) -> Iterator[None]:
    """Fail if anything but the simulator is looked up or connected to."""
    with watched_network() as seen:
        yield
    assert seen <= addresses(simulator.api_url, simulator.storage_url)
    assert seen


def give_up_jobs(world: World, simulator: Simulator, batch_id: str) -> None:
    """Run the batch to its end, closing the upload window of each job that was given up."""
    for number in range(1, 30):
        name = f"jobs/tweets/{number:08d}/uploaded.json"
        store = world.workers.ports.store
        world.workers.run_until(lambda: store.info(name) is not None)  # noqa: B023 - called at once
        if b'"complete":true' in store.read(name).body:
            break
        simulator.advance_clock(UPLOAD_WINDOW_SECONDS)
    world.finish(batch_id)


@pytest.mark.parametrize(
    ("simulator", "creates"), [("cloud-storage", 1), ("direct", 2)], ids=["cloud-storage", "direct"], indirect=["simulator"]
)  # fmt: skip
def test_an_upload_url_that_leads_elsewhere_gets_nothing(
    world: World, simulator: Simulator, log: Lines, elsewhere: str, creates: int
) -> None:
    """Whatever it looks like: each such job is given up without counting, and the batch completes with a good one.

    In the direct contract a job takes two creates, of which the first, for a resumable one, is refused.
    """
    origins = lookalikes(elsewhere, simulator.storage_url)
    for origin in origins:
        simulator.arm({"on": "create", "fault": "foreign_url", "origin": origin, "times": creates})
    batch = impatient(world).producer.enqueue(POSTS, "tweets")
    with only(simulator):
        give_up_jobs(world, simulator, batch.id)
    assert len(simulator.jobs()) == len(origins) + 1
    assert not [line for line in events_of(log, "upload_abandoned") if line["counted"]]
    for shown in origins.values():
        assert shown in "\n".join(line["reason"] for line in events_of(log, "upload_abandoned"))


def test_a_session_that_leads_elsewhere_gets_nothing(
    cloud_world: World, cloud: Simulator, log: Lines, elsewhere: str
) -> None:
    """A Location header is judged like every other URL."""
    origins = lookalikes(elsewhere, cloud.storage_url)
    for origin in origins:
        cloud.arm({"on": "session", "fault": "foreign_url", "origin": origin, "times": 1})
    batch = impatient(cloud_world).producer.enqueue(POSTS, "tweets")
    with only(cloud):
        give_up_jobs(cloud_world, cloud, batch.id)
    assert len(cloud.jobs()) == 2
    for shown in origins.values():
        assert shown in "\n".join(line["reason"] for line in events_of(log, "upload_in_doubt"))


def test_a_download_url_that_leads_elsewhere_gets_nothing(
    world: World, simulator: Simulator, log: Lines, elsewhere: str
) -> None:
    """The results wait at X, whatever the URL looks like, and are fetched once it is right."""
    batch = impatient(world).producer.enqueue(POSTS, "tweets")
    with only(simulator):
        for origin, shown in lookalikes(elsewhere, simulator.storage_url).items():
            simulator.arm({"on": "get", "fault": "foreign_url", "origin": origin, "times": 1000})
            world.workers.run_until(lambda: shown in text_of(events_of(log, "step_postponed")))  # noqa: B023 - at once
            assert not has_job_fact(world, "collected")
            simulator.disarm()
            forget_delays(world)
        world.finish(batch.id)
    assert len(simulator.jobs()) == 1


OPERATIONS = [
    ("cloud-storage", "session", REDIRECTS),
    ("cloud-storage", "upload", REDIRECTS[:-1]),
    ("cloud-storage", "query", REDIRECTS[:-1]),
    ("cloud-storage", "download", REDIRECTS[1:]),
    ("direct", "upload", REDIRECTS[1:]),
    ("direct", "download", REDIRECTS[1:]),
    ("direct", "create", REDIRECTS[1:]),
    ("cloud-storage", "get", REDIRECTS),
    ("direct", "list", REDIRECTS),
]
"""With a session a 308 is no redirect but the protocol's word for "go on"."""


@pytest.mark.parametrize(
    ("simulator", "operation", "statuses"), OPERATIONS, ids=["-".join(case[:2]) for case in OPERATIONS], indirect=["simulator"]
)  # fmt: skip
def test_no_redirect_is_followed(
    world: World, simulator: Simulator, log: Lines, elsewhere: str, operation: str, statuses: list[int]
) -> None:
    """Neither by the API nor by the storage; once X answers again the batch completes."""
    for status in statuses:
        location = f"{elsewhere}/o?X-Goog-Signature=feedbeef01"
        simulator.arm({"on": operation, "fault": "redirect", "status": status, "location": location, "times": 1})
    if operation == "query":  # nothing is asked of a session before something failed
        simulator.arm({"on": "upload", "fault": "disconnect", "times": 1})
    batch = impatient(world).producer.enqueue(POSTS, "tweets")
    with only(simulator):
        while simulator.armed():
            postponed = len(events_of(log, "step_postponed"))
            world.workers.run_one()
            if len(events_of(log, "step_postponed")) > postponed:
                forget_delays(world)
        give_up_jobs(world, simulator, batch.id)
    assert world.producer.status(batch.id).state is BatchState.COMPLETED
    for status in statuses:
        assert f"answered {status}, a redirect to {elsewhere};" in text_of(log)
    assert "feedbeef01" not in text_of(log)


def flagged_line(post: int, **fields: object) -> str:
    """A line of X's answer."""
    return json.dumps({"id": str(post), "action": "delete", "reason": "deleted", **fields})


UNREADABLE = {
    "long": flagged_line(POSTS[0], note="x" * 65_536),
    "deep": flagged_line(POSTS[0]).removesuffix("}") + ',"x":' + "[" * 30_000 + "]" * 30_000 + "}",
    "cut": flagged_line(POSTS[0])[:30],
    "nobody's": flagged_line(1, note="x" * 65_536),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_results_with_a_line_that_cannot_be_read_are_never_used(
    cloud_world: World, cloud: Simulator, log: Lines, kind: str
) -> None:
    """Longer than 64 KiB, nested without end or cut: nothing of the answer counts, and another job brings the results."""
    cloud.arm({"on": "job", "fault": "inject_lines", "lines": [UNREADABLE[kind]], "times": 1})
    batch = impatient(cloud_world).producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert [job.status for job in cloud_world.producer.status(batch.id).jobs] == ["complete", "complete"]
    assert len(events_of(log, "results_unusable")) == 5
    assert len(text_of(events_of(log, "results_unusable"))) < 4_000
    assert len(events_of(log, "results_unavailable")) == 1


def test_a_line_that_is_always_too_long_fails_the_batch(cloud_world: World, cloud: Simulator) -> None:
    """No ID of the batch is called compliant, and the owner learns why."""
    cloud.arm({"on": "job", "fault": "inject_lines", "lines": [UNREADABLE["long"]], "times": 3})
    batch = impatient(cloud_world).producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id, BatchState.FAILED)
    data = cloud_world.events()[-1]["data"]
    assert (data["unchecked"], data["compliant"]) == (len(POSTS), 0)
    assert "longer than 65536 bytes" in data["error"]


def test_more_lines_than_ids_and_ids_never_asked_for_are_bounded_and_told(
    cloud_world: World, cloud: Simulator, log: Lines
) -> None:
    """Copies lose to the strongest line, foreign IDs reach nobody, and the log tells of both with a few examples."""
    foreign = [flagged_line(number) for number in range(1, 5_001)]
    copies = [flagged_line(POSTS[0], note=str(number)) for number in range(5_000)]
    cloud.arm({"on": "job", "fault": "inject_lines", "lines": foreign + copies, "times": 1})
    batch = impatient(cloud_world).producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert str(POSTS[0]) in cloud_world.flagged(batch.id) <= set(map(str, POSTS))
    (line,) = events_of(log, "surprising_results")
    assert line["foreign"] == 5_000
    assert line["lines"] >= 10_000
    assert line["repeated"] >= 4_999
    assert len(line["examples"]) == 5
    data = cloud_world.events()[-1]["data"]
    assert data["unique"] == data["flagged"] + data["compliant"] == len(POSTS)


ALL = [flagged_line(post).encode() + b"\n" for post in POSTS]
HALF = b"".join(ALL[:5])
WHOLE = b"".join(ALL)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


def download_from(world: World, simulator: Simulator, url: str) -> None:
    """Let the results of all jobs be fetched from a server of the test's own, to which URLs may point."""
    simulator.arm({"on": "get", "fault": "foreign_url", "origin": url, "times": 100_000})
    pipeline = world.workers.pipeline
    transport = Transport(
        [simulator.storage_url, url], simulator.api_url, StaticBearer(simulator.token), timeouts=Timeouts(3, 5)
    )
    pipeline.ports = replace(pipeline.ports, transport=transport)


@pytest.fixture
def serve(cloud_world: World, cloud: Simulator) -> Iterator[Callable[[Script], None]]:
    """Serve the results of all jobs by a script."""
    with scripted_server(answering(500)) as server:
        download_from(impatient(cloud_world), cloud, server.url)

        def by(script: Script) -> None:
            server.script = script

        yield by
        cloud_world.workers.ports.transport.close()


Serve = Callable[[Script], None]

CUTS: dict[str, Script] = {
    "with its length": answering(200, {"Content-Length": str(len(WHOLE))}, HALF),
    "without a length": answering(200, {"Content-Length": ""}, HALF),
    "without the last chunk": lambda exchange: exchange.send_raw(CHUNKED + b"%x\r\n%b\r\n" % (len(HALF), HALF)),
    "inside gzip": answering(200, {"Content-Encoding": "gzip"}, gzip.compress(WHOLE)[:-8]),
}


@pytest.mark.parametrize("cut", CUTS)
def test_results_cut_at_the_end_of_a_line_are_never_whole(cloud_world: World, serve: Serve, cut: str) -> None:
    """Whatever tells the end, half of the lines is not taken for the answer; the next download brings all."""
    serve(in_turn(CUTS[cut], CUTS[cut], answering(200, {}, WHOLE)))
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert cloud_world.flagged(batch.id) == set(map(str, POSTS))


def endless(exchange: Exchange) -> None:
    """Send valid lines about the IDs asked for, over and over, until the client goes away."""
    exchange.send_raw(CHUNKED)
    block = WHOLE * 500
    while True:
        exchange.send_raw(b"%x\r\n%b\r\n" % (len(block), block))


FLOODS: dict[str, Script] = {
    "a gigabyte announced": answering(200, {"Content-Length": str(10**9)}, WHOLE),
    "chunks without end": endless,
    "a bomb": answering(200, {"Content-Encoding": "gzip"}, gzip.compress(b"\n" * (64 << 20))),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_an_answer_far_larger_than_the_question_is_stopped(
    cloud_world: World, serve: Serve, log: Lines, flood: str
) -> None:
    """Ten IDs have no gigabyte of results: the limit is said, nothing is used, and the next download is judged anew."""
    serve(in_turn(FLOODS[flood], FLOODS[flood], answering(200, {}, WHOLE)))
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id)
    assert cloud_world.flagged(batch.id) == set(map(str, POSTS))
    unusable = events_of(log, "results_unusable")
    assert len(unusable) == 2
    assert all(str(most_bytes(len(POSTS))) in line["error"] for line in unusable)


def test_an_answer_that_is_always_too_large_fails_the_batch(cloud_world: World, serve: Serve) -> None:
    """After its attempts, with the reason, and with no ID called compliant."""
    serve(FLOODS["a gigabyte announced"])
    batch = cloud_world.producer.enqueue(POSTS, "tweets")
    cloud_world.finish(batch.id, BatchState.FAILED)
    data = cloud_world.events()[-1]["data"]
    assert (data["unchecked"], data["compliant"]) == (len(POSTS), 0)
    assert "where an answer to what was asked has" in data["error"]


def test_a_changed_key_costs_a_question_and_a_session(cloud_world: World, cloud: Simulator, log: Lines) -> None:
    """What another key sealed is asked for anew, or begun anew, on the same job."""
    pipeline = cloud_world.workers.pipeline
    batch = impatient(cloud_world).producer.enqueue(POSTS, "tweets")
    cloud_world.workers.run_until(lambda: has_job_fact(cloud_world, "created"))
    pipeline.ports = replace(pipeline.ports, sealer=Sealer("second key"))
    for operation in ("upload", "query"):
        cloud.arm({"on": operation, "fault": "status", "status": 503, "times": 3})
    cloud_world.workers.run_until(lambda: bool(events_of(log, "upload_attempt_failed")))
    pipeline.ports = replace(pipeline.ports, sealer=Sealer("third key"))
    cloud.disarm()
    forget_delays(cloud_world)
    cloud_world.finish(batch.id)
    assert len(cloud.jobs()) == 1
    assert events_of(log, "upload_url_not_unsealed")
    assert events_of(log, "session_not_unsealed")


CRASH = """
import threading
from celery.signals import setup_logging
import complyq_workers.app

def fail():
    kept = ENTROPY[::-1]
    raise RuntimeError("no answer from https://h/o?X-Goog-Signature=" + kept)

setup_logging.send(sender=None)
ENTROPY = "".join(chr(97 + (n * n * 7 + 11) % 26) for n in range(64))
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_nobody_catches_is_logged_without_credentials(log_format: str) -> None:
    """In a worker's main thread or another: the traceback shows no local variable, the message no query."""
    settings = {"COMPLYQ_LOG_FORMAT": log_format, "COMPLYQ_LOG_LEVEL": "DEBUG", "COMPLYQ_BEARER_TOKEN": "b" * 32}
    crashed = subprocess.run(
        [sys.executable, "-c", CRASH], env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    said = crashed.stdout + crashed.stderr
    secret = "".join(chr(97 + (n * n * 7 + 11) % 26) for n in range(64))[::-1]
    assert crashed.returncode == 1
    assert said.count("uncaught_exception") == 2
    assert said.count("no answer from https://h/o?X-Goog-Signature=[redacted]") == 2
    assert secret not in said
    assert secret[:16] not in said


def test_somebody_listens_where_nothing_is_sent(elsewhere: str) -> None:
    """The tests above would see a request: the port is open, and a connection to it is noticed."""
    with watched_network() as seen, socket.create_connection(("127.0.0.1", int(elsewhere.rpartition(":")[2]))):
        pass
    assert seen == addresses(elsewhere)
