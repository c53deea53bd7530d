"""What single settings may hold: pure checks that return the value as it is used, or say what is allowed."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from complyq_config.amqp_address import AMQP_SCHEMES, AmqpAddress
from complyq_config.redis_address import REDIS_SCHEMES, SENTINEL_SCHEMES, RedisAddress
from complyq_config.splitting import split_url

MIN_GUESSABLE = 16
"""Characters of a token that can be tried over the network."""


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


def redis_url(url: str) -> str:
    """Check the URL of a Redis and return it.

    Raises:
        ValueError: It is not redis://, rediss://, unix:// or sentinel(s)://, or what follows cannot be used.
    """
    if _scheme(url) not in REDIS_SCHEMES | {"unix"}:
        raise ValueError("must be a URL that starts with redis://, rediss://, unix://, sentinel:// or sentinels://")
    RedisAddress.parse(url)
    return url


def broker_url(url: str) -> str:
    """Check the URL of Celery's broker and return it.

    Raises:
        ValueError: It is neither a Redis with an address nor one or several RabbitMQ, or what follows cannot be used.
    """
    if _scheme(url) in REDIS_SCHEMES:
        RedisAddress.parse(url)
    elif _scheme(url) in AMQP_SCHEMES:
        AmqpAddress.parse(url)
    else:
        schemes = "redis://, rediss://, sentinel://, sentinels://, amqp:// or amqps://"
        raise ValueError(f"must be a URL that starts with {schemes}")
    return url


def events_url(url: str) -> str:
    """Check the scheme of the results queue's URL and return it; the rest is read where events are.

    Raises:
        ValueError: It names no results queue.
    """
    if _scheme(url) in SENTINEL_SCHEMES:  # with several hosts: no ordinary URL
        return url
    return service_url(url, ["redis", "rediss", "unix", "sqs", "amqp", "amqps"])


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


def long_secret_word(value: str) -> str:
    """Check a token that somebody could try to guess, and return it as `secret_word` does.

    Raises:
        ValueError: It is no token, or has fewer than 16 characters.
    """
    word = secret_word(value)
    if len(word) < MIN_GUESSABLE:
        raise ValueError(f"must have at least {MIN_GUESSABLE} characters, so that nobody guesses it")
    return word


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine, without asking DNS."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _scheme(url: str) -> str:
    return split_url(url, one_host=False).scheme


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
