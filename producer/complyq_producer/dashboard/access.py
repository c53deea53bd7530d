"""Who may see the page: whoever shows the token, or a cookie that was given for it. Without a token, this machine."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from complyq_config.values import is_loopback

SECONDS = 12 * 3600
"""For so long a login lasts."""


@dataclass(frozen=True, slots=True)
class Access:
    """Decides who may see the page.

    Attributes:
        token: what has to be shown; None where only this machine reaches the page.
        namespace: the installation. Its pages on one host have cookies of their own.
    """

    token: str | None
    namespace: str

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return f"complyq-{self.namespace}"

    def permits(self, authorization: str, cookies: str) -> bool:
        """Whether a request with these headers may see the page; empty where they are missing."""
        if self.token is None:
            return True
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.is_token(shown.strip()):
            return True
        return self._is_ticket(_value(cookies, self.cookie))

    def is_token(self, text: str) -> bool:
        """Whether a text is the token; takes as long for every text."""
        return self.token is not None and hmac.compare_digest(_digest(text), _digest(self.token))

    def ticket(self) -> str:
        """Return what the cookie of somebody holds who has shown the token: when it ends, signed with the token."""
        until = str(int(time.time()) + SECONDS)
        return f"{until}.{self._signature(until)}"

    def is_host_served(self, host: str) -> bool:
        """Whether the page is served under a `Host`.

        Without a token it must be a name of this machine: a foreign site that has its own name resolve to a loopback
        address (DNS rebinding) could read the page in the browser of somebody who sits here.
        """
        return self.token is not None or is_loopback(_host_name(host))

    def _is_ticket(self, text: str) -> bool:
        until, _, signature = text.partition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._signature(until).encode())
        return is_ours and until.isascii() and until.isdecimal() and int(until) > time.time()

    def _signature(self, until: str) -> str:
        message = f"complyq dashboard {self.namespace} {until}".encode(errors="surrogateescape")
        return hmac.new((self.token or "").encode(), message, hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _value(cookies: str, name: str) -> str:
    try:
        found = SimpleCookie(cookies).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
