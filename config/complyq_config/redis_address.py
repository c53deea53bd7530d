"""Where a Redis is: one server, or one that Sentinels name. What the URL says, in the words of redis-py and of kombu."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

from complyq_config.splitting import split_url

SENTINEL_SCHEMES = frozenset({"sentinel", "sentinels"})
REDIS_SCHEMES = frozenset({"redis", "rediss"}) | SENTINEL_SCHEMES
SENTINEL_PORT = 26_379
_TLS_SCHEMES = frozenset({"rediss", "sentinels"})
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_SENTINEL_OPTIONS = ("master", "sentinel_user", "sentinel_password")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """A Redis as its URL names it.

    Attributes:
        url: the URL without the options of the next lines, as redis-py and kombu both read it.
        tls: options for TLS, as redis-py names them; None where there is none.
        sentinels: hosts and ports of the Sentinels; empty where the URL names the server itself.
        master: the name under which the Sentinels know the server; empty without them.
        sentinel_login: user and password at the Sentinels themselves, as far as they are given.
    """

    url: str = field(repr=False)
    tls: dict[str, Any] | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_login: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL of the schemes redis, rediss, unix, sentinel and sentinels.

        Raises:
            ValueError: It cannot be used; the message says why, without the URL.
        """
        parts = split_url(url, one_host=False)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        tls = _tls(parts, options)
        if parts.scheme in SENTINEL_SCHEMES:
            return cls._behind_sentinels(parts, options, tls)
        _refuse_unknown(parts, options, ["db"] if parts.scheme == "unix" else [])
        if parts.scheme != "unix":
            _check_server(parts)
        return cls(url=urlunsplit(parts) if parts.scheme == "unix" else urlunsplit(parts._replace(query="")), tls=tls)

    @classmethod
    def _behind_sentinels(cls, parts: SplitResult, options: dict[str, str], tls: dict[str, Any] | None) -> Self:
        _refuse_unknown(parts, options, _SENTINEL_OPTIONS)
        _database(parts)
        master = options.get("master", "")
        if not master:
            raise ValueError("must name the master that the Sentinels watch: sentinel://host:26379/0?master=NAME")
        login = {"username": options.get("sentinel_user"), "password": options.get("sentinel_password")}
        return cls(
            url=urlunsplit(parts._replace(query="")),
            tls=tls,
            sentinels=tuple(_host_and_port(each) for each in parts.netloc.rpartition("@")[2].split(",")),
            master=master,
            sentinel_login={name: value for name, value in login.items() if value},
        )

    @property
    def login(self) -> dict[str, Any]:
        """Database, user and password of a server that Sentinels name, as redis-py's arguments."""
        parts = urlsplit(self.url)
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        given = {"username": unquote(user) or None, "password": unquote(password) or None}
        return {"db": _database(parts)} | given

    @property
    def kombu_url(self) -> str:
        """The URL as kombu reads it: all Sentinels, each with the login of the server that they name."""
        if not self.sentinels:
            return self.url
        user = urlsplit(self.url).netloc.rpartition("@")[0]
        login = f"{user}@" if user else ""
        hosts = (f"[{host}]" if ":" in host else quote(host) for host, _ in self.sentinels)
        ports = (port for _, port in self.sentinels)
        database = self.login["db"]
        return ";".join(f"sentinel://{login}{host}:{port}/{database}" for host, port in zip(hosts, ports, strict=True))


def _tls(parts: SplitResult, options: dict[str, str]) -> dict[str, Any] | None:
    """Take the options for TLS out of the options."""
    given: dict[str, Any] = {name: options.pop(name) for name in _TLS_OPTIONS if name in options}
    if parts.scheme not in _TLS_SCHEMES:
        if given:
            raise ValueError(f"{next(iter(given))} is for TLS: use rediss:// (or sentinels://)")
        return None
    if given.get("ssl_cert_reqs", "required") not in {"required", "none"}:
        raise ValueError("ssl_cert_reqs must be required or none")
    checks = given.get("ssl_cert_reqs") != "none"
    host = given.pop("ssl_check_hostname", "true").lower()
    if host not in {"true", "false"}:
        raise ValueError("ssl_check_hostname must be true or false")
    return {"ssl_cert_reqs": "required", **given, "ssl_check_hostname": checks and host == "true"}


def _refuse_unknown(parts: SplitResult, options: dict[str, str], known: Iterable[str]) -> None:
    allowed = [*known, *(_TLS_OPTIONS if parts.scheme in _TLS_SCHEMES else ())]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(f"{parts.scheme}:// knows no option {', '.join(unknown)}, only {', '.join(allowed) or 'none'}")


def _check_server(parts: SplitResult) -> None:
    split_url(parts.geturl())
    if not parts.hostname or "," in parts.netloc.rpartition("@")[2]:
        raise ValueError(f"must be {parts.scheme}://[user:password@]host[:port]/database, with one host")
    _database(parts)


def _database(parts: SplitResult) -> int:
    number = parts.path.strip("/") or "0"
    if not number.isdecimal():
        raise ValueError("must end in the number of a database, such as /0")
    return int(number)


def _host_and_port(text: str) -> tuple[str, int]:
    parts = split_url(f"//{text}")
    if not parts.hostname:
        raise ValueError("must be sentinel://[user:password@]host:port,host:port/0?master=NAME")
    return parts.hostname, parts.port or SENTINEL_PORT
