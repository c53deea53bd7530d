from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

QUANTUM = 262_144
BODY = b"1234567890123456789\n" * 50_000
MANY = b"".join(b"%d\n" % number for number in range(1, 20_000))
CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def _arm(caller: Any, on: str, fault: str, **fields: Any) -> None:
    caller.sim.arm({"on": on, "fault": fault, **fields})


def _list(caller: Any) -> Any:
    return caller.api("GET", "/2/compliance/jobs", params={"type": "tweets"})


def _downloadable(caller: Any, body: bytes = BODY) -> dict[str, Any]:
    job: dict[str, Any] = caller.job()
    caller.put(job["upload_url"], body)
    caller.final(job)
    return job


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"on": "uplod", "fault": "stall"}, "on upload:"),
        ({"on": "list", "fault": "truncate"}, "rate_limit"),
        ({"on": "list", "fault": "status"}, "needs status"),
        ({"on": "list", "fault": "stall", "bytes": 1}, "after_bytes"),
        ({"on": "list", "fault": "stall", "times": 0}, "at least 1"),
        ({"fault": "stall"}, "on create:"),
        ({"on": "list", "fault": "stall", "x": 1}, "on create:"),
    ],
)
def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(
    cloud: Any, fault: dict[str, Any], named: str
) -> None:
    """400, and the message says what is valid."""
    answer = cloud.send("POST", f"{cloud.sim.api_url}/_simulator/faults", json=fault)
    assert answer.status_code == 400
    assert named in answer.json()["error"]


def test_a_fault_strikes_so_many_times_after_letting_some_pass(cloud: Any) -> None:
    """`skip`, then `times`; what is armed can be read and forgotten."""
    _arm(cloud, "list", "status", status=503, skip=1, times=2)
    assert [_list(cloud).status_code for _ in range(3)] == [200, 503, 503]
    assert _list(cloud).status_code == 200
    _arm(cloud, "list", "stall", times=3)
    assert cloud.sim.armed() == [{"on": "list", "fault": "stall", "times": 3, "skip": 0}]
    cloud.sim.disarm()
    assert cloud.sim.armed() == []


def test_a_disconnect_answers_nothing_and_does_nothing(cloud: Any) -> None:
    """The journal shows the request without a status, and no job."""
    known = len(cloud.sim.jobs())
    _arm(cloud, "create", "disconnect")
    with pytest.raises(CUT):
        cloud.create()
    assert cloud.sim.journal()[-1]["status"] is None
    assert len(cloud.sim.jobs()) == known


def test_a_lost_answer_is_done_all_the_same(cloud: Any) -> None:
    """The job exists, though its creator heard nothing."""
    _arm(cloud, "create", "lost_answer")
    with pytest.raises(CUT):
        cloud.create(name="lost")
    assert cloud.sim.jobs()[-1]["name"] == "lost"


@pytest.mark.parametrize(
    ("body", "content"), [("problem", "title"), ("legacy", "errors"), ("xml", "<Error>"), ("<html>", "<html>")]
)
def test_a_status_comes_with_the_body_wanted(cloud: Any, body: str, content: str) -> None:
    """Problem, legacy, XML or any text, with headers, and with the rate limit's own."""
    _arm(cloud, "get", "status", status=503, body=body, headers={"Retry-After": "7"})
    answer = cloud.api("GET", "/2/compliance/jobs/1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert content in answer.text
    assert "x-rate-limit-remaining" in answer.headers


@pytest.mark.parametrize("fault", [{"fault": "delay", "seconds": 30}, {"fault": "stall"}])
def test_delay_and_stall_hold_the_answer_back(cloud: Any, fault: dict[str, Any]) -> None:
    """A client that waits for less time than that gets nothing."""
    cloud.sim.arm({"on": "list", **fault})
    with pytest.raises(requests.ReadTimeout):
        cloud.session.get(f"{cloud.sim.api_url}/2/compliance/jobs?type=tweets", headers=cloud.bearer, timeout=0.3)


def test_a_short_delay_is_survived_and_a_stall_may_end_in_a_cut(cloud: Any) -> None:
    """The delayed answer is the true one; after `seconds` a stalled connection is cut."""
    _arm(cloud, "list", "delay", seconds=0.1)
    assert _list(cloud).status_code == 200
    _arm(cloud, "list", "stall", seconds=0.1)
    with pytest.raises(CUT):
        _list(cloud)


def test_a_rate_limit_can_be_forced(cloud: Any) -> None:
    """429 with a reset so many seconds ahead."""
    _arm(cloud, "list", "rate_limit", seconds=30)
    answer = _list(cloud)
    assert (answer.status_code, answer.headers["x-rate-limit-remaining"]) == (429, "0")
    assert answer.json()["errors"][0]["code"] == 88


def test_a_redirect_leads_elsewhere(cloud: Any) -> None:
    """On any operation."""
    _arm(cloud, "download", "redirect", location="http://127.0.0.1:9/x")
    answer = cloud.send("GET", cloud.job()["download_url"])
    assert (answer.status_code, answer.headers["Location"]) == (307, "http://127.0.0.1:9/x")


def test_urls_can_point_to_a_foreign_origin(cloud: Any) -> None:
    """Upload, download and session URLs, in that answer only."""
    _arm(cloud, "create", "foreign_url", origin="https://evil.example")
    job = cloud.job(resumable=True)
    assert job["upload_url"].startswith("https://evil.example/")
    assert job["download_url"].startswith("https://evil.example/")
    _arm(cloud, "session", "foreign_url", origin="https://evil.example")
    assert cloud.start(cloud.get(job)).headers["Location"].startswith("https://evil.example/")


def test_an_upload_is_cut_at_a_byte(cloud: Any) -> None:
    """Whole quanta before it are persisted; the session goes on from there."""
    uri = cloud.session_uri()
    _arm(cloud, "upload", "disconnect", after_bytes=300_000)
    with pytest.raises(CUT):
        cloud.part(uri, BODY, 0, len(BODY))
    assert cloud.ask(uri).headers["Range"] == f"bytes=0-{QUANTUM - 1}"
    assert cloud.sim.journal()[-2]["bytes"] == 300_000
    assert cloud.part(uri, BODY[QUANTUM:], QUANTUM, len(BODY)).status_code == 200


def test_a_cut_waits_for_its_byte_over_several_chunks(cloud: Any) -> None:
    """Bytes are counted over requests, so that a chunked upload is cut where a streamed one is."""
    uri = cloud.session_uri()
    _arm(cloud, "upload", "status", status=503, after_bytes=300_000)
    assert cloud.part(uri, BODY[:QUANTUM], 0, len(BODY)).status_code == 308
    assert cloud.part(uri, BODY[QUANTUM : 2 * QUANTUM], QUANTUM, len(BODY)).status_code == 503
    assert cloud.ask(uri).headers["Range"] == f"bytes=0-{QUANTUM - 1}"


def test_a_server_may_persist_less_or_claim_nonsense(cloud: Any) -> None:
    """`persist_less` keeps whole quanta of that PUT; `claim_persisted` says whatever is wanted."""
    uri = cloud.session_uri()
    _arm(cloud, "upload", "persist_less", bytes=QUANTUM)
    answer = cloud.part(uri, BODY, 0, len(BODY))
    assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    _arm(cloud, "query", "claim_persisted", bytes=9_999_999)
    assert cloud.ask(uri).headers["Range"] == "bytes=0-9999998"
    _arm(cloud, "upload", "persist_less", bytes=0)
    assert cloud.part(uri, BODY[QUANTUM:], QUANTUM, len(BODY)).headers["Range"] == f"bytes=0-{QUANTUM - 1}"


def test_a_session_can_die(cloud: Any) -> None:
    """410 from then on; a new one can be started."""
    job = cloud.job(resumable=True)
    uri = cloud.start(job).headers["Location"]
    _arm(cloud, "upload", "dead_session")
    assert cloud.part(uri, BODY, 0, len(BODY)).status_code == 410
    assert cloud.ask(uri).status_code == 410
    assert cloud.start(job).status_code == 201


def test_the_window_of_a_job_can_end_at_once(cloud: Any) -> None:
    """At its creation, at a look, or when its session is started."""
    _arm(cloud, "create", "expire_window")
    assert cloud.get(cloud.job())["status"] == "expired"
    job = cloud.job(resumable=True)
    _arm(cloud, "session", "expire_window")
    assert cloud.start(job).status_code == 400
    assert cloud.get(job)["status"] == "expired"


def test_checksums_can_be_wrong(cloud: Any) -> None:
    """Of an upload and of a download."""
    job = cloud.job()
    _arm(cloud, "upload", "wrong_hash")
    assert "crc32c=AAAAAA==" in cloud.put(job["upload_url"], BODY).headers["x-goog-hash"]
    cloud.final(job)
    _arm(cloud, "download", "wrong_hash")
    assert "crc32c=AAAAAA==" in cloud.send("GET", job["download_url"]).headers["x-goog-hash"]


@pytest.mark.parametrize("fault", [{"fault": "truncate"}, {"fault": "disconnect", "after_bytes": 1000}])
def test_a_download_can_end_early(cloud: Any, fault: dict[str, Any]) -> None:
    """At a line's end or at a byte, while the whole length was announced."""
    url = _downloadable(cloud, MANY)["download_url"]
    whole = cloud.send("GET", url).content
    cloud.sim.arm({"on": "download", **fault})
    with cloud.session.get(url, stream=True, timeout=20) as answer:
        answer.raw.enforce_content_length = False
        got = answer.raw.read(len(whole))
    assert int(answer.headers["Content-Length"]) == len(whole)
    assert whole.startswith(got)
    assert len(got) == 1000 if "after_bytes" in fault else got.endswith(b"\n")
    assert 0 < len(got) == cloud.sim.journal()[-1]["sent"] < len(whole)
    assert cloud.sim.journal()[-1]["status"] is None


def test_a_careful_client_notices_the_early_end(direct: Any) -> None:
    """The announced length betrays it."""
    job = direct.job()
    direct.put(job["upload_url"], MANY, **direct.bearer)
    direct.final(job)
    _arm(direct, "download", "truncate")
    with pytest.raises(CUT):
        direct.send("GET", job["download_url"], headers=direct.bearer)


def test_a_throttled_upload_can_be_watched(cloud: Any) -> None:
    """While it crawls, the simulator tells how much it has; then it is complete."""
    uri = cloud.session_uri()
    _arm(cloud, "upload", "throttle", bytes_per_second=2_000_000)
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(cloud.part, uri, BODY, 0, len(BODY))
        seen = {cloud.sim.jobs()[-1]["received"]}
        while not sent.done():
            seen.add(cloud.sim.jobs()[-1]["received"])
    assert sent.result().status_code == 200
    assert seen - {0, len(BODY)}


@pytest.mark.parametrize(("fault", "status"), [("fail", "failed"), ("expire", "expired"), ("stuck", "in_progress")])
def test_a_job_can_end_otherwise(cloud: Any, fault: str, status: str) -> None:
    """Failed with its error, expired, or never."""
    _arm(cloud, "job", fault, **({"error": "Quota"} if fault == "fail" else {}))
    job = cloud.job()
    cloud.put(job["upload_url"], BODY)
    cloud.sim.advance_clock(3600)
    seen = cloud.get(job)
    assert (seen["status"], seen.get("error")) == (status, "Quota" if fault == "fail" else None)


def test_results_can_hold_foreign_lines(cloud: Any) -> None:
    """Lines of any kind beside the true ones."""
    _arm(cloud, "job", "inject_lines", lines=['{"id":"5","action":"new"}', "not json"])
    text = cloud.send("GET", _downloadable(cloud, b"1\n")["download_url"]).text
    assert '{"id":"5","action":"new"}\nnot json\n' in text


def test_faults_of_the_direct_contract(direct: Any) -> None:
    """Its upload can be cut, answered with a problem, or done without an answer."""
    job = direct.job()
    _arm(direct, "upload", "disconnect", after_bytes=1000)
    with pytest.raises(CUT):
        direct.put(job["upload_url"], BODY, **direct.bearer)
    _arm(direct, "upload", "status", status=413)
    assert (
        direct.put(job["upload_url"], BODY[:999], **direct.bearer).headers["Content-Type"] == "application/problem+json"
    )
    _arm(direct, "cancel", "lost_answer")
    with pytest.raises(CUT):
        direct.api("DELETE", f"/2/compliance/jobs/{job['id']}")
    assert direct.get(job)["status"] == "failed"
