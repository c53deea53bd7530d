"""The one door through which requests leave: allowed origins only, no redirects, nothing taken from the environment.

Neither exceptions of requests and urllib3 nor queries of URLs (signed URLs are credentials) get out of here.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING

import requests

from complyq_workers.x.connection import PatientAdapter, hide_queries_in_logs
from complyq_workers.x.errors import ForbiddenOriginError, RedirectRefusedError, UnauthorizedError
from complyq_workers.x.failures import VENDOR_ERRORS, broken_answer, no_answer
from complyq_workers.x.messages import Exchange, Reply, Request
from complyq_workers.x.origins import AllowedOrigins, Origin, location, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from complyq_workers.x.credentials import Credentials

ERROR_BYTES = 64 * 1024
"""How much of an error's body is read."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and for the next bytes of an answer."""

    connect: float = 10.0
    read: float = 60.0


class StreamedReply:
    """An answer whose body is still to be read, undecoded, in blocks."""

    def __init__(self, response: requests.Response, name: str) -> None:
        self.status = response.status_code
        self.headers = _headers_of(response)
        self._response = response
        self._name = name

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes as they came over the wire; empty at the end.

        Raises:
            AmbiguousAnswerError: The connection broke, or the body ended before it should.
        """
        try:
            block: bytes = self._response.raw.read(size, decode_content=False)
            return block
        except VENDOR_ERRORS as error:
            failure = broken_answer(error, self._name, self.status)
        raise failure

    def reply(self) -> Reply:
        """Read the beginning of the body, decoded, to learn what an error says.

        Raises:
            AmbiguousAnswerError: The connection broke.
        """
        return _reply(self._response, ERROR_BYTES, self._name)


class Transport:
    """Sends requests to allowed origins. Safe to share between threads, and across a fork."""

    def __init__(
        self,
        allowed_origins: Iterable[str],
        api_url: str,
        credentials: Credentials | None = None,
        *,
        proxy_url: str | None = None,
        timeouts: Timeouts | None = None,
        meter: Callable[[Exchange], None] = lambda _: None,
    ) -> None:
        """Prepare to send; no connection is made yet.

        Args:
            allowed_origins: Origins beside the API's own and Cloud Storage's, as `scheme://host[:port]`.
            api_url: Where the API is; credentials go to this origin only.
            credentials: Where the bearer comes from.
            proxy_url: The proxy for all but loopback hosts; proxies in the environment are ignored.
            timeouts: How long to wait.
            meter: Told what became of each request, once its answer was read or given up.

        Raises:
            ConfigurationError: An origin is malformed, or plain http beyond loopback.
        """
        self.api_url = api_url.rstrip("/")
        self.origins = AllowedOrigins(self.api_url, allowed_origins)
        self._credentials = credentials
        self._proxies = {"http": proxy_url, "https": proxy_url} if proxy_url else {}
        self._timeouts = timeouts or Timeouts()
        self._meter = meter
        self._sessions = _SessionOfProcess()
        hide_queries_in_logs()

    def use(self, credentials: Credentials) -> None:
        """Send these credentials from now on."""
        self._credentials = credentials

    def send(self, request: Request, *, limit: int = ERROR_BYTES) -> Reply:
        """Send a request and read its answer, whatever its status.

        After a 401 the bearer is renewed, where it can be, and the request is sent once more unless its
        body is a stream: X did nothing with it.

        Args:
            request: What to send.
            limit: How much of the answer's body is read, in bytes.

        Raises:
            ForbiddenOriginError: The origin is not allowed, or not one the credentials may go to; nothing was sent.
            RedirectRefusedError: The server sent a redirect.
            AmbiguousAnswerError: There was no complete answer.
            BaseException: What reading the request's body raised, as it is.
        """
        reply = self._send_once(request, limit)
        if reply.status == 401 and request.bearer and request.replayable and self.renew_bearer():
            return self._send_once(request, limit)
        return reply

    @contextmanager
    def stream(self, request: Request) -> Iterator[StreamedReply]:
        """Send a request and give its answer to be read block by block.

        Raises:
            ForbiddenOriginError, RedirectRefusedError, AmbiguousAnswerError: As in `send`.
        """
        with self._open(request) as response:
            yield StreamedReply(response, request.name)

    def renew_bearer(self) -> bool:
        """Drop the bearer after a 401, to be exchanged anew; tell whether it can be."""
        return self._credentials is not None and self._credentials.renew()

    def close(self) -> None:
        """Close the connections of this process."""
        self._sessions.close()

    def __repr__(self) -> str:
        return f"Transport(api={self.origins.api})"

    def _send_once(self, request: Request, limit: int) -> Reply:
        with self._open(request) as response:
            return _reply(response, limit, request.name)

    @contextmanager
    def _open(self, request: Request) -> Iterator[requests.Response]:
        origin = self.origins.require(request.url)
        authorization = self._authorization(request, origin)
        response: requests.Response | None = None
        try:
            response = self._response_to(request, origin, authorization)
            _refuse_redirect(response, request)
            yield response
        finally:
            self._meter(_exchange(request, response))
            if response is not None:
                response.close()

    def _authorization(self, request: Request, origin: Origin) -> str | None:
        if not request.bearer and request.authorization is None:
            return None
        if origin != self.origins.api:
            raise ForbiddenOriginError(f"Credentials go to {self.origins.api} only, not to {origin}; nothing was sent.")
        if request.authorization is not None:
            return request.authorization
        if self._credentials is None:
            raise UnauthorizedError(f"{location(request.url)} wants a bearer token, and none is configured.")
        return f"Bearer {self._credentials.bearer()}"

    def _response_to(self, request: Request, origin: Origin, authorization: str | None) -> requests.Response:
        """Send. An error is raised outside the handler, so that no vendor's exception hangs in its context."""
        failure: BaseException | None = None
        try:
            response = self._sessions.current().send(
                _prepared(request, authorization),
                stream=True,
                allow_redirects=False,
                timeout=(self._timeouts.connect, self._timeouts.read),
                proxies={} if origin.is_loopback else self._proxies,
            )
        except VENDOR_ERRORS as error:
            response, failure = None, no_answer(error, request.name)
        failure = getattr(request.body, "failure", None) or failure
        if response is not None and failure is None:
            return response
        if response is not None:
            response.close()
        raise failure or no_answer(ValueError(), request.name)


class _SessionOfProcess:
    """One session a process: children of a fork must not share their parent's sockets.

    No lock: threads that come first together make a session each, one of them is kept, and both work.
    """

    def __init__(self) -> None:
        self._session: requests.Session | None = None
        self._pid = 0

    def current(self) -> requests.Session:
        session = self._session
        if session is None or self._pid != os.getpid():
            session = _new_session()
            self._session, self._pid = session, os.getpid()
        return session

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a .netrc entry would replace the bearer, HTTPS_PROXY would see where we go
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", PatientAdapter())
    session.mount("http://", PatientAdapter())
    return session


def _prepared(request: Request, authorization: str | None) -> requests.PreparedRequest:
    """Prepare without the session, whose preparation looks into .netrc and merges its own headers."""
    headers = {"User-Agent": "complyq", "Accept-Encoding": "identity", **request.headers}
    if authorization is not None:
        headers["Authorization"] = authorization
    return requests.Request(request.method, request.url, headers=headers, data=request.body or None).prepare()


def _exchange(request: Request, response: requests.Response | None) -> Exchange:
    sent = 0 if request.body is None or isinstance(request.body, bytes) else request.body.sent
    if response is None:
        return Exchange(request.endpoint, None, sent, 0)
    return Exchange(request.endpoint, response.status_code, sent, response.raw.tell())


def _refuse_redirect(response: requests.Response, request: Request) -> None:
    status = response.status_code
    if not 300 <= status < 400 or (request.resumable and status == 308):
        return
    target = target_of(request.url, response.headers.get("Location", ""))
    message = f"{request.name} answered {status}, a redirect to {target}; those are never followed."
    raise RedirectRefusedError(message, status=status)


def _reply(response: requests.Response, limit: int, name: str) -> Reply:
    try:
        body: bytes = response.raw.read(limit, decode_content=True)
        return Reply(response.status_code, _headers_of(response), body)
    except VENDOR_ERRORS as error:
        failure = broken_answer(error, name, response.status_code)
    raise failure


def _headers_of(response: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
