"""What lies in the lists of a Redis broker: messages as Celery sends them, and changed ones."""

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from support.real_workers import Installation

PLAN_TWEETS = b'[["tweets"], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'


def entry(
    task: str = "complyq.plan",
    body: bytes = PLAN_TWEETS,
    *,
    headers: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    envelope: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a message in kombu's envelope, with some of its parts replaced."""
    tag = str(uuid.uuid4())
    usual_headers = {"lang": "py", "task": task, "id": tag, "retries": 0, "eta": None, "expires": None, "root_id": tag,
                     "parent_id": None, "group": None, "timelimit": [None, None]}  # fmt: skip
    delivery = {"exchange": "complyq.control", "routing_key": "complyq.control"}
    usual_properties = {"correlation_id": tag, "delivery_mode": 2, "delivery_info": delivery, "priority": 0,
                        "body_encoding": "base64", "delivery_tag": tag}  # fmt: skip
    usual = {
        "body": base64.b64encode(body).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {**usual_headers, **(headers or {})},
        "properties": {**usual_properties, **(properties or {})},
    }
    return json.dumps({**usual, **(envelope or {})}).encode()


@dataclass(frozen=True, slots=True)
class Broker:
    """The lists of an installation."""

    client: redis.Redis
    namespace: str

    @classmethod
    def of(cls, running: Installation) -> "Broker":
        """Look at the broker of an installation."""
        client = redis.Redis.from_url(running.environment["COMPLYQ_BROKER_URL"])
        return cls(client, running.environment["COMPLYQ_NAMESPACE"])

    def key(self, name: str) -> str:
        """Name a key of the broker."""
        return f"{{complyq:{self.namespace}}}:broker:{name}"

    def put(self, entry: bytes, queue: str = "complyq.control") -> None:
        """Put an entry into a list, as the transport does."""
        self.client.lpush(self.key(queue), entry)

    def unacknowledged(self) -> list[bytes]:
        """What workers have taken and not acknowledged."""
        values: Any = self.client.hvals(self.key("unacked"))
        return list(values)

    def is_under_way(self, step: str) -> bool:
        """Whether somebody holds the lease on a step; workers keep it beside the broker's lists."""
        return bool(self.client.exists(f"{{complyq:{self.namespace}}}:step:{step}"))

    def dead_letters(self) -> list[dict[str, Any]]:
        """The dead letters, newest first."""
        entries: Any = self.client.lrange(self.key("complyq.dead"), 0, -1)
        return [json.loads(base64.b64decode(json.loads(each)["body"])) for each in entries]
