"""A plain HTTP client for the simulator: nothing of Complyq's own."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from support.simulator_process import Simulator, running_simulator

QUANTUM = 262_144


@dataclass(frozen=True, slots=True)
class Caller:
    """Speaks to one simulator, without a netrc, a proxy or redirects."""

    sim: Simulator
    session: requests.Session

    @property
    def bearer(self) -> dict[str, str]:
        """The header that the API wants."""
        return {"Authorization": f"Bearer {self.sim.token}"}

    def send(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request as it is."""
        return self.session.request(method, url, timeout=20, allow_redirects=False, **options)

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with the bearer to the API."""
        return self.send(method, self.sim.api_url + path, headers=self.bearer, **options)

    def create(self, type_: str = "tweets", **fields: Any) -> requests.Response:
        """Ask for a job."""
        return self.api("POST", "/2/compliance/jobs", json={"type": type_, **fields})

    def job(self, type_: str = "tweets", **fields: Any) -> dict[str, Any]:
        """Make a job."""
        return data(self.create(type_, **fields))

    def get(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Look a job up."""
        return data(self.api("GET", f"/2/compliance/jobs/{job['id']}"))

    def final(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for a job to be final."""
        while (seen := self.get(job))["status"] in {"created", "in_progress"}:
            time.sleep(0.02)
        return seen

    def put(self, url: str, body: Any, **headers: str) -> requests.Response:
        """Upload in one PUT."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("PUT", url, data=body, headers={"Content-Type": "text/plain", **named})

    def start(self, job: Mapping[str, Any]) -> requests.Response:
        """Ask for a resumable session."""
        headers = {"Content-Type": "text/plain", "Content-Length": "0", "x-goog-resumable": "start"}
        return self.send("POST", job["upload_url"], headers=headers)

    def session_uri(self) -> str:
        """Make a job and begin its resumable session."""
        answer = self.start(self.job(resumable=True))
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def part(self, uri: str, body: bytes, first: int, total: int | str) -> requests.Response:
        """Send some bytes to a session."""
        return self.send(
            "PUT", uri, data=body, headers={"Content-Range": f"bytes {first}-{first + len(body) - 1}/{total}"}
        )

    def ask(self, uri: str, total: int | str = "*") -> requests.Response:
        """Ask a session how much it has."""
        return self.send("PUT", uri, headers={"Content-Range": f"bytes */{total}"})


def data(answer: requests.Response) -> dict[str, Any]:
    """Return what an answer is about."""
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()["data"]
    return content


def records(text: str) -> list[dict[str, Any]]:
    """Read results, over their blank lines."""
    return [json.loads(line) for line in text.splitlines() if line]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """A connection pool that takes nothing from the environment."""
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.fixture(scope="module")
def cloud_simulator() -> Iterator[Simulator]:
    """A simulator of the Cloud Storage contract that any number of jobs may share."""
    with running_simulator(rate_limit=100_000, allow_concurrent_jobs=True, processing_seconds=0) as sim:
        yield sim


@pytest.fixture(scope="module")
def direct_simulator() -> Iterator[Simulator]:
    """A simulator of the direct contract that any number of jobs may share."""
    flags: dict[str, Any] = {"rate_limit": 100_000, "allow_concurrent_jobs": True, "max_upload_bytes": 1_000_000}
    with running_simulator(contract="direct", processing_seconds=0, **flags) as sim:
        yield sim


@pytest.fixture
def cloud(cloud_simulator: Simulator, session: requests.Session) -> Iterator[Caller]:
    """A caller of the Cloud Storage contract; no fault outlives a test."""
    yield Caller(cloud_simulator, session)
    cloud_simulator.disarm()


@pytest.fixture
def direct(direct_simulator: Simulator, session: requests.Session) -> Iterator[Caller]:
    """A caller of the direct contract; no fault outlives a test."""
    yield Caller(direct_simulator, session)
    direct_simulator.disarm()


@pytest.fixture
def strict(session: requests.Session) -> Iterator[Caller]:
    """A caller of a fresh simulator with X's own limits."""
    with running_simulator() as sim:
        yield Caller(sim, session)
