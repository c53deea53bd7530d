"""Where a RabbitMQ is that carries Celery's messages: one node, or several of a cluster."""

from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlunsplit

from complyq_config.splitting import split_url

AMQP_SCHEMES = frozenset({"amqp", "amqps"})
_TLS_FILES = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}


@dataclass(frozen=True, slots=True)
class AmqpAddress:
    """A RabbitMQ as its URL names it.

    Attributes:
        nodes: their URLs, without options.
        tls: options for the TLS of amqps, as py-amqp names them; None for amqp.
    """

    nodes: tuple[SplitResult, ...] = field(repr=False)
    tls: dict[str, Any] | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `amqp://user:password@host/vhost`, or several of them with semicolons between.

        Raises:
            ValueError: It cannot be used; the message says why, without the URL.
        """
        nodes = [split_url(each) for each in url.split(";")]
        options = {name: value for node in nodes for name, value in parse_qsl(node.query, keep_blank_values=True)}
        schemes = {node.scheme for node in nodes}
        if len(schemes) != 1 or not schemes <= AMQP_SCHEMES or not all(node.hostname for node in nodes):
            raise ValueError("must be amqp://user:password@host/vhost, or amqps://…; of a cluster several, as URL;URL")
        if len({unquote(node.path).strip("/") for node in nodes}) != 1:
            raise ValueError("must name the same virtual host at every node")
        is_tls = schemes == {"amqps"}
        unknown = sorted(set(options) - set(_TLS_FILES if is_tls else ()))
        if unknown:
            known = ", ".join(_TLS_FILES) if is_tls else "none"
            raise ValueError(f"{schemes.pop()}:// knows no option {', '.join(unknown)}, only {known}")
        files = {known: options[name] for name, known in _TLS_FILES.items() if name in options}
        tls = _HostOfEachNode(server_hostname=None, **files) if is_tls else None
        return cls(tuple(node._replace(query="") for node in nodes), tls)

    def kombu_url(self, scheme: str) -> str:
        """Return the nodes' URLs as kombu reads them, for the transport of a scheme."""
        return ";".join(urlunsplit(node._replace(scheme=scheme)) for node in self.nodes)


class _HostOfEachNode(dict[str, Any]):
    """Has kombu check each node's certificate against that node's host.

    Where the host is None, kombu fills in that of the node, once, and would check all later nodes against the first.
    """

    def __getitem__(self, name: str) -> Any:
        """Forget the host between connections. What kombu filled in is there for `**`, which does not ask here."""
        return None if name == "server_hostname" else super().__getitem__(name)
