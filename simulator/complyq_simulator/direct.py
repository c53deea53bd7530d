"""The direct contract: the bytes go to the API origin, with the bearer and a token in the URL."""

from complyq_simulator.http import FileBody, RefusedError, Request, Response, json_response
from complyq_simulator.job_view import job_view
from complyq_simulator.jobs import Job
from complyq_simulator.refusals import problem
from complyq_simulator.world import World


async def upload(world: World, request: Request) -> Response:
    """Take a job's IDs in one PUT."""
    job = _job_of(world, request, "upload")
    _check_headers(world, request)
    if job.status != "created":
        return problem(409, f"The job is {job.status} and takes no upload.")
    path = world.new_file()
    try:
        with path.open("wb") as file:
            async for chunk in request.chunks():
                file.write(chunk)
                _check_size(world, request.received)
    except BaseException:
        path.unlink()
        raise
    world.accept(job, path, request.received)
    return json_response(200, {"data": job_view(world, job)})


async def download(world: World, request: Request) -> Response:
    """Send a job's results, always whole."""
    job = _job_of(world, request, "download")
    if job.status != "complete" or job.results is None:
        return problem(404, f"The job is {job.status} and has no results.")
    return Response(200, {"content-type": "application/x-ndjson"}, FileBody(job.results.path, 0, job.results.size))


def _job_of(world: World, request: Request, purpose: str) -> Job:
    """Check the token: 400 without one, 401 for a false one, 403 for another's, another purpose's or an expired one."""
    id_ = request.path.split("/")[4]
    text = request.query.get("token")
    if not text:
        raise RefusedError(problem(400, "The `token` query parameter is required."))
    token = world.signer.read_token(text)
    job = world.jobs.find(id_)
    if token is None or job is None:
        raise RefusedError(problem(401, "The token is not usable."))
    if (token.job, token.purpose) != (id_, purpose):
        raise RefusedError(problem(403, "The token is for another purpose."))
    window = job.upload_expires_at if purpose == "upload" else job.download_expires_at
    if world.clock.now() >= min(token.expires_at, window):
        raise RefusedError(problem(403, "The token has expired."))
    return job


def _check_headers(world: World, request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/plain":
        raise RefusedError(problem(400, "The body must be text/plain."))
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(problem(400, "The body must not be encoded."))
    _check_size(world, request.content_length or 0)


def _check_size(world: World, size: int) -> None:
    if size > world.settings.max_upload_bytes:
        raise RefusedError(problem(413, f"The body may have {world.settings.max_upload_bytes} bytes."))
