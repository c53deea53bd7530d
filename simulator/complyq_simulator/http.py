"""A request and a response over raw ASGI, and the ways in which a connection can end early."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_TRANSPORT = "complyq.transport"
_PIECE_BYTES = 1 << 18
_LEAVE_SECONDS = 5.0
_GLANCE_SECONDS = 0.1


class ClientGoneError(Exception):
    """The connection ended before the request's body or our answer did."""


class BodyCutError(ClientGoneError):
    """An armed fault strikes at this byte of the request's body."""


class RefusedError(Exception):
    """A request ends here, with the response given."""

    def __init__(self, response: "Response") -> None:
        super().__init__(f"refused with status {response.status}")
        self.response = response


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which lets the application reach the connection: faults must cut it."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: {"transport": self.transport}}


@dataclass(frozen=True, slots=True)
class FileBody:
    """A part of a file, sent in pieces."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; with `cut_after` the connection ends (or stalls) after so many bytes of its body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | FileBody = b""
    cut_after: int | None = None
    stall_at_cut: bool = False

    @property
    def length(self) -> int:
        """The length of the whole body in bytes."""
        return self.body.length if isinstance(self.body, FileBody) else len(self.body)


@dataclass(slots=True)
class Request:
    """A request being answered."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    receive: Receive
    send: Send
    transport: asyncio.Transport
    received: int = 0
    sent: int = 0
    cut_after: int | None = None
    keep_only: int | None = None
    bytes_per_second: float | None = None

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send) -> "Request":
        """Wrap what ASGI hands over."""
        return cls(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            receive=receive,
            send=send,
            transport=scope["extensions"][_TRANSPORT]["transport"],
        )

    @property
    def content_length(self) -> int | None:
        """The announced length of the body in bytes."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; raises ClientGoneError where it ends early, BodyCutError where a fault strikes."""
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            for piece in self._until_cut(message.get("body", b"")):
                await self._slow_down(len(piece))
                yield piece
            more = message.get("more_body", False)

    async def body(self, limit: int = 65_536) -> bytes:
        """Return a small body; refuses one over the limit with 413."""
        pieces: list[bytes] = []
        async for piece in self.chunks():
            pieces.append(piece)
            if self.received > limit:
                raise RefusedError(Response(413))
        return b"".join(pieces)

    async def pause(self, seconds: float) -> None:
        """Let time pass; raises ClientGoneError when the client does not wait that long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.transport.is_closing():
                raise ClientGoneError
            await asyncio.sleep(min(left, _GLANCE_SECONDS))

    async def gone(self) -> None:
        """Wait until the client has left."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def cut(self) -> None:
        """Reset the connection: what was not sent yet is lost."""
        self.transport.abort()
        await self.gone()

    async def hang_up(self) -> None:
        """Close the connection once all that was written has been sent."""
        self.transport.close()
        try:
            await asyncio.wait_for(self.gone(), _LEAVE_SECONDS)
        except TimeoutError:
            await self.cut()

    async def deliver(self, response: Response) -> None:
        """Send an answer; raises ClientGoneError when it was cut on purpose."""
        headers = {"content-length": str(response.length), **response.headers}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": response.status, "headers": raw})
        for piece in _pieces(response):
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            self.sent += len(piece)
            await self._slow_down(len(piece))
        if self.transport.is_closing():
            raise ClientGoneError
        if response.cut_after is None:
            await self.send({"type": "http.response.body", "body": b""})
        else:
            await (self.gone() if response.stall_at_cut else self.hang_up())
            raise ClientGoneError

    def _until_cut(self, piece: bytes) -> Iterator[bytes]:
        left = len(piece) if self.cut_after is None else self.cut_after - self.received
        self.received += min(left, len(piece))
        if piece:
            yield piece[:left]
        if self.cut_after is not None and self.received >= self.cut_after:
            raise BodyCutError

    async def _slow_down(self, size: int) -> None:
        if self.bytes_per_second:
            await asyncio.sleep(size / self.bytes_per_second)


def json_response(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(
        status, {"content-type": "application/json; charset=utf-8", **(headers or {})}, msgspec.json.encode(body)
    )


def _pieces(response: Response) -> Iterator[bytes]:
    """Yield the body, up to its cut."""
    end = response.length if response.cut_after is None else min(response.cut_after, response.length)
    if not isinstance(response.body, FileBody):
        yield response.body[:end]
        return
    with response.body.path.open("rb") as file:
        file.seek(response.body.start)
        for offset in range(0, end, _PIECE_BYTES):
            yield file.read(min(_PIECE_BYTES, end - offset))
