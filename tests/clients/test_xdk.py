"""xdk, X's own Python SDK, made from X's OpenAPI specification."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import xdk
from xdk.compliance.models import CreateJobsRequest

from support.bytes_of_jobs import BODY, download, flagged_ids, ids_in, upload
from support.real_workers import wait_until
from support.simulator_process import Simulator, running_simulator

ALL_FIELDS = [
    "created_at",
    "download_expires_at",
    "download_url",
    "id",
    "name",
    "resumable",
    "status",
    "type",
    "upload_url",
]


@contextmanager
def _xdk(simulator: Simulator, bearer_token: str | None = None) -> Iterator[Any]:
    """A client as it comes, with its own base URL setting."""
    client = xdk.Client(base_url=simulator.api_url, bearer_token=bearer_token or simulator.token)
    with client.session:
        yield client


def _refusal(call: Any, *args: Any, **options: Any) -> Any:
    """What X says to a call that it refuses."""
    with pytest.raises(requests.HTTPError) as refused:
        call(*args, **options)
    return refused.value.response


def test_xdk_takes_a_job_from_creation_to_results(simulator: Simulator) -> None:
    """In both contracts; every field of the answers has the type that X's specification gives it."""
    with _xdk(simulator) as client:
        created = client.compliance.create_jobs(CreateJobsRequest(type="tweets", name="from xdk")).data
        assert (created.type, created.name, created.status) == ("tweets", "from xdk", "created")
        listed = client.compliance.get_jobs("tweets", status="created", compliance_job_fields=ALL_FIELDS)
        assert ([job.id for job in listed.data], listed.meta.result_count) == ([created.id], 1)
        assert upload(simulator, created.upload_url).ok
        wait_until(lambda: client.compliance.get_jobs_by_id(created.id).data.status == "complete")
        job = client.compliance.get_jobs_by_id(created.id, compliance_job_fields=["download_url", "status"]).data
    assert download(simulator, job.download_url) == flagged_ids()


def test_xdk_reads_an_empty_list(simulator: Simulator) -> None:
    """No data, and a count of none."""
    with _xdk(simulator) as client:
        listed = client.compliance.get_jobs("users")
    assert (listed.data, listed.meta.result_count) == (None, 0)


def test_xdk_gets_refusals_as_http_errors(simulator: Simulator) -> None:
    """Each with the status and the kind of body that X documents."""
    with _xdk(simulator) as client:
        jobs = client.compliance
        jobs.create_jobs(CreateJobsRequest(type="users"))
        busy = _refusal(jobs.create_jobs, CreateJobsRequest(type="users"))
        assert (busy.status_code, busy.headers["content-type"]) == (409, "application/problem+json")
        assert _refusal(jobs.create_jobs, CreateJobsRequest(type="tweets", nmae="x")).status_code == 400
        assert _refusal(jobs.create_jobs, CreateJobsRequest(type="tweets", name="x" * 65)).status_code == 400
        assert _refusal(jobs.get_jobs_by_id, "1").status_code == 404
        assert _refusal(jobs.get_jobs_by_id, "one").status_code == 400
        assert _refusal(jobs.get_jobs, "users", status="expired").status_code == 400
    with _xdk(simulator, "wrong") as client:
        assert _refusal(client.compliance.get_jobs, "users").status_code == 401


def test_xdk_is_told_of_fields_that_do_not_exist(cloud: Simulator) -> None:
    """By each of the three calls that take them; nothing is created."""
    fields = ["status", "nonsense"]
    with _xdk(cloud) as client:
        jobs = client.compliance
        create = CreateJobsRequest(type="tweets")
        answers = [
            _refusal(jobs.create_jobs, create, compliance_job_fields=fields),
            _refusal(jobs.get_jobs, "tweets", compliance_job_fields=fields),
            _refusal(jobs.get_jobs_by_id, "1", compliance_job_fields=fields),
        ]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert all("compliance_job.fields" in answer.json()["detail"] for answer in answers)
    assert cloud.jobs() == []


def test_xdk_sees_the_limit() -> None:
    """429 with the headers that tell when it ends."""
    with running_simulator(rate_limit=1) as limited, _xdk(limited) as client:
        client.compliance.get_jobs("users")
        answer = _refusal(client.compliance.get_jobs, "users")
    assert (answer.status_code, answer.headers["x-rate-limit-remaining"]) == (429, "0")
    assert answer.json()["errors"][0]["code"] == 88


def test_the_sdks_own_session_moves_the_bytes_of_the_direct_contract(direct: Simulator) -> None:
    """It carries the bearer token, which these URLs want."""
    with _xdk(direct) as client:
        job = client.compliance.create_jobs(CreateJobsRequest(type="tweets")).data
        assert client.session.put(job.upload_url, BODY, headers={"Content-Type": "text/plain"}).ok
        wait_until(lambda: client.compliance.get_jobs_by_id(job.id).data.status == "complete")
        assert ids_in(client.session.get(job.download_url).text) == flagged_ids()
        assert client.session.delete(f"{direct.api_url}/2/compliance/jobs/{job.id}").status_code == 400
        other = client.compliance.create_jobs(CreateJobsRequest(type="tweets")).data
        assert (
            client.session.delete(f"{direct.api_url}/2/compliance/jobs/{other.id}").json()["data"]["status"] == "failed"
        )


def test_the_sdks_own_session_must_not_be_used_with_cloud_storage(cloud: Simulator) -> None:
    """It would show the bearer token to another company; the storage refuses such requests."""
    with _xdk(cloud) as client:
        job = client.compliance.create_jobs(CreateJobsRequest(type="tweets")).data
        answer = client.session.put(job.upload_url, BODY, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert "Only one authentication mechanism" in answer.text
