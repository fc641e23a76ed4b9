"""Who may stop what: by the button, by the word, by Slack's own Stop, also for runs that wait."""

from typing import Any

import pytest

ANA, BEN, WANG, OLAF = "U0ANA00001", "U0BEN00001", "U0WANG0001", "U0OLAF0001"
OPS, SHARED = "C0DBOPS001", "C0SHARED01"
QUESTION = "@das why is rm-bp1demo0001 slow?"
NOT_YOURS = f"Only <@{ANA}>, who asked, approvers and admins can stop this."
NOT_YOURS_ZH = f"只有提问者 <@{ANA}>、审批人或管理员可以停止。"


async def running(make_house: Any, *waiting: str, **settings: Any) -> tuple[Any, str]:
    """A house where Ana's question is being answered, slowly, and these people's questions wait behind it."""
    house = await make_house(pace=100)
    await house.start(**settings)
    ts = house.workspace.say(ANA, OPS, QUESTION)
    await house.taken(1)
    for number, user in enumerate(waiting, start=1):
        house.workspace.say(user, OPS, f"question {number}", ts)
        await house.taken(number + 1)

    async def is_asked() -> bool:
        return "asked_at" in (await house.runs())[0]

    await house.eventually(is_asked)
    return house, ts


async def stopped(house: Any) -> list[str]:
    """Who stopped each run, in the order of asking."""
    await house.workspace.delivered()
    return [run.get("stop_by", "") for run in await house.runs()]


@pytest.mark.parametrize(
    ("settings", "who", "way", "may"),
    [
        ({}, ANA, "word", True),
        ({}, ANA, "button", True),
        ({}, BEN, "word", True),  # An admin of the workspace.
        ({}, BEN, "button", True),
        ({}, WANG, "word", False),
        ({}, WANG, "button", False),
        ({"admin_users": frozenset({WANG})}, WANG, "word", True),
        ({"admin_users": frozenset({WANG})}, BEN, "button", False),
        ({"approver_users": frozenset({WANG})}, WANG, "button", True),
    ],
)
async def test_the_asker_and_admins_may_stop(
    make_house: Any, settings: dict[str, Any], who: str, way: str, may: bool
) -> None:
    house, ts = await running(make_house, **settings)
    if way == "word":
        house.workspace.say(who, OPS, "stop", ts)
    else:
        await house.workspace.until(lambda: "run_stop" in str(house.workspace.replies(OPS, ts)[0].blocks))
        reply = house.workspace.replies(OPS, ts)[0]
        assert (await house.workspace.click(who, OPS, reply.ts, "run_stop")).ok
    assert await stopped(house) == [who if may else ""]
    if not may:
        line = await house.private_line(who, OPS)
        # "stop" tells no language: it is answered in that of who wrote it, as a click is.
        told = NOT_YOURS_ZH if who == WANG else NOT_YOURS
        assert (line.text, line.thread_ts) == (told, ts)


async def test_a_word_means_the_own_waiting_question_of_who_may_not_stop_the_current_one(
    make_house: Any,
) -> None:
    house, ts = await running(make_house, WANG, ANA, WANG)
    house.workspace.say(WANG, OPS, "停止", ts)
    assert await stopped(house) == ["", "", "", WANG]
    house.workspace.replay_event()
    assert await stopped(house) == ["", "", "", WANG]
    house.workspace.say(WANG, OPS, "@das stop", ts)
    assert await stopped(house) == ["", WANG, "", WANG]
    house.workspace.say(WANG, OPS, "@das stop", ts)
    assert await stopped(house) == ["", WANG, "", WANG]
    assert (await house.private_line(WANG, OPS)).text == NOT_YOURS_ZH
    house.workspace.say(BEN, OPS, "stop", ts)
    assert await stopped(house) == [BEN, WANG, "", WANG]


async def test_who_is_an_admin_is_not_believed_when_slack_does_not_say(make_house: Any) -> None:
    house, ts = await running(make_house)
    house.workspace.fail_next("users.info", error="missing_scope")
    house.workspace.say(BEN, OPS, "stop", ts)
    assert await stopped(house) == [""]
    assert (await house.private_line(BEN, OPS)).text == NOT_YOURS
    # Slack tells the next time.
    house.workspace.say(BEN, OPS, "stop", ts)
    assert await stopped(house) == [BEN]


def press(ts: str, user: str, channel: str = OPS, **more: Any) -> dict[str, Any]:
    """Slack's own Stop, as its event says it."""
    return {
        "type": "agent_session_stopped",
        "channel": channel,
        "thread_ts": ts,
        "user": user,
        "streaming_message_ts": [],
        "event_ts": "1700000000.000900",
    } | more


async def send(house: Any, event: dict[str, Any]) -> None:
    from bot.demo.workspace.events import event_callback

    payload = event_callback(house.workspace.state, event, house.workspace.channels[event["channel"]])
    delivery = house.workspace._dispatcher.send("events_api", payload)
    await house.workspace._dispatcher.finished(delivery)
    assert delivery.acked


@pytest.mark.parametrize(("who", "may"), [(ANA, True), (BEN, True), (WANG, False)])
async def test_slacks_own_stop(make_house: Any, who: str, may: bool) -> None:
    house, ts = await running(make_house, ANA)
    for _ in range(2):
        await send(house, press(ts, who))
    assert await stopped(house) == [who if may else "", ""]
    if not may:
        # In the language they have set in Slack: there are no words of theirs to go by.
        assert (await house.private_line(who, OPS)).text == NOT_YOURS_ZH


async def test_slacks_own_stop_by_a_stranger_or_elsewhere_changes_nothing(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start()
    ts = house.workspace.say(ANA, SHARED, QUESTION)
    await house.taken(1)
    await send(house, press(ts, OLAF, SHARED))
    await send(house, press("1.0", ANA))
    await send(house, press("", ANA))
    await send(house, press(ts, "", SHARED))
    assert await stopped(house) == [""]
    assert house.workspace.ephemerals(OLAF, SHARED) == house.workspace.ephemerals(ANA, OPS) == []


async def test_slacks_own_stop_is_not_lost_without_a_word(make_house: Any) -> None:
    house, ts = await running(make_house, ANA)
    house.workspace.fail_next("users.info", error="fatal_error", times=2)
    await send(house, press(ts, ANA))
    line = await house.private_line(ANA, OPS)
    assert line.text.startswith("Slack did not tell me in time who you are.") and line.thread_ts == ts
    # Slack tells the next time.
    await send(house, press(ts, ANA, event_ts="1700000001.000900"))
    assert await stopped(house) == [ANA, ""]


async def test_the_workspace_presses_stop(make_house: Any) -> None:
    """The event as the workspace sends it, once a reply streams."""
    house, ts = await running(make_house)

    def streams() -> bool:
        return any(m.stream and m.stream.is_open for m in house.workspace.replies(OPS, ts))

    await house.workspace.until(streams)
    house.workspace.press_stop(ANA, OPS, ts)
    answer = await house.answer(OPS, ts)
    assert f"<@{ANA}>" in str(answer.blocks)
    assert await stopped(house) == [ANA]
    # Else Slack would say for an hour that the agent is at work.
    await house.workspace.until(lambda: house.workspace.state.session_status.get((OPS, ts)) == "active")


WANG_DM = "D0WANG0001"


async def test_stop_at_the_top_of_a_direct_message_means_what_is_newest_there(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start(das_concurrency=3)
    house.workspace.say(ANA, "D0ANA00001", "why is rm-bp1demo0003 slow?")
    await house.taken(1)
    ts = house.workspace.say(WANG, WANG_DM, "rm-bp1demo0001 为什么慢？")
    await house.taken(2)
    house.workspace.say(WANG, WANG_DM, "那 <rm-bp1demo0002> 呢？")
    await house.taken(3)
    house.workspace.say(WANG, WANG_DM, "停止")
    line = await house.private_line(WANG, WANG_DM)
    assert (line.text, line.thread_ts) == ("正在停止「那 &lt;rm-bp1demo0002&gt; 呢？」。", None)
    assert await stopped(house) == ["", "", WANG]
    # Delivered again it means the same, and is silent.
    house.workspace.replay_event(-1)
    await house.private_line(WANG, WANG_DM)
    assert await stopped(house) == ["", "", WANG]
    house.workspace.say(WANG, WANG_DM, "stop")
    line = await house.private_line(WANG, WANG_DM, 2)
    assert line.text == "正在停止「rm-bp1demo0001 为什么慢？」。"
    assert await stopped(house) == ["", WANG, WANG]
    await house.answer(WANG_DM, ts)
    house.workspace.say(WANG, WANG_DM, "stop")
    assert (await house.private_line(WANG, WANG_DM, 3)).text == "您在此处没有正在进行的任务。"
    assert (await stopped(house))[0] == ""


async def test_in_a_thread_of_a_direct_message_stop_means_that_thread(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start(das_concurrency=2)
    first = house.workspace.say(WANG, WANG_DM, "rm-bp1demo0001 为什么慢？")
    await house.taken(1)
    house.workspace.say(WANG, WANG_DM, "那 rm-bp1demo0002 呢？")
    await house.taken(2)
    house.workspace.say(WANG, WANG_DM, "停止", first)
    assert await stopped(house) == [WANG, ""]
    assert house.workspace.ephemerals(WANG, WANG_DM) == []


async def test_a_command_in_a_direct_message_is_stopped_at_its_top(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start()
    assert (await house.workspace.command(ANA, "D0ANA00001", "/das-ask", "why is rm-bp1demo0001 slow?")).ok
    await house.taken(1)
    house.workspace.say(ANA, "D0ANA00001", "stop")
    line = await house.private_line(ANA, "D0ANA00001")
    assert line.text == "Stopping “why is rm-bp1demo0001 slow?”."
    assert await stopped(house) == [ANA]


async def test_stop_where_nothing_runs_is_told_in_the_language_of_who_wrote_it(house: Any) -> None:
    house.workspace.say(WANG, OPS, "@das stop")
    assert (await house.private_line(WANG, OPS)).text == "本话题没有正在进行的任务。"
