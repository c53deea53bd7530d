"""What keeps an upload right: each test takes one way to spoil it, with X, its storage and time in its hands."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_producer.facts import Session
from complyq_workers import preemption
from complyq_workers.clock import Clock
from complyq_workers.x import AmbiguousAnswerError
from complyq_workers.x.messages import Reply, Request
from simulation.equipment import WorldClock
from simulation.x_transport import SimulatedTransport
from support.quiet_world import QuietWorld

UPLOAD = task_names.UPLOAD_JOB
SENDING = {"start", "query", "chunk", "whole"}


@pytest.fixture
def cloud(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage."""
    return QuietWorld(tmp_path)


@pytest.fixture
def direct(tmp_path: Path) -> QuietWorld:
    """An X that takes the bytes itself."""
    return QuietWorld(tmp_path, direct=True)


@pytest.fixture
def shutting_down() -> Iterator[None]:
    """Have the worker of this process shut down, and take it back."""
    preemption.begin(0)
    yield
    preemption._INSTANT.pack_into(preemption._shared, 0, 0.0)


def payload(world: QuietWorld) -> bytes:
    """Read what is to be uploaded."""
    plan = world.job().plan
    assert plan is not None
    return b"".join(world.store.read(key).body for key in plan.payload)


def test_a_late_hint_uploads_nothing(cloud: QuietWorld) -> None:
    """The upload has ended; not even the session is asked again."""
    cloud.enqueue()
    cloud.run_to("uploaded")
    cloud.transport.seen.clear()
    cloud.run(UPLOAD, "tweets", 1)
    assert cloud.transport.asked == []


@pytest.mark.usefixtures("shutting_down")
def test_an_upload_stops_when_its_worker_shuts_down(direct: QuietWorld) -> None:
    """Before the next bytes; the step is to be run again at once, by whoever comes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preemption, "is_due", lambda: False)
        direct.enqueue()
        direct.run_to("created")
    assert direct.run(UPLOAD, "tweets", 1).again_in == 0.0
    assert not direct.has_fact("uploaded")
    assert not direct.remote_jobs()[0].received


def test_of_two_sessions_the_recorded_one_is_used(cloud: QuietWorld) -> None:
    """Another worker started one at the same moment, and wrote it down first."""

    def start(request: Request) -> Reply:
        ours, theirs = cloud.x.answer(request), cloud.x.answer(request)
        sealed = cloud.ports.sealer.seal(theirs.headers["location"])
        cloud.ports.facts.create(cloud.job().keys.session(0), Session(sealed_uri=sealed))
        return ours

    cloud.enqueue()
    cloud.transport.meddle("start", start)
    cloud.run_to("uploaded")
    used = {request.url.partition("?")[0].rsplit("/", 1)[1] for request in cloud.transport.seen if request.resumable}
    assert used == {"s1"}
    assert "query" in cloud.transport.asked  # what its owner sent meanwhile is not sent again


def test_a_job_whose_sessions_all_die_is_given_up(cloud: QuietWorld) -> None:
    """Sooner or later: it does not go round for ever while the window is open."""
    cloud.enqueue()
    cloud.transport.meddle("chunk", Reply(410), times=100)
    cloud.run_to("uploaded")
    assert not cloud.uploaded().complete
    assert cloud.transport.asked.count("start") <= 20


def test_a_payload_that_x_has_is_not_sent_again(direct: QuietWorld) -> None:
    """An earlier run died before it could write down that its PUT got through."""
    batch = direct.enqueue()
    direct.run_to("created")
    (job,) = direct.remote_jobs()
    job.received += payload(direct)
    direct.x._complete(job)
    direct.run(UPLOAD, "tweets", 1)
    assert "whole" not in direct.transport.asked
    assert direct.uploaded().complete
    assert direct.finish(batch.id) == "completed"


class Ahead(WorldClock):
    """A machine's clock that is an hour ahead."""

    def now(self) -> datetime:
        """Tell a wrong time."""
        return super().now() + timedelta(hours=1)


def test_a_clock_that_is_ahead_gives_no_upload_up(cloud: QuietWorld) -> None:
    """Whether the window is open is told by X's clock: a session that died is replaced."""
    clock: Clock = Ahead(cloud.world)
    cloud.ports = replace(cloud.ports, clock=clock)
    batch = cloud.enqueue()
    cloud.transport.meddle("chunk", Reply(410))
    assert cloud.finish(batch.id) == "completed"
    assert len(cloud.remote_jobs()) == 1


def test_a_window_that_lapses_under_an_upload_counts_against_nobody(cloud: QuietWorld) -> None:
    """X still calls the job created, and its storage takes nothing any more."""
    cloud.enqueue()
    cloud.run_to("created")
    (job,) = cloud.remote_jobs()
    cloud.world.pass_time(16 * 60)
    cloud.transport.meddle("get", lambda _: cloud.shown(job, status="created"))
    cloud.run(UPLOAD, "tweets", 1)
    assert (cloud.uploaded().complete, cloud.uploaded().counted) == (False, False)


def test_an_upload_that_is_refused_for_good_is_given_up(cloud: QuietWorld) -> None:
    """After five times, and that counts."""
    cloud.enqueue()
    cloud.transport.meddle("chunk", Reply(400), times=60)
    cloud.run_to("uploaded")
    assert (cloud.uploaded().complete, cloud.uploaded().counted) == (False, True)
    assert cloud.transport.asked.count("chunk") == 5


def test_a_url_that_points_elsewhere_counts_against_nobody(cloud: QuietWorld) -> None:
    """Our own list of origins forbids it: the job is given up in the end, and nothing was sent there."""

    def elsewhere(_: Request) -> Reply:
        return cloud.shown(cloud.x.create("tweets", None), upload_url="https://example.invalid/upload")

    cloud.enqueue()
    cloud.transport.meddle("create", elsewhere)
    cloud.run_to("uploaded")
    assert (cloud.uploaded().complete, cloud.uploaded().counted) == (False, False)
    assert not SENDING.intersection(cloud.transport.asked)


def test_a_session_that_was_just_started_is_not_asked_what_it_has(cloud: QuietWorld) -> None:
    """Nothing can have been sent to it: a request less for each job."""
    cloud.enqueue()
    cloud.run_to("uploaded")
    assert [name for name in cloud.transport.asked if name in SENDING] == ["start", "chunk"]


def test_an_upload_goes_on_from_what_the_storage_has(cloud: QuietWorld) -> None:
    """Not from its beginning, nor from what left this machine."""

    def cut(request: Request) -> Reply:
        job = cloud.x.job_of(request)
        assert job is not None
        job.received += payload(cloud)[:20]
        raise AmbiguousAnswerError("the connection broke")

    batch = cloud.enqueue()
    cloud.transport.meddle("chunk", cut)
    cloud.run_to("uploaded")
    sent = [request.headers["Content-Range"] for request in cloud.transport.seen if request.body and request.resumable]
    assert sent == ["bytes 0-59/60", "bytes 20-59/60"]
    assert cloud.finish(batch.id) == "completed"


def test_an_upload_of_several_runs_is_verified(cloud: QuietWorld) -> None:
    """What an earlier run sent was damaged on the way: the storage's checksum tells, and X is not believed."""
    batch = cloud.enqueue()
    cloud.run_to("created")
    (job,) = cloud.remote_jobs()
    session = SimulatedTransport(cloud.world).send(_start(cloud)).headers["location"]
    cloud.ports.facts.create(cloud.job().keys.session(0), Session(sealed_uri=cloud.ports.sealer.seal(session)))
    job.received += b"999999999\n" * 2
    cloud.run(UPLOAD, "tweets", 1)
    assert (cloud.uploaded().complete, cloud.uploaded().counted) == (False, True)
    assert cloud.finish(batch.id) == "completed"
    assert [attempt.status for attempt in cloud.attempts(batch.id)] == ["abandoned"]


def _start(world: QuietWorld) -> Request:
    created = world.job().created
    assert created is not None
    assert created.sealed_upload_url is not None
    return Request("POST", world.ports.sealer.unseal(created.sealed_upload_url))
