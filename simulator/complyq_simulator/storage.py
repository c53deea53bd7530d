"""Cloud Storage's side: signed URLs, plain uploads and downloads. Its rules are those of the XML API."""

import re
from dataclasses import replace

from complyq_simulator import sessions
from complyq_simulator.exchange import Call, Handler, exchange
from complyq_simulator.http import FileBody, Receive, RefusedError, Request, Response, Scope, Send
from complyq_simulator.job_view import delivery_path, submission_path
from complyq_simulator.jobs import Job
from complyq_simulator.refusals import expired_signature, signature_mismatch, xml
from complyq_simulator.results import Results
from complyq_simulator.signing import SESSION_HEADERS, Signable, Verdict, expiry
from complyq_simulator.world import World

_OBJECT = re.compile(r"/[^/]+/([0-9]{1,19})/(submission|delivery)/[0-9]+_[0-9]+")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def serve_storage(world: World, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request to the storage origin."""
    request = Request.of(scope, receive, send)
    operation, handler = _route(request)
    found = _OBJECT.fullmatch(request.path)
    job = world.jobs.find(found[1]) if found else None
    await exchange(world, Call(request, operation, _without_bearer(handler), job))


def _route(request: Request) -> tuple[str, Handler]:
    found = _OBJECT.fullmatch(request.path)
    if found is None:
        return "other", _no_such_key
    if "upload_id" in request.query:
        operation = "query" if sessions.is_query(request) else "upload"
        return (operation, sessions.put) if request.method == "PUT" else ("other", _wrong_method)
    routes: dict[tuple[str, str], tuple[str, Handler]] = {
        ("PUT", "submission"): ("upload", _upload),
        ("POST", "submission"): ("session", _start),
        ("GET", "delivery"): ("download", _download),
    }
    return routes.get((request.method, found[2]), ("other", _wrong_method))


def _without_bearer(handler: Handler) -> Handler:
    """A signed URL is the whole credential; a second one beside it is refused (and has leaked)."""

    async def checked(world: World, request: Request) -> Response:
        if "authorization" in request.headers:
            return xml(400, "InvalidArgument", "Invalid argument.", "Only one authentication mechanism is allowed.")
        return await handler(world, request)

    return checked


async def _no_such_key(world: World, request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    return xml(404, "NoSuchKey", "The specified key does not exist.")


async def _wrong_method(world: World, request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    return xml(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


async def _upload(world: World, request: Request) -> Response:
    """Take an object in one PUT; what was cut leaves nothing behind."""
    job = _signed_job(world, request)
    path = world.new_file()
    try:
        with path.open("wb") as file:
            async for chunk in request.chunks():
                file.write(chunk)
        stored = await sessions.checksums(path)
    except BaseException:
        path.unlink()
        raise
    world.jobs.settle()
    world.accept(job, path, stored.size)
    return sessions.stored_response(stored)


async def _start(world: World, request: Request) -> Response:
    """Begin a resumable session; exactly the signed headers, and no body."""
    job = _signed_job(world, request)
    if any(request.headers.get(name) != value for name, value in SESSION_HEADERS.items()):
        raise RefusedError(signature_mismatch())
    return sessions.start(world, job, request.path)


async def _download(world: World, request: Request) -> Response:
    """Send a job's results, whole or the range asked for."""
    job = _signed_job(world, request)
    if job.status != "complete" or job.results is None:
        return await _no_such_key(world, request)
    return _ranged(_whole(job.results), job.results, request.headers.get("range"))


def _signed_job(world: World, request: Request) -> Job:
    """Check the signature and the window; refuses as Cloud Storage does."""
    target = Signable(request.method, request.path, request.headers)
    verdict = world.signer.check(target, request.query, now=world.clock.now())
    if verdict is Verdict.MISSING:
        raise RefusedError(xml(403, "AccessDenied", "Access denied.", "Anonymous caller has no access."))
    if verdict is Verdict.MISMATCH:
        raise RefusedError(signature_mismatch())
    found = _OBJECT.fullmatch(request.path)
    job = world.jobs.find(found[1]) if found else None
    if job is None or request.path not in {submission_path(job.id), delivery_path(job.id)}:
        raise RefusedError(xml(404, "NoSuchKey", "The specified key does not exist."))
    window = job.download_expires_at if request.method == "GET" else job.upload_expires_at
    if verdict is Verdict.EXPIRED or world.clock.now() >= window:
        raise RefusedError(expired_signature(min(window, expiry(request.query))))
    return job


def _whole(results: Results) -> Response:
    headers = {
        "content-type": "text/plain",
        "accept-ranges": "bytes",
        "etag": f'"{results.path.name}"',
        "x-goog-hash": f"crc32c={results.crc32c}",  # a composed object has no md5
        "x-goog-stored-content-length": str(results.size),
    }
    return Response(200, headers, FileBody(results.path, 0, results.size))


def _ranged(whole: Response, results: Results, asked: str | None) -> Response:
    found = _RANGE.fullmatch(asked or "")
    if found is None or found[0] == "bytes=-":
        return whole
    size = results.size
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]), size - 1) if found[1] and found[2] else size - 1
    if first >= size or first > last:
        refusal = xml(416, "InvalidRange", "The requested range cannot be satisfied.")
        return replace(refusal, headers={**refusal.headers, "content-range": f"bytes */{size}"})
    headers = {**whole.headers, "content-range": f"bytes {first}-{last}/{size}"}
    return Response(206, headers, FileBody(results.path, first, last - first + 1))
