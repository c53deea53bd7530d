import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from complyq_simulator.outcomes import outcome

IDS = "".join(f"{number}\n" for number in range(1_000_000, 1_020_000)).encode()


def _put(direct: Any, job: dict[str, Any], body: bytes = IDS, **headers: str) -> Any:
    return direct.put(job["upload_url"], body, **{**direct.bearer, **headers})


def _with_token_of(url: str, other: str) -> str:
    return url.partition("?")[0] + "?" + other.partition("?")[2]


def test_the_whole_job_goes_through_the_api_origin(direct: Any) -> None:
    """Create, PUT with the bearer, complete, NDJSON with its length."""
    job = direct.job("users")
    assert job["upload_url"].startswith(f"{direct.sim.api_url}/2/compliance/jobs/{job['id']}/upload?token=")
    answer = _put(direct, job)
    assert (answer.status_code, answer.json()["data"]["id"]) == (200, job["id"])
    assert direct.final(job)["status"] == "complete"
    results = direct.send("GET", job["download_url"], headers=direct.bearer)
    expected = {text for text in IDS.decode().split() if outcome(int(text), 1, 0.1, "users")}
    assert {json.loads(line)["id"] for line in results.text.splitlines() if line} == expected
    assert results.headers["Content-Length"] == str(len(results.content))


def test_ranges_are_not_supported(direct: Any) -> None:
    """A range asked for is answered with the whole."""
    job = direct.job()
    _put(direct, job)
    direct.final(job)
    answer = direct.send("GET", job["download_url"], headers={**direct.bearer, "Range": "bytes=5-"})
    assert answer.status_code == 200


def test_resumable_is_refused(direct: Any) -> None:
    """400 with a problem."""
    assert direct.create(resumable=True).status_code == 400


def test_bearer_and_token_are_both_needed(direct: Any) -> None:
    """401 without the bearer or with a false token, 400 without a token, 403 with one for something else."""
    job, other = direct.job(), direct.job()
    url = job["upload_url"]
    assert direct.put(url, IDS).status_code == 401
    for wrong, status in (
        (url + "x", 401),
        (url.partition("?")[0], 400),
        (_with_token_of(url, job["download_url"]), 403),
        (_with_token_of(url, other["upload_url"]), 403),
    ):
        answer = direct.put(wrong, IDS, **direct.bearer)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_the_upload_window_ends(direct: Any) -> None:
    """403 after fifteen minutes."""
    job = direct.job()
    direct.sim.advance_clock(901)
    assert _put(direct, job).status_code == 403


@pytest.mark.parametrize(("content_type", "status"), [("multipart/form-data", 400), ("text/plain; charset=utf-8", 200)])
def test_the_body_must_be_plain_text(direct: Any, content_type: str, status: int) -> None:
    """A form is refused."""
    assert _put(direct, direct.job(), Content_Type=content_type).status_code == status


def test_too_large_a_body_is_refused(direct: Any) -> None:
    """413, whether its length was announced or not; the job still waits for its upload."""
    job, body = direct.job(), b"1" * 1_000_001
    assert _put(direct, job, body).status_code == 413
    assert direct.put(job["upload_url"], iter([body]), **direct.bearer).status_code == 413
    assert _put(direct, job).status_code == 200


def test_an_upload_is_taken_once(direct: Any) -> None:
    """A second PUT gets 409."""
    job = direct.job()
    _put(direct, job)
    assert _put(direct, job).status_code == 409


def test_a_cut_upload_leaves_the_job_waiting(direct: Any) -> None:
    """A body shorter than announced is no upload; the whole PUT can be repeated."""
    job = direct.job()
    parts = urlsplit(job["upload_url"])
    head = (
        f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(IDS)}\r\n"
        f"Content-Type: text/plain\r\nAuthorization: Bearer t\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(head.encode() + IDS[:-1])
    assert direct.get(job)["status"] == "created"
    assert _put(direct, job).status_code == 200


def test_cancel_frees_the_slot(direct: Any) -> None:
    """DELETE makes a job failed, twice over too; a complete one stays."""
    job, done = direct.job(), direct.job()
    path = f"/2/compliance/jobs/{job['id']}"
    assert direct.api("DELETE", path).json()["data"]["status"] == "failed"
    assert direct.api("DELETE", path).status_code == 200
    assert "error" in direct.get(job)
    assert _put(direct, job).status_code == 409
    _put(direct, done)
    direct.final(done)
    assert direct.api("DELETE", f"/2/compliance/jobs/{done['id']}").status_code == 400
