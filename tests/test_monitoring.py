"""What operators watch the bot with: dashboard, alerts and the autoscaler's rules ask for what /metrics really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from bot import metrics
from tests.absent import absent

DEPLOY = Path(__file__).parents[1] / "deploy"
DASHBOARD = DEPLOY / "grafana/das-bot.json"
ALERTS = DEPLOY / "prometheus/alerts.yaml"
ADAPTER = DEPLOY / "prometheus/adapter.yaml"
METRIC = re.compile(r"\b(?:das_bot|process)_[a-z_]+\b")
OF_THE_TARGET = {"job", "instance", "namespace", "pod", "le"}
"""Labels that Prometheus adds, and the one of a histogram's buckets."""
BY_OTHERS = {"das_bot_shared_threads_waiting"}
"""Names that the adapter gives."""
_ENDINGS = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}


def samples() -> dict[str, set[str]]:
    """Every name Prometheus may see, with its labels."""
    labels = {
        name: set(getattr(collector, "_labelnames", ()))
        for collector, names in metrics.REGISTRY._collector_to_names.items()
        for name in names
    }
    return {
        family.name + ending: labels.get(family.name, set())
        for family in metrics.REGISTRY.collect()
        for ending in _ENDINGS.get(family.type, [""])
    }


def queries(document: Any) -> Iterator[str]:
    """Every query in a file, however deep, with something in the place of variables and templates."""
    if isinstance(document, dict):
        if series := METRIC.match(document.get("seriesQuery", "")):
            # As prometheus-adapter fills it in for the pods of a Deployment.
            query = document["metricsQuery"].replace("<<.Series>>", series[0])
            yield query.replace("<<.LabelMatchers>>", 'namespace="x"').replace("<<.GroupBy>>", "pod")
            yield document["seriesQuery"]
        for key, part in document.items():
            if key == "expr" and isinstance(part, str):
                yield re.sub(r"\$__(rate_interval|interval|range)", "5m", part)
            else:
                yield from queries(part)
    elif isinstance(document, list):
        for part in document:
            yield from queries(part)


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS, ADAPTER], ids=lambda path: path.name)
def test_every_query_is_promql_and_asks_for_what_exists(path: Path) -> None:
    known = samples()
    found = list(queries(yaml.safe_load(path.read_text())))
    assert found
    for query in found:
        parts: list[Any] = []
        promql.walk(promql.parse(query), parts.append)
        selectors = [part for part in parts if isinstance(part, promql.VectorSelector)]
        names = {str(selector.name) for selector in selectors}
        assert names and names <= known.keys(), query
        labels = OF_THE_TARGET.union(*(known[name] for name in names))
        asked = {matcher.name for selector in selectors for matcher in selector.matchers.matchers}
        grouped = [part.modifier for part in parts if isinstance(part, promql.AggregateExpr)]
        assert asked.union(*(by.labels for by in grouped if by)) <= labels, query
    # And in what is said beside the queries.
    families = {family.name for family in metrics.REGISTRY.collect()}
    assert set(METRIC.findall(path.read_text())) - BY_OTHERS <= known.keys() | families


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = set(METRIC.findall(DASHBOARD.read_text()))
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


# -- when the alerts ring ----------------------------------------------------------------------------------

UP = {'das_bot_build_info{version="1"}': "1x60"}
CALM = UP | {
    # One of two replicas is being started.
    'das_bot_ready{part="slack",pod="a"}': "1x60",
    'das_bot_ready{part="slack",pod="b"}': "0x60",
    "das_bot_intake_failures_total": "5x60",
    "das_bot_shared_oldest_waiting_seconds": "300x60",
    'das_bot_shared_threads{state="waiting"}': "0x60",
    'das_bot_runs_total{backend="das",state="answered"}': "0+9x60",
    'das_bot_runs_total{backend="das",state="failed"}': "0+1x60",
    "das_bot_threads_taken_over_total": "2x60",
    "das_bot_leases_lost_total": "2x60",
    'das_bot_slack_calls_total{method="chat.update",result="ok"}': "0+50x60",
    'das_bot_slack_calls_total{method="chat.update",result="uncertain"}': "0x60",
    'das_bot_slack_calls_total{method="chat.update",result="ratelimited"}': "0+1x60",
    'das_bot_reply_staleness_seconds_bucket{le="5"}': "0+99x60",
    'das_bot_reply_staleness_seconds_bucket{le="+Inf"}': "0+100x60",
    'das_bot_redis_seconds_bucket{script="beat",le="0.01"}': "0+100x60",
    'das_bot_redis_seconds_bucket{script="beat",le="+Inf"}': "0+100x60",
    'das_bot_event_loop_lag_seconds_bucket{le="0.05"}': "0+100x60",
    'das_bot_event_loop_lag_seconds_bucket{le="+Inf"}': "0+100x60",
}
"""Series by the minute of an hour in which nothing is wrong."""


def slow(histogram: str, below: str, above: str) -> dict[str, str]:
    """A histogram whose every observation lies between two bounds."""
    rises = {below: "0x60", above: "0+9x60", "+Inf": "0+9x60"}
    return {f'{histogram}_bucket{{le="{bound}"}}': values for bound, values in rises.items()}


UPDATE = 'das_bot_slack_calls_total{method="chat.update",result='
RINGS: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "DasBotGone": ({}, {}, "No das-bot is running"),
    "DasBotNotReady": (
        {f'das_bot_ready{{part="redis",pod="{pod}"}}': "0x60" for pod in "ab"},
        {"part": "redis"},
        "No replica has redis",
    ),
    "DasBotDeliveriesRefused": (
        {"das_bot_intake_failures_total": "0+1x60"},
        {},
        "Questions are not accepted",
    ),
    "DasBotQuestionsWait": (
        {"das_bot_shared_oldest_waiting_seconds": "1200x60"},
        {},
        "A question has waited for 20m 0s",
    ),
    "DasBotNoRoom": (
        {'das_bot_shared_threads{state="waiting"}': "7x60"},
        {},
        "7 threads wait for a worker with room",
    ),
    "DasBotRunsFail": (
        {
            f'das_bot_runs_total{{backend="das",state="{state}"}}': "0+1x60"
            for state in ("failed", "answered")
        },
        {"backend": "das"},
        "50% of the runs of das fail",
    ),
    "DasBotWorkersDie": (
        {"das_bot_threads_taken_over_total": "0x20 3x40"},
        {},
        "3 threads of dead workers were taken over",
    ),
    "DasBotLeasesLost": ({"das_bot_leases_lost_total": "0x20 3x40"}, {}, "3 leases were lost"),
    "DasBotSlackRefuses": (
        {UPDATE + '"uncertain"}': "0+1x60"},
        {"method": "chat.update", "result": "uncertain"},
        "Slack's chat.update fails (uncertain)",
    ),
    "DasBotSlackRateLimited": (
        {UPDATE + '"ratelimited"}': "0+6x60"},
        {"method": "chat.update"},
        "Slack limits chat.update",
    ),
    "DasBotRepliesStale": (
        slow("das_bot_reply_staleness_seconds", "30", "60"),
        {},
        "Replies lag 58.5s behind",
    ),
    "DasBotRedisSlow": (slow("das_bot_redis_seconds", "0.5", "1"), {}, "Redis takes 995ms"),
    "DasBotLoopLags": (
        slow("das_bot_event_loop_lag_seconds", "0.25", "0.5"),
        {},
        "The event loop is 497.5ms late",
    ),
}
"""Of each alert: what makes it ring, the labels it has then, and what it says."""


def test_each_alert_rings_when_it_should_and_not_before(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        absent("promtool (Debian: prometheus)")
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}
    assert rules.keys() == RINGS.keys()
    assert {series.partition("{")[0] for series in CALM} <= samples().keys()

    def scenario(series: dict[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
        given = [{"series": name, "values": values} for name, values in series.items()]
        return {"interval": "1m", "input_series": given, "alert_rule_test": expected}

    calm = scenario(CALM, [{"eval_time": "30m", "alertname": name, "exp_alerts": []} for name in rules])
    scenarios = [calm]
    for name, (series, labels, summary) in RINGS.items():
        rule = rules[name]
        alert = {
            "exp_labels": rule["labels"] | labels,
            "exp_annotations": rule["annotations"] | {"summary": summary},
        }
        scenarios.append(scenario(series, [{"eval_time": "30m", "alertname": name, "exp_alerts": [alert]}]))
    cases = tmp_path / "cases.yaml"
    cases.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": scenarios})
    )
    for command in (["check", "rules", str(ALERTS)], ["test", "rules", str(cases)]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
