"""Which contract an upload URL follows. The shape of the URL decides, never a setting alone. No I/O."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from complyq_workers.x.origins import is_direct


class UploadContract(StrEnum):
    """How the bytes get to X."""

    DIRECT = "direct"
    """One PUT to the API, with the bearer."""

    RESUMABLE = "resumable"
    """A resumable session at Cloud Storage, without the bearer."""

    TRY_RESUMABLE = "try_resumable"
    """The URL does not tell: start a session, and on StartRefusedError send one plain PUT."""

    SINGLE_PUT = "single_put"
    """One PUT to Cloud Storage, without the bearer."""


def contract_of(upload_url: str, api_url: str, *, resumable_asked: bool = True) -> UploadContract:
    """Tell how to upload to a job's URL.

    The headers that were signed show what Cloud Storage will accept; the field `resumable` of X's answers does not:
    it says false where true was asked and given.

    Args:
        upload_url: The job's `upload_url`.
        api_url: Where the API is.
        resumable_asked: Whether the job was created with `resumable: true`.

    Raises:
        ForbiddenOriginError: The URL cannot be read safely.
    """
    if is_direct(upload_url, api_url):
        return UploadContract.DIRECT
    signed = _signed_headers(upload_url)
    if signed is None:
        return UploadContract.TRY_RESUMABLE if resumable_asked else UploadContract.SINGLE_PUT
    return UploadContract.RESUMABLE if "x-goog-resumable" in signed else UploadContract.SINGLE_PUT


def _signed_headers(url: str) -> list[str] | None:
    """List the headers of a V4 signature; None where the URL does not show them."""
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name.lower() == "x-goog-signedheaders":
            return value.lower().split(";")
    return None
