"""The bytes of a compliance job, as programs send and fetch them that know X's API by its documentation alone."""

import json

import numpy as np
import requests

from complyq_simulator.outcomes import flagged
from support.simulator_process import Simulator

IDS = np.arange(1_700_000_000_000_000_000, 1_700_000_000_000_002_000, dtype=np.uint64)
BODY = "".join(f"{number}\n" for number in IDS.tolist()).encode()


def flagged_ids() -> set[str]:
    """The IDs that the simulator, as it starts by default, has something to say of."""
    return set(map(str, IDS[flagged(IDS, 1, 0.1)].tolist()))


def upload(simulator: Simulator, url: str) -> requests.Response:
    """Send all IDs to a job's upload URL."""
    headers = {"Content-Type": "text/plain", **bearer_for(simulator, url)}
    return requests.put(url, BODY, headers=headers, timeout=20)


def download(simulator: Simulator, url: str) -> set[str]:
    """Fetch the IDs that a job's results speak of."""
    answer = requests.get(url, headers=bearer_for(simulator, url), timeout=20)
    answer.raise_for_status()
    return ids_in(answer.text)


def ids_in(results: str) -> set[str]:
    """The IDs that results speak of."""
    return {json.loads(line)["id"] for line in results.splitlines() if line}


def bearer_for(simulator: Simulator, url: str) -> dict[str, str]:
    """The header that a URL needs: the API's own want the bearer, the storage's must not see it."""
    return {"Authorization": f"Bearer {simulator.token}"} if url.startswith(simulator.api_url) else {}
