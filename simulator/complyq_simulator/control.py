"""What tests may ask of the simulator itself, under `/_simulator/`. Not journalled, not limited, not authenticated."""

import msgspec

from complyq_simulator.clock import iso_milliseconds
from complyq_simulator.faults import InvalidFaultError, parse
from complyq_simulator.http import Request, Response, json_response
from complyq_simulator.world import World


class _Advance(msgspec.Struct, forbid_unknown_fields=True):
    advance: float


async def control(world: World, request: Request) -> Response:
    """Answer one control request."""
    match request.method, request.path.removeprefix("/_simulator/"):
        case "POST", "faults":
            return _arm(world, await request.body(1 << 20))
        case "GET", "faults":
            return json_response(200, {"faults": world.faults.listing()})
        case "DELETE", "faults":
            world.faults.clear()
            return json_response(200, {"faults": []})
        case "POST", "clock":
            return await _advance(world, await request.body())
        case "GET", "journal":
            world.jobs.settle()
            return Response(200, {"content-type": "application/x-ndjson"}, world.journal.text())
        case "GET", "jobs":
            world.jobs.settle()
            return json_response(200, {"jobs": _jobs(world)})
        case "GET", "credentials":
            return json_response(200, {"credentials": _credentials(world)})
    return _invalid(404, "Known: POST, GET, DELETE faults; POST clock; GET journal; GET jobs; GET credentials.")


def _arm(world: World, body: bytes) -> Response:
    try:
        fault = parse(body)
    except InvalidFaultError as error:
        return _invalid(400, str(error))
    world.faults.arm(fault)
    return json_response(200, {"faults": world.faults.listing()})


async def _advance(world: World, body: bytes) -> Response:
    """Move the clock, once results under way are computed: what is due is then sure to happen."""
    try:
        wanted = msgspec.json.decode(body, type=_Advance)
    except msgspec.DecodeError as error:
        return _invalid(400, f'{error}. Send {{"advance": seconds}}.')
    if wanted.advance < 0:
        return _invalid(400, "The clock goes forward only: advance must be at least 0.")
    await world.rest()
    world.clock.advance(wanted.advance)
    world.jobs.settle()
    return json_response(200, {"now": iso_milliseconds(world.clock.now())})


def _jobs(world: World) -> list[dict[str, object]]:
    """Show what X does not: how many bytes of each job's upload have come in."""
    persisted = {session.job.id: session.persisted for session in world.sessions.values()}
    return [
        {
            "remote_id": job.id,
            "type": job.type,
            "name": job.name,
            "status": job.status,
            "received": max(job.received, persisted.get(job.id, 0)),
        }
        for job in reversed(world.jobs.recent())
    ]


def _credentials(world: World) -> list[str]:
    """Tell what opens something here: what clients have been given to begin with, and what was handed out since."""
    settings = world.settings
    return sorted({settings.token, settings.api_key, settings.api_secret, *world.signer.issued, *world.sessions})


def _invalid(status: int, message: str) -> Response:
    return json_response(status, {"error": message})
