"""What a question leaves in the metrics: calls of Slack and of the service, by result, and the first words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from bot import metrics
from bot.demo.das import Faults
from bot.demo.upstream.refusal import Refusal
from bot.demo.workspace import NO_LIMITS, Workspace
from bot.model.question import MAX_QUESTION
from bot.slack.budget import Budget, Priority
from bot.slack.client import SlackClient, SlackError

ANA, OPS = "U0ANA00001", "C0DBOPS001"


def read(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def total(name: str, **labels: str) -> float:
    """The sum of all samples that have these labels."""
    return sum(
        sample.value
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_a_question_and_its_answer(make_house: Any) -> None:
    house = await make_house()
    await house.start()
    names = {
        "das_bot_slack_calls_total": {"result": "ok"},
        "das_bot_upstream_calls_total": {"action": "Chat", "result": "200"},
        "das_bot_questions_total": {"verdict": "accepted"},
        "das_bot_runs_total": {"backend": "das", "state": "answered"},
        "das_bot_first_words_seconds_count": {},
        "das_bot_redis_seconds_count": {"script": "finish"},
    }
    before = {name: total(name, **labels) for name, labels in names.items()}
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    await house.ended(1)
    gained = {name: total(name, **labels) - before[name] for name, labels in names.items()}
    assert gained.pop("das_bot_slack_calls_total") >= 2
    assert set(gained.values()) == {1}, gained


@pytest.mark.parametrize(
    ("faults", "result"),
    [
        (Faults(), "200"),
        (Faults(cut_after=5), "Cut"),
        (Faults(error_after=5), "RunError"),
        (Faults(exception_after=5), "RunError"),
        (Faults(refuse=Refusal(400, "InvalidParams", "No.")), "400"),
    ],
)
async def test_a_stream_is_counted_by_its_end(make_house: Any, faults: Faults, result: str) -> None:
    house = await make_house()
    await house.start()
    house.das.next_faults.append(faults)
    before = (
        total("das_bot_upstream_calls_total"),
        read("das_bot_upstream_calls_total", action="Chat", result=result),
    )
    house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.ended(1)
    after = (
        total("das_bot_upstream_calls_total"),
        read("das_bot_upstream_calls_total", action="Chat", result=result),
    )
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1]


async def test_who_is_refused_is_counted_once(house: Any) -> None:
    before = total("das_bot_questions_total", verdict="refused")
    house.workspace.say("U0OLAF0001", "C0SHARED01", "@das why is rm-bp1demo0001 slow?")
    await house.private_line("U0OLAF0001", "C0SHARED01")
    house.workspace.replay_event(0)
    house.workspace.say(ANA, OPS, "@das")
    await house.private_line(ANA, OPS)
    await house.workspace.command(ANA, OPS, "/das-ask", "why? " * MAX_QUESTION)
    assert total("das_bot_questions_total", verdict="refused") - before == 3


@pytest.mark.parametrize(
    ("fault", "results"),
    [
        ({"retry_after": 1}, ["ratelimited", "ok"]),
        ({"status": 503}, ["uncertain"]),
        ({"reset": True}, ["uncertain"]),
        ({"error": "is_archived"}, ["refused"]),
        ({"error": "msg_too_long"}, ["too_big"]),
        ({"error": "invalid_blocks"}, ["refused_blocks"]),
        ({"error": "message_not_found"}, ["gone"]),
    ],
)
async def test_calls_of_slack_are_counted_by_their_result(fault: dict[str, Any], results: list[str]) -> None:
    workspace = Workspace(rates=NO_LIMITS)
    await workspace.start()
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    budget = Budget(clock=lambda: now, sleep=sleep)
    client = SlackClient(workspace.bot_token, workspace.api_url, budget)
    workspace.fail_next("chat.postMessage", **fault)
    counted = {
        result: read("das_bot_slack_calls_total", method="chat.postMessage", result=result)
        for result in results
    }
    timed = read("das_bot_slack_call_seconds_count", method="chat.postMessage")
    with suppress(SlackError):
        await client.call("chat.postMessage", OPS, Priority.FINAL, "o", lambda: {"text": "x"})
    for result, earlier in counted.items():
        assert read("das_bot_slack_calls_total", method="chat.postMessage", result=result) == earlier + 1
    assert read("das_bot_slack_call_seconds_count", method="chat.postMessage") == timed + len(results)
    await client.aclose()
    await budget.aclose()
    await workspace.stop()
