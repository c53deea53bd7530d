"""tweepy, the client of X's API that most Python programs use."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from racing.redirecting import X_URL, ToSimulator
from support.bytes_of_jobs import download, flagged_ids, upload
from support.real_workers import wait_until
from support.simulator_process import Simulator, running_simulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tweepy's own syntax warnings
    import tweepy


@contextmanager
def _tweepy(simulator: Simulator, bearer_token: str | None = None) -> Iterator[Any]:
    """A client as it comes, but for the origin of its requests."""
    client = tweepy.Client(bearer_token or simulator.token, return_type=dict)
    client.session.mount(X_URL, ToSimulator(simulator.api_url))
    with client.session:
        yield client


def test_tweepy_takes_a_job_from_creation_to_results(simulator: Simulator) -> None:
    """In both contracts, with the bearer token only; the results name exactly the flagged IDs."""
    with _tweepy(simulator) as client:
        created = client.create_compliance_job("tweets", name="from tweepy")["data"]
        assert client.get_compliance_jobs("tweets", status="created")["data"][0]["id"] == created["id"]
        assert upload(simulator, created["upload_url"]).ok
        wait_until(lambda: client.get_compliance_job(created["id"])["data"]["status"] == "complete")
        [job] = client.get_compliance_jobs("tweets", status="complete")["data"]
    assert (job["id"], job["name"]) == (created["id"], "from tweepy")
    assert download(simulator, job["download_url"]) == flagged_ids()


def test_tweepy_reads_lists_and_refusals(simulator: Simulator) -> None:
    """An empty list, a busy slot, an unknown job and a wrong word each come as tweepy expects them."""
    with _tweepy(simulator) as client:
        assert client.get_compliance_jobs("users")["meta"] == {"result_count": 0}
        client.create_compliance_job("tweets")
        with pytest.raises(tweepy.HTTPException, match="409 Conflict"):
            client.create_compliance_job("tweets")
        with pytest.raises(tweepy.NotFound, match="Could not find compliance job"):
            client.get_compliance_job(1)
        with pytest.raises(tweepy.BadRequest):
            client.get_compliance_jobs("posts")
        with pytest.raises(tweepy.BadRequest):
            client.get_compliance_jobs("tweets", status="expired")


def test_tweepy_sees_a_token_that_does_not_open(simulator: Simulator) -> None:
    """401."""
    with _tweepy(simulator, "wrong") as client, pytest.raises(tweepy.Unauthorized):
        client.get_compliance_jobs("users")


def test_tweepy_sees_the_limit_and_when_it_ends() -> None:
    """429 with X's code 88, and the time of the reset within the next fifteen minutes."""
    with running_simulator(rate_limit=1) as limited, _tweepy(limited) as client:
        client.get_compliance_jobs("users")
        with pytest.raises(tweepy.TooManyRequests) as refused:
            client.get_compliance_jobs("users")
    assert refused.value.api_codes == [88]
    assert 0 <= refused.value.reset_time - time.time() <= 901


def test_tweepy_asks_for_resumable_uploads(cloud: Simulator, direct: Simulator) -> None:
    """Cloud Storage has them; the direct contract refuses the job."""
    with _tweepy(cloud) as client:
        created = client.create_compliance_job("tweets", resumable=True)["data"]
    assert "x-goog-resumable" in created["upload_url"]
    with _tweepy(direct) as client, pytest.raises(tweepy.BadRequest, match="resumable"):
        client.create_compliance_job("tweets", resumable=True)
