"""X's compliance endpoints, against a real server on loopback that answers as X does."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from complyq_workers.x import (
    AmbiguousAnswerError,
    CancelUnsupportedError,
    JobNotFoundError,
    RateLimit,
    RateLimitedError,
    RedirectRefusedError,
    RefusedError,
    ResumableRefusedError,
    SlotBusyError,
    StaticBearer,
    Transport,
    UnauthorizedError,
    XClient,
    XError,
)
from support.scripted_server import Exchange, Script, ScriptedServer, answering, scripted_server

JOB = b'{"data":{"id":"17","type":"tweets","name":"n","status":"created","upload_url":"https://u?sig=x","new":1}}'
BUDGET = {
    "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
    "x-rate-limit-limit": "150",
    "x-rate-limit-remaining": "3",
    "x-rate-limit-reset": "1795341600",
}
Call = Callable[[XClient], object]


def create(client: XClient) -> object:
    """Create a resumable job."""
    return client.create_job("tweets", "n")


def create_plain(client: XClient) -> object:
    """Create a job that is not resumable."""
    return client.create_job("tweets", "n", resumable=False)


def get(client: XClient) -> object:
    """Read a job."""
    return client.get_job("17")


def list_(client: XClient) -> object:
    """List jobs."""
    return client.list_jobs("tweets")


def cancel(client: XClient) -> object:
    """Cancel a job."""
    return client.cancel_job("17")


@contextmanager
def client_of(script: Script) -> Iterator[tuple[XClient, ScriptedServer]]:
    """Open a client of a server that answers as the script says."""
    with scripted_server(script) as api:
        transport = Transport([], api.url)
        yield XClient(api.url, transport, StaticBearer("AAAAtoken")), api
        transport.close()


def test_create_sends_what_x_documents() -> None:
    """Type, name and resumable, nothing else, with the bearer."""
    bodies: list[bytes] = []

    def answer(exchange: Exchange) -> None:
        bodies.append(exchange.read())
        exchange.answer_early(200, BUDGET, JOB)

    with client_of(answer) as (client, api):
        answered = client.create_job("tweets", "our-job-id")
        client.create_job("users", None, resumable=False)
    assert [json.loads(body) for body in bodies] == [
        {"type": "tweets", "name": "our-job-id", "resumable": True},
        {"type": "users"},
    ]
    assert answered.value.id == "17"
    assert answered.date == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert answered.rate_limit == RateLimit(150, 3, 1795341600)
    assert (api.seen[0].method, api.seen[0].path) == ("POST", "/2/compliance/jobs")
    assert api.seen[0].headers["authorization"] == "Bearer AAAAtoken"
    assert api.seen[0].headers["content-type"] == "application/json"


def test_get_reads_one_job() -> None:
    """The id goes into the path and nowhere else."""
    with client_of(answering(200, BUDGET, JOB)) as (client, api):
        assert client.get_job("17").value.status == "created"
        client.get_job("1/../../x?y")
    assert [(seen.method, seen.path, seen.query) for seen in api.seen] == [
        ("GET", "/2/compliance/jobs/17", ""),
        ("GET", "/2/compliance/jobs/1%2F..%2F..%2Fx%3Fy", ""),
    ]


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'{"meta":{"result_count":0}}', []),
        (b'{"data":[],"meta":{"result_count":0}}', []),
        (b'{"data":[{"id":"1"},{"id":2},{"name":"without id"}],"meta":{"result_count":3}}', ["1", "2"]),
    ],
)
def test_lists(body: bytes, ids: list[str]) -> None:
    """An empty list has no data at all."""
    with client_of(answering(200, BUDGET, body)) as (client, api):
        answer = client.list_jobs("users")
    assert [job.id for job in answer.value] == ids
    assert (api.seen[0].path, api.seen[0].query) == ("/2/compliance/jobs", "type=users")


@pytest.mark.parametrize(
    "body", [b'{"meta":{"result_count":2}}', b'{"errors":[{"message":"x"}]}', b"[]", b"", b'{"data":{}}']
)
def test_a_list_that_lost_its_data_is_not_empty(body: bytes) -> None:
    """Otherwise an active job would be overlooked."""
    with client_of(answering(200, BUDGET, body)) as (client, _), pytest.raises(AmbiguousAnswerError):
        client.list_jobs("users")


def test_cancel() -> None:
    """The slot is free where X can cancel; the answer may hold the job or not."""
    with client_of(answering(200, BUDGET, b'{"data":{"id":"17","status":"failed"}}')) as (client, api):
        answer = client.cancel_job("17")
    assert answer.value is not None
    assert answer.value.status == "failed"
    assert (api.seen[0].method, api.seen[0].path) == ("DELETE", "/2/compliance/jobs/17")
    with client_of(answering(204)) as (client, _):
        assert client.cancel_job("17").value is None


@pytest.mark.parametrize(
    ("call", "status", "error"),
    [
        (create, 409, SlotBusyError),
        (create, 400, ResumableRefusedError),
        (create_plain, 400, RefusedError),
        (create, 404, RefusedError),
        (create, 401, UnauthorizedError),
        (create, 403, UnauthorizedError),
        (create, 429, RateLimitedError),
        (create, 408, AmbiguousAnswerError),
        (create, 500, AmbiguousAnswerError),
        (create, 503, AmbiguousAnswerError),
        (create, 302, RedirectRefusedError),
        (get, 404, JobNotFoundError),
        (get, 400, RefusedError),
        (get, 502, AmbiguousAnswerError),
        (list_, 400, RefusedError),
        (list_, 429, RateLimitedError),
        (cancel, 404, CancelUnsupportedError),
        (cancel, 405, CancelUnsupportedError),
        (cancel, 501, CancelUnsupportedError),
        (cancel, 500, AmbiguousAnswerError),
        (cancel, 409, RefusedError),
    ],
)
def test_what_each_status_means(call: Call, status: int, error: type[XError]) -> None:
    """Each has the class by which a caller acts, X's words and clock, and is asked once."""
    body = b'{"title":"A title","detail":"what X says","status":400}'
    with client_of(answering(status, BUDGET, body)) as (client, api), pytest.raises(error) as caught:
        call(client)
    assert type(caught.value) is error
    assert len(api.seen) == 1
    if error is not RedirectRefusedError:
        assert "what X says" in str(caught.value)
        assert caught.value.date == datetime(2026, 11, 22, 10, tzinfo=UTC)
        assert caught.value.rate_limit == RateLimit(150, 3, 1795341600)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"{}", b'{"data":{}}', b'{"data":{"name":"n"}}', b"\xff", b'{"data":' + b"[" * 30_000]
)
@pytest.mark.parametrize("call", [create, get])
def test_an_unreadable_answer_is_ambiguous(call: Call, body: bytes) -> None:
    """The job may exist although the answer does not say so."""
    with client_of(answering(200, {}, body)) as (client, _), pytest.raises(AmbiguousAnswerError):
        call(client)


def test_a_lost_create_answer_is_ambiguous_and_not_repeated() -> None:
    """A second create could make a second job."""
    with client_of(lambda exchange: exchange.cut()) as (client, api), pytest.raises(AmbiguousAnswerError):
        client.create_job("tweets", "n")
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    ("headers", "retry_at"),
    [
        (BUDGET, 1795341600),
        ({"x-rate-limit-reset": "1795341601"}, 1795341601),
        ({"Date": BUDGET["Date"], "Retry-After": "30"}, datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC).timestamp()),
        ({"Retry-After": "Sun, 22 Nov 2026 10:01:00 GMT"}, datetime(2026, 11, 22, 10, 1, tzinfo=UTC).timestamp()),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], retry_at: float | None) -> None:
    """X's own headers say when the budget is renewed."""
    body = b'{"errors":[{"code":88,"message":"Rate limit exceeded"}]}'
    with (
        client_of(answering(429, headers, body)) as (client, _),
        pytest.raises(RateLimitedError, match="Rate limit exceeded") as caught,
    ):
        client.get_job("1")
    assert caught.value.retry_at == retry_at
