"""Who may see the dashboard, and what each answer says to the browser."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from complyq_config.errors import ConfigurationError
from complyq_config.settings import load_settings
from complyq_producer.dashboard.access import Access
from complyq_producer.dashboard.server import bind
from support.dashboard_site import TOKEN, DashboardSite, dashboard_site, fill


@pytest.fixture
def site(tmp_path: Path, redis_server: str) -> Iterator[DashboardSite]:
    """A page without a token."""
    with dashboard_site(tmp_path, redis_server) as running:
        yield running


@pytest.fixture
def guarded(tmp_path: Path, redis_server: str) -> Iterator[DashboardSite]:
    """A page that asks for a token, with something to see."""
    with dashboard_site(tmp_path, redis_server, dashboard_token=TOKEN) as running:
        fill(running)
        yield running


def log_in(site: DashboardSite, token: str = TOKEN, path: str = "/", **headers: str) -> requests.Response:
    """Send the form."""
    form = {"token": token, "next": path}
    return requests.post(f"{site.url}login", form, headers=headers, timeout=30, allow_redirects=False)


@pytest.mark.parametrize(
    "path",
    ["/", "/events", "/batches/0193a1ba", "/batches/0193a1ba/events", "/batches/9", "/find?q=0193a1ba", "/nothing"],
)
def test_without_the_token_nothing_is_told(guarded: DashboardSite, path: str) -> None:
    """401 for each address, there or not, and no word of what is going on."""
    for headers in (
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": "complyq-x=y"},
    ):
        answer = guarded.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "0193a1b" not in answer.text.replace("/batches/0193a1ba", "").replace("q=0193a1ba", "")
    assert guarded.get(f"{path}{'&' if '?' in path else '?'}token={TOKEN}").status_code == 401


def test_a_program_shows_the_token_in_a_header(guarded: DashboardSite) -> None:
    """As `Authorization: Bearer`."""
    answer = guarded.get("/", headers={"Authorization": f"bearer {TOKEN}"})
    assert (answer.status_code, "0193a1ba" in answer.text) == (200, True)


def test_a_person_logs_in_with_a_form(guarded: DashboardSite) -> None:
    """The cookie is out of reach of scripts and other sites, and does not hold the token; the way leads back."""
    asked = guarded.get("/batches/0193a1ba?parts=1")
    assert 'action="/login"' in asked.text
    assert 'value="/batches/0193a1ba?parts=1"' in asked.text
    answer = log_in(guarded, path="/batches/0193a1ba?parts=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/batches/0193a1ba?parts=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    shown = guarded.get("/", headers={"Cookie": cookie.split(";")[0]})
    assert (shown.status_code, "0193a1ba" in shown.text) == (200, True)


def test_behind_a_proxy_with_tls_the_cookie_is_sent_over_tls_only(guarded: DashboardSite) -> None:
    """The proxy says so in X-Forwarded-Proto."""
    assert "Secure" in log_in(guarded, **{"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert "Secure" not in log_in(guarded).headers["set-cookie"]


def test_a_wrong_token_is_said(guarded: DashboardSite) -> None:
    """The form again, and no cookie."""
    for token in ("", "x", TOKEN[:-1], TOKEN + "x", "\x00ÿ"):
        answer = log_in(guarded, token)
        assert answer.status_code == 401
        assert "not the token" in answer.text
        assert "set-cookie" not in answer.headers


def test_the_form_leads_nowhere_else(guarded: DashboardSite) -> None:
    """Neither to another host nor into another header."""
    for path in ("https://evil.example", "//evil.example", "/\\evil.example", "evil", ""):
        assert log_in(guarded, path=path).headers["location"] == "/"
    odd = log_in(guarded, path="/x\r\nSet-Cookie: a=b")
    assert (odd.status_code, odd.headers["location"]) == (303, "/x%0D%0ASet-Cookie%3A%20a=b")


def test_a_form_of_another_site_and_an_endless_one_are_refused(guarded: DashboardSite) -> None:
    """403 and 413, before the token is looked at."""
    assert log_in(guarded, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert log_in(guarded, "x" * 100_000).status_code == 413


def test_a_cookie_ends_and_cannot_be_made_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """After twelve hours, with another token, for another installation, or with another time."""
    mine = Access(TOKEN, "default")
    ticket = mine.ticket()
    until, _, signature = ticket.partition(".")

    def permits(who: Access, value: str) -> bool:
        return who.permits("", f"other=1; {who.cookie}={value}")

    assert permits(mine, ticket)
    assert not permits(Access(TOKEN + "x", "default"), ticket)
    assert not permits(Access(TOKEN, "other"), ticket)
    for forged in (f"{int(until) + 1}.{signature}", f"{until}.", "", ".", "x.y", f"²{ticket}", "é.é"):
        assert not permits(mine, forged)
    later = time.time() + 13 * 3600
    monkeypatch.setattr("complyq_producer.dashboard.access.time.time", lambda: later)
    assert not permits(mine, ticket)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8190", "[::1]:8190", "127.9.9.9", "LOCALHOST"])
def test_this_machine_is_answered_without_a_token(site: DashboardSite, host: str) -> None:
    """By each of its own names."""
    assert site.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8190", "[", "", "localhost@evil.example"]
)
def test_a_name_that_was_bent_to_this_machine_is_refused(site: DashboardSite, host: str) -> None:
    """DNS rebinding: a foreign page could read this one in the browser of somebody who sits here."""
    for path in ("/", "/events", "/static/dashboard.js"):
        answer = site.get(path, headers={"Host": host})
        assert answer.status_code in {400, 421}
        assert "COMPLYQ_DASHBOARD_TOKEN" in answer.text or answer.status_code == 400


def test_with_a_token_any_name_will_do(guarded: DashboardSite) -> None:
    """A proxy may pass on the name that people typed."""
    headers = {"Host": "complyq.example", "Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/events", "/nothing", "/static/dashboard.js", "/find", "/batches/0193a1ba"])
def test_every_answer_tells_the_browser_to_be_strict(guarded: DashboardSite, path: str) -> None:
    """Also errors and the form."""
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}):
        answer = guarded.get(path, headers=headers, stream=True)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")
        assert "server" not in answer.headers
        answer.close()


def test_pages_hold_no_script_or_style_of_their_own_and_no_foreign_address(guarded: DashboardSite) -> None:
    """The policy would stop them; they work offline."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    pages = [guarded.get(path, headers=headers).text for path in ("/", "/batches/0193a1ba", "/nothing")]
    for page in [*pages, guarded.get("/").text]:
        assert re.findall(r"<script(?![^>]*\ssrc=\"/static/)", page) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
        assert re.findall(r"(?:src|href)=\"(?!/|#|\?)", page) == []


def test_the_token_is_nowhere_on_a_page(guarded: DashboardSite) -> None:
    """Not even on that of somebody who showed it."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/", "/nothing", "/batches/0193a1ba"):
        answer = guarded.get(path, headers=headers)
        assert TOKEN not in answer.text
        assert TOKEN not in str(answer.headers)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_no_other_address_is_taken_without_a_token(host: str) -> None:
    """Nobody else reaches the page by mistake."""
    with pytest.raises(ConfigurationError, match="COMPLYQ_DASHBOARD_TOKEN"):
        bind(load_settings(dashboard_token=None), host, 0)
