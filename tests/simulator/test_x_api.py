import re
from typing import Any

import pytest

JOBS = "/2/compliance/jobs"


def test_a_job_has_the_fields_and_shapes_of_x(strict: Any) -> None:
    """As X's documentation shows a fresh job: nineteen digits, whole seconds, fifteen minutes, seven days."""
    job = strict.job(name="nightly")
    assert re.fullmatch(r"\d{19}", job["id"])
    assert (job["type"], job["status"], job["name"], job["resumable"]) == ("tweets", "created", "nightly", False)
    times = [job[name] for name in ("created_at", "upload_expires_at", "download_expires_at")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", time) for time in times)
    assert "error" not in job
    assert "name" not in strict.job("users")


def test_the_list_shows_jobs_of_a_type_and_an_empty_one_has_no_data(strict: Any) -> None:
    """`data` is absent when nothing matches; `status` filters."""
    job = strict.job(name="a")
    listed = strict.api("GET", JOBS, params={"type": "tweets"}).json()
    assert ([item["id"] for item in listed["data"]], listed["meta"]) == ([job["id"]], {"result_count": 1})
    for params in ({"type": "users"}, {"type": "tweets", "status": "complete"}):
        assert strict.api("GET", JOBS, params=params).json() == {"meta": {"result_count": 0}}


@pytest.mark.parametrize(
    "params", [{}, {"type": "posts"}, {"type": "tweets", "status": "expired"}, {"type": "users", "x": "1"}]
)
def test_a_list_without_valid_parameters_is_refused(cloud: Any, params: dict[str, str]) -> None:
    """`type` is required, `expired` is no filter, unknown parameters are errors."""
    assert cloud.api("GET", JOBS, params=params).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "posts"},
        {"type": "tweets", "x": 1},
        {"type": "tweets", "name": "n" * 65},
        {"type": "tweets", "resumable": "yes"},
    ],
)
def test_a_create_with_a_wrong_body_is_refused(cloud: Any, body: dict[str, Any]) -> None:
    """Wrong types, long names and unknown properties are problems."""
    answer = cloud.api("POST", JOBS, json=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_a_create_that_is_not_json_is_refused(cloud: Any) -> None:
    """The content type must say JSON."""
    headers = {**cloud.bearer, "Content-Type": "text/plain"}
    assert cloud.send("POST", cloud.sim.api_url + JOBS, data='{"type":"tweets"}', headers=headers).status_code == 415


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dDp0"}])
def test_without_the_bearer_nothing_is_told(cloud: Any, headers: dict[str, str]) -> None:
    """401 as problem+json."""
    answer = cloud.send("GET", cloud.sim.api_url + JOBS, params={"type": "tweets"}, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")


def test_one_job_of_a_type_may_be_active(strict: Any) -> None:
    """A second create gets 409, of the other type it does not; a job that expired frees the slot."""
    first = strict.job()
    refused = strict.create()
    assert (refused.status_code, refused.json()["status"]) == (409, 409)
    strict.job("users")
    strict.sim.advance_clock(901)
    assert strict.get(first)["status"] == "expired"
    strict.job()


def test_each_endpoint_has_its_own_limit_and_says_so(strict: Any) -> None:
    """150 requests in fifteen minutes; then 429 with the older body, until the clock passes the reset."""
    answers = [strict.api("GET", JOBS, params={"type": "tweets"}) for _ in range(151)]
    assert [answer.headers["x-rate-limit-remaining"] for answer in answers[:2]] == ["149", "148"]
    assert {answer.status_code for answer in answers[:150]} == {200}
    assert answers[150].status_code == 429
    assert answers[150].json() == {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}
    assert strict.create().headers["x-rate-limit-remaining"] == "149"
    strict.sim.advance_clock(901)
    assert strict.api("GET", JOBS, params={"type": "tweets"}).status_code == 200


def test_the_date_header_follows_the_simulators_clock(cloud: Any) -> None:
    """A client that trusts X's Date sees the moved time."""
    before = cloud.api("GET", f"{JOBS}/1").headers["Date"]
    cloud.sim.advance_clock(86_400)
    assert cloud.api("GET", f"{JOBS}/1").headers["Date"][:16] != before[:16]


@pytest.mark.parametrize(("path", "status"), [("/1", 404), ("/abc", 400), ("/1/upload", 404)])
def test_a_job_that_does_not_exist_is_not_found(cloud: Any, path: str, status: int) -> None:
    """404 for an unknown id, 400 for none; the direct contract's paths do not exist here."""
    assert cloud.api("GET", JOBS + path).status_code == status


def test_a_cloud_storage_job_cannot_be_cancelled(cloud: Any) -> None:
    """The older contract has no cancel."""
    assert cloud.api("DELETE", f"{JOBS}/{cloud.job()['id']}").status_code == 405


def test_key_and_secret_are_exchanged_for_the_token(cloud: Any) -> None:
    """Basic authentication and the form that OAuth 2 asks for; wrong secrets get 403."""
    url, form = f"{cloud.sim.api_url}/oauth2/token", {"grant_type": "client_credentials"}
    good = cloud.send("POST", url, data=form, auth=("simulator-key", "simulator-secret"))
    assert good.json() == {"token_type": "bearer", "access_token": "t"}
    assert cloud.send("POST", url, data=form, auth=("simulator-key", "wrong")).status_code == 403
    assert cloud.send("POST", url, auth=("simulator-key", "simulator-secret")).status_code == 403


def test_the_journal_tells_requests_and_job_changes_in_order(strict: Any) -> None:
    """What a request changed comes before it; queries, which hold credentials, are left out."""
    job = strict.job(name="n")
    strict.put(job["upload_url"], b"1\n")
    strict.final(job)
    journal = strict.sim.journal()
    changes = [(line["from"], line["to"]) for line in journal if line["kind"] == "job"]
    assert changes == [(None, "created"), ("created", "in_progress"), ("in_progress", "complete")]
    assert [line["kind"] for line in journal[:4]] == ["job", "request", "job", "request"]
    upload = journal[3]
    assert (upload["op"], upload["method"], upload["status"], upload["bytes"]) == ("upload", "PUT", 200, 2)
    assert upload["authorization"] is False
    assert "?" not in upload["path"]
    assert upload["host"] == strict.sim.storage_url.removeprefix("http://")
