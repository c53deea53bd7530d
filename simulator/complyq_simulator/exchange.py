"""One request from its arrival to its line in the journal, with the fault that strikes it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from complyq_simulator.clock import http_date
from complyq_simulator.faults import Fault
from complyq_simulator.http import BodyCutError, ClientGoneError, FileBody, RefusedError, Request, Response
from complyq_simulator.jobs import Job
from complyq_simulator.limits import WINDOW_SECONDS
from complyq_simulator.refusals import legacy, problem, xml
from complyq_simulator.settings import Contract
from complyq_simulator.world import World

Handler = Callable[[World, Request], Awaitable[Response]]

_KEPT_BYTES = 1 << 18
_BODY_OPERATIONS = frozenset({"upload"})
_STORAGE_OPERATIONS = frozenset({"session", "upload", "query", "download"})


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was routed; `headers` go with whatever answer results, `job` is the one it is about."""

    request: Request
    operation: str
    handler: Handler
    job: Job | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


async def exchange(world: World, call: Call) -> None:
    """Answer a request, its fault first, and journal it."""
    world.jobs.settle()
    status: int | None = None
    try:
        response = await _respond(world, call)
        date = {"date": http_date(world.clock.now())}
        await call.request.deliver(replace(response, headers={**date, **call.headers, **response.headers}))
        status = response.status
    except ClientGoneError:
        pass  # the journal shows it as an answer that was not sent
    except asyncio.CancelledError:  # the simulator ends while a fault holds this answer back
        await call.request.cut()
    finally:
        world.journal.request(_line(call, status))


async def _respond(world: World, call: Call) -> Response:
    fault = world.faults.take(call.operation)
    if fault is None:
        return await _handled(world, call)
    if _waits_for_bytes(fault):
        return await _struck_in_body(world, call, fault)
    early = await _before(world, call, fault)
    if early is not None:
        return early
    return await _after(world, call.request, fault, await _handled(world, call))


async def _handled(world: World, call: Call) -> Response:
    try:
        return await call.handler(world, call.request)
    except RefusedError as refused:
        return refused.response


def _waits_for_bytes(fault: Fault) -> bool:
    return fault.after_bytes is not None and fault.on in _BODY_OPERATIONS


async def _struck_in_body(world: World, call: Call, fault: Fault) -> Response:
    call.request.cut_after = fault.after_bytes
    try:
        response = await _handled(world, call)
    except BodyCutError:
        return await _interrupt(world, call.request, fault)
    world.faults.postpone(fault, call.request.received)
    return response


async def _before(world: World, call: Call, fault: Fault) -> Response | None:
    """Do what a fault does before the request is looked at; a response ends it there."""
    match fault.fault:
        case "disconnect" | "stall" if fault.on != "download" or fault.after_bytes is None:
            return await _interrupt(world, call.request, fault)
        case "status" | "redirect" | "rate_limit" | "claim_persisted":
            return await _interrupt(world, call.request, fault)
        case "delay":
            await call.request.pause(fault.seconds or 0)
        case "throttle":
            call.request.bytes_per_second = fault.bytes_per_second
        case "persist_less":
            call.request.keep_only = fault.bytes
        case "dead_session":
            _bury(world, call.request, fault)
        case "expire_window" if call.job is not None:
            world.jobs.lapse(call.job)
    return None


async def _interrupt(world: World, request: Request, fault: Fault) -> Response:
    match fault.fault:
        case "stall":
            await _stall(request, fault.seconds)
        case "redirect":
            return Response(fault.status or 307, {"location": fault.location or ""})
        case "rate_limit":
            return _rate_limited(world, fault)
        case "claim_persisted":
            return claim(fault.bytes or 0)
        case "status":
            return _canned(world, fault)
    await request.cut()
    raise ClientGoneError


async def _stall(request: Request, seconds: float | None) -> None:
    """Say nothing until the client leaves; after `seconds` give up on it."""
    try:
        await asyncio.wait_for(request.gone(), seconds)
    except TimeoutError:
        return
    raise ClientGoneError


def claim(persisted: int) -> Response:
    """Answer that so many bytes of an unfinished upload are persisted; none means no Range at all."""
    headers = {"range": f"bytes=0-{persisted - 1}"} if persisted else {}
    return Response(308, headers)


def _rate_limited(world: World, fault: Fault) -> Response:
    reset = int(world.clock.now() + (WINDOW_SECONDS if fault.seconds is None else fault.seconds)) + 1
    return legacy(429, {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(reset)})


def _canned(world: World, fault: Fault) -> Response:
    status, headers = fault.status or 503, fault.headers or {}
    on_storage = fault.on in _STORAGE_OPERATIONS and world.settings.contract is Contract.CLOUD_STORAGE
    match fault.body or ("xml" if on_storage else "problem"):
        case "xml":
            plain = xml(status, "InternalError", "We encountered an internal error. Please try again.")
        case "problem":
            plain = problem(status, "An armed fault")
        case "legacy":
            plain = legacy(status)
        case "empty":
            plain = Response(status)
        case text:
            plain = Response(status, {"content-type": "text/plain"}, text.encode())
    return replace(plain, headers={**plain.headers, **headers})


def _bury(world: World, request: Request, fault: Fault) -> None:
    """Let the session end for ever; the handler then refuses it."""
    session = world.sessions.get(request.query.get("upload_id", ""))
    if session is not None:
        session.dead_status = fault.status or 410


async def _after(world: World, request: Request, fault: Fault, response: Response) -> Response:
    """Do what a fault does to a finished answer."""
    match fault.fault:
        case "lost_answer":
            await request.cut()
            raise ClientGoneError
        case "foreign_url":
            return _foreign(world, response, fault.origin or "")
        case "expire_window" if fault.on == "create":
            return _lapse_created(world, response)
        case "wrong_hash":
            return _wrong_hash(response)
        case "truncate" if response.status < 300:
            return replace(response, cut_after=_line_boundary(response, fault.after_bytes))
        case "disconnect" | "stall" if response.status < 300:
            return replace(response, cut_after=fault.after_bytes, stall_at_cut=fault.fault == "stall")
    return response


def _foreign(world: World, response: Response, origin: str) -> Response:
    """Put another origin into every URL that is handed out."""
    body = response.body if isinstance(response.body, bytes) else b""
    headers = dict(response.headers)
    for ours in (world.api_url, world.storage_url):
        body = body.replace(f'"{ours}/'.encode(), f'"{origin}/'.encode())
        if headers.get("location", "").startswith(ours):
            headers["location"] = origin + headers["location"].removeprefix(ours)
    return replace(response, headers=headers, body=body)


def _lapse_created(world: World, response: Response) -> Response:
    if response.status == 200 and isinstance(response.body, bytes):
        job = world.jobs.find(msgspec.json.decode(response.body)["data"]["id"])
        if job is not None:
            world.jobs.lapse(job)
    return response


def _wrong_hash(response: Response) -> Response:
    headers = dict(response.headers)
    if "x-goog-hash" in headers:
        headers["x-goog-hash"] = "crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA=="
    return replace(response, headers=headers)


def _line_boundary(response: Response, wanted: int | None) -> int:
    """Find the end of a line, at or before the byte wanted (by default the middle)."""
    wanted = response.length // 2 if wanted is None else wanted
    if isinstance(response.body, FileBody):
        with response.body.path.open("rb") as file:
            file.seek(response.body.start + max(0, wanted - _KEPT_BYTES))
            before = file.read(min(wanted, _KEPT_BYTES))
        return wanted - len(before) + before.rfind(b"\n") + 1
    return response.body.rfind(b"\n", 0, wanted) + 1


def _line(call: Call, status: int | None) -> dict[str, object]:
    request = call.request
    return {
        "op": call.operation,
        "method": request.method,
        "path": request.path,
        "host": request.headers.get("host"),
        "status": status,
        "authorization": "authorization" in request.headers,
        "content_range": request.headers.get("content-range"),
        "bytes": request.received,
        "sent": request.sent,
    }
