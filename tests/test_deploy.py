"""The files operators copy: they fit their schemas, name settings and times that exist, and keep no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from bot.relay.worker import LAST_WORDS_SECONDS
from bot.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
ADAPTER = DEPLOY / "prometheus/adapter.yaml"
SETTINGS = {name.upper() for name in Settings.model_fields}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def grace() -> float:
    """Seconds beyond DRAIN_SECONDS that the README says a process needs to end."""
    found = re.search(r"raise the grace period with it \((\d+) s more\)", (ROOT / "README.md").read_text())
    assert found
    return float(found[1])


def test_compose_runs_the_bot_locked_down_with_a_durable_store() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    bot, store = services["bot"], services["valkey"]
    assert set(bot["environment"]) <= SETTINGS
    assert bot["depends_on"]["valkey"]["condition"] == "service_healthy" and "healthcheck" in store
    for service in (bot, store):
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    drain = float(bot["environment"]["DRAIN_SECONDS"])
    assert seconds(bot["stop_grace_period"]) == drain + grace()
    assert "--appendonly yes" in store["command"] and "noeviction" in store["command"]
    assert re.search(r":\d+\.\d+", store["image"])
    assert bot["ports"] == ["${DAS_BOT_ADDRESS:-127.0.0.1:3000}:3000"]


def test_compose_is_compose() -> None:
    text = (ROOT / "compose.yaml").read_text()
    # As Compose does before it reads the rest.
    filled = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    PyCompose.from_yaml(filled).validate()
    for right, wrong in (("read_only:", "readonly:"), ("100s", "soon"), ("service_healthy", "healthy")):
        with pytest.raises(ValueError):
            PyCompose.from_yaml(filled.replace(right, wrong))


def documents() -> dict[str, Any]:
    return {
        document["kind"]: document for path in KUBERNETES for document in yaml.safe_load_all(path.read_text())
    }


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_the_manifests_are_what_kubernetes_takes(version: str) -> None:
    found = documents()
    # Kustomize's own file is none of the API's.
    del found["Kustomization"]
    for document in found.values():
        kubernetes_validate.validate(document, version, strict=True)
    found["HorizontalPodAutoscaler"]["spec"]["minReplica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="minReplica"):
        kubernetes_validate.validate(found["HorizontalPodAutoscaler"], version, strict=True)


def test_the_deployment_drains_and_can_write_nothing() -> None:
    pod = documents()["Deployment"]["spec"]["template"]["spec"]
    [bot] = pod["containers"]
    env = {item["name"]: item["value"] for item in bot["env"]}
    assert set(env) <= SETTINGS
    Settings.model_validate({name.lower(): value for name, value in env.items()})
    assert pod["terminationGracePeriodSeconds"] == float(env["DRAIN_SECONDS"]) + grace()
    before = bot["lifecycle"]["preStop"]["exec"]["command"]
    # OpenTelemetry's exporter gives up after ten seconds.
    assert before[0] == "sleep" and float(before[1]) + LAST_WORDS_SECONDS + 10 < grace()
    assert bot["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert bot["readinessProbe"]["httpGet"]["path"] == "/readyz"
    ports = {port["name"]: str(port["containerPort"]) for port in bot["ports"]}
    assert ports == {"http": env["PORT"], "metrics": env["METRICS_PORT"]}
    annotations = documents()["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == env["METRICS_PORT"]
    assert pod["securityContext"]["runAsNonRoot"] and bot["securityContext"]["readOnlyRootFilesystem"]
    assert bot["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_manifests_belong_together() -> None:
    found = documents()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    scaled = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", found["Deployment"]["metadata"]["name"])
    pod = found["Deployment"]["spec"]["template"]["spec"]
    [source] = pod["containers"][0]["envFrom"]
    assert source["secretRef"]["name"] == found["Secret"]["metadata"]["name"]
    assert pod["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    listed = set(found["Kustomization"]["resources"])
    assert listed == {path.name for path in KUBERNETES} - {"kustomization.yaml", "secret.example.yaml"}


def test_what_scales_is_what_the_adapter_gives_and_comes_before_a_replica_is_full() -> None:
    scaler = documents()["HorizontalPodAutoscaler"]["spec"]
    by_pod, outside = scaler["metrics"]
    rules = yaml.safe_load(ADAPTER.read_text())["rules"]
    assert by_pod["pods"]["metric"]["name"] == rules["custom"][0]["name"]["as"]
    assert outside["external"]["metric"]["name"] == rules["external"][0]["name"]["as"]
    env = {item["name"]: item["value"] for item in documents()["Deployment"]["spec"]["template"]["spec"]
           ["containers"][0]["env"]}  # fmt: skip
    assert float(by_pod["pods"]["target"]["averageValue"]) < float(env["MAX_RUNS"])
    assert scaler["minReplicas"] >= 2


def test_the_secret_is_an_example_without_values() -> None:
    values = documents()["Secret"]["stringData"]
    assert set(values.values()) == {""}
    assert {name for name in values if not name.startswith("ALIBABA_CLOUD_")} <= SETTINGS


def test_the_image_is_small_and_runs_as_nobody() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    base = next(
        word[1].partition("=")[2] for word in words if word[0] == "ARG" and word[1].startswith("PYTHON=")
    )
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)
    assert all(word[1] == "${PYTHON}" for word in words if word[0] == "FROM")
    user = [word[1] for word in words if word[0] == "USER"]
    pod = documents()["Deployment"]["spec"]["template"]["spec"]
    assert user == ["{runAsUser}:{runAsGroup}".format(**pod["securityContext"])]
    assert any(word[0] == "HEALTHCHECK" for word in words)
    installs = [line for line in lines if "pip install" in line]
    assert len(installs) == 3
    # Whatever is fetched was seen before; and nothing is fetched to build with.
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert all("--no-build-isolation" in line or "requirements-build.lock" in line for line in installs)
