"""The way to X: what a worker's `Transport` is in the simulated world, with the faults of servers and networks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from complyq_workers.pipeline.creating import LOST_ANSWER_SECONDS
from complyq_workers.upload.body import PayloadBody
from complyq_workers.x import AmbiguousAnswerError, UnreachableError
from complyq_workers.x.messages import Reply, Request
from complyq_workers.x.origins import AllowedOrigins
from simulation.x_server import API, RemoteJob, operation_of

if TYPE_CHECKING:
    from simulation.world import World

BLOCK, MOST_BLOCKS = 7, 40
"""Bytes of an upload between which others may run; larger ones come in so many pieces."""
SERVER_FAULTS = {
    "create": ("rate limit", "server error", "unreachable", "late"),
    "list": ("rate limit", "server error", "unreachable", "lagging list"),
    "get": ("rate limit", "server error", "unreachable"),
    "cancel": ("server error", "unreachable"),
    "start": ("server error", "unreachable"),
    "query": ("server error", "session gone"),
    "chunk": ("server error", "cut", "cut", "session gone", "wrong hash"),
    "whole": ("server error", "cut", "wrong length"),
    "download": ("server error", "cut", "no such results"),
}


class SimulatedTransport:
    """Implements what the pipeline uses of `Transport`. Every request goes through the world's gate."""

    def __init__(self, world: World) -> None:
        self.api_url = API
        self.origins = AllowedOrigins(API, [])
        self._world = world

    def use(self, credentials: object) -> None:
        """Need no credentials: whether a request would carry them is seen from the request."""

    def renew_bearer(self) -> bool:
        """Have no other bearer."""
        return False

    def send(self, request: Request, *, limit: int = 0) -> Reply:
        """Send a request."""
        self._check(request)
        operation = operation_of(request)
        answer: Reply = self._world.call("x", operation, lambda: self._send(request, operation))
        return answer

    @contextmanager
    def stream(self, request: Request) -> Iterator[SimulatedStream]:
        """Send a request for results, and give its answer in blocks."""
        self._check(request)
        reply: Reply = self._world.call("x", "download", lambda: self._answer(request, "download"))
        yield SimulatedStream(reply, cut=self._world.struck == "cut")

    def _check(self, request: Request) -> None:
        self.origins.require(request.url)
        if request.bearer != request.url.startswith(API):
            self._world.violated(f"the bearer and {operation_of(request)} do not belong together")

    def _send(self, request: Request, operation: str) -> Reply:
        if operation in {"chunk", "whole"}:
            return self._upload(request, operation)
        reply = self._answer(request, operation)
        if isinstance(request.body, PayloadBody):
            raise TypeError("only uploads stream")
        return reply

    def _answer(self, request: Request, operation: str) -> Reply:
        world, fault = self._world, self._world.struck
        match fault:
            case "rate limit":
                headers = {"x-rate-limit-limit": "150", "x-rate-limit-remaining": "0"}
                return Reply(429, {**headers, "x-rate-limit-reset": str(int(world.now + world.x.epoch + 300))})
            case "server error":
                return Reply(503)
            case "unreachable":
                raise UnreachableError("no connection")
            case "no such results":
                return Reply(404)
            case "session gone":
                world.x.dead_sessions.add(request.url.partition("?")[0].rsplit("/", 1)[1])
            case "late":
                seconds = random.uniform(1, 60)
                world.later(seconds, lambda: self._arrive_late(request, excused=seconds > LOST_ANSWER_SECONDS))
                raise AmbiguousAnswerError("the request is still under way")
        if operation == "download":
            return world.x.results(request)
        if fault == "lagging list":
            world.disturb()
        known = len(world.x.jobs)
        reply = world.x.answer(request, lagging=int(fault == "lagging list"))
        if len(world.x.jobs) > known:
            world.witness_created(list(world.x.jobs.values())[-1])
        return reply

    def _arrive_late(self, request: Request, *, excused: bool) -> None:
        """Carry out a create whose sender has given it up; nobody waits for ever for one to arrive."""
        known = len(self._world.x.jobs)
        self._world.x.answer(request)
        for job in list(self._world.x.jobs.values())[known:]:
            self._world.witness_created(job, excused=excused)

    def _upload(self, request: Request, operation: str) -> Reply:
        world, fault = self._world, self._world.struck
        job = world.x.job_of(request)
        if fault in {"server error", "session gone"} or job is None:
            return self._answer(request, operation) if fault == "server error" else self._gone(request)
        begun = world.x.begin(request, job)
        if isinstance(begun, Reply):
            return begun
        body = self._take(request, job, begun, cut=fault == "cut")
        reply = world.x.put(request, job, body)
        if fault == "wrong hash" and reply.status == 200:
            return Reply(200, {**reply.headers, "x-goog-hash": "crc32c=AAAAAA=="})
        if fault == "wrong length":
            return Reply(200, {**reply.headers, "x-goog-stored-content-length": "1"})
        return reply

    def _gone(self, request: Request) -> Reply:
        self._world.x.dead_sessions.add(request.url.partition("?")[0].rsplit("/", 1)[1])
        return Reply(410)

    def _take(self, request: Request, job: RemoteJob, first: int, *, cut: bool) -> bytes:
        """Read the body block by block, as the worker sends it; others run in between."""
        body, taken = request.body, bytearray()
        if not isinstance(body, PayloadBody):
            return bytes(body or b"")  # type: ignore[arg-type] # no other stream is sent
        last = random.randrange(len(body)) if cut else len(body)
        most = max(BLOCK, len(body) // MOST_BLOCKS)
        while len(taken) < last:
            block = body.read(min(most, last - len(taken)))
            self._world.pause(random.uniform(0.1, 5))
            if operation_of(request) == "chunk":
                self._world.x.take(request, job, first + len(taken), block)
            taken += block
        if cut:
            raise AmbiguousAnswerError("the connection broke")
        return bytes(taken)


class SimulatedStream:
    """An answer with results; a cut one ends early."""

    def __init__(self, reply: Reply, *, cut: bool) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._body = reply.body[: random.randrange(len(reply.body))] if cut and reply.body else reply.body
        self._cut = cut

    def read(self, size: int) -> bytes:
        """Give the next bytes."""
        block, self._body = self._body[:size], self._body[size:]
        return block

    def reply(self) -> Reply:
        """Give the whole of it."""
        return Reply(self.status, self.headers, self._body)
