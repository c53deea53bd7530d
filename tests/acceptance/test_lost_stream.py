"""The results queue loses its events while real workers run, operators ask for them again, and IDs are removed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis

from complyq_producer.model import BatchState
from support.command_line import CommandLine
from support.real_workers import Installation, installation, wait_for_end, wait_until
from support.redis_server import running_redis_server
from support.simulator_process import running_simulator

FIRST, SECOND = range(10**18, 10**18 + 3000), range(10**18 + 10**6, 10**18 + 10**6 + 3000)


def events(client: redis.Redis) -> list[dict[str, Any]]:
    """Everything on the results queue."""
    entries: Any = client.xrange("complyq.events")
    return [json.loads(fields[b"event"]) for _, fields in entries]


def command_line(running: Installation) -> CommandLine:
    """The commands of an installation."""
    return CommandLine(running.folder, dict(running.environment))


@pytest.mark.timeout(240)
def test_a_lost_stream_comes_back_and_a_replay_and_a_purge_do_what_they_say(tmp_path: Path) -> None:
    """Deleted, then flushed with all of Redis: each time all events are there again, each once and as they were."""
    with (
        running_simulator(processing_seconds=0.2) as simulator,
        running_redis_server() as server,
        redis.Redis.from_url(server.url) as client,
        installation(tmp_path, server.url, simulator) as running,
    ):
        running.start_worker()
        producer, cli = running.producer(), command_line(running)
        batches = [producer.enqueue(ids, "tweets", key=name).id for name, ids in (("a", FIRST), ("b", SECOND))]
        for batch_id in batches:
            assert wait_for_end(producer, batch_id).state is BatchState.COMPLETED
        wait_until(lambda: all(producer.status(batch_id).published for batch_id in batches))
        first = {event["id"]: event for event in events(client)}
        wait_until(lambda: bool(list((tmp_path / "store/queues").glob("*.json"))))

        for lose in (lambda: client.delete("complyq.events"), client.flushall):
            lose()
            wait_until(lambda: {event["id"] for event in events(client)} == set(first))
            wait_until(lambda: not list((tmp_path / "store").glob("open/replays/*")))
            assert [event == first[event["id"]] for event in events(client)] == [True] * len(first)
            ends = [event["subject"] for event in events(client) if event["type"] == "complyq.batch.completed.v1"]
            assert sorted(ends) == sorted(batches)

        replayed = cli.run("replay", batches[0], "--json")
        assert (replayed.code, replayed.json()["batches"]) == (0, 1)
        copies = Counter(event["id"] for event in events(client))
        assert {event_id for event_id, count in copies.items() if count == 2} == {
            event_id for event_id in first if event_id.startswith(batches[0])
        }

        purged = cli.run("purge", "--days", "0", "--json")
        assert (purged.code, purged.json()["batches"]) == (0, 2)
        held = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
        assert not [id_ for id_ in (*FIRST, *SECOND) if str(id_).encode() in held]
        refused = cli.run("replay", batches[0])
        assert (refused.code, f"{batches[0]} was purged on" in refused.err) == (1, True)
        running.stop()
