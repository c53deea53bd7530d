"""The way of the common tutorials: tweepy for the job, requests for the bytes, everything in memory.

IDs are not looked at, duplicates go along, and each line of the answer becomes a dict.
"""

from __future__ import annotations

import json
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import requests

from racing.redirecting import X_URL, ToSimulator
from racing.task import JOB_TYPE, Answer, Contender

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tweepy's own syntax warnings
    import tweepy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from racing.task import Task


@contextmanager
def start(task: Task) -> Iterator[Contender]:
    """Make a client for the simulator."""
    client = tweepy.Client(task.token, return_type=dict)
    client.session.mount(X_URL, ToSimulator(task.api_url))
    results: list[dict[str, Any]] = []

    def run() -> Answer:
        results.extend(_results(client, task))
        by_action = Counter(result["action"] for result in results)
        by_reason = Counter(result["reason"] for result in results)
        return Answer(flagged=len(results), by_action=dict(by_action), by_reason=dict(by_reason))

    with client.session:
        yield Contender(run, lambda: np.array([int(result["id"]) for result in results], np.uint64))


def _results(client: Any, task: Task) -> list[dict[str, Any]]:
    with Path(task.ids_file).open() as file:
        ids = [line.strip() for line in file]
    job = client.create_compliance_job(JOB_TYPE)["data"]
    body = "\n".join(ids)
    requests.put(job["upload_url"], data=body, headers={"Content-Type": "text/plain"}, timeout=600).raise_for_status()
    while client.get_compliance_job(job["id"])["data"]["status"] != "complete":
        time.sleep(task.poll_seconds)
    answer = requests.get(job["download_url"], timeout=600)
    answer.raise_for_status()
    return [json.loads(line) for line in answer.text.splitlines() if line]
