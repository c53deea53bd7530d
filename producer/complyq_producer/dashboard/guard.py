"""What every request passes before it reaches a page, and what every answer says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from complyq_producer.dashboard.access import Access

PUBLIC = ("/static/", "/login")
"""What holds no data: the form for the token, and what it looks like."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_FOREIGN_HOST = (
    "This page is served to its own machine only, since no token is set: open it as http://127.0.0.1:PORT/ or "
    "http://localhost:PORT/, or set COMPLYQ_DASHBOARD_TOKEN where it is served.\n"
)


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, access: Access, ask_for_token: Callable[[Request], Response]) -> None:
        """Guard an application.

        Args:
            app: the pages.
            access: decides who may see them.
            ask_for_token: answers who may not.
        """
        self._app = app
        self._access = access
        self._ask_for_token = ask_for_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _complete(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self._chosen(scope)(scope, receive, send_with_headers)

    def _chosen(self, scope: Scope) -> ASGIApp:
        """Return what answers a request."""
        headers = Headers(scope=scope)
        if not self._access.is_host_served(headers.get("host", "")):
            return PlainTextResponse(_FOREIGN_HOST, 421)
        is_public = scope["path"].startswith(PUBLIC)
        if is_public or self._access.permits(headers.get("authorization", ""), headers.get("cookie", "")):
            return self._app
        return self._ask_for_token(Request(scope))


def _complete(headers: MutableHeaders, path: str) -> None:
    for name, value in HEADERS.items():
        headers[name] = value
    headers["Cache-Control"] = "no-cache" if path.startswith("/static/") else "no-store"
