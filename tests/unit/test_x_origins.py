"""Where requests may go."""

import pytest

from complyq_config.errors import ConfigurationError
from complyq_workers.x.errors import ForbiddenOriginError
from complyq_workers.x.origins import AllowedOrigins, is_direct, location, origin_of, resolve, target_of

API = "https://api.x.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.x.com/2/compliance/jobs",
        "https://API.X.COM:443/2",
        "https://storage.googleapis.com/bucket/object?X-Goog-Signature=abc",
        "http://127.0.0.1:9000/x",
    ],
)
def test_known_origins_are_allowed(url: str) -> None:
    """The API, Cloud Storage and configured origins may be asked, however the host is spelled."""
    AllowedOrigins(API, ["http://127.0.0.1:9000"]).require(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.x.com.evil.example/2",
        "https://api.x.com:8443/2",
        "http://api.x.com/2",
        "https://api.x.com@evil.example/2",
        "https://user:pw@api.x.com/2",
        "https://api.x.com\\@evil.example/",
        "https://evil.example#@api.x.com/",
        "https://api.x.com:/2",
        "https://api.x.com:0/2",
        "https://api.x.com:99999/2",
        "https://api.x.com:x/2",
        "https:///2",
        "https://[::1/2",
        "https://api.x.com/a b",
        "https://api.x.com/\nHost: evil.example",
        "https://xn--pi-7ia.x.com/",
        "https://api.x.com./2",
        "http://127.0.0.1:9001/x",
        "http://127.0.0.1.evil.example:9000/x",
        "file:///etc/passwd",
        "//api.x.com/2",
        "",
    ],
)
def test_other_origins_are_forbidden(url: str) -> None:
    """Nothing that looks like an allowed origin, but is another one, gets through."""
    with pytest.raises(ForbiddenOriginError):
        AllowedOrigins(API, ["http://127.0.0.1:9000"]).require(url)


def test_message_names_the_origin_but_not_the_query() -> None:
    """Who reads the message knows where the URL pointed, and gets no credential."""
    with pytest.raises(ForbiddenOriginError) as caught:
        AllowedOrigins(API).require("https://evil.example/path?token=verysecret")
    assert "https://evil.example" in str(caught.value)
    assert "verysecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://\u0430pi.x.com/2?token=verysecret", r"\u0430pi.x.com"),
        ("https://api.x.com:verysecret@evil.example/2", "evil.example"),
        ("https://xn--pi-7ia.x.com/2?token=verysecret", "https://xn--pi-7ia.x.com"),
        ("https://[2001:db8::1]:8443/2?token=verysecret", "https://[2001:db8::1]:8443"),
        ("http://storage.googleapis.com/b?X-Goog-Signature=verysecret", "http://storage.googleapis.com is plain http"),
        ("https://api.x.com:port/2?token=verysecret", "api.x.com:port"),
        ("ftp://evil.example/2?token=verysecret", "evil.example"),
        ("https://api.x.com\\@evil.example/?token=verysecret", "api.x.com"),
        ("https://[::1/2?token=verysecret", "[::1"),
        ("?token=verysecret", "nowhere"),
    ],
)
def test_whatever_is_wrong_with_a_url_its_host_is_told(url: str, shown: str) -> None:
    """An operator reads in the log where X's URL led, in ASCII, and no credential."""
    with pytest.raises(ForbiddenOriginError) as caught:
        AllowedOrigins(API).require(url)
    assert shown in str(caught.value)
    assert str(caught.value).isascii()
    assert "verysecret" not in str(caught.value)
    assert "nothing was sent" in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "origin"),
    [
        ("https://evil.example/a?token=verysecret", "https://evil.example"),
        ("//evil.example/a", "https://evil.example"),
        ("/elsewhere", "https://api.x.com"),
        ("", "https://api.x.com"),
        ("http://evil.example/", "'evil.example'"),
        ("http://[", "'['"),
        ("https://user:verysecret@evil.example/", "'evil.example'"),
    ],
)
def test_where_a_redirect_leads_is_told(reference: str, origin: str) -> None:
    """Relative or absolute, proper or not: the message names the origin or the host, and no more."""
    assert target_of("https://api.x.com/2/jobs", reference) == origin


def test_a_malformed_location_is_forbidden() -> None:
    """It is an error that the pipeline knows, not one of the URL parser."""
    with pytest.raises(ForbiddenOriginError):
        resolve("https://storage.googleapis.com/b/o", "http://[")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_plain_http_is_for_loopback(host: str) -> None:
    """A simulator on this machine may be asked without TLS."""
    assert origin_of(f"http://{host}:8000/").is_loopback


@pytest.mark.parametrize("origin", ["http://10.0.0.1", "api.x.com", "https://u:p@h", "ftp://h", "https://"])
def test_a_wrong_setting_is_named(origin: str) -> None:
    """A malformed or unsafe origin in the configuration stops the worker with the setting's name."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_ALLOWED_ORIGINS"):
        AllowedOrigins(API, [origin])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.x.com/2/compliance/jobs/17/upload?token=a", True),
        ("https://api.x.com:443/2/compliance/jobs/17/download?token=a", True),
        ("https://api.x.com/2/compliance/jobs/17", False),
        ("https://storage.googleapis.com/2/compliance/jobs/17/upload", False),
        ("https://evil.example/2/compliance/jobs/17/upload", False),
    ],
)
def test_the_contract_shows_in_the_url(url: str, *, expected: bool) -> None:
    """Only a byte URL of the API itself gets the bearer."""
    assert is_direct(url, API) is expected


def test_location_has_no_query() -> None:
    """Messages show origin and path."""
    assert location("https://api.x.com/2/x?token=secret#f") == "https://api.x.com/2/x"
    assert location("nonsense") == "a malformed URL"
