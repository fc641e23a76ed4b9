"""The files operators copy: they name metrics, settings and times that exist, and keep no secret."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import metrics
from bot.relay.worker import LAST_WORDS_SECONDS
from bot.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
DASHBOARD = DEPLOY / "grafana/das-bot.json"
ALERTS = DEPLOY / "prometheus/alerts.yaml"
ADAPTER = DEPLOY / "prometheus/adapter.yaml"
METRIC = re.compile(r"\b(?:das_bot|process)_[a-z_]+\b")
SETTINGS = {name.upper() for name in Settings.model_fields}


def samples() -> set[str]:
    """Every name Prometheus may see, and what a query may make of it."""
    names = set()
    for family in metrics.REGISTRY.collect():
        endings = {
            "counter": ["_total"],
            "histogram": ["_bucket", "_sum", "_count"],
            "info": ["_info"],
        }.get(family.type, [""])
        names |= {family.name + ending for ending in endings}
    return names


def named_in(text: str) -> set[str]:
    # A name the adapter gives.
    return set(METRIC.findall(text)) - {"das_bot_shared_threads_waiting"}


def queries(document: Any) -> list[str]:
    """Every query in a file, however deep."""
    if isinstance(document, dict):
        own = [
            text for key, text in document.items() if key in ("expr", "seriesQuery") and isinstance(text, str)
        ]
        return own + [text for part in document.values() for text in queries(part)]
    return [text for part in document for text in queries(part)] if isinstance(document, list) else []


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS, ADAPTER], ids=lambda path: path.name)
def test_every_metric_named_exists(path: Path) -> None:
    text = path.read_text()
    asked = set[str]().union(*(named_in(query) for query in queries(yaml.safe_load(text))))
    assert asked and asked <= samples()
    families = {family.name for family in metrics.REGISTRY.collect()}
    assert named_in(text) <= samples() | families


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = named_in(DASHBOARD.read_text())
    for family in metrics.REGISTRY.collect():
        if family.name.startswith("das_bot"):
            assert any(name.startswith(family.name) for name in shown), family.name


def test_the_dashboard_can_be_imported() -> None:
    dashboard: Any = json.loads(DASHBOARD.read_text())
    assert dashboard["title"] and dashboard["uid"] and "id" not in dashboard
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["expr"].count("(") == target["expr"].count(")")


def test_each_alert_says_what_is_wrong_and_where_to_look() -> None:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names) >= 10
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here; the rules are parsed as YAML only"
)
def test_promtool_takes_the_alerts() -> None:
    subprocess.run(["promtool", "check", "rules", str(ALERTS)], check=True, capture_output=True)


# -- containers ------------------------------------------------------------------------------------------


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_compose_runs_the_bot_locked_down_with_a_durable_store() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    bot, store = services["bot"], services["valkey"]
    assert set(bot["environment"]) <= SETTINGS
    assert bot["depends_on"]["valkey"]["condition"] == "service_healthy" and "healthcheck" in store
    for service in (bot, store):
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    drain = float(bot["environment"]["DRAIN_SECONDS"])
    assert seconds(bot["stop_grace_period"]) > drain + LAST_WORDS_SECONDS
    assert "--appendonly yes" in store["command"] and "noeviction" in store["command"]
    assert re.search(r":\d+\.\d+", store["image"])
    assert bot["ports"] == ["${DAS_BOT_ADDRESS:-127.0.0.1:3000}:3000"]


def documents() -> dict[str, Any]:
    return {
        document["kind"]: document for path in KUBERNETES for document in yaml.safe_load_all(path.read_text())
    }


def test_the_deployment_drains_and_can_write_nothing() -> None:
    pod = documents()["Deployment"]["spec"]["template"]["spec"]
    [bot] = pod["containers"]
    env = {item["name"]: item["value"] for item in bot["env"]}
    assert set(env) <= SETTINGS
    Settings.model_validate({name.lower(): value for name, value in env.items()})
    assert pod["terminationGracePeriodSeconds"] > float(env["DRAIN_SECONDS"]) + LAST_WORDS_SECONDS
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
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base)
    assert all(word[1] == "${PYTHON}" for word in words if word[0] == "FROM")
    user = [word[1] for word in words if word[0] == "USER"]
    pod = documents()["Deployment"]["spec"]["template"]["spec"]
    assert user == [str(pod["securityContext"]["runAsUser"])]
    assert any(word[0] == "HEALTHCHECK" for word in words)
    assert "--require-hashes" in " ".join(lines)
