"""What keeps the way to X in order: rate limits by X's clock, types that do not mix, nothing sealed left open."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from complyq_producer import task_names
from complyq_workers.x import Transport
from complyq_workers.x.messages import Reply, Request
from support.quiet_world import QuietWorld
from support.scripted_server import answering, scripted_server

CREATE, POLL = task_names.CREATE_JOB, task_names.POLL_JOB


@pytest.fixture
def world(tmp_path: Path) -> QuietWorld:
    """An X with Cloud Storage, two hours ahead of us."""
    return QuietWorld(tmp_path, x_ahead=7200.0)


def test_a_list_that_shows_the_other_type_holds_up_nobody(world: QuietWorld) -> None:
    """Each type has a slot of its own, whatever X lists."""
    world.enqueue()
    world.run_to("plan")
    users = json.loads(world.shown(world.x.create("users", "theirs")).body)["data"]
    world.transport.meddle("list", Reply(200, {}, json.dumps({"data": [users]}).encode()))
    world.run(CREATE, "tweets", 1)
    assert world.has_fact("created")


def test_an_endpoint_without_requests_left_is_left_alone(world: QuietWorld) -> None:
    """By all workers, until its window ends."""
    world.enqueue()
    world.run_to("plan")
    world.ports.coordination.block("create", 300)
    outcome = world.run(CREATE, "tweets", 1)
    assert outcome.again_in is not None
    assert outcome.again_in >= 300
    assert "create" not in world.transport.asked


def test_the_last_request_of_a_window_is_noticed(world: QuietWorld) -> None:
    """And the window ends by X's clock, whatever ours says."""
    world.enqueue()
    world.run_to("uploaded")
    (job,) = world.remote_jobs()

    def last(_: Request) -> Reply:
        reply = world.shown(job)
        reset = int(world.x.epoch + world.world.now + 300)
        limits = {"limit": "150", "remaining": "0", "reset": str(reset)}
        return Reply(
            200, {**reply.headers, **{f"x-rate-limit-{name}": text for name, text in limits.items()}}, reply.body
        )

    world.transport.meddle("get", last)
    world.run(POLL, "tweets", 1)
    assert 290 < world.ports.coordination.reserve("get", "next") <= 302


def test_no_credential_lies_in_the_store(world: QuietWorld) -> None:
    """Of the signed URLs and the session URI that must survive a worker, only sealed ones."""
    world.finish(world.enqueue().id)
    bodies = {info.key: world.store.read(info.key).body for info in list(world.store.list(""))}
    assert len([key for key in bodies if "session-" in key]) == 1
    assert not [key for key, body in bodies.items() if b"SECRET" in body or b"https:" in body]


def test_no_cookie_is_kept() -> None:
    """However many a server sets: nothing is sent back, and nothing grows."""
    with scripted_server(answering(200, {"Set-Cookie": "a=b; Path=/; Max-Age=9999"})) as api:
        with closing(Transport([], api.url)) as transport:
            transport.send(Request("GET", f"{api.url}/one"))
            transport.send(Request("GET", f"{api.url}/two"))
            assert len(transport._sessions.current().cookies) == 0
        assert "cookie" not in api.seen[-1].headers
