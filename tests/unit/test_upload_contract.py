"""Which contract an upload URL follows."""

import pytest

from complyq_workers.upload.contract import UploadContract, contract_of
from complyq_workers.x.errors import ForbiddenOriginError

API = "https://api.x.com"
STORAGE = "https://storage.googleapis.com/twttr-tweet-compliance/1/submission/1_1?X-Goog-Algorithm=GOOG4-RSA-SHA256"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.x.com/2/compliance/jobs/1/upload?token=t", UploadContract.DIRECT),
        ("https://other.example/2/compliance/jobs/1/upload?token=t", UploadContract.TRY_RESUMABLE),
        (
            f"{STORAGE}&X-Goog-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-goog-resumable",
            UploadContract.RESUMABLE,
        ),
        (f"{STORAGE}&x-goog-signedheaders=host;X-Goog-Resumable", UploadContract.RESUMABLE),
        (f"{STORAGE}&X-Goog-SignedHeaders=content-type%3Bhost", UploadContract.SINGLE_PUT),
        (f"{STORAGE}&X-Goog-SignedHeaders=", UploadContract.SINGLE_PUT),
        (STORAGE, UploadContract.TRY_RESUMABLE),
    ],
)
def test_the_url_decides(url: str, expected: UploadContract) -> None:
    """Host, path and signed headers tell how to upload, whatever the answer's `resumable` says."""
    assert contract_of(url, API) is expected


def test_nothing_is_tried_that_was_not_asked_for() -> None:
    """A job created without `resumable` whose URL does not tell gets one plain PUT."""
    assert contract_of(STORAGE, API, resumable_asked=False) is UploadContract.SINGLE_PUT


def test_a_malformed_url_is_refused() -> None:
    """Garbage in the answer does not become a request."""
    with pytest.raises(ForbiddenOriginError):
        contract_of("https://api.x.com\\@evil.example/", API)
