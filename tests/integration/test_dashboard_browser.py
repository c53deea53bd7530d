"""The dashboard in a real browser: Debian's chromium, driven by Playwright. Skipped where one is missing, and in CI."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.dashboard_site import EVIL, TOKEN, DashboardSite, dashboard_site, fill

CHROMIUM = "/usr/bin/chromium"
if os.environ.get("CI"):
    pytest.skip("a browser is not started in CI", allow_module_level=True)
if not Path(CHROMIUM).exists():
    pytest.skip(f"there is no {CHROMIUM}: apt install chromium", allow_module_level=True)
pytest.importorskip("playwright", reason="playwright is not installed: uv sync")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright  # noqa: E402

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
SLOW = 60_000
"""Milliseconds after which something that should show is missing."""
STANDARDS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
BEYOND_THE_EDGE = """
    [...document.querySelectorAll('body *')].filter(e => !e.closest('.unseen, .skip, .jobs thead, .batches thead, .parts thead')
      && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all tests."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def site(tmp_path: Path, redis_server: str) -> Iterator[DashboardSite]:
    """A page with something of everything on it."""
    with dashboard_site(tmp_path, redis_server) as running:
        fill(running)
        yield running


class Watched:
    """A page, and what the browser complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self.requests.append(request.url))

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append("a dialog")
        dialog.dismiss()

    def open(self, url: str) -> Page:
        """Go to a page and wait until it is live."""
        self.page.goto(url)
        expect(self.page.locator("#live")).to_have_attribute("data-state", "live", timeout=SLOW)
        return self.page


def watched(browser: Browser, **options: Any) -> Watched:
    """Open a window."""
    return Watched(browser.new_page(**{"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "Asia/Tokyo", **options}))


def test_what_happens_shows_without_a_reload(browser: Browser, site: DashboardSite) -> None:
    """The timeline and the slot follow the workers; nothing is fetched from elsewhere, and nothing is complained about."""
    window = watched(browser)
    page = window.open(site.url)
    expect(page.locator("table.jobs .span.uploading")).to_have_count(2)
    expect(page.get_by_text("Uploading", exact=False).first).to_be_visible()
    page.evaluate("window.isTheSame = true")
    site.standing.uploaded(41, seconds_ago=1)
    site.standing.show_job(41, "processing")
    expect(page.locator(".headline").first).to_contain_text("X is checking", timeout=SLOW)
    expect(page.locator("[role=status]")).to_contain_text("Posts: job 41, X is checking")
    expect(page.get_by_role("row").filter(has_text="X is checking").locator(".span.checking").first).to_be_attached()
    assert page.evaluate("window.isTheSame")
    assert window.complaints == []
    assert [url for url in window.requests if not url.startswith(site.url)] == []


def test_a_name_that_is_a_script_does_not_run(browser: Browser, site: DashboardSite) -> None:
    """It is shown as it was written, from the page and from the stream, and leads to the batch."""
    window = watched(browser)
    page = window.open(site.url)
    page.get_by_role("link", name=EVIL).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    expect(page.get_by_role("row").filter(has_text="in job 41")).to_have_count(1)
    page.goto(f"{site.url}find?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not Found")
    assert [text for text in window.complaints if "404" not in text] == []


def test_times_are_those_of_the_reader(browser: Browser, site: DashboardSite) -> None:
    """UTC from the server becomes the browser's time zone."""
    page = watched(browser).open(site.url)
    asof = page.locator("#live time")
    utc, shown = asof.get_attribute("datetime"), asof.inner_text()
    assert utc
    assert int(shown[:2]) == (int(utc[11:13]) + 9) % 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_is_accessible(browser: Browser, site: DashboardSite, scheme: str, viewport: Any) -> None:
    """By axe: WCAG 2.2 AA with the contrast of both schemes; nothing lies beyond the edge."""
    window = watched(browser, viewport=viewport, color_scheme=scheme)
    for path in ("", "batches/0193a1ba", "batches/0193a1bb"):
        page = window.open(site.url + path)
        found = Axe().run(page, options=STANDARDS)
        assert found.response["violations"] == [], found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(BEYOND_THE_EDGE) == []


def test_dark_mode_is_dark(browser: Browser, site: DashboardSite) -> None:
    """As the system wishes."""
    shades = {}
    for scheme in ("light", "dark"):
        page = watched(browser, color_scheme=scheme).open(site.url)
        shades[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert shades["dark"] < 60
    assert shades["light"] > 200


def test_the_keyboard_is_enough(browser: Browser, site: DashboardSite) -> None:
    """Skip link, search, links; the focus stays where it is while the page is brought up to date."""
    page = watched(browser).open(site.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    link = page.locator("table.batches a").first
    expect(link).to_be_focused()
    site.standing.show_job(41, "uploading", done=90, total=120)
    expect(page.get_by_text("(75%)").first).to_be_visible(timeout=SLOW)
    expect(link).to_be_focused()
    page.locator("#q").focus()
    page.keyboard.type("0193a1ba")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("0193a1ba")


def test_less_motion_where_it_is_wished(browser: Browser, site: DashboardSite) -> None:
    """Bars jump instead of growing."""
    for motion, seconds in (("no-preference", "0.6s"), ("reduce", "0s")):
        page = watched(browser, reduced_motion=motion).open(site.url)
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.card > .bar .fill')).transitionDuration")
            == seconds
        )


def test_without_scripts_the_page_is_complete(browser: Browser, site: DashboardSite) -> None:
    """As it was when it was loaded, and it says so."""
    page = watched(browser, java_script_enabled=False).page
    page.goto(site.url)
    expect(page.get_by_text("as loaded at")).to_be_visible()
    expect(page.locator("table.jobs .span.uploading")).to_have_count(2)
    expect(page.get_by_role("link", name=EVIL)).to_be_visible()


def test_a_server_that_went_away_is_said(browser: Browser, tmp_path: Path, redis_server: str) -> None:
    """The page says that it is old."""
    window = watched(browser)
    with dashboard_site(tmp_path, redis_server) as site:
        page = window.open(site.url)
    expect(page.locator("#live")).to_have_attribute("data-state", "lost", timeout=SLOW)


def test_a_person_logs_in(browser: Browser, tmp_path: Path, redis_server: str) -> None:
    """The form says a wrong token, and the right one leads to the page that was asked for, which is live."""
    with dashboard_site(tmp_path, redis_server, dashboard_token=TOKEN) as site:
        fill(site)
        window = watched(browser, color_scheme="dark", viewport=PHONE)
        page = window.page
        page.goto(f"{site.url}batches/0193a1ba")
        assert Axe().run(page, options=STANDARDS).response["violations"] == []
        for token in ("wrong", TOKEN):
            page.get_by_label("Token").fill(token)
            page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("0193a1ba")
        expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=SLOW)
        assert TOKEN not in page.url
        assert page.evaluate("document.cookie") == ""
