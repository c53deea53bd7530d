import base64
import hashlib
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from complyq_simulator.outcomes import flagged

QUANTUM = 262_144
IDS = "".join(f"{number}\n" for number in range(1_700_000_000_000_000_000, 1_700_000_000_000_050_000)).encode()


def _found(cloud: Any, job: dict[str, Any]) -> set[str]:
    assert cloud.final(job)["status"] == "complete"
    text = cloud.send("GET", job["download_url"]).text
    return {line.split('"')[3] for line in text.splitlines() if line}


def test_a_plain_upload_is_answered_with_the_flagged_ids(cloud: Any) -> None:
    """The whole job: create, one PUT with checksums, in_progress, complete, results."""
    job = cloud.job()
    answer = cloud.put(job["upload_url"], IDS)
    md5 = base64.b64encode(hashlib.md5(IDS, usedforsecurity=False).digest()).decode()
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-goog-hash"].endswith(f",md5={md5}")
    assert answer.headers["x-goog-stored-content-length"] == str(len(IDS))
    numbers = np.array(IDS.split(), dtype=np.uint64)
    expected = set(map(str, numbers[flagged(numbers, 1, 0.1)].tolist()))
    assert _found(cloud, job) == expected


def test_a_resumable_upload_in_chunks_gives_the_same(cloud: Any) -> None:
    """308 with the Range that is persisted, 200 for the last chunk."""
    job = cloud.job(resumable=True)
    uri = cloud.start(job).headers["Location"]
    assert uri.startswith(cloud.sim.storage_url)
    first = cloud.part(uri, IDS[:QUANTUM], 0, len(IDS))
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    last = cloud.part(uri, IDS[QUANTUM:], QUANTUM, len(IDS))
    assert (last.status_code, last.headers["x-goog-stored-content-length"]) == (200, str(len(IDS)))
    assert cloud.ask(uri, len(IDS)).status_code == 200
    plain = cloud.job()
    cloud.put(plain["upload_url"], IDS)
    assert _found(cloud, job) == _found(cloud, plain)


def test_a_session_says_how_much_it_has(cloud: Any) -> None:
    """No Range while it has nothing; a query with the total ends an upload that is all there."""
    uri = cloud.session_uri()
    first = cloud.ask(uri)
    assert (first.status_code, first.headers.get("Range")) == (308, None)
    cloud.part(uri, IDS[:QUANTUM], 0, "*")
    assert cloud.ask(uri).headers["Range"] == f"bytes=0-{QUANTUM - 1}"
    assert cloud.ask(uri, QUANTUM).status_code == 200


def test_a_cut_connection_leaves_whole_quanta(cloud: Any) -> None:
    """After a client dies in mid-PUT, another goes on from the server's offset and the object is right."""
    uri = cloud.session_uri()
    parts = urlsplit(uri)
    head = (
        f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(IDS)}\r\n"
        f"Content-Range: bytes 0-{len(IDS) - 1}/{len(IDS)}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(head.encode() + IDS[:600_000])
    while not (line := cloud.ask(uri, len(IDS))).headers.get("Range"):
        time.sleep(0.02)
    offset = int(line.headers["Range"].rpartition("-")[2]) + 1
    assert offset in {QUANTUM, 2 * QUANTUM}
    done = cloud.part(uri, IDS[offset:], offset, len(IDS))
    md5 = base64.b64encode(hashlib.md5(IDS, usedforsecurity=False).digest()).decode()
    assert done.headers["x-goog-hash"].endswith(md5)


def test_bytes_sent_again_are_ignored_and_a_gap_is_refused(cloud: Any) -> None:
    """As the real service: 503 in plain text for an offset too high, silence for one too low."""
    uri = cloud.session_uri()
    cloud.part(uri, IDS[:QUANTUM], 0, len(IDS))
    gap = cloud.part(uri, IDS[2 * QUANTUM :], 2 * QUANTUM, len(IDS))
    assert (gap.status_code, gap.headers["Content-Type"]) == (503, "text/plain; charset=utf-8")
    assert cloud.part(uri, IDS[:QUANTUM], 0, len(IDS)).headers["Range"] == f"bytes=0-{QUANTUM - 1}"
    assert cloud.part(uri, IDS, 0, len(IDS)).status_code == 200


@pytest.mark.parametrize(
    ("content_range", "size"),
    [("bytes 0-99999/1000000", 100_000), ("bytes 5-3/10", 0), ("bytes 0-9/5", 10), ("bytes 0-9/20", 9), ("0-9/10", 10)],
)
def test_impossible_chunks_are_refused(cloud: Any, content_range: str, size: int) -> None:
    """A middle chunk that is no multiple of 256 KiB, ranges that contradict themselves or the length."""
    answer = cloud.send("PUT", cloud.session_uri(), data=b"1" * size, headers={"Content-Range": content_range})
    assert answer.status_code == 400


def test_the_total_may_not_change(cloud: Any) -> None:
    """Another total than before is refused, in a chunk and in a query."""
    uri = cloud.session_uri()
    cloud.part(uri, IDS[:QUANTUM], 0, len(IDS))
    assert cloud.part(uri, IDS[QUANTUM:-1], QUANTUM, len(IDS) - 1).status_code == 400
    assert cloud.ask(uri, len(IDS) + 1).status_code == 400


def test_an_unknown_session_is_not_found(cloud: Any) -> None:
    """404 for a session that never was."""
    assert cloud.ask(f"{cloud.session_uri()}x", 1).status_code == 404


def test_what_was_not_signed_is_refused(cloud: Any) -> None:
    """Another content type, a changed URL, no signature: 403."""
    url = cloud.job()["upload_url"]
    wrong_type = cloud.send("PUT", url, data=b"1", headers={"Content-Type": "text/csv"})
    assert (wrong_type.status_code, b"SignatureDoesNotMatch" in wrong_type.content) == (403, True)
    assert cloud.put(url.replace("X-Goog-Expires=900", "X-Goog-Expires=9000"), b"1").status_code == 403
    assert cloud.put(url.partition("?")[0], b"1").status_code == 403
    assert cloud.send("GET", url).status_code == 405


def test_a_bearer_on_the_storage_origin_is_refused(cloud: Any) -> None:
    """A signed URL is the whole credential, for uploads, sessions and downloads alike."""
    job, uri = cloud.job(), cloud.session_uri()
    for method, url in (("PUT", job["upload_url"]), ("PUT", uri), ("GET", job["download_url"])):
        answer = cloud.send(method, url, headers={**cloud.bearer, "Content-Type": "text/plain"})
        assert (answer.status_code, b"InvalidArgument" in answer.content) == (400, True)


def test_the_kind_of_a_url_is_what_it_was_created_for(cloud: Any) -> None:
    """A resumable URL refuses a plain PUT, a plain one a session; the signed headers tell them apart."""
    plain, resumable = cloud.job(), cloud.job(resumable=True)
    assert "SignedHeaders=content-type%3Bhost&" in plain["upload_url"]
    assert "SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-goog-resumable&" in resumable["upload_url"]
    assert cloud.put(resumable["upload_url"], b"1").status_code == 403
    assert cloud.start(plain).status_code == 403


def test_a_session_starts_without_a_body_only(cloud: Any) -> None:
    """Content-Length 0 is signed."""
    headers = {"Content-Type": "text/plain", "x-goog-resumable": "start"}
    answer = cloud.send("POST", cloud.job(resumable=True)["upload_url"], data=b"1", headers=headers)
    assert answer.status_code == 403


def test_the_upload_window_ends(cloud: Any) -> None:
    """After fifteen minutes the URL is refused as expired and the job is; a session goes on but does not save it."""
    job, resumable = cloud.job(), cloud.job(resumable=True)
    uri = cloud.start(resumable).headers["Location"]
    cloud.sim.advance_clock(901)
    late = cloud.put(job["upload_url"], b"1")
    assert (late.status_code, b"ExpiredToken" in late.content) == (400, True)
    assert cloud.part(uri, b"1\n", 0, 2).status_code == 200
    assert [cloud.get(each)["status"] for each in (job, resumable)] == ["expired", "expired"]


def test_a_download_can_be_resumed_and_ends_after_a_week(cloud: Any) -> None:
    """Ranges answer 206 with the whole object's checksum; results are not there before, nor after seven days."""
    job = cloud.job()
    assert cloud.send("GET", job["download_url"]).status_code == 404
    cloud.put(job["upload_url"], IDS)
    cloud.final(job)
    whole = cloud.send("GET", job["download_url"])
    rest = cloud.send("GET", job["download_url"], headers={"Range": "bytes=1000-"})
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(whole.content) - 1}/{len(whole.content)}"
    assert rest.headers["x-goog-hash"] == whole.headers["x-goog-hash"]
    assert cloud.send("GET", job["download_url"], headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    assert cloud.send("GET", job["download_url"], headers={"Range": "bytes=999999999-"}).status_code == 416
    cloud.sim.advance_clock(7 * 86_400)
    assert cloud.send("GET", job["download_url"]).status_code == 400
