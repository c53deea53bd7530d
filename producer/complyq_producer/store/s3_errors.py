"""What S3 and boto3 report, in our words: no exception of theirs leaves the adapter."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from urllib3.exceptions import HTTPError

from complyq_producer.errors import ObjectNotFoundError, StoreError, StoreUnavailableError, UnfitStoreError

VENDOR_ERRORS = (BotoCoreError, ClientError, HTTPError)

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role"
_PERMISSIONS = "allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket and s3:AbortMultipartUpload"
_HINTS = {
    "NoSuchBucket": "create the bucket, or correct COMPLYQ_STORE_URL",
    "AccessDenied": _PERMISSIONS,
    "403": _PERMISSIONS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": "renew the AWS credentials",
    "RequestTimeTooSkewed": "set this machine's clock",
    "PermanentRedirect": "set AWS_DEFAULT_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set AWS_DEFAULT_REGION to the bucket's region",
}


class PreconditionError(StoreError):
    """412: the condition of a write or a read did not hold."""


class RangeError(StoreError):
    """416: the object ends before the bytes that were asked for."""


class ConflictError(StoreUnavailableError):
    """409: another write of the same key was under way; S3 asks to try again."""


class UploadGoneError(StoreUnavailableError):
    """404: the multipart upload is unknown, perhaps since its completion went through and the answer was lost."""


@contextmanager
def translated(verb: str, url: str) -> Iterator[None]:
    """Turn what boto3 raises into StoreError and its kin."""
    try:
        yield
    except VENDOR_ERRORS as error:
        raise _translation(error, verb, url) from error


def _translation(error: Exception, verb: str, url: str) -> StoreError:
    if isinstance(error, ClientError):
        return _answered(error, verb, url)
    hint = "check the network and AWS_ENDPOINT_URL"
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        hint = _CREDENTIALS
    return StoreUnavailableError(f"cannot {verb} {url}: {error}; {hint}")


def _answered(error: ClientError, verb: str, url: str) -> StoreError:
    answer = error.response.get("Error", {})
    code, text = str(answer.get("Code", "")), answer.get("Message", "")
    if code in {"NoSuchKey", "404", "NotFound"}:
        return ObjectNotFoundError(f"no object {url}")
    kind = _kind(code, error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    hint = _HINTS.get(code, "try again later, or check the server")
    return kind(f"cannot {verb} {url}: the store answered {code}: {text.rstrip('.')}; {hint}")


def _kind(code: str, status: int) -> type[StoreError]:
    if code == "NoSuchUpload":
        return UploadGoneError
    if code == "NotImplemented":  # servers that know no conditional writes and say so
        return UnfitStoreError
    return {409: ConflictError, 412: PreconditionError, 416: RangeError}.get(status, StoreUnavailableError)
