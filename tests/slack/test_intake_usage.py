"""Daily budgets refuse politely, and `/das-usage` tells each person what is theirs to know."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.store import keys
from bot.store.usage import Usage

ANA, BEN, WANG, OLAF = "U0ANA00001", "U0BEN00001", "U0WANG0001", "U0OLAF0001"
OPS, ORDERS, SHARED, DM = "C0DBOPS001", "C0ORDERS01", "C0SHARED01", "D0ANA00001"
TEAM = "T0DEMO00001"
QUESTION = "@das why is rm-bp1demo0001 slow?"


async def spent(house: Any, days_ago: int = 0, **sums: int) -> None:
    """Write the sums of a day: `person_U0ANA00001=100` and so on; `_` at the front for the estimated part."""
    day = Usage(house.redis, ZoneInfo("Asia/Shanghai")).today - timedelta(days=days_ago)
    fields = {
        name.replace("__", "~", 1).replace("_", ":", 1) if name not in ("total", "runs") else name: value
        for name, value in sums.items()
    }
    await house.redis.hset(keys.usage(TEAM, day.isoformat()), mapping=fields)


async def usage(house: Any, who: str, text: str = "", channel: str = OPS) -> str:
    done = await house.workspace.command(who, channel, "/das-usage", text)
    assert done.ok
    return str(done.response["text"])


async def test_an_answer_is_counted_for_everybody_it_concerns(house: Any) -> None:
    house.workspace.say(ANA, OPS, QUESTION)
    (run,) = await house.ended(1)

    async def is_counted() -> bool:
        return bool(
            await house.redis.exists(*[key async for key in house.redis.scan_iter("*usage*")] or ["-"])
        )

    await house.eventually(is_counted)
    ((_, day),) = await Usage(house.redis, ZoneInfo("Asia/Shanghai")).days(TEAM, 1)
    characters = int(run["characters"])
    assert characters > 100 and day.runs == 1
    assert day.total.characters == day.people[ANA].characters == day.channels[OPS].characters == characters
    assert day.agents["das"].characters == characters


@pytest.mark.parametrize(
    ("limits", "spent_by", "who", "channel", "sentence"),
    [
        (
            {"person": 100},
            {f"person_{ANA}": 100},
            ANA,
            OPS,
            "You have used up what you may spend today: 100 of",
        ),
        ({"person": 100}, {f"person_{ANA}": 99}, ANA, OPS, ""),
        ({"person": 100}, {f"person_{ANA}": 100}, BEN, OPS, ""),
        (
            {"channel": 1_000},
            {f"channel_{OPS}": 1_234},
            BEN,
            OPS,
            "This channel has used up what it may spend",
        ),
        ({"channel": 1_000}, {f"channel_{OPS}": 1_234}, BEN, ORDERS, ""),
        (
            {"workspace": 1},
            {"total": 5},
            BEN,
            ORDERS,
            "The workspace has used up what it may spend today: 5 of 1",
        ),
        ({}, {"total": 10**9, f"person_{ANA}": 10**9}, ANA, OPS, ""),
    ],
)
async def test_budgets(
    make_house: Any,
    limits: dict[str, int],
    spent_by: dict[str, int],
    who: str,
    channel: str,
    sentence: str,
) -> None:
    house = await make_house()
    await house.start(**{f"daily_budget_{whose}": limit for whose, limit in limits.items()})
    await spent(house, **spent_by)
    # What was spent yesterday is no matter.
    await spent(house, 1, total=10**9, **{f"person_{who}": 10**9, f"channel_{channel}": 10**9})
    house.workspace.say(who, channel, QUESTION)
    if not sentence:
        await house.taken(1)
        return
    line = await house.private_line(who, channel)
    assert line.text.startswith(sentence) and line.text.endswith(" 00:00 (Asia/Shanghai).")
    house.workspace.replay_event(0)
    await house.private_line(who, channel)
    done = await house.workspace.command(who, channel, "/das-ask", "why?")
    assert done.response["text"] == line.text
    await house.taken(0)


async def test_a_used_up_budget_also_holds_for_asking_again_but_lets_people_stop(make_house: Any) -> None:
    house = await make_house()
    await house.start(daily_budget_person=10_000)
    ts = house.workspace.say(ANA, OPS, QUESTION)
    reply = await house.answer(OPS, ts)
    await house.ended(1)
    await spent(house, **{f"person_{ANA}": 10_000})
    assert (await house.workspace.click(ANA, OPS, reply.ts, "run_again")).ok
    assert (await house.private_line(ANA, OPS)).text.startswith("You have used up")
    house.workspace.say(ANA, OPS, "为什么？", ts)
    assert (await house.private_line(ANA, OPS, 2)).text.startswith(
        "您今天的用量已用完：10,000 / 10,000 字符。"
    )
    house.workspace.say(ANA, OPS, "stop", ts)
    assert (await house.private_line(ANA, OPS, 3)).text == "Nothing is running in this thread."
    await house.taken(1)


async def test_questions_asked_at_once_do_not_overrun_a_budget(
    make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.relay.slot.LOOK_SECONDS", 0.005)
    house = await make_house()
    await house.start(daily_budget_person=1_000)
    asked = [house.workspace.say(ANA, OPS, f"{QUESTION} ({number})") for number in range(6)]
    runs = await house.ended(6)
    assert sorted(run["state"] for run in runs) == ["answered"] + ["failed"] * 5
    replies = [await house.answer(OPS, ts) for ts in asked]
    refused = [reply for reply in replies if "You have used up what you may spend today" in reply.text]
    assert len(refused) == 5 and all("run_again" in str(reply.blocks) for reply in refused)
    assert not [run for run in runs if run["state"] == "failed" and "asks" in run]


async def test_people_see_their_own_and_the_channels_part(make_house: Any) -> None:
    house = await make_house()
    await house.start(daily_budget_person=5_000, daily_budget_workspace=20_000, timezone="Asia/Shanghai")
    own, other = {f"person_{ANA}": 2_000, f"__person_{ANA}": 500}, {f"person_{WANG}": 7_000}
    await spent(
        house, total=9_000, runs=3, **own, **other, **{f"channel_{OPS}": 8_000, f"channel_{DM}": 1_000}
    )
    await spent(house, 2, total=10, runs=1, **{f"person_{ANA}": 10, f"channel_{OPS}": 10})
    text = await usage(house, ANA, "3")
    mine, here = text.split(f"*Used in <#{OPS}>*")
    figures = [line.split()[-1] for line in mine.split("```")[1].strip().splitlines()]
    assert figures == ["2,000", "0", "10"]
    assert "≈ 2,000" in mine and "≈ 0" not in mine
    assert "█" * 16 in mine and "▏" in mine
    assert [line.split()[-1] for line in here.split("```")[1].strip().splitlines()] == ["8,000", "0", "10"]
    assert "• you: 3,000 of 5,000" in here and "• the workspace: 11,000 of 20,000" in here
    assert "this channel:" not in here and "7,000" not in text and WANG not in text


async def test_admins_see_everything(make_house: Any) -> None:
    house = await make_house(rds=True)
    await house.start()
    people = {f"person_U{number}": number for number in range(1, 8)}
    agents = {"agent_das ag-1": 20, "agent_rds": 8, "__agent_rds": 8}
    await spent(house, total=28, __total=8, runs=1_234, **people, **agents, **{f"channel_{DM}": 28})
    await spent(house, 1, total=5, runs=1, **{"agent_rds": 5, "person_U1": 50})
    text = await usage(house, BEN)
    assert text.startswith("*Characters used*, last 7 days, 1,235 runs (≈: partly estimated)")
    assert "≈ 28" in text
    assert text.index("• DAS Agent `ag-1`: 20") < text.index("• RDS Copilot: ≈ 13")
    assert f"• `{DM}`: 28" in text
    tops = [line for line in text.splitlines() if line.startswith("• <@U")]
    assert tops == ["• <@U1>: 51", "• <@U7>: 7", "• <@U6>: 6", "• <@U5>: 5", "• <@U4>: 4"]
    assert "… and 2 more" in text and "Left today" not in text
    assert "王" not in await usage(house, WANG) and "您的字符用量" in await usage(house, WANG)


async def test_a_month_of_a_large_workspace_fits_into_a_message(make_house: Any) -> None:
    house = await make_house()
    await house.start(daily_budget_person=1, daily_budget_channel=1, daily_budget_workspace=1)
    big = 10**12
    for back in range(31):
        people = {f"person_U{number:010}": big for number in range(50)}
        agents = {f"agent_das ag-{number:060}": big for number in range(50)}
        await spent(house, back, total=big, __total=big, runs=big, **people, **agents)
    for who in (ANA, BEN):
        assert len(await usage(house, who, "31")) < 4_000


async def test_days_that_are_none(house: Any) -> None:
    for text in ("0", "32", "-1", "7.5", "week", "7 days", "٣٣"):
        assert (await usage(house, ANA, text)).startswith("Write how many days to show, from 1 to 31")


async def test_strangers_see_nothing(house: Any) -> None:
    answer = await usage(house, OLAF, "", SHARED)
    assert answer == "I answer only people of the company that runs me."
