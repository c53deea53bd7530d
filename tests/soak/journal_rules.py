"""What the simulator's journal must show."""

import re
from collections.abc import Iterator

from soak.evidence import Evidence

ACTIVE = {"created", "in_progress"}
_NAME = re.compile(r"complyq\.(\d+)\.([0-9a-f]{32})")
_REMOTE_ID = re.compile(r"/(\d{1,19})/(?:submission|upload)")


def one_active_job_of_a_type(evidence: Evidence) -> Iterator[str]:
    """X never had two of our jobs of a type at work, whether it would have refused the second or not."""
    active: dict[str, dict[str, str]] = {}
    for change in evidence.job_changes:
        jobs = active.setdefault(change["type"], {})
        jobs.pop(change["remote_id"], None)
        if change["to"] in ACTIVE:
            jobs[change["remote_id"]] = change["name"]
        if change["from"] is None and len(jobs) > 1:
            yield f"{len(jobs)} active jobs of {change['type']} at {change['at']}: {jobs}"


def jobs_belong_to_plans(evidence: Evidence) -> Iterator[str]:
    """Every job carries the name of a plan that stands in the store."""
    for change in evidence.job_changes:
        if change["from"] is None and not _has_plan(evidence, change["type"], change["name"] or ""):
            yield f"job {change['remote_id']} of {change['type']} is named {change['name']!r}, and there is no such plan"


def one_upload_for_a_plan(evidence: Evidence) -> Iterator[str]:
    """Of a plan at most one job was ever sent IDs."""
    names = {change["remote_id"]: (change["type"], change["name"]) for change in evidence.job_changes}
    sent: dict[tuple[str, str], set[str]] = {}
    for request in evidence.x_requests:
        found = _REMOTE_ID.search(request["path"])
        if request["op"] == "upload" and request["bytes"] and found and found[1] in names:
            sent.setdefault(names[found[1]], set()).add(found[1])
    for (type_, name), jobs in sent.items():
        if len(jobs) > 1:
            yield f"IDs of the plan {name} of {type_} were sent to {len(jobs)} jobs: {sorted(jobs)}"


def bearer_stays_home(evidence: Evidence) -> Iterator[str]:
    """Nothing with an authorization went to the storage origin."""
    for request in evidence.x_requests:
        if request["host"] == evidence.about.storage_host and request["authorization"]:
            yield f"{request['method']} {request['path']} at {request['at']} took the bearer to the storage"


def _has_plan(evidence: Evidence, type_: str, name: str) -> bool:
    found = _NAME.fullmatch(name)
    key = f"jobs/{type_}/{int(found[1]):08}/plan.json" if found else ""
    return bool(found) and key in evidence.objects and evidence.fact(key)["job_id"] == (found and found[2])
