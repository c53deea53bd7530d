"""What `deploy/kubernetes` tells a cluster."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dotenv import dotenv_values

from complyq_config.celery_settings import key_prefix, queue_names
from complyq_config.settings import Settings, load_settings, variable

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
KEDA = "keda.sh/v1alpha1"
GIVING_BACK_SECONDS = 5
kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def built(folder: str) -> list[dict[str, Any]]:
    """Let kubectl put a folder together, without a cluster."""
    command = ["kubectl", "kustomize", str(FOLDER / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def written() -> Iterator[dict[str, Any]]:
    """All resources as they stand in files."""
    for path in sorted(FOLDER.glob("*/*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text())


def of_kind(kind: str) -> list[dict[str, Any]]:
    """The resources of a kind."""
    found = [resource for resource in written() if resource["kind"] == kind]
    assert found
    return found


def deployment_of(name: str) -> dict[str, Any]:
    """A deployment's pod."""
    (pod,) = (one["spec"]["template"]["spec"] for one in of_kind("Deployment") if one["metadata"]["name"] == name)
    return dict(pod)


def base_settings() -> dict[str, str | None]:
    """The variables that the base sets."""
    return dotenv_values(FOLDER / "base/complyq.env")


@pytest.mark.parametrize(
    "resource", [one for one in written() if one["apiVersion"] != KEDA], ids=lambda one: one["kind"]
)
def test_a_cluster_knows_every_field(resource: dict[str, Any]) -> None:
    """Also misspelt ones, which a cluster would pass over."""
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


@kubectl
@pytest.mark.parametrize("folder", ["base", "example"])
def test_a_folder_can_be_applied_as_a_whole(folder: str) -> None:
    """Kustomize finds all that is referred to, and what comes out is valid too."""
    for resource in built(folder):
        if resource["apiVersion"] != KEDA:
            kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_settings_are_ones_that_there_are() -> None:
    """A variable that Complyq does not know would be passed over in silence."""
    known = {variable(name) for name in Settings.model_fields}
    assert set(base_settings()) <= known


@pytest.mark.parametrize("name", ["complyq-control", "complyq-transfer"])
def test_a_worker_is_given_the_time_that_it_gives_its_steps(name: str) -> None:
    """And some more, to give messages back."""
    seconds = int(base_settings()["COMPLYQ_SHUTDOWN_SECONDS"] or 0)
    assert deployment_of(name)["terminationGracePeriodSeconds"] >= seconds + GIVING_BACK_SECONDS


@pytest.mark.parametrize("name", ["complyq-control", "complyq-transfer", "complyq-metrics"])
def test_pods_have_no_rights_and_write_to_volumes_only(name: str) -> None:
    """As the strictest of Kubernetes' pod security standards asks."""
    pod = deployment_of(name)
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert all("medium" not in volume["emptyDir"] for volume in pod["volumes"])


@pytest.mark.parametrize(
    ("component", "broker_url", "field"),
    [("keda-redis", "redis://redis:6379/0", "listName"), ("keda-rabbitmq", "amqp://rabbitmq", "queueName")],
)
def test_scaling_looks_at_the_queues_that_workers_read(component: str, broker_url: str, field: str) -> None:
    """Where celery puts messages, by the broker's own name of it."""
    settings = load_settings(broker_url=broker_url)
    names = queue_names(settings)
    prefix = f"{key_prefix(settings)}broker:" if component == "keda-redis" else ""
    scaled = list(yaml.safe_load_all((FOLDER / component / "scaling.yaml").read_text()))
    watched = {one["spec"]["scaleTargetRef"]["name"]: one["spec"]["triggers"][0]["metadata"][field] for one in scaled}
    assert watched == {"complyq-control": prefix + names.control, "complyq-transfer": prefix + names.transfer}
    assert {one["metadata"]["name"] for one in of_kind("Deployment")} > set(watched)
