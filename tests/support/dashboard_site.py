"""An installation in which everything stands still, and the page that shows it, served on a free port."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from complyq_config.settings import Settings, load_settings
from complyq_producer import Producer
from complyq_producer.dashboard.server import Server, bind
from complyq_producer.facts import utc_now
from complyq_producer.layout import BatchKeys
from complyq_producer.live import RedisLiveView, connect_redis
from complyq_producer.model import BatchId
from complyq_producer.store import DirectoryStore
from complyq_workers.coordination import Quota, RedisCoordination
from support.standing import TWEETS, Standing

STOP_SECONDS = 10
TOKEN = "a-token-of-the-tests-1"
EVIL = '<script>alert("x")</script>&'
"""What somebody may call a batch."""


class NoPoke:
    """Implements `Poke`: nobody works."""

    def poke(self, task: str, *args: str | int) -> None:
        """Drop a hint."""


@dataclass
class DashboardSite:
    """What is shown, and where."""

    url: str
    standing: Standing
    producer: Producer
    settings: Settings

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        """Ask for a page, without following where it leads."""
        return requests.get(self.url.rstrip("/") + path, timeout=30, allow_redirects=False, **options)

    def text(self, path: str = "/") -> str:
        """Read a page that must be there."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def pieces(self, path: str = "/events") -> Iterator[dict[str, str]]:
        """Read what a stream brings, one event after another."""
        with requests.get(self.url.rstrip("/") + path, timeout=30, stream=True) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
            for line in answer.iter_lines():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    def enqueue(self, name: str = EVIL, count: int = 30, **options: Any) -> str:
        """Submit a batch of Posts, as a service does."""
        return self.producer.enqueue(range(1, count + 1), "tweets", name=name, **options).id


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve the page from a thread; gives its address."""
    bound, server = bind(settings, "127.0.0.1", 0), Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound.socket]}, name="dashboard")
    thread.start()
    try:
        yield bound.url
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        bound.socket.close()


@contextmanager
def dashboard_site(folder: Path, redis_url: str, **settings: object) -> Iterator[DashboardSite]:
    """Lay out an installation with a namespace of its own, and serve its page."""
    given = load_settings(
        namespace=f"d{uuid.uuid4().hex[:12]}",
        redis_url=redis_url,
        store_url=(folder / "store").as_uri(),
        spool_dir=folder,
        **settings,
    )
    store = DirectoryStore(folder / "store")
    standing = Standing(store, RedisCoordination(redis_url, given.namespace))
    live = RedisLiveView(connect_redis(redis_url), given.namespace)
    producer = Producer(store=store, poke=NoPoke(), live=live, spool_dir=folder, part_bytes=50)
    with serving(given) as url:
        yield DashboardSite(url, standing, producer, given)


def fill(site: DashboardSite) -> str:
    """Have jobs behind, a job that is uploaded, one that is ready, and a queue; return a batch that is in the job."""
    standing = site.standing
    standing.took(1200)
    mine = site.enqueue(count=45, labels={"tenant": EVIL})
    for name in ("0193a1ba", "0193a1bb", "0193a1bd"):
        standing.batch(name)
    standing.plan(40, {"0193a1bb": [0]}, at=timedelta(minutes=-40))
    standing.created(40, at=timedelta(minutes=-39))
    standing.uploaded(40, seconds_ago=2000)
    standing.collected(40)
    standing.ended("0193a1bb", at=utc_now())
    standing.store.delete(BatchKeys(BatchId("0193a1bb")).open_marker(TWEETS))
    standing.plan(41, {"0193a1ba": [0], mine: [0]}, at=timedelta(minutes=-14))
    standing.created(41, at=timedelta(minutes=-13))
    standing.show_job(41, "uploading", done=30, total=120)
    standing.plan(42, {mine: [1]}, at=timedelta(minutes=-1))
    standing.show_queue({"0193a1bd": 0})
    standing.shown.reserve("get", "n")
    standing.shown.settle("get", "n", Quota(limit=150, remaining=97, seconds_left=600))
    standing.shown.block("list", 300)
    return mine
