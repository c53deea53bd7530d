"""Redaction: no credential survives in text, and hosts and paths stay readable."""

import base64
import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from complyq_config import redaction
from complyq_config.redaction import MASK, redact, redact_fields, redact_value, register_secret

SECRET = "A1b2C3d4E5f6G7h8"

HEX = st.text("0123456789abcdef", min_size=16, max_size=128)
BASE64 = st.binary(min_size=12, max_size=48).map(lambda data: base64.b64encode(data).decode())
OPAQUE = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", min_size=12, max_size=80)
SECRETS = HEX | BASE64 | OPAQUE
SURROUNDINGS = st.sampled_from(
    ["{}", "PUT {} HTTP/1.1", "url: '{}' (Caused by X)", '{{"upload_url": "{}"}}', "<{}>", "{}\n"]
)


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts with no registered secret."""
    monkeypatch.setattr(redaction, "_known", {})
    monkeypatch.setattr(redaction, "_known_pattern", None)


def signed(name: str, secret: str) -> str:
    """Build the query of a signed URL whose credential is one of several parameters."""
    known = [("X-Goog-Algorithm", "GOOG4-RSA-SHA256"), ("X-Goog-Expires", "899")]
    return urlencode([("alt", "media"), *known, (name, secret), ("X-Goog-SignedHeaders", "content-type;host")])


@given(
    name=st.sampled_from(
        [
            "X-Goog-Signature",
            "x-goog-signature",
            "X-Amz-Signature",
            "Signature",
            "token",
            "upload_id",
            "sig",
            "access_token",
        ],
    ),
    secret=SECRETS,
    around=SURROUNDINGS,
    spelling=st.sampled_from(
        ["plain", "json", "json-twice", "ampersand", "slashes", "percent", "percent-twice", "relative"]
    ),
)
def test_signed_urls_lose_their_secret(name: str, secret: str, around: str, spelling: str) -> None:
    """However a signed URL is written, its secret is gone and its host and path are left."""
    url = f"https://storage.googleapis.com/bucket-7/object_9?{signed(name, secret)}"
    written = {
        "plain": url,
        "json": json.dumps(url)[1:-1],
        "json-twice": json.dumps(json.dumps(url).replace("&", "\\u0026").replace("=", "\\u003d"))[3:-3],
        "ampersand": url.replace("&", "\\u0026"),
        "slashes": url.replace("/", "\\/"),
        "percent": quote(url, safe=""),
        "percent-twice": quote(quote(url, safe=""), safe=""),
        "relative": url.removeprefix("https://storage.googleapis.com"),
    }[spelling]
    found = redact(around.format(written))
    for variant in {secret, quote(secret, safe=""), quote(secret)}:
        assert variant not in found
    for piece in ("bucket-7", "object_9"):
        assert piece in found


@given(secret=OPAQUE, scheme=st.sampled_from(["redis", "rediss", "amqp", "http"]), user=st.sampled_from(["", "user"]))
def test_passwords_in_urls_are_removed(secret: str, scheme: str, user: str) -> None:
    """A connection URL keeps host, port and database."""
    assert (
        redact(f"cannot reach {scheme}://{user}:{secret}@cache:6379/1.")
        == f"cannot reach {scheme}://{MASK}@cache:6379/1."
    )


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {base64.b64encode(SECRET.encode()).decode()}",
        f"{{'Authorization': 'OAuth oauth_consumer_key=\"x\", oauth_signature=\"{SECRET}\"', 'Accept': '*/*'}}",
        f"{{'Authorization': b'Bearer {SECRET}'}}",
        f"sent Bearer {SECRET}, got 401",
        f"bearer%20{SECRET}",
        f'{{"token_type":"bearer","access_token":"{SECRET}"}}',
        json.dumps(json.dumps({"access_token": SECRET})),
        f"COMPLYQ_API_SECRET={SECRET}",
        f"aws_secret_access_key = '{SECRET}' secret_access_key={SECRET}",
        f"https://s3.example/b/k?AWSAccessKeyId={SECRET}&Signature={SECRET}%3D&Expires=1",
        f"<Error><Code>SignatureDoesNotMatch</Code><SignatureProvided>{SECRET}</SignatureProvided></Error>",
        f"Signature:\n{SECRET}",
        json.dumps(f"Signature:\n{SECRET}"),
        f"CanonicalRequest:\nGET\n/b/k\n\nx-amz-date:20261122T065958Z\nx-amz-security-token:{SECRET}\n\nhost;x-amz-date",
        f"Set-Cookie: guest_id={SECRET}; Path=/",
        f"redis://h:6379/0?password={SECRET}",
        f"http://user:{SECRET}@x@proxy:3128",
    ],
)
def test_other_credentials_are_removed(text: str) -> None:
    """Headers, token answers, environment dumps and error bodies lose their credentials."""
    if "aws_secret_access_key = " in text:
        register_secret(SECRET)
    found = redact(text)
    assert SECRET not in found
    assert base64.b64encode(SECRET.encode()).decode() not in found


@pytest.mark.parametrize(
    "text",
    [
        "the bearer token goes to https://api.x.com only",
        "GET https://api.x.com/2/compliance/jobs?type=tweets answered 409",
        "s3://bucket/prefix/batches/0193/ids/00000.txt",
        "x-goog-hash: crc32c=AAAAAA==",
        "SignatureDoesNotMatch: check the signature: it is wrong",
        "batch 0193a2 has 3 parts, mail me@example.org",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """What holds no credential is left as it is."""
    assert redact(text) == text


@given(secret=st.text(min_size=6, max_size=40))
def test_registered_secrets_are_removed(secret: str) -> None:
    """A secret that was registered goes wherever it stands, encoded or not."""
    redaction._known.clear()
    register_secret(secret)
    for written in (secret, quote(secret, safe=""), json.dumps(secret), repr(secret)):
        assert written.strip("\"'") not in redact(f"before {written} after").replace(MASK, "")


def test_short_values_are_not_registered() -> None:
    """Five characters would blot out ordinary words."""
    register_secret("batch")
    assert redact("batch") == "batch"


def test_nested_values_are_redacted() -> None:
    """Dictionaries, lists, bytes and exceptions inside a log line lose their credentials; numbers stay numbers."""
    url = f"https://h/p?token={SECRET}"
    found = redact_value({"urls": [url, (url,)], url: 1, "error": ValueError(url), "raw": url.encode(), "count": 3})
    assert SECRET not in repr(found)
    assert isinstance(found, dict)
    assert found["count"] == 3


def test_very_deep_values_end() -> None:
    """A value that contains itself does not hang the log."""
    loop: list[object] = [f"https://h/p?token={SECRET}"]
    loop.append(loop)
    assert SECRET not in repr(redact_value(loop))


def test_fields_named_like_credentials_are_masked() -> None:
    """A field called token or password is masked whatever it holds, but not a count."""
    assert redact_fields({"access_token": "x", "password": b"y", "token": 7, "event": "boot"}) == {
        "access_token": MASK,
        "password": MASK,
        "token": 7,
        "event": "boot",
    }


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "token",
        "token=",
        "://",
        "%3A%2F%2F",
        "Bearer ",
        "x-goog-",
        "authorization:",
        "\\",
        "token\\",
        "<StringToSign>",
        "basic ",
    ],
)
def test_hostile_text_ends(piece: str) -> None:
    """Long runs of what the patterns look for are read in time that grows with their length only."""
    assert len(redact(piece * 30_000)) <= len(piece) * 30_000 + 400_000


CREDENTIAL_WORDS = ["authorization", "cookie", "bearer", "basic", "X-Goog-Signature", "upload_id", "token", "password"]


@given(
    st.lists(st.sampled_from([*CREDENTIAL_WORDS, ".", ",", "/", "-", "_"]) | OPAQUE.map(lambda text: text.strip("~")))
)
def test_no_pattern_is_about_plain_words(words: list[str]) -> None:
    """What is passed over because it holds nothing but names, numbers and keys would come out as it is."""
    text = "".join(words).replace("~", "")
    assert redaction._PLAIN.fullmatch(text)
    assert not [pattern for pattern, _ in redaction._PATTERNS if pattern.search(text)]
