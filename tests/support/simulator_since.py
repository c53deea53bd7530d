"""A simulator that several tests use one after another, each as if it were its own: starting one takes longer than a test."""

from dataclasses import dataclass
from typing import Any

from support.simulator_process import Simulator

_FORGOTTEN_SECONDS = 8 * 86_400
"""X lists the jobs of seven days."""


@dataclass(frozen=True, slots=True)
class SimulatorSince(Simulator):
    """Shows what has happened since a test began."""

    begun: int

    @classmethod
    def now(cls, shared: Simulator) -> "SimulatorSince":
        """Begin: nothing is armed, and no job of before is listed or waits for its upload."""
        shared.disarm()
        shared.advance_clock(_FORGOTTEN_SECONDS)
        begun = len(shared.journal())
        return cls(shared.process, shared.api_url, shared.storage_url, shared.token, begun)

    def journal(self) -> list[dict[str, Any]]:
        """Return everything that has happened since."""
        return Simulator.journal(self)[self.begun :]

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that were created since."""
        created = {line["remote_id"] for line in self.journal() if line["kind"] == "job" and line["from"] is None}
        return [job for job in Simulator.jobs(self) if job["remote_id"] in created]
