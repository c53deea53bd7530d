"""Which credentials the simulator says it has handed out."""

from urllib.parse import parse_qs, urlsplit

import pytest

from complyq_workers.upload import start_session
from complyq_workers.x import StaticBearer, Transport, XClient
from support.simulator_process import running_simulator


@pytest.mark.parametrize(("contract", "name"), [("cloud-storage", "X-Goog-Signature"), ("direct", "token")])
def test_every_credential_that_was_handed_out_is_listed(contract: str, name: str) -> None:
    """What a test must not find anywhere: bearer, key, secret, and whatever signs an upload or a download."""
    with running_simulator(contract=contract, token="bearer-1", api_key="key-1", api_secret="secret-1") as simulator:
        assert simulator.credentials() == ["bearer-1", "key-1", "secret-1"]
        transport = Transport([simulator.storage_url], simulator.api_url)
        client = XClient(simulator.api_url, transport, StaticBearer("bearer-1"))
        job = client.create_job("tweets", "n", resumable=contract == "cloud-storage").value
        urls = [job.upload_url or "", job.download_url or ""]
        if contract == "cloud-storage":
            urls.append(start_session(transport, job.upload_url or "").replace("upload_id", name))
        transport.close()
        handed_out = {parse_qs(urlsplit(url).query)[name][0] for url in urls}
        assert set(simulator.credentials()) == {"bearer-1", "key-1", "secret-1"} | handed_out
