"""Credentials in URLs: Cloud Storage's V4 signatures and the direct contract's tokens, both truly checked."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlencode

import msgspec

from complyq_simulator.clock import compact, from_compact

_ACCOUNT = "complianceapi-public-svc-acct@twttr-compliance-public-prod.iam.gserviceaccount.com"
UPLOAD_HEADERS = {"content-type": "text/plain"}
SESSION_HEADERS = {"content-length": "0", "content-type": "text/plain", "x-goog-resumable": "start"}


class Verdict(StrEnum):
    """What became of checking a credential."""

    GOOD = "good"
    EXPIRED = "expired"
    MISMATCH = "mismatch"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Signable:
    """What a signed URL allows: one method on one path, with these headers exactly."""

    method: str
    path: str
    headers: Mapping[str, str]


class TokenContent(msgspec.Struct):
    """What a token of the direct contract says."""

    job: str
    purpose: str
    expires_at: float


class Signer:
    """Signs with a secret of its own, made at its start."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self.issued: set[str] = set()
        """Every signature and token that was handed out."""
        self._urls: dict[tuple[object, ...], str] = {}

    def url(self, origin: str, target: Signable, *, now: float, seconds: int) -> str:
        """Return a signed URL that is valid for so many seconds; one that was asked for before is not worked out again."""
        asked = (origin, target.method, target.path, *target.headers.items(), now, seconds)
        if asked not in self._urls:
            self._urls[asked] = self._url(origin, target, now, seconds)
        return self._urls[asked]

    def _url(self, origin: str, target: Signable, now: float, seconds: int) -> str:
        headers = {"host": origin.partition("://")[2], **target.headers}
        query = {
            "X-Goog-Algorithm": "GOOG4-RSA-SHA256",
            "X-Goog-Credential": f"{_ACCOUNT}/{compact(now)[:8]}/auto/storage/goog4_request",
            "X-Goog-Date": compact(now),
            "X-Goog-Expires": str(seconds),
            "X-Goog-SignedHeaders": ";".join(sorted(headers)),
        }
        signature = self._sign(_canonical(target.method, target.path, query, headers))
        self.issued.add(signature)
        return f"{origin}{target.path}?{_encode({**query, 'X-Goog-Signature': signature})}"

    def check(self, target: Signable, query: Mapping[str, str], *, now: float) -> Verdict:
        """Judge a request by its query and the headers it came with."""
        signature = query.get("X-Goog-Signature")
        if signature is None:
            return Verdict.MISSING
        rest = {name: value for name, value in query.items() if name != "X-Goog-Signature"}
        names = query.get("X-Goog-SignedHeaders", "").split(";")
        headers = {name: target.headers.get(name, "") for name in names}
        if not hmac.compare_digest(signature, self._sign(_canonical(target.method, target.path, rest, headers))):
            return Verdict.MISMATCH
        return Verdict.EXPIRED if now >= expiry(query) else Verdict.GOOD

    def token(self, content: TokenContent) -> str:
        """Return a token for a URL of the direct contract."""
        body = urlsafe_b64encode(msgspec.json.encode(content)).decode().rstrip("=")
        token = f"{body}.{self._sign(body)[:64]}"
        self.issued.add(token)
        return token

    def read_token(self, token: str) -> TokenContent | None:
        """Return what a token says, or None when it is not one of ours."""
        body, _, signature = token.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body)[:64].encode()):
            return None
        return msgspec.json.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=TokenContent)

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha512).hexdigest()


def expiry(query: Mapping[str, str]) -> float:
    """Return the instant at which a signed URL ends, in epoch seconds."""
    return from_compact(query["X-Goog-Date"]) + int(query["X-Goog-Expires"])


def _canonical(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    return "\n".join([method, path, _encode(dict(sorted(query.items()))), *lines, "UNSIGNED-PAYLOAD"])


def _encode(query: Mapping[str, str]) -> str:
    return urlencode(query, quote_via=quote, safe="")
