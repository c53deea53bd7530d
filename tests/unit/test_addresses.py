"""Where Redis and RabbitMQ are: every form of URL, as our clients and kombu read it."""

import ssl
from typing import Any

import pytest
from kombu import Connection

from complyq_config.amqp_address import AmqpAddress
from complyq_config.celery_settings import celery_settings
from complyq_config.errors import ConfigurationError
from complyq_config.redis_address import RedisAddress
from complyq_config.settings import load_settings
from complyq_producer.listening import StreamAddress
from complyq_producer.live import connect_redis

SENTINELS = "sentinel://user:p%40ss@one,two:26380/3?master=main&sentinel_password=theirs"


def arguments(url: str) -> dict[str, Any]:
    """What our client connects with."""
    client = connect_redis(url)
    return dict(client.connection_pool.connection_kwargs)


def test_a_plain_server_is_reached_as_the_url_says() -> None:
    """User, password, database."""
    given = arguments("redis://user:p%40ss@host:7000/3")
    assert (given["host"], given["port"], given["db"]) == ("host", 7000, 3)
    assert (given["username"], given["password"]) == ("user", "p@ss")


def test_tls_checks_the_server_unless_told_otherwise() -> None:
    """For our clients and for kombu, which would trust everybody by itself."""
    url = "rediss://host:7000/0?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem"
    given = arguments(url)
    wanted = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": "/ca.pem"}
    assert wanted.items() <= given.items()
    with broker(url) as connection:
        assert wanted.items() <= connection.ssl.items()
    assert arguments("rediss://host/0")["ssl_cert_reqs"] == "required"
    trusting = arguments("rediss://host/0?ssl_cert_reqs=none")
    assert (trusting["ssl_cert_reqs"], trusting["ssl_check_hostname"]) == ("none", False)


def test_sentinels_are_told_apart_from_the_server() -> None:
    """The login in the URL is the server's; a password of the Sentinels stands among the options."""
    address = RedisAddress.parse(SENTINELS)
    assert address.sentinels == (("one", 26379), ("two", 26380))
    assert address.login == {"db": 3, "username": "user", "password": "p@ss"}
    assert address.sentinel_login == {"password": "theirs"}
    pool: Any = connect_redis(SENTINELS).connection_pool
    assert pool.service_name == "main"
    assert pool.connection_kwargs["password"] == "p@ss"
    (first, second) = (each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels)
    assert (first["host"], second["host"]) == ("one", "two")
    assert first["password"] == "theirs"


def test_kombu_asks_the_same_sentinels() -> None:
    """Each of them, with the login of the server and the name of the master."""
    with broker(SENTINELS) as connection:
        assert [connection.hostname, connection.userid, connection.password] == ["one", "user", "p@ss"]
        assert len(connection.alt) == 2
        assert connection.transport_options["master_name"] == "main"
        assert connection.transport_options["sentinel_kwargs"]["password"] == "theirs"


def test_events_go_through_sentinels_too() -> None:
    """With a stream's name beside the options of the server."""
    address = StreamAddress.parse(SENTINELS + "&stream=mine")
    assert address.stream == "mine"
    assert RedisAddress.parse(address.url) == RedisAddress.parse(SENTINELS)
    with pytest.raises(ConfigurationError, match="knows no option streem"):
        StreamAddress.parse("redis://host/0?streem=mine")


def test_each_node_of_a_cluster_must_show_a_certificate_of_its_own_host() -> None:
    """Kombu fills in the host of the first node; the next one is not checked against that."""
    tls = AmqpAddress.parse("amqps://u:p@one/v?ssl_ca_certs=/ca.pem;amqps://u:p@two/v").tls
    assert tls is not None
    for host in ("one", "two"):
        if tls["server_hostname"] is None:
            tls["server_hostname"] = host
        assert dict(**tls) == {"server_hostname": host, "ca_certs": "/ca.pem"}


def test_all_nodes_of_a_cluster_are_tried() -> None:
    """In turn, without the options that kombu would not understand."""
    url = "amqps://u:p@one/v?ssl_ca_certs=/ca.pem;amqps://u:p@two/v"
    with broker(url) as connection:
        assert connection.alt == ["complyq-amqp://u:p@one/v", "complyq-amqp://u:p@two/v"]
        connection.maybe_switch_next()
        assert (connection.hostname, connection.virtual_host) == ("two", "v")
        assert connection.transport_cls == "complyq-amqp"
        assert connection.ssl["ca_certs"] == "/ca.pem"
        assert "cert_reqs" not in connection.ssl  # py-amqp then asks for a certificate
        assert ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://host/name", "number of a database"),
        ("redis://one,two/0", "with one host"),
        ("redis://host/0?ssl_ca_certs=/x", "use rediss://"),
        ("rediss://host/0?ssl_ca_cert=/x", "knows no option ssl_ca_cert, only ssl_ca_certs"),
        ("rediss://host/0?ssl_cert_reqs=maybe", "required or none"),
        ("sentinel://host/0", "must name the master"),
        ("sentinel://host:s3cret/0?master=m", "port"),
        ("amqp://one/a;amqp://two/b", "same virtual host"),
        ("amqp://one/;amqps://two/", "must be amqp://"),
        ("amqp://one/?heartbeat=1", "knows no option heartbeat, only none"),
        ("amqp://user:s3cret/x@host/", "port"),
        ("amqps://host/?ca=1", "only ssl_ca_certs"),
        ("unix:///run/redis.sock", "must be a URL that starts with"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(url: str, why: str) -> None:
    """Before anything connects, and without showing what may be a password."""
    with pytest.raises(ConfigurationError, match=why) as refused:
        load_settings(broker_url=url)
    assert "s3cret" not in str(refused.value)


def broker(url: str) -> Connection:
    """What Celery makes of our settings; nothing connects."""
    found: dict[str, Any] = celery_settings(load_settings(broker_url=url))
    options = found["broker_transport_options"]
    return Connection(found["broker_url"], ssl=found["broker_use_ssl"], transport_options=options)
