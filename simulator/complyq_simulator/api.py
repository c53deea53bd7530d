"""X's side: the compliance jobs, the app-only token, and the bytes of the direct contract."""

import binascii
import hmac
import re
from base64 import b64decode
from dataclasses import replace
from typing import Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from complyq_simulator import direct
from complyq_simulator.control import control
from complyq_simulator.exchange import Call, Handler, exchange
from complyq_simulator.http import Receive, RefusedError, Request, Response, Scope, Send, json_response
from complyq_simulator.job_view import job_view
from complyq_simulator.jobs import ACTIVE, Job
from complyq_simulator.refusals import legacy, problem
from complyq_simulator.settings import Contract
from complyq_simulator.world import World

_JOBS = "/2/compliance/jobs"
_JOB = re.compile(r"/2/compliance/jobs/([^/]+)")
_BYTES = re.compile(r"/2/compliance/jobs/([0-9]{1,19})/(upload|download)")
_LONGEST_NAME = 64
_STATUSES = ("created", "in_progress", "failed", "complete")
_TYPES = ("tweets", "users")
_FIELDS = "compliance_job.fields"
_FIELD_NAMES = (
    *("created_at", "download_expires_at", "download_url", "id", "name", "resumable", "status", "type"),
    *("upload_expires_at", "upload_url"),
)


class _NewJob(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["tweets", "users"]
    name: str | None = None
    resumable: bool = False


async def serve_api(world: World, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request to the API origin."""
    request = Request.of(scope, receive, send)
    if request.path.startswith("/_simulator/"):
        await request.deliver(await control(world, request))
        return
    operation, handler = _route(world, request)
    found = _BYTES.fullmatch(request.path) or _JOB.fullmatch(request.path)
    job = world.jobs.find(found[1]) if found else None
    call = Call(request, operation, handler, job)
    if operation in {"create", "get", "list", "cancel"}:
        call = _limited(world, call)
    await exchange(world, call)


def authorised(world: World, request: Request) -> bool:
    """Say whether a request carries the App's bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), world.settings.token.encode())


def _route(world: World, request: Request) -> tuple[str, Handler]:
    method = request.method
    direct_bytes = world.settings.contract is Contract.DIRECT
    if request.path == _JOBS:
        return {"POST": ("create", _create), "GET": ("list", _list)}.get(method, ("other", _wrong_method))
    if request.path == "/oauth2/token":
        return ("token", _token) if method == "POST" else ("other", _wrong_method)
    if (found := _BYTES.fullmatch(request.path)) and direct_bytes:
        routes = {("PUT", "upload"): direct.upload, ("GET", "download"): direct.download}
        handler = routes.get((method, found[2]))
        return (found[2], _with_bearer(handler)) if handler else ("other", _wrong_method)
    if _JOB.fullmatch(request.path):
        routes_of_job: dict[str, tuple[str, Handler]] = {"GET": ("get", _get)}
        if direct_bytes:
            routes_of_job["DELETE"] = ("cancel", _cancel)
        return routes_of_job.get(method, ("other", _wrong_method))
    return "other", _not_found


def _limited(world: World, call: Call) -> Call:
    """Let a request through that has the bearer and is within its limit, else to its refusal."""
    if not authorised(world, call.request):
        return replace(call, handler=_unauthorised)
    charge = world.limits.charge(call.operation, world.clock.now())
    handler = call.handler if charge.allowed else _over_limit
    return replace(call, handler=handler, headers=charge.headers())


def _with_bearer(handler: Handler) -> Handler:
    async def checked(world: World, request: Request) -> Response:
        return await (handler if authorised(world, request) else _unauthorised)(world, request)

    return checked


async def _unauthorised(world: World, request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    return problem(401, "Unauthorized", {"www-authenticate": "Bearer"})


async def _over_limit(world: World, request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    return legacy(429)


async def _wrong_method(world: World, request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    return problem(405, f"{request.method} is not allowed here.")


async def _not_found(world: World, request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    return problem(404, f"There is nothing at {request.path}.")


async def _create(world: World, request: Request) -> Response:
    _check_query(request)
    wanted = await _new_job(request)
    settings = world.settings
    if wanted.resumable and settings.contract is Contract.DIRECT and not settings.direct_accepts_resumable:
        return problem(400, "The `resumable` property is not supported.")
    if not settings.allow_concurrent_jobs and (active := world.jobs.active(wanted.type)):
        return problem(409, f"Job {active.id} of type {wanted.type} is {active.status}; only one may be active.")
    job = world.jobs.create(wanted.type, wanted.name, resumable=wanted.resumable)
    return json_response(200, {"data": job_view(world, job)})


async def _new_job(request: Request) -> _NewJob:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(problem(415, "The body must be application/json."))
    try:
        wanted = msgspec.json.decode(await request.body(), type=_NewJob)
    except msgspec.DecodeError as error:
        raise RefusedError(problem(400, f"One or more parameters to your request was invalid: {error}")) from error
    if wanted.name is not None and not 1 <= len(wanted.name) <= _LONGEST_NAME:
        raise RefusedError(problem(400, f"`name` must have 1 to {_LONGEST_NAME} characters."))
    return wanted


def _check_query(request: Request, *names: str) -> None:
    """Refuse parameters and fields that do not exist. Those asked for add nothing: all fields are shown by default."""
    unknown = request.query.keys() - {*names, _FIELDS}
    if unknown:
        allowed = ",".join([*names, _FIELDS])
        raise RefusedError(problem(400, f"The query parameter [{min(unknown)}] is not one of [{allowed}]."))
    fields = set(request.query[_FIELDS].split(",")) if _FIELDS in request.query else set[str]()
    if strange := fields - set(_FIELD_NAMES):
        listed = ",".join(_FIELD_NAMES)
        raise RefusedError(
            problem(400, f"The `{_FIELDS}` query parameter value [{min(strange)}] is not one of [{listed}].")
        )


async def _list(world: World, request: Request) -> Response:
    _check_query(request, "type", "status")
    type_, status = request.query.get("type"), request.query.get("status")
    if type_ not in _TYPES:
        return problem(400, f"The `type` query parameter is required and must be one of [{','.join(_TYPES)}].")
    if status is not None and status not in _STATUSES:
        return problem(400, f"The `status` query parameter must be one of [{','.join(_STATUSES)}].")
    views = [job_view(world, job) for job in world.jobs.recent(type_, status)]
    return json_response(200, {**({"data": views} if views else {}), "meta": {"result_count": len(views)}})


async def _get(world: World, request: Request) -> Response:
    _check_query(request)
    return json_response(200, {"data": job_view(world, _job_of(world, request))})


async def _cancel(world: World, request: Request) -> Response:
    job = _job_of(world, request)
    if job.status in ACTIVE:
        world.jobs.fail(job, "The job was cancelled.")
    elif job.status != "failed":
        return problem(400, f"The job is {job.status} and cannot be cancelled.")
    return json_response(200, {"data": job_view(world, job)})


def _job_of(world: World, request: Request) -> Job:
    id_ = request.path.rpartition("/")[2]
    if re.fullmatch("[0-9]{1,19}", id_) is None:
        raise RefusedError(problem(400, f"The `id` query parameter value [{id_}] does not match ^[0-9]{{1,19}}$"))
    job = world.jobs.find(id_)
    if job is None:
        raise RefusedError(problem(404, f"Could not find compliance job with id: [{id_}]."))
    return job


async def _token(world: World, request: Request) -> Response:
    """Exchange the App's key and secret, as RFC 6749's client credentials; X answers 403 to wrong ones."""
    form = dict(parse_qsl((await request.body()).decode("latin-1")))
    if form != {"grant_type": "client_credentials"}:
        return json_response(403, {"errors": [{"code": 170, "message": "Missing required parameter: grant_type"}]})
    if _basic(request) != (world.settings.api_key, world.settings.api_secret):
        body = {"code": 99, "message": "Unable to verify your credentials", "label": "authenticity_token_error"}
        return json_response(403, {"errors": [body]})
    return json_response(200, {"token_type": "bearer", "access_token": world.settings.token})


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(user), unquote(password)
