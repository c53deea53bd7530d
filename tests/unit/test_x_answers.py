"""What X answers."""

from datetime import UTC, datetime

import pytest

from complyq_workers.x.answers import (
    RateLimit,
    date_from,
    is_active,
    is_final,
    job_from,
    rate_limit_from,
    time_from,
)


def test_a_full_job_is_read() -> None:
    """Every documented field arrives, times in UTC."""
    job = job_from(
        {
            "id": "1423095206576984067",
            "type": "tweets",
            "name": "n",
            "status": "created",
            "created_at": "2021-08-05T01:35:11.000Z",
            "upload_url": "https://u",
            "upload_expires_at": "2021-08-05T03:50:11+02:00",
            "resumable": False,
        }
    )
    assert job is not None
    assert (job.id, job.type, job.name, job.status, job.resumable) == (
        "1423095206576984067",
        "tweets",
        "n",
        "created",
        False,
    )
    assert job.upload_expires_at == datetime(2021, 8, 5, 1, 50, 11, tzinfo=UTC)


def test_a_numeric_id_stays_exact() -> None:
    """Nineteen digits do not lose their end."""
    job = job_from({"id": 9223372036854775807})
    assert job is not None
    assert job.id == "9223372036854775807"


@pytest.mark.parametrize("raw", [None, [], "x", {}, {"id": None}, {"id": ""}, {"id": True}])
def test_what_has_no_id_is_no_job(raw: object) -> None:
    """An answer without an id cannot be acted on."""
    assert job_from(raw) is None


def test_odd_and_unknown_fields_do_no_harm() -> None:
    """A field of another type than documented counts as absent; unknown ones are passed over."""
    job = job_from({"id": "1", "status": "paused", "created_at": 5, "resumable": "yes", "upload_url": ["x"], "new": {}})
    assert job is not None
    assert (job.status, job.created_at, job.resumable, job.upload_url) == ("paused", None, None, None)


def test_an_error_object_becomes_text() -> None:
    """Why a job failed is readable whatever its shape."""
    job = job_from({"id": "1", "status": "failed", "error": {"message": "bad file"}})
    assert job is not None
    assert job.error == '{"message":"bad file"}'


def test_a_job_prints_without_its_urls() -> None:
    """Signed URLs are credentials and stay out of repr."""
    job = job_from({"id": "1", "upload_url": "https://u?sig=secret", "download_url": "https://d?sig=secret"})
    assert "secret" not in repr(job)


@pytest.mark.parametrize("status", ["complete", "failed", "expired"])
def test_final_statuses(status: str) -> None:
    """Polling ends on each of them."""
    assert is_final(status)
    assert not is_active(status)


@pytest.mark.parametrize("status", ["created", "in_progress"])
def test_active_statuses(status: str) -> None:
    """These hold the slot."""
    assert is_active(status)
    assert not is_final(status)


def test_an_unknown_status_is_open() -> None:
    """X may add statuses; one that we do not know neither ends polling nor counts as active."""
    assert not is_final("queued")
    assert not is_active("queued")


@pytest.mark.parametrize("raw", ["yesterday", "", None, 7, "2019-99-99T00:00:00Z"])
def test_unreadable_times_are_absent(raw: object) -> None:
    """A malformed time is no reason to fail."""
    assert time_from(raw) is None


def test_header_facts() -> None:
    """X's clock and budget come with each answer."""
    headers = {
        "date": "Sun, 22 Nov 2026 10:00:00 GMT",
        "x-rate-limit-limit": "150",
        "x-rate-limit-remaining": "149",
        "x-rate-limit-reset": "1795341600",
    }
    assert date_from(headers) == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert rate_limit_from(headers) == RateLimit(150, 149, 1795341600)
    assert date_from({"date": "soon"}) is None
    assert rate_limit_from({"x-rate-limit-limit": "many"}) is None


def test_an_error_of_a_job_holds_no_credential() -> None:
    """It goes into facts and events: a signed URL that X repeats there loses its query."""
    job = job_from({"id": "1", "error": {"detail": "cannot read https://h/o?X-Goog-Signature=feedbeef01"}})
    assert job is not None
    assert job.error is not None
    assert "https://h/o" in job.error
    assert "feedbeef01" not in job.error
