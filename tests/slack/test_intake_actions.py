"""Buttons: Stop, Ask again, New session and the thumbs, also pressed twice, late, elsewhere or with forged values."""

import asyncio
from typing import Any

import pytest

from bot.demo.workspace.events import click_payload

ANA, BEN, OLAF, WANG = "U0ANA00001", "U0BEN00001", "U0OLAF0001", "U0WANG0001"
OPS, ORDERS = "C0DBOPS001", "C0ORDERS01"


async def asked(house: Any) -> tuple[str, Any, dict[str, str]]:
    """An answered question: its ts, the reply and the run."""
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    reply = await house.answer(OPS, ts)
    (run,) = await house.ended(1)
    return ts, reply, run


async def press(house: Any, who: str, message: Any, action: str, **changes: Any) -> bool:
    """Press a button whose payload is changed; returns whether the click was acked."""
    state = house.workspace.state
    payload = click_payload(state, state.person(who), message, action, None, None)
    if "value" in changes:
        payload["actions"][0]["value"] = changes.pop("value")
    delivery = house.workspace._dispatcher.send("interactive", payload | changes)
    await house.workspace._dispatcher.finished(delivery)
    return bool(delivery.acked)


async def test_stop(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(
        lambda: "run_stop" in str([m.blocks for m in house.workspace.replies(OPS, ts)])
    )
    reply = house.workspace.replies(OPS, ts)[0]
    stale = click_payload(house.workspace.state, house.workspace.people[BEN], reply, "run_stop", None, None)
    assert (await house.workspace.click(BEN, OPS, reply.ts, "run_stop")).ok
    await house.answer(OPS, ts)
    (run,) = await house.ended(1)
    assert (run["state"], run["stop_by"]) == ("stopped", BEN)
    delivery = house.workspace._dispatcher.send("interactive", stale)
    await house.workspace._dispatcher.finished(delivery)
    assert (await house.private_line(BEN, OPS)).text == "That run is already over."


async def test_ask_again_twice_is_one_run(house: Any) -> None:
    ts, reply, first = await asked(house)
    presses = [house.workspace.click(BEN, OPS, reply.ts, "run_again") for _ in range(2)]
    assert all(done.ok for done in await asyncio.gather(*presses))
    await house.answer(OPS, ts, 2)
    _, again = await house.ended(2)
    assert (again["user"], again["surface"], again["text"]) == (BEN, "again", first["text"])
    assert (await house.private_line(BEN, OPS)).text.startswith("That was asked again already")


async def test_a_new_session_begins_with_the_next_question(house: Any) -> None:
    ts, reply, first = await asked(house)
    assert (await house.workspace.click(ANA, OPS, reply.ts, "session_new")).ok
    line = await house.private_line(ANA, OPS)
    assert (line.text, line.thread_ts) == ("The next question in this thread begins a new session.", ts)
    house.workspace.say(ANA, OPS, "and yesterday?", ts)
    await house.answer(OPS, ts, 2)
    _, second = await house.ended(2)
    assert first["session_id"] != second["session_id"] != ""


async def test_who_presses_is_answered_in_their_own_language(house: Any) -> None:
    _, reply, _ = await asked(house)
    assert await press(house, WANG, reply, "run_again", value="feedfacefeedface")
    assert (await house.private_line(WANG, OPS)).text == "该次运行已结束。"
    assert (await house.workspace.click(WANG, OPS, reply.ts, "session_new")).ok
    assert (await house.private_line(WANG, OPS, 2)).text == "本话题的下一个问题将开启新的会话。"


async def test_who_asked_is_answered_in_the_language_of_the_question(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "@das rm-bp1demo0001 为什么慢？")
    reply = await house.answer(OPS, ts)
    assert (await house.workspace.click(ANA, OPS, reply.ts, "session_new")).ok
    assert (await house.private_line(ANA, OPS)).text == "本话题的下一个问题将开启新的会话。"
    assert (await house.workspace.click(BEN, OPS, reply.ts, "session_new")).ok
    line = await house.private_line(BEN, OPS)
    assert line.text == "The next question in this thread begins a new session."


@pytest.mark.parametrize("action", ["run_again", "session_new", "answer_feedback"])
@pytest.mark.parametrize("value", ["", "feedfacefeedface", "like:feedface", "*", "x" * 2000])
async def test_a_forged_or_expired_run_is_over(house: Any, action: str, value: str) -> None:
    _, reply, run = await asked(house)
    presses = {"value": value}
    source = "run_again" if action == "answer_feedback" else action
    state = house.workspace.state
    payload = click_payload(state, state.person(BEN), reply, source, None, None)
    payload["actions"][0] |= {"action_id": action, **presses}
    delivery = house.workspace._dispatcher.send("interactive", payload)
    await house.workspace._dispatcher.finished(delivery)
    assert delivery.acked
    assert (await house.private_line(BEN, OPS)).text == "That run is already over."
    assert await house.runs() == [run]


async def test_a_click_from_another_channel_reaches_nothing(house: Any) -> None:
    _, reply, run = await asked(house)
    assert await press(house, BEN, reply, "run_again", channel={"id": ORDERS, "name": "orders-oncall"})
    assert await press(house, BEN, reply, "session_new", channel=None)
    assert await house.runs() == [run]
    # The line would stand in a thread that the other channel does not have; what counts is that nothing ran.
    assert house.workspace.ephemerals(BEN, OPS) == []


@pytest.mark.parametrize("team", ["T0OTHER0001", None])
async def test_a_click_by_nobody_of_ours(house: Any, team: str | None) -> None:
    _, reply, run = await asked(house)
    user = {"id": BEN} | ({"team_id": team} if team else {})
    assert await press(house, BEN, reply, "run_again", user=user)
    assert (await house.private_line(BEN, OPS)).text == "I answer only people of the company that runs me."
    assert await house.runs() == [run]


async def test_every_envelope_is_acked(house: Any) -> None:
    """What nobody listens for is acked too, or Slack delivers it again and again, or shows an error."""
    dispatcher = house.workspace._dispatcher
    base: dict[str, Any] = {
        "team": {"id": "T0DEMO00001"},
        "user": {"id": ANA, "team_id": "T0DEMO00001"},
        "api_app_id": "A0DASBOT01",
    }
    view = {"id": "V1", "callback_id": "x", "type": "modal", "state": {"values": {}}}
    odd: Any = [
        ("events_api", {"type": "event_callback", "event_id": "Ev1", "event": {"type": "reaction_added"}}),
        (
            "events_api",
            {"type": "event_callback", "event_id": "Ev2", "event": {"type": "of_next_year", "user": ANA}},
        ),
        ("events_api", {"type": "event_callback", "event_id": "Ev3", "event": {"type": "app_home_opened"}}),
        ("events_api", {"type": "app_rate_limited", "minute_rate_limited": 1}),
        ("events_api", {"type": "of_next_year"}),
        ("interactive", base | {"type": "block_actions", "actions": [{"action_id": "who?", "value": "x"}]}),
        ("interactive", base | {"type": "view_submission", "view": view}),
        ("interactive", base | {"type": "view_closed", "view": view}),
        ("interactive", base | {"type": "shortcut", "callback_id": "x"}),
        ("interactive", base | {"type": "message_action", "callback_id": "x", "message": {}}),
        ("interactive", base | {"type": "block_suggestion", "action_id": "x", "value": "x", "block_id": "b"}),
        ("slash_commands", {"command": "/unknown", "text": "x", "user_id": ANA, "channel_id": OPS}),
    ]
    for kind, payload in odd:
        delivery = dispatcher.send(kind, {"team_id": "T0DEMO00001", **payload})
        await dispatcher.finished(delivery)
        assert delivery.acked and len(delivery.attempts) == 1, payload
    await house.taken(0)
