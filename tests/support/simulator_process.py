"""Starts `complyq simulator` as a real process on free ports."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.request import ProxyHandler, Request, build_opener

_STOP_SECONDS = 20
_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator."""

    process: "subprocess.Popen[str]"
    api_url: str
    storage_url: str
    token: str

    def arm(self, fault: Mapping[str, Any]) -> None:
        """Arm a fault, as `{"on": "upload", "fault": "disconnect", "after_bytes": 300_000}`."""
        self._control("POST", "faults", fault)

    def armed(self) -> list[dict[str, Any]]:
        """Return the faults that have not struck yet."""
        faults: list[dict[str, Any]] = json.loads(self._control("GET", "faults"))["faults"]
        return faults

    def disarm(self) -> None:
        """Forget all armed faults."""
        self._control("DELETE", "faults")

    def advance_clock(self, seconds: float) -> None:
        """Move the simulator's clock forward; results that were being computed are ready afterwards."""
        self._control("POST", "clock", {"advance": seconds})

    def journal(self) -> list[dict[str, Any]]:
        """Return everything that happened, in order: `kind` is `request` or `job`."""
        return [json.loads(line) for line in self._control("GET", "journal").splitlines()]

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, oldest first: `remote_id`, `type`, `name`, `status`, `received` bytes."""
        jobs: list[dict[str, Any]] = json.loads(self._control("GET", "jobs"))["jobs"]
        return jobs

    def credentials(self) -> list[str]:
        """Return all that opens something: bearer, key and secret, and every signature, token and session so far."""
        credentials: list[str] = json.loads(self._control("GET", "credentials"))["credentials"]
        return credentials

    def _control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        with _open(Request(f"{self.api_url}/_simulator/{path}", data, method=method), timeout=30) as answer:  # noqa: S310 - a loopback URL
            content: bytes = answer.read()
        return content


@contextmanager
def running_simulator(
    *,
    contract: str = "cloud-storage",
    processing_seconds: float = 0.2,
    token: str = "t",  # noqa: S107 - opens nothing but this simulator
    **flags: object,
) -> Iterator[Simulator]:
    """Run a simulator for the length of a block; further flags as keywords, `True` for a bare one.

    Raises:
        RuntimeError: It did not start, or it reported an error of its own.
    """
    given = {"contract": contract, "processing_seconds": processing_seconds, "token": token, "port": 0, **flags}
    command = [sys.executable, "-m", "complyq_simulator", *_arguments(given)]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            try:
                yield Simulator(process, token=token, **_urls(process, errors))
            finally:
                _stop(process)
        _check(errors)


def _arguments(flags: Mapping[str, object]) -> list[str]:
    return [
        f"--{name.replace('_', '-')}" if value is True else f"--{name.replace('_', '-')}={value}"
        for name, value in flags.items()
    ]


def _urls(process: "subprocess.Popen[str]", errors: IO[str]) -> dict[str, str]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.wait(_STOP_SECONDS)
        raise RuntimeError(f"the simulator did not start: {_text(errors)}")
    urls: dict[str, str] = json.loads(line)
    return urls


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _check(errors: IO[str]) -> None:
    text = _text(errors)
    if "Traceback" in text:
        raise RuntimeError(f"the simulator failed: {text}")


def _text(errors: IO[str]) -> str:
    errors.seek(0)
    return errors.read()
