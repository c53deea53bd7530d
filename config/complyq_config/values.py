"""What single settings may hold: pure checks that return the value as it is used, or say what is allowed."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit


def web_base(url: str) -> str:
    """Check the base URL of an HTTP API and return it without a trailing slash.

    Raises:
        ValueError: It is not ``https://host[:port][/path]``, or plain http to anything but this machine.
    """
    allowed = "must be https://host[:port], or http:// on a loopback address"
    parts = _split(url, allowed)
    if parts.query or parts.fragment or "@" in parts.netloc or not _is_safe_web(parts):
        raise ValueError(allowed)
    return url.rstrip("/")


def origin(url: str) -> str:
    """Check one origin and return it in lower case, as ``scheme://host[:port]``.

    Raises:
        ValueError: It has a path, a query or a user, or is plain http to anything but this machine.
    """
    allowed = f"{url!r} must be an origin: https://host[:port], or http:// on a loopback address, without a path"
    parts = _split(url, allowed)
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc or not _is_safe_web(parts):
        raise ValueError(allowed)
    return f"{parts.scheme}://{parts.netloc}".lower()


def service_url(url: str, schemes: Iterable[str]) -> str:
    """Check the URL of a broker, database or queue and return it.

    Raises:
        ValueError: Its scheme is none of ``schemes``, or it names no host.
    """
    allowed = "must be a URL that starts with " + " or ".join(f"{scheme}://" for scheme in schemes)
    parts = _split(url, allowed)
    if parts.scheme not in schemes or not (parts.netloc or parts.path):
        raise ValueError(allowed)
    return url


def store_url(url: str) -> str:
    """Check where objects are kept and return it.

    Raises:
        ValueError: It is neither ``file:///absolute/path`` nor ``s3://bucket[/prefix]``.
    """
    allowed = "must be file:///absolute/path or s3://bucket[/prefix]"
    parts = _split(url, allowed)
    is_directory = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
    is_bucket = parts.scheme == "s3" and bool(parts.netloc) and "@" not in parts.netloc
    if parts.query or parts.fragment or not (is_directory or is_bucket):
        raise ValueError(allowed)
    return url


def secret_word(value: str) -> str:
    """Check a token and return it without the newline that files and shells leave at its end.

    Raises:
        ValueError: It is empty, or holds something that cannot stand in an HTTP header.
    """
    word = value.strip()
    if not word or not word.isascii() or not word.isprintable() or " " in word:
        raise ValueError("must be one word of printable ASCII characters")
    return word


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine, without asking DNS."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str, allowed: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        raise ValueError(allowed) from None
    if any(character.isspace() for character in url):
        raise ValueError(allowed)
    return parts


def _is_safe_web(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
