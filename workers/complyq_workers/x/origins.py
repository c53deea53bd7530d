"""Where requests may go: exact origins, compared before a single byte is sent. No I/O."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from complyq_config.errors import ConfigurationError
from complyq_workers.x.errors import ForbiddenOriginError

if TYPE_CHECKING:
    from collections.abc import Iterable

STORAGE_ORIGIN = "https://storage.googleapis.com"

# The characters of RFC 3986. Anything else (a backslash, a space, a newline) is read differently by different
# parsers, and what we check must be what the HTTP library connects to.
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
_AUTHORITY = re.compile(r"[a-z]+://([^/?#\\]{1,300})", re.IGNORECASE)
_SHOWN_CHARACTERS = 100
_DEFAULT_PORTS = {"https": 443, "http": 80}
_DIRECT_PATH = re.compile(r"/2/compliance/jobs/[^/]+/(?:upload|download)/?$")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL, in lower case and with the port spelled out."""

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine itself: 127.0.0.0/8, ::1 or localhost."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == _DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{host}" if default else f"{self.scheme}://{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Read the origin of a URL strictly.

    Raises:
        ForbiddenOriginError: It is no http(s) URL, holds user information or a strange port, or is plain
            http to another machine. The message names the host where there is one, and never shows the query.
    """
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise _refusal(url, "is neither https nor http")
    origin = Origin(parts.scheme, _host_of(parts, url), _port_of(parts, url))
    if "@" in parts.netloc:
        raise _refusal(url, "has a user name in it")
    if origin.scheme == "http" and not origin.is_loopback:
        raise ForbiddenOriginError(f"{origin} is plain http to another machine; nothing was sent. Use https.")
    return origin


class AllowedOrigins:
    """The origins that requests may go to: the API's, Cloud Storage's and those of the configuration."""

    def __init__(self, api_url: str, extra: Iterable[str] = ()) -> None:
        self.api = configured_origin(api_url)
        self._allowed = {self.api, origin_of(STORAGE_ORIGIN), *map(configured_origin, extra)}

    def require(self, url: str) -> Origin:
        """Give the URL's origin if requests may go there.

        Raises:
            ForbiddenOriginError: They may not; the message names the origin and how to allow it.
        """
        origin = origin_of(url)
        if origin in self._allowed:
            return origin
        raise ForbiddenOriginError(
            f"Requests to {origin} are not allowed; nothing was sent."
            " If X really moved its files there, add it to COMPLYQ_ALLOWED_ORIGINS."
        )


def configured_origin(text: str) -> Origin:
    """Read an origin from the configuration; a path after it is ignored.

    Raises:
        ConfigurationError: It is not `https://host[:port]`, nor plain http on loopback.
    """
    try:
        return origin_of(text.strip())
    except ForbiddenOriginError as error:
        reason = str(error).replace("; nothing was sent", "")
    raise ConfigurationError(f"COMPLYQ_API_URL and COMPLYQ_ALLOWED_ORIGINS hold scheme://host[:port]. {reason}")


def is_direct(url: str, api_url: str) -> bool:
    """Tell whether a byte URL is served by the API itself (and wants the bearer) rather than by Cloud Storage.

    The host and the path decide, never a setting.
    """
    return origin_of(url) == origin_of(api_url) and bool(_DIRECT_PATH.search(urlsplit(url).path))


def location(url: str) -> str:
    """Origin and path of a URL, for messages: without the query, which may be a credential."""
    try:
        return f"{origin_of(url)}{urlsplit(url).path}"
    except ForbiddenOriginError:
        return "a malformed URL"


def resolve(base: str, reference: str) -> str:
    """Give the URL that a Location header leads to.

    Raises:
        ForbiddenOriginError: It is malformed.
    """
    with suppress(ValueError):
        return urljoin(base, reference)
    raise _refusal(reference, "is malformed")


def target_of(base: str, reference: str) -> str:
    """Name the origin that a Location header leads to, for messages; only its host where it is no proper one."""
    try:
        return str(origin_of(resolve(base, reference)))
    except ForbiddenOriginError:
        return _host_shown(reference)


def _split(url: str) -> SplitResult:
    if _URL_CHARACTERS.fullmatch(url):
        with suppress(ValueError):
            return urlsplit(url)
    raise _refusal(url, "is malformed")


def _refusal(url: str, why: str) -> ForbiddenOriginError:
    """Make the error for a URL that has no proper origin, with its host in ASCII as far as it can be told."""
    return ForbiddenOriginError(f"A URL to {_host_shown(url)} {why}; nothing was sent.")


def _host_shown(url: str) -> str:
    found = _AUTHORITY.match(url)
    return ascii(found[1].rpartition("@")[2][:_SHOWN_CHARACTERS]) if found else "nowhere"


def _host_of(parts: SplitResult, url: str) -> str:
    try:
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not _HOST.fullmatch(host):
        raise _refusal(url, "names no readable host")
    return host


def _port_of(parts: SplitResult, url: str) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None and not parts.netloc.endswith(":"):
        return _DEFAULT_PORTS[parts.scheme]
    if not port:
        raise _refusal(url, "names a malformed port")
    return port
