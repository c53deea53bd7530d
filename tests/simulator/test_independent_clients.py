"""Clients that others wrote must find what they expect of the real services."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from google.resumable_media import common
from google.resumable_media.requests import ResumableUpload

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tweepy's own syntax warnings
    import tweepy

CHUNK = 262_144
BODY = b"1234567890123456789\n" * 60_000


class _Redirected(requests.adapters.HTTPAdapter):
    """Sends what was meant for X to the simulator; only the origin differs."""

    def __init__(self, origin: str) -> None:
        super().__init__()
        self._origin = origin

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request to our origin."""
        request.url = (request.url or "").replace("https://api.twitter.com", self._origin)
        return super().send(request, *args, **kwargs)


@contextmanager
def _tweepy(origin: str, bearer_token: str) -> Iterator[Any]:
    client = tweepy.Client(bearer_token, return_type=dict)
    client.session.mount("https://api.twitter.com", _Redirected(origin))
    with client.session:
        yield client


def test_tweepy_creates_and_lists_jobs(strict: Any) -> None:
    """With a bearer token only; a second create is refused and an empty list is understood."""
    with _tweepy(strict.sim.api_url, strict.sim.token) as client:
        created = client.create_compliance_job("tweets", name="from tweepy", resumable=True)["data"]
        assert client.get_compliance_job(created["id"])["data"]["name"] == "from tweepy"
        assert [job["id"] for job in client.get_compliance_jobs("tweets")["data"]] == [created["id"]]
        assert client.get_compliance_jobs("users")["meta"] == {"result_count": 0}
        with pytest.raises(tweepy.HTTPException, match="409"):
            client.create_compliance_job("tweets")
    with _tweepy(strict.sim.api_url, "wrong") as client, pytest.raises(tweepy.Unauthorized):
        client.get_compliance_jobs("users")


def _upload(uri: str) -> Any:
    """Take over a session that was started as the XML API wants it: the library itself starts JSON sessions."""
    library: Any = ResumableUpload
    upload = library(uri, CHUNK)
    upload._resumable_url, upload._stream = uri, io.BytesIO(BODY)
    upload._total_bytes, upload._content_type = len(BODY), "text/plain"
    return upload


def test_googles_library_uploads_in_chunks(cloud: Any) -> None:
    """Chunk by chunk to the end."""
    upload = _upload(cloud.session_uri())
    while not upload.finished:
        upload.transmit_next_chunk(cloud.session)
    assert upload.bytes_uploaded == len(BODY)
    assert cloud.sim.jobs()[-1]["received"] == len(BODY)


def test_googles_library_recovers_from_a_cut(cloud: Any) -> None:
    """It asks for the offset and goes on from there."""
    upload = _upload(cloud.session_uri())
    upload.transmit_next_chunk(cloud.session)
    cloud.sim.arm({"on": "upload", "fault": "status", "status": 400, "after_bytes": 100_000})
    with pytest.raises(common.InvalidResponse):
        upload.transmit_next_chunk(cloud.session)
    upload.recover(cloud.session)
    assert upload.bytes_uploaded == CHUNK
    while not upload.finished:
        upload.transmit_next_chunk(cloud.session)
    assert cloud.sim.jobs()[-1]["received"] == len(BODY)
