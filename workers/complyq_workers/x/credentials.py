"""Where the bearer comes from: given, or exchanged from the App's key and secret.

https://docs.x.com/fundamentals/authentication/oauth-2-0/application-only
"""

from __future__ import annotations

import base64
import re
import threading
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import msgspec

from complyq_config.errors import ConfigurationError
from complyq_config.redaction import register_secret
from complyq_workers.x.answers import date_from, rate_limit_from
from complyq_workers.x.error_bodies import describe
from complyq_workers.x.errors import AmbiguousAnswerError, RateLimitedError, UnauthorizedError
from complyq_workers.x.messages import Request

if TYPE_CHECKING:
    from complyq_config.settings import Settings
    from complyq_workers.x.messages import Reply
    from complyq_workers.x.transport import Transport

_TOKEN = re.compile(r"[\x21-\x7e]+")


class Credentials(Protocol):
    """Gives the app-only bearer."""

    def bearer(self) -> str:
        """Give the bearer token; may ask X for it (raises XError then)."""
        ...

    def renew(self) -> bool:
        """Drop the bearer after a 401; False where there is no way to get another."""
        ...


class StaticBearer:
    """A bearer token from the configuration."""

    def __init__(self, token: str) -> None:
        """Keep the token.

        Raises:
            ConfigurationError: It is empty or holds spaces or control characters.
        """
        self._token = _checked(token, "COMPLYQ_BEARER_TOKEN")

    def bearer(self) -> str:
        """Give the token."""
        return self._token

    def renew(self) -> bool:
        """There is no other token."""
        return False

    def __repr__(self) -> str:
        return "StaticBearer(***)"


class ExchangedBearer:
    """A bearer exchanged for the App's key and secret, kept in this process until X refuses it."""

    def __init__(self, api_key: str, api_secret: str, transport: Transport) -> None:
        """Keep key and secret; X is asked when the bearer is first needed.

        Raises:
            ConfigurationError: One of them is empty or holds spaces or control characters.
        """
        pair = (_checked(api_key, "COMPLYQ_API_KEY"), _checked(api_secret, "COMPLYQ_API_SECRET"))
        self._basic = base64.b64encode(":".join(quote(part, safe="") for part in pair).encode()).decode()
        self._transport = transport
        self._lock = threading.Lock()
        self._token: str | None = None

    def bearer(self) -> str:
        """Give the bearer.

        Raises:
            UnauthorizedError: X does not accept key and secret.
            RateLimitedError, AmbiguousAnswerError: X did not exchange them now.
        """
        with self._lock:
            if self._token is None:
                self._token = self._exchange()
            return self._token

    def renew(self) -> bool:
        """Forget the bearer, so that the next use exchanges again."""
        with self._lock:
            self._token = None
        return True

    def __repr__(self) -> str:
        return "ExchangedBearer(***)"

    def _exchange(self) -> str:
        url = f"{self._transport.api_url}/oauth2/token"
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8", "Accept": "application/json"}
        form = b"grant_type=client_credentials"
        request = Request("POST", url, headers, form, authorization=f"Basic {self._basic}", endpoint="token")
        return _token_from(self._transport.send(request), url)


def credentials_of(settings: Settings, transport: Transport) -> Credentials:
    """Choose the bearer token of the settings where there is one, else key and secret.

    Raises:
        ConfigurationError: Neither is complete.
    """
    if settings.bearer_token is not None:
        return StaticBearer(settings.bearer_token.get_secret_value())
    if settings.api_key is not None and settings.api_secret is not None:
        key, secret = settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()
        return ExchangedBearer(key, secret, transport)
    raise ConfigurationError("Set COMPLYQ_BEARER_TOKEN, or both COMPLYQ_API_KEY and COMPLYQ_API_SECRET.")


def _checked(secret: str, name: str) -> str:
    secret = secret.strip()
    if not _TOKEN.fullmatch(secret):
        raise ConfigurationError(f"{name} is empty, or holds spaces or control characters; paste it again.")
    register_secret(secret)
    return secret


def _token_from(reply: Reply, url: str) -> str:
    where = f"POST {url} answered {reply.status}"
    if reply.status == 429:
        limit = rate_limit_from(reply.headers)
        raise RateLimitedError(
            f"{where}: {describe(reply.body)}", retry_at=limit.reset if limit else None, status=429, rate_limit=limit
        )
    if 400 <= reply.status < 500:
        raise UnauthorizedError(
            f"{where}: {describe(reply.body)} Check COMPLYQ_API_KEY and COMPLYQ_API_SECRET.",
            status=reply.status,
            date=date_from(reply.headers),
        )
    token = _token_in(reply.body) if reply.status == 200 else None
    if token is None:
        raise AmbiguousAnswerError(f"{where}, without a bearer token.", status=reply.status)
    return token


def _token_in(body: bytes) -> str | None:
    try:
        raw = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None
    token = raw.get("access_token") if isinstance(raw, dict) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return None
    register_secret(token)
    return token
