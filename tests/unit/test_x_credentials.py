"""Where the bearer comes from."""

from base64 import b64encode

import pytest

from complyq_config.errors import ConfigurationError
from complyq_workers.x import (
    AmbiguousAnswerError,
    ExchangedBearer,
    RateLimitedError,
    Request,
    StaticBearer,
    Transport,
    UnauthorizedError,
)
from support.scripted_server import Exchange, Script, answering, in_turn, scripted_server

GIVEN = b'{"token_type":"bearer","access_token":"AAAAfirst"}'


def exchanging(*tokens: str) -> Script:
    """Answer exchanges with one token after another, and accept only the last one for anything else."""
    waiting = list(tokens)

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/oauth2/token":
            exchange.answer(200, {}, b'{"token_type":"bearer","access_token":"%s"}' % waiting.pop(0).encode())
        else:
            good = exchange.headers["authorization"] == f"Bearer {tokens[-1]}"
            exchange.answer(200 if good else 401)

    return answer


def test_key_and_secret_are_exchanged_once() -> None:
    """The exchange follows X's description, and its token serves until it is refused."""
    with scripted_server(exchanging("AAAAonly")) as api:
        transport = Transport([], api.url)
        transport.use(ExchangedBearer("k:ey", "s/ecret", transport))
        for _ in range(2):
            assert transport.send(Request("GET", f"{api.url}/a", bearer=True)).status == 200
        transport.close()
    first, *others = api.seen
    assert (first.method, first.path) == ("POST", "/oauth2/token")
    assert first.headers["authorization"] == "Basic " + b64encode(b"k%3Aey:s%2Fecret").decode()
    assert first.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert [seen.path for seen in others] == ["/a", "/a"]


def test_a_refused_token_is_exchanged_again_once() -> None:
    """A token that X revoked is replaced without anybody noticing."""
    with scripted_server(exchanging("AAAAold", "AAAAnew")) as api:
        transport = Transport([], api.url)
        transport.use(ExchangedBearer("key", "secret", transport))
        assert transport.send(Request("POST", f"{api.url}/a", body=b"{}", bearer=True)).status == 200
        transport.close()
    assert [seen.path for seen in api.seen] == ["/oauth2/token", "/a", "/oauth2/token", "/a"]


def test_a_401_that_stays_is_not_asked_for_ever() -> None:
    """One new token is tried, then the answer stands."""
    script = in_turn(answering(200, body=GIVEN), answering(401), answering(200, body=GIVEN), answering(401))
    with scripted_server(script) as api:
        transport = Transport([], api.url)
        transport.use(ExchangedBearer("key", "secret", transport))
        assert transport.send(Request("GET", f"{api.url}/a", bearer=True)).status == 401
        transport.close()
    assert len(api.seen) == 4


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (
            answering(403, body=b'{"errors":[{"code":99,"message":"Unable to verify your credentials"}]}'),
            UnauthorizedError,
        ),
        (answering(429), RateLimitedError),
        (answering(503), AmbiguousAnswerError),
        (answering(200, body=b"<html>"), AmbiguousAnswerError),
        (answering(200, body=b'{"access_token":"with space"}'), AmbiguousAnswerError),
        (answering(200, body=b'{"access_token":7}'), AmbiguousAnswerError),
    ],
)
def test_failed_exchanges(script: Script, error: type[Exception]) -> None:
    """Wrong keys, a busy X and nonsense are told apart."""
    with scripted_server(script) as api:
        transport = Transport([], api.url)
        with pytest.raises(error) as caught:
            ExchangedBearer("thekey123", "thesecret123", transport).bearer()
        transport.close()
    assert "thesecret123" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "  ", "two words", "new\nline", "naïve"])
def test_unusable_tokens_are_refused_at_once(token: str) -> None:
    """A pasted token with a space in it is a configuration error, not a strange answer later."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_BEARER_TOKEN"):
        StaticBearer(token)


def test_a_trailing_newline_is_no_part_of_a_token() -> None:
    """Files with secrets end with one."""
    assert StaticBearer("AAAA\n").bearer() == "AAAA"


def test_credentials_print_masked() -> None:
    """No secret shows in a traceback's variables."""
    transport = Transport([], "https://api.x.com")
    shown = f"{StaticBearer('AAAAtoken')!r} {ExchangedBearer('thekey123', 'thesecret123', transport)!r}"
    assert shown == "StaticBearer(***) ExchangedBearer(***)"
    transport.close()
