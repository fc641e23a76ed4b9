"""Slack's limits hold on the workspace's own clock: per method, per channel, with a short burst."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError

from bot.demo.workspace.rates import PER_MINUTE, Rates

CHANNEL = "C0DBOPS001"


@pytest.mark.parametrize("method", PER_MINUTE)
def test_half_a_minutes_worth_passes_at_once_and_then_the_rate_holds(method: str) -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    burst = round(PER_MINUTE[method] / 2)
    assert [rates.take(method) for _ in range(burst)] == [0] * burst
    assert rates.take(method) >= 1
    now[0] += 60 / PER_MINUTE[method]
    assert rates.take(method) == 0
    assert rates.take(method) >= 1


@given(st.lists(st.floats(0, 5), max_size=300))
def test_no_more_than_the_budget_and_its_burst_ever_passes(gaps: list[float]) -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    passed = 0
    for gap in gaps:
        now[0] += gap
        passed += rates.take("chat.update") == 0
    assert passed <= 25 + now[0] * 50 / 60 + 1e-3


@given(st.lists(st.floats(0, 3), min_size=30, max_size=100))
def test_who_waits_as_told_is_let_in(gaps: list[float]) -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    for gap in gaps:
        now[0] += gap
        wait = rates.take("chat.update")
        if wait:
            now[0] += wait
            assert rates.take("chat.update") == 0


def test_posting_is_limited_per_channel_too() -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    assert [rates.take("chat.postMessage", "C1") for _ in range(30)] == [0] * 30
    assert rates.take("chat.postMessage", "C1") == 1
    assert rates.take("chat.postMessage", "C2") == 0


def test_methods_do_not_share_a_budget_and_unknown_ones_have_none() -> None:
    rates = Rates(lambda: 0.0, {"chat.update": 2})
    assert rates.take("chat.update") == 0
    assert rates.take("chat.update") == 30
    assert rates.take("chat.delete") == 0
    assert [rates.take("no.such") for _ in range(1_000)] == [0] * 1_000


async def test_too_many_calls_are_told_how_long_to_wait(
    make_workspace: Any, connect: Any, fake_time: Any
) -> None:
    workspace = await make_workspace(rates={"chat.update": 4}, clock=fake_time.clock, sleep=fake_time.sleep)
    client = connect(workspace)
    ts = (await client.chat_postMessage(channel=CHANNEL, text="x"))["ts"]
    for text in ("a", "b"):
        await client.chat_update(channel=CHANNEL, ts=ts, text=text)
    with pytest.raises(SlackApiError) as refused:
        await client.chat_update(channel=CHANNEL, ts=ts, text="c")
    answer = refused.value.response
    assert (answer.status_code, answer["error"]) == (429, "ratelimited")
    assert answer.headers["Retry-After"] == "15"
    assert workspace.messages.get(CHANNEL, ts).text == "b"
    await fake_time.advance(15)
    await client.chat_update(channel=CHANNEL, ts=ts, text="c")
    assert [call.status for call in workspace.calls_of("chat.update")] == [200, 200, 429, 200]
