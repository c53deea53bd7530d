"""Resumable sessions of Cloud Storage's XML API.

What the documentation leaves open follows recorded answers of the real service: an offset beyond what is persisted gets
503 with a plain-text body; bytes that are persisted already are ignored when sent again; a finished session answers 200
to anything. A chunk that is no multiple of 256 KiB gets 400 here, where the real service silently keeps less.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import BinaryIO

from complyq_simulator.exchange import claim
from complyq_simulator.http import RefusedError, Request, Response
from complyq_simulator.jobs import Job
from complyq_simulator.refusals import xml
from complyq_simulator.uploads import Digest, digest
from complyq_simulator.world import Session, World

QUANTUM = 256 * 1024

_QUERY = re.compile(r"bytes \*/(\d+|\*)")
_PART = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes that a PUT announces: from `first` up to but without `end`, of `total` if that is known."""

    first: int
    end: int
    total: int | None

    @property
    def final(self) -> bool:
        """Whether these bytes end the object."""
        return self.end == self.total


def is_query(request: Request) -> bool:
    """Say whether a PUT only asks how much is persisted."""
    return _QUERY.fullmatch(request.headers.get("content-range", "")) is not None


def start(world: World, job: Job, path: str) -> Response:
    """Begin a session; its URI is a credential of its own that outlives the signed URL."""
    session = Session(token_urlsafe(48), job, world.new_file())
    session.path.touch()
    world.sessions[session.id] = session
    location = f"{world.storage_url}{path}?upload_id={session.id}"
    return Response(201, {"location": location, "x-guploader-uploadid": session.id})


async def put(world: World, request: Request) -> Response:
    """Answer a PUT to a session: a query or bytes."""
    session = world.sessions.get(request.query["upload_id"])
    if session is None or session.dead_status is not None:
        status = session.dead_status if session and session.dead_status else 404
        return xml(status, "NoSuchUpload", "The requested upload was not found.")
    if session.stored is not None:
        return stored_response(session.stored)
    if is_query(request):
        return await _progress(world, request, session)
    part = parse_part(request)
    if part.end <= session.persisted and not part.final:
        return claim(session.persisted)
    _check_part(part, session)
    return await _receive(world, request, session, part)


def stored_response(stored: Digest) -> Response:
    """Answer that an object is stored: empty, with its checksums."""
    hashes = f"crc32c={stored.crc32c}" + (f",md5={stored.md5}" if stored.md5 else "")
    headers = {
        "etag": f'"{stored.md5 or stored.crc32c}"',
        "x-goog-hash": hashes,
        "x-goog-stored-content-length": str(stored.size),
    }
    return Response(200, headers)


async def checksums(path: Path) -> Digest:
    """Compute a file's checksums without holding up other requests."""
    return await asyncio.to_thread(digest, path)


def parse_part(request: Request) -> Part:
    """Read which bytes a PUT announces; without Content-Range it is the whole object. Refuses nonsense with 400."""
    text, length = request.headers.get("content-range"), request.content_length
    if text is None and length is not None:
        return Part(0, length, length)
    found = _PART.fullmatch(text or "")
    if found is None:
        raise RefusedError(_invalid(f"Failed to parse Content-Range header {text!r}."))
    total = None if found[3] == "*" else int(found[3])
    part = Part(int(found[1]), int(found[2]) + 1, total)
    if part.first >= part.end or (total is not None and part.end > total):
        raise RefusedError(_invalid(f"Content-Range {text!r} is impossible."))
    if length is not None and length != part.end - part.first:
        raise RefusedError(_invalid(f"Content-Range {text!r} does not agree with Content-Length {length}."))
    return part


def _check_part(part: Part, session: Session) -> None:
    if not part.final and (part.end - part.first) % QUANTUM:
        raise RefusedError(_invalid("A chunk that is not the last one must be a multiple of 262144 bytes."))
    _check_total(part.total, session)
    if part.first > session.persisted:
        text = (
            f"Invalid request.  According to the Content-Range header, the upload offset is {part.first} byte(s), "
            f"which exceeds already uploaded size of {session.persisted} byte(s)."
        )
        raise RefusedError(Response(503, {"content-type": "text/plain; charset=utf-8"}, text.encode()))


def _check_total(total: int | None, session: Session) -> None:
    if total is not None and total != (total if session.total is None else session.total):
        raise RefusedError(_invalid(f"The total was {session.total} bytes before and is {total} now."))
    if total is not None and total < session.persisted:
        raise RefusedError(_invalid(f"{session.persisted} bytes are persisted, more than the total of {total}."))
    session.total = session.total if total is None else total


async def _progress(world: World, request: Request, session: Session) -> Response:
    """Answer a query; one that names the total of what is persisted ends the upload."""
    text = request.headers["content-range"].rpartition("/")[2]
    total = None if text == "*" else int(text)
    _check_total(total, session)
    if total is not None and total == session.persisted:
        return await _finish(world, session)
    return claim(session.persisted)


async def _receive(world: World, request: Request, session: Session, part: Part) -> Response:
    session.turn += 1
    with session.path.open("r+b") as file:
        await _persist(request, session, part, file)
    if part.final and session.persisted == part.end:
        return await _finish(world, session)
    return claim(session.persisted)


async def _persist(request: Request, session: Session, part: Part, file: BinaryIO) -> None:
    """Write what comes in. However the body ends, only whole multiples of 256 KiB of an unfinished object stay."""
    turn, end = session.turn, _kept_end(part, request.keep_only)
    position, written = part.first, session.persisted
    file.seek(written)
    async for chunk in request.chunks():
        if session.turn != turn:
            raise RefusedError(xml(503, "ServiceUnavailable", "Another request has taken this upload over."))
        written += file.write(chunk[max(0, written - position) : max(0, end - position)])
        position += len(chunk)
        session.persisted = max(session.persisted, _whole_quanta(written))
    if part.final and written == part.end:
        file.truncate(written)
        session.persisted = written


def _kept_end(part: Part, keep_only: int | None) -> int:
    if keep_only is None or part.first + keep_only >= part.end:
        return part.end
    return _whole_quanta(part.first + keep_only)


def _whole_quanta(size: int) -> int:
    return size - size % QUANTUM


async def _finish(world: World, session: Session) -> Response:
    session.stored = await checksums(session.path)
    world.jobs.settle()
    world.accept(session.job, session.path, session.stored.size)
    return stored_response(session.stored)


def _invalid(details: str) -> Response:
    return xml(400, "InvalidArgument", "Invalid argument.", details)
