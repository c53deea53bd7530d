"""The ASGI application: which address shows what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from complyq_config.errors import ComplyqError
from complyq_config.redaction import redact
from complyq_producer.dashboard.access import SECONDS, Access
from complyq_producer.dashboard.board import BoardReader, is_batch_id
from complyq_producer.dashboard.guard import Guard
from complyq_producer.dashboard.rendering import Pages
from complyq_producer.dashboard.shared import Fragments, Readings, Shared, Streams

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

BOARD_SECONDS = 1.0
BATCH_SECONDS = 2.0
"""How often what a page shows is read anew while somebody looks."""
MOST_FORM_BYTES = 4_096
MOST_PARTS_PAGE = 1_000_000


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Answers requests. All pages are read only."""

    reader: BoardReader
    pages: Pages
    access: Access
    readings: Readings[Fragments]
    streams: Streams

    def application(self) -> ASGIApp:
        """Return the application, guarded."""
        static = StaticFiles(directory=Path(__file__).parent / "static")
        routes = [
            Route("/", self.board),
            Route("/events", self.board_events),
            Route("/find", self.find),
            Route("/batches/{batch_id}", self.batch),
            Route("/batches/{batch_id}/events", self.batch_events),
            Route("/login", self.login, methods=["POST"]),
            Mount("/static", static, name="static"),
        ]
        handlers = {HTTPException: self.refuse, ComplyqError: self.refuse_unread}
        return Guard(Starlette(routes=routes, exception_handlers=handlers), self.access, self.ask_for_token)

    async def board(self, request: Request) -> Response:
        """Show what is going on."""
        del request
        return HTMLResponse(self.pages.page("board", await self._board().value(), stream="/events"))

    async def board_events(self, request: Request) -> Response:
        """Keep the first page up to date."""
        return self._stream(request, self._board())

    async def batch(self, request: Request) -> Response:
        """Show one batch."""
        batch_id, parts_page = _asked_for(request)
        shared = self._batch(batch_id, parts_page)
        stream = f"/batches/{batch_id}/events?parts={parts_page}"
        return HTMLResponse(self.pages.page("batch", await shared.value(), batch_id=batch_id, stream=stream))

    async def batch_events(self, request: Request) -> Response:
        """Keep the page of a batch up to date."""
        shared = self._batch(*_asked_for(request))
        await shared.value()  # an unknown batch is told before the stream begins
        return self._stream(request, shared)

    async def find(self, request: Request) -> Response:
        """Lead from a batch's id or key to its page."""
        text = request.query_params.get("q", "").strip()
        found = await anyio.to_thread.run_sync(self.reader.batch_of, text) if text else None
        if found is None:
            raise HTTPException(404, "No batch has this id or key." if text else "Type the id or the key of a batch.")
        return RedirectResponse(f"/batches/{found}", 303)

    async def login(self, request: Request) -> Response:
        """Give a cookie to whoever shows the token."""
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise HTTPException(403, "The form was sent by another site.")
        form = await _form(request)
        if not self.access.is_token(form.get("token", "").strip()):
            return self._login_page(form.get("next", "/"), is_wrong=True)
        answer = RedirectResponse(_own_path(form.get("next", "/")), 303)
        answer.set_cookie(
            self.access.cookie, self.access.ticket(), max_age=SECONDS, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    def ask_for_token(self, request: Request) -> Response:
        """Answer who has not shown the token: with the form where a person looks."""
        if request.url.path.endswith("/events") or request.method not in {"GET", "HEAD"}:
            return Response("A token is needed.\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
        query = f"?{request.url.query}" if request.url.query else ""
        return self._login_page(request.url.path + query, is_wrong=False)

    def refuse(self, request: Request, error: Exception) -> Response:
        """Say why there is no such page."""
        del request
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        detail = error.detail if isinstance(error, HTTPException) else ""
        return self._error_page(status, detail, headers)

    def refuse_unread(self, request: Request, error: Exception) -> Response:
        """Say that something could not be read."""
        del request
        return self._error_page(503, redact(str(error)), {"Retry-After": "10"})

    def _board(self) -> Shared[Fragments]:
        return self.readings.of("", lambda: self.pages.board(self.reader.read()), BOARD_SECONDS)

    def _batch(self, batch_id: str, parts_page: int) -> Shared[Fragments]:
        return self.readings.of(
            f"{batch_id}/{parts_page}", partial(self._read_batch, batch_id, parts_page), BATCH_SECONDS
        )

    def _read_batch(self, batch_id: str, parts_page: int) -> Fragments:
        page = self.reader.read_batch(batch_id, parts_page)
        if page is None:
            raise HTTPException(404, f"There is no batch {batch_id}.")
        return self.pages.batch(page)

    def _stream(self, request: Request, shared: Shared[Fragments]) -> Response:
        headers = {"X-Accel-Buffering": "no"}  # nginx would keep events back
        if request.method == "HEAD":
            return Response(None, 200, headers, "text/event-stream")
        if self.streams.is_full:
            raise HTTPException(503, "Too many browsers are kept up to date.", {"Retry-After": "60"})
        return StreamingResponse(self.streams.follow(shared), 200, headers, "text/event-stream")

    def _login_page(self, path: str, *, is_wrong: bool) -> Response:
        html = self.pages.page("login", next=_own_path(path), is_wrong=is_wrong)
        return HTMLResponse(html, 401, {"WWW-Authenticate": "Bearer"})

    def _error_page(self, status: int, detail: str, headers: dict[str, str]) -> Response:
        title = HTTPStatus(status).phrase
        return HTMLResponse(self.pages.page("error", title=title, detail=detail), status, headers)


def _asked_for(request: Request) -> tuple[str, int]:
    """Read which batch is asked for, and which page of its parts."""
    batch_id, page = request.path_params["batch_id"], request.query_params.get("parts", "1")
    if not is_batch_id(batch_id):
        raise HTTPException(404, "This is no batch id.")
    is_number = page.isascii() and page.isdecimal() and len(page) < len(str(MOST_PARTS_PAGE))
    return batch_id, max(1, int(page)) if is_number else 1


async def _form(request: Request) -> dict[str, str]:
    """Read a form of a few fields; a longer one is refused."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM_BYTES:
            raise HTTPException(413, "The form is too long.")
    fields = parse_qs(body.decode("ascii", "replace"), max_num_fields=10)
    return {name: values[0] for name, values in fields.items()}


def _own_path(path: str) -> str:
    """Return a path of this page, whatever a form names: no other host, and no line break."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    return quote(path, safe="/?=&%-._~") if is_ours else "/"
