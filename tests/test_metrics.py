"""Metrics: named as Prometheus wants it, no ids in labels, and counted where things happen."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot import __version__, metrics
from bot.slack import server
from bot.slack.listener import Listener
from bot.slack.reply.freshness import Freshness

LABELS = {
    "action", "agent", "backend", "error", "for", "method", "part", "result", "script", "state", "surface", "verdict",
    "version",
}  # fmt: skip
"""What may tell samples apart: all are few, and none comes from a person."""


def read(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_names_and_labels_keep_to_the_rules() -> None:
    ours = [family for family in metrics.REGISTRY.collect() if family.name.startswith("das_bot")]
    assert len(ours) > 20
    for family in ours:
        assert re.fullmatch(r"das_bot(_[a-z]+)+", family.name) and family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        for sample in family.samples:
            assert set(sample.labels) - {"le"} <= LABELS
            if family.type == "counter":
                assert sample.name.endswith("_total")


def test_the_text_is_what_prometheus_reads() -> None:
    families = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert {"das_bot_runs_running", "das_bot_questions", "process_resident_memory_bytes"} <= families
    assert read("das_bot_build_info", version=__version__) == 1


async def test_they_are_served_where_the_operator_wants_them() -> None:
    async def ready() -> dict[str, bool]:
        metrics.READY.labels("redis").set(1)
        return {"ok": True}

    for with_metrics, status in ((True, 200), (False, 404)):
        listener = Listener(server.build(None, ready, with_metrics=with_metrics))
        port = await listener.start("127.0.0.1", 0)
        metrics.READY.labels("redis").set(0)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as response,
        ):
            assert response.status == status
            if status == 200:
                assert response.headers["content-type"].startswith("text/plain; version=")
                assert 'das_bot_ready{part="redis"} 1.0' in await response.text()
        await listener.aclose()


def test_a_run_that_ended_is_counted_once() -> None:
    before = read("das_bot_runs_total", backend="das", state="answered")
    metrics.run_ended("das", "answered", 7.0)
    metrics.run_ended("", "failed", -0.1)
    assert read("das_bot_runs_total", backend="das", state="answered") == before + 1
    assert read("das_bot_runs_total", backend="none", state="failed") >= 1


def test_a_script_that_fails_is_counted_by_its_error() -> None:
    took = read("das_bot_redis_seconds_count", script="take")
    with pytest.raises(ZeroDivisionError), metrics.redis_call("take"):
        raise ZeroDivisionError
    with metrics.redis_call("take"):
        pass
    assert read("das_bot_redis_failures_total", script="take", error="ZeroDivisionError") >= 1
    assert read("das_bot_redis_seconds_count", script="take") == took + 1


async def test_the_lag_of_the_event_loop_is_what_comes_on_top_of_a_pause() -> None:
    now = 0.0
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        if len(pauses) == 2:
            raise asyncio.CancelledError
        pauses.append(seconds)
        now += seconds + 0.25

    before = read("das_bot_event_loop_lag_seconds_sum"), read("das_bot_event_loop_lag_seconds_count")
    with pytest.raises(asyncio.CancelledError):
        await metrics.watch_loop(lambda: now, sleep)
    assert read("das_bot_event_loop_lag_seconds_sum") - before[0] == pytest.approx(0.5)
    assert read("das_bot_event_loop_lag_seconds_count") - before[1] == 2


def test_staleness_and_first_words_of_a_reply() -> None:
    now = 100.0
    reply = Freshness(1_000.0, lambda: now, lambda: now + 910)
    stale = read("das_bot_reply_staleness_seconds_sum"), read("das_bot_reply_staleness_seconds_count")
    first = read("das_bot_first_words_seconds_sum"), read("das_bot_first_words_seconds_count")
    reply.lay_out()
    reply.shown(has_words=False)  # "On it": nothing new was in it.
    reply.came()
    now = 103.0
    reply.came()
    reply.lay_out()  # This write fails; the next one brings what was in it.
    now = 104.0
    reply.came()
    reply.lay_out()
    now = 105.0
    reply.came()  # After the layout: not in this write.
    reply.shown(has_words=True)
    assert read("das_bot_reply_staleness_seconds_sum") - stale[0] == pytest.approx(5.0)
    assert read("das_bot_first_words_seconds_sum") - first[0] == pytest.approx(15.0)
    now = 107.0
    reply.lay_out()
    reply.shown(has_words=True)
    assert read("das_bot_reply_staleness_seconds_sum") - stale[0] == pytest.approx(7.0)
    assert read("das_bot_reply_staleness_seconds_count") - stale[1] == 2
    assert read("das_bot_first_words_seconds_count") - first[1] == 1
