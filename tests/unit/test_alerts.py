"""The files for Prometheus and Grafana: rules that hold what their tests say, and name only what there is."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from complyq_workers.coordination import MemoryCoordination
from complyq_workers.metrics import Metrics
from support.prometheus_server import MONITORING, alert_rules, needs

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def exported() -> set[str]:
    """Name all metrics that a scrape may show, buckets and sums included, also those that have no sample yet."""
    registry, memory = CollectorRegistry(), MemoryCoordination()
    registry.register(Metrics(memory, memory))
    text = generate_latest(registry).decode()
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    histograms = [name for name, kind in kinds.items() if kind == "histogram"]
    return set(kinds) | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


def dashboard() -> dict[str, Any]:
    """Read the dashboard."""
    text = (MONITORING / "grafana" / "dashboards" / "complyq.json").read_text()
    content: dict[str, Any] = json.loads(text)
    return content


def named(expression: str) -> set[str]:
    """Name the metrics of an expression."""
    return set(re.findall(r"\bcomplyq_\w+", expression))


def test_rules_do_what_their_tests_say() -> None:
    """Each alert fires when it should, and is silent when it should be."""
    command = [needs("promtool"), "test", "rules", "alerts_test.yml"]
    done = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_tests_and_a_runbook() -> None:
    """One that fires, one that is silent; and whoever is woken finds what to do."""
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    headings = re.findall(r"^#+ (.+)$", OPERATIONS.read_text(), re.MULTILINE)
    names = [rule["alert"] for rule in alert_rules()]
    assert sorted(test["name"] for test in tests) == sorted(
        f"{name} {does}" for name in names for does in ("fires", "is silent")
    )
    for rule in alert_rules():
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["alert"] in headings
        assert rule["labels"]["severity"] in {"page", "warn"}


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_an_alert_names_only_metrics_that_there_are(rule: dict[str, Any]) -> None:
    """A rule about a metric that nobody exports never fires."""
    assert named(rule["expr"])
    assert named(rule["expr"]) <= exported()


def test_the_dashboard_names_only_metrics_that_there_are() -> None:
    """And all of them, so that what can be paged on can be looked at."""
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    shown = set[str]().union(*(named(target["expr"]) for panel in panels for target in panel["targets"]))
    assert shown <= exported()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported()}
    assert families - {re.sub(r"_bucket$", "", name) for name in shown} == set()


def test_the_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    """A panel with a slip in its expression shows nothing but an error."""
    targets = [target for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    asked = [target["expr"].replace("$__rate_interval", "5m") for target in targets]
    rules = [{"record": f"asked_{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    command = [needs("promtool"), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_is_explained() -> None:
    """In the table of metrics."""
    explained = OPERATIONS.read_text()
    assert [
        name
        for name in sorted(exported())
        if f"`{name}" not in explained and not re.search(r"_(bucket|sum|count)$", name)
    ] == []
