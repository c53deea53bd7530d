"""A real Prometheus that scrapes one target each second and judges it by our rules, without their patience."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
_open = build_opener(ProxyHandler({})).open


def needs(program: str) -> str:
    """Return where a program is, or skip the test."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def alert_rules() -> list[dict[str, Any]]:
    """Read our alert rules."""
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        with suppress(URLError), _open(f"{self.url}/api/v1/alerts", timeout=10) as answer:
            alerts = json.loads(answer.read())["data"]["alerts"]
            return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        return set()

    def is_scraping(self) -> bool:
        """Whether the target was scraped."""
        with suppress(URLError), _open(f"{self.url}/api/v1/query?query=complyq_redis_up", timeout=10) as answer:
            return bool(json.loads(answer.read())["data"]["result"])
        return False


@contextmanager
def running_prometheus(folder: Path, target: str, shorter: Mapping[str, str]) -> Iterator[Prometheus]:
    """Run it while the context is open.

    Args:
        folder: for its files.
        target: host and port of the metrics.
        shorter: what of an alert's expression is replaced, by `alert: old -> new`, so that nobody waits for hours.
    """
    program, port = needs("prometheus"), _free_port()
    _write_files(folder, target, shorter)
    command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with (folder / "prometheus.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def _write_files(folder: Path, target: str, shorter: Mapping[str, str]) -> None:
    folder.mkdir()
    rules = [_impatient(rule, shorter.get(rule["alert"])) for rule in alert_rules()]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "drill", "rules": rules}]}))
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "complyq", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))


def _impatient(rule: dict[str, Any], shorter: str | None) -> dict[str, Any]:
    old, new = shorter.split(" -> ") if shorter else ("", "")
    assert old in rule["expr"], f"{rule['alert']} has no {old!r} to shorten"
    changed = {"expr": rule["expr"].replace(old, new) if old else rule["expr"]}
    return {name: value for name, value in (rule | changed).items() if name != "for"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
