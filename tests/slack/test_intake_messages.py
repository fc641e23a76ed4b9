"""Questions from messages, through the real workspace: each is one run, and only what is for the bot is one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from bot.slack.access import Access
from bot.slack.intake import messages
from bot.slack.intake.agents import Catalogue
from bot.slack.intake.desk import Desk
from bot.store import keys
from bot.store.choices import Choices
from bot.store.runs import Runs
from bot.store.scripts import Scripts
from bot.store.sessions import Agent, Sessions
from bot.store.usage import Daily, Usage
from bot.store.wishes import Wishes

ANA, BEN, WANG, OLAF = "U0ANA00001", "U0BEN00001", "U0WANG0001", "U0OLAF0001"
OPS, DM = "C0DBOPS001", "D0ANA00001"
BOT = "U0DASBOT01"

Deliver = Callable[..., Awaitable[bool]]


def event(text: str, *, ts: str = "1700000000.000100", kind: str = "message", **more: Any) -> dict[str, Any]:
    base = {"type": kind, "user": ANA, "team": "T0DEMO00001", "text": text, "ts": ts, "channel": OPS}
    return base | {"channel_type": "channel"} | more


def desk_of(house: Any) -> Desk:
    """A desk like that of the bot, for a test that leads its listeners by hand. It has nobody to talk to."""
    redis, lives, nobody = house.redis, keys.Lives(), cast(Any, None)
    return Desk(
        team="T0DEMO00001",
        bot=BOT,
        runs=Runs(redis, lives),
        sessions=Sessions(redis, lives),
        wishes=Wishes(redis),
        usage=Usage(redis, UTC),
        agents=Catalogue({"das": "DAS Agent"}, Agent("das"), Agent, nobody, frozenset(), Choices(redis)),
        access=Access("T0DEMO00001"),
        people=nobody,
        notices=nobody,
        stop=nobody,
        rate=nobody,
        daily=Daily(),
        resumes=False,
        many=9,
        is_full=lambda: False,
    )


async def test_a_mention_arrives_twice_and_is_one_run(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    assert [e.payload["event"]["type"] for e in house.workspace.events[:2]] == ["app_mention", "message"]
    (run,) = await house.taken(1)
    assert (run["text"], run["surface"], run["thread_ts"]) == ("why is rm-bp1demo0001 slow?", "mention", ts)
    await house.answer(OPS, ts)


@pytest.mark.parametrize("kinds", [("app_mention", "message"), ("message", "app_mention")])
async def test_whichever_twin_comes_first(house: Any, deliver: Deliver, kinds: tuple[str, str]) -> None:
    for kind in kinds:
        assert await deliver(event(f"<@{BOT}> slow?", kind=kind))
    assert len(await house.runs()) == 1


async def test_twins_and_redeliveries_at_the_same_moment(house: Any, deliver: Deliver) -> None:
    kinds = ["app_mention", "message"] * 10
    acks = await asyncio.gather(*(deliver(event(f"<@{BOT}> slow?", kind=kind)) for kind in kinds))
    assert all(acks)
    assert len(await house.runs()) == 1


async def test_a_replayed_event_is_the_same_run(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "@das slow?")
    await house.answer(OPS, ts)
    house.workspace.replay_event(0)
    house.workspace.replay_event(1)
    await house.taken(1)
    assert len([m for m in house.workspace.replies(OPS, ts) if m.bot_id]) == 1


async def test_a_mention_in_code_counts_only_when_slack_says_so(house: Any, deliver: Deliver) -> None:
    assert await deliver(event(f"run `<@{BOT}> x` please"))
    assert await house.runs() == []
    assert await deliver(event(f"run `<@{BOT}> x` please", kind="app_mention"))
    (run,) = await house.runs()
    assert run["text"] == "run `x` please"


async def test_asking_on_in_a_thread_needs_no_mention(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    house.workspace.say(BEN, OPS, "and yesterday?", ts)
    await house.answer(OPS, ts, 2)
    first, second = await house.taken(2)
    assert (second["surface"], second["text"], second["user"]) == ("thread", "and yesterday?", BEN)
    assert first["session_id"] == second["session_id"] != ""


async def test_replies_to_others_and_wordless_pictures_in_a_thread_are_left_alone(
    house: Any, deliver: Deliver
) -> None:
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    house.workspace.say(BEN, OPS, "@ana could you look?", ts)
    house.workspace.say(BEN, OPS, "<!here> who is on call?", ts)
    assert await deliver(event("<!subteam^S012|@dba> over to you", ts="1700000001.1", thread_ts=ts))
    assert await deliver(event("", ts="1700000001.2", thread_ts=ts, subtype="file_share", files=[{}]))
    await house.taken(1)
    house.workspace.say(BEN, OPS, "@ana @das what do you both think?", ts)
    await house.taken(2)
    house.workspace.say(BEN, OPS, "as @ana said, why?", ts)
    runs = await house.taken(3)
    assert [run["surface"] for run in runs] == ["mention", "mention", "thread"]
    assert house.workspace.ephemerals(BEN, OPS) == house.workspace.ephemerals(ANA, OPS) == []


async def test_a_mention_inside_a_thread_of_others(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "orders are slow again")
    house.workspace.say(BEN, OPS, "looking", ts)
    await house.taken(0)
    house.workspace.say(BEN, OPS, "@das why is rm-bp1demo0001 slow?", ts)
    await house.answer(OPS, ts)
    house.workspace.say(ANA, OPS, "and since when?", ts)
    runs = await house.taken(2)
    assert {run["thread_ts"] for run in runs} == {ts}


@pytest.mark.parametrize(("age", "is_kept"), [(0.0, True), (14.0, True), (60.0, False)])
async def test_a_follow_up_that_overtakes_its_mention_is_kept(house: Any, age: float, is_kept: bool) -> None:
    """Slack keeps no order. In a young thread a message that is not ours yet is looked at twice before its ack."""
    desk = desk_of(house)
    root, waits = f"{time.time() - age:.6f}", list[float]()

    async def mention_arrives(seconds: float) -> None:
        waits.append(seconds)
        await messages.on_message(event(f"<@{BOT}> slow?", ts=root), {"event_id": "Ev1"}, desk)

    follow_up = event("and since when?", ts=f"{time.time():.6f}", thread_ts=root)
    await messages.on_message(follow_up, {"event_id": "Ev2"}, desk, mention_arrives)
    if not is_kept:
        await mention_arrives(0)
    texts = [run["text"] for run in await house.runs()]
    assert texts == (["slow?", "and since when?"] if is_kept else ["slow?"])
    assert len(waits) == 1


async def test_others_are_not_looked_at_for_ever(house: Any) -> None:
    desk, waits = desk_of(house), list[float]()

    async def nothing_arrives(seconds: float) -> None:
        waits.append(seconds)

    chatter = event("lunch?", ts=f"{time.time():.6f}", thread_ts=f"{time.time() - 1:.6f}")
    await messages.on_message(chatter, {"event_id": "Ev2"}, desk, nothing_arrives)
    for root in ("", "x", "1700000000.000100"):
        await messages.on_message(chatter | {"thread_ts": root}, {"event_id": "Ev3"}, desk, nothing_arrives)
    assert len(waits) == 1 and await house.runs() == []


async def test_direct_messages(house: Any) -> None:
    ts = house.workspace.say(ANA, DM, "why is rm-bp1demo0001 slow?")
    assert "thread_ts" not in house.workspace.events[0].payload["event"]
    await house.answer(DM, ts)
    house.workspace.say(ANA, DM, "and yesterday?", ts)
    await house.answer(DM, ts, 2)
    house.workspace.say(ANA, DM, "something else")
    first, second, third = await house.taken(3)
    assert {run["surface"] for run in (first, second, third)} == {"dm"}
    assert first["thread_ts"] == second["thread_ts"] == ts != third["thread_ts"]


@pytest.mark.parametrize(
    "more",
    [
        {"bot_id": "B1"},
        {"bot_profile": {"id": "B1"}},
        {"user": BOT},
        {"user": "USLACKBOT"},
        {"user": None},
        {"app_id": "A0DASBOT01"},
        {"hidden": True},
        {"subtype": "message_changed", "hidden": True, "message": {"text": f"<@{BOT}> x"}},
        {"subtype": "message_deleted"},
        {"subtype": "bot_message"},
        {"subtype": "channel_join"},
        {"subtype": "me_message"},
        {"subtype": "a_subtype_of_next_year"},
    ],
)
async def test_what_no_person_wrote_is_acked_and_ignored(
    house: Any, deliver: Deliver, more: dict[str, Any]
) -> None:
    for kind in ("message", "app_mention"):
        assert await deliver(event(f"<@{BOT}> slow?", kind=kind, **more))
    assert await deliver(event("slow?", channel_type="im", **{"channel": DM, **more}), channel=DM)
    assert await house.runs() == []


async def test_the_bots_own_words_start_nothing(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    house.workspace.edit(ANA, OPS, ts, "@das why is rm-bp1demo0001 so slow?")
    house.workspace.delete(ANA, OPS, ts)
    house.workspace.delete(ANA, OPS, house.workspace.say(ANA, OPS, "lunch?"))
    await house.taken(1)
    subtypes = {e.payload["event"].get("subtype") for e in house.workspace.events}
    assert {"message_changed", "message_deleted"} <= subtypes


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast"])
async def test_what_people_write_with_a_subtype_is_kept(house: Any, deliver: Deliver, subtype: str) -> None:
    assert await deliver(event(f"<@{BOT}> slow?", subtype=subtype))
    assert len(await house.runs()) == 1


@pytest.mark.parametrize("text", ["@das", "@das   \n ", "@das @das ,"])
async def test_a_mention_without_a_question_gets_one_private_hint(house: Any, text: str) -> None:
    house.workspace.say(ANA, OPS, text)
    line = await house.private_line(ANA, OPS)
    assert line.text.startswith("What shall I look at?")
    # Slack shows a private line in a thread only when the thread has replies.
    assert line.thread_ts is None
    house.workspace.replay_event(0)
    await house.taken(0)
    await house.private_line(ANA, OPS)


async def test_a_question_that_is_too_long(house: Any) -> None:
    house.workspace.say(ANA, OPS, "@das " + "x" * 39_990)
    line = await house.private_line(ANA, OPS)
    assert (
        line.text == "The question has 39,990 characters; the agent takes at most 32,000. Please shorten it."
    )
    await house.taken(0)


@pytest.mark.parametrize("text", ["stop", "Stop!", " 停止。", "@das stop", "@das 取消"])
async def test_stop_in_the_thread(make_house: Any, text: str) -> None:
    house = await make_house(pace=100)
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(lambda: house.workspace.replies(OPS, ts))
    house.workspace.say(BEN, OPS, text, ts)
    answer = await house.answer(OPS, ts)
    assert f"<@{BEN}>" in str(answer.blocks)
    (run,) = await house.taken(1)
    assert run["stop_by"] == BEN


async def test_a_stop_that_arrives_again_spares_the_next_question(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(lambda: house.workspace.replies(OPS, ts))
    house.workspace.say(ANA, OPS, "and yesterday?", ts)
    house.workspace.say(ANA, OPS, "@das stop", ts)
    await house.answer(OPS, ts)
    await house.workspace.until(lambda: len([r for r in house.workspace.replies(OPS, ts) if r.bot_id]) == 2)

    async def second_was_asked() -> bool:
        return float((await house.runs())[1].get("asked_at", 0)) > 0

    await house.eventually(second_was_asked)
    for number, delivery in enumerate(list(house.workspace.events)):
        if "stop" in str(delivery.payload["event"].get("text")):
            house.workspace.replay_event(number)
    stopped, running = await house.taken(2)
    assert stopped["stop_by"] == ANA
    assert "stop_by" not in running


async def test_stop_where_nothing_runs(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    await house.ended(1)
    house.workspace.say(ANA, OPS, "@das stop", ts)
    line = await house.private_line(ANA, OPS)
    assert (line.text, line.thread_ts) == ("Nothing is running in this thread.", ts)
    house.workspace.say(BEN, OPS, "@das 停止")
    line = await house.private_line(BEN, OPS)
    assert (line.text, line.thread_ts) == ("本话题没有正在进行的任务。", None)
    other = house.workspace.say(ANA, OPS, "lunch?")
    house.workspace.say(WANG, OPS, "stop", other)
    await house.taken(1)
    assert house.workspace.ephemerals(WANG, OPS) == []


async def test_a_full_thread_says_so_once(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.taken(1)
    for number in range(2, 22):
        house.workspace.say(ANA, OPS, f"question {number}", ts)
    line = await house.private_line(ANA, OPS)
    assert line.text.startswith("20 questions already wait in this thread.")
    await house.taken(20)


async def test_a_crowded_workspace_says_so_once(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start(max_waiting=1)
    house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")

    async def is_asked() -> bool:
        return any("asked_at" in run for run in await house.runs())

    await house.eventually(is_asked)
    house.workspace.say(ANA, OPS, "@das question 2")
    await house.taken(2)
    ts = house.workspace.say(BEN, OPS, "@das question 3")
    assert (await house.private_line(BEN, OPS)).text.startswith("1 questions already wait in the workspace")
    house.workspace.replay_event()
    await house.private_line(BEN, OPS)
    await house.taken(2)
    assert house.workspace.replies(OPS, ts) == []


async def test_who_asks_when_more_wait_than_are_worked_on_is_told(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start(max_runs=1)
    for number in range(2):
        house.workspace.say(ANA, OPS, f"@das question {number}")
    await house.taken(2)

    async def is_asked() -> bool:
        return any("asked_at" in run for run in await house.runs())

    await house.eventually(is_asked)
    ts = house.workspace.say(BEN, OPS, "@das question 3")
    line = await house.private_line(BEN, OPS)
    assert line.text == "1 questions wait before this one. It is kept; its reply appears when its turn comes."
    await house.taken(3)
    assert house.workspace.replies(OPS, ts) == []


async def test_who_asks_when_all_are_busy_is_told(make_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits yet: what is under way takes all the room."""
    monkeypatch.setattr("bot.slack.intake.desk.LOOK_SECONDS", 0.2)
    house = await make_house(pace=100)
    await house.start(max_runs=1)
    house.workspace.say(ANA, OPS, "@das question 1")
    await house.taken(1)

    async def is_asked() -> bool:
        return any("asked_at" in run for run in await house.runs())

    await house.eventually(is_asked)
    ts = house.workspace.say(BEN, OPS, "@das question 2")
    line = await house.private_line(BEN, OPS)
    assert line.text.startswith("As many questions are being answered as I can take at once.")
    assert house.workspace.replies(OPS, ts) == []


async def test_intake_is_cheap(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most two round trips to Redis and none to Slack before the ack."""
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    await house.taken(1)
    for each in Scripts(house.redis)._scripts.values():
        # A server that has just started has to be told each script once.
        await house.redis.script_load(each.script)
    trips: dict[str, list[str]] = {}
    execute: Any = Redis.execute_command

    async def counted(self: Redis, *args: Any, **options: Any) -> Any:
        task = asyncio.current_task()
        # Intake runs in the Socket Mode client's own tasks; workers and tests have others.
        if task and "run_message_listeners" in repr(task.get_coro()):
            trips.setdefault(task.get_name(), []).append(str(args[0]))
        return await execute(self, *args, **options)

    monkeypatch.setattr(Redis, "execute_command", counted)
    calls = len(house.workspace.calls_of("auth.test"))
    house.workspace.say(ANA, OPS, "and yesterday?", ts)
    house.workspace.say(ANA, OPS, "stop", ts)
    house.workspace.say(ANA, OPS, "@das what else?", ts)
    house.workspace.say(ANA, OPS, "@das", ts)
    house.workspace.say(ANA, OPS, "for the others")
    await house.workspace.delivered()
    assert len(trips) >= 6
    assert max(map(len, trips.values())) <= 2, trips
    assert len(house.workspace.calls_of("auth.test")) == calls


async def test_the_first_event_is_not_lost_when_slack_is_ill(house: Any) -> None:
    house.workspace.fail_next("auth.test", 10, error="internal_error")
    house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.taken(1)


async def test_who_may_not_ask_and_talks_on_in_a_thread_is_told_once(make_house: Any) -> None:
    house = await make_house()
    await house.start(allowed_users=frozenset({ANA}))
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    for text in ("interesting", "stop", "indeed"):
        house.workspace.say(BEN, OPS, text, ts)
    line = await house.private_line(BEN, OPS)
    assert line.text.startswith("You are not on the list")
    house.workspace.say(BEN, OPS, "@das and now?", ts)
    await house.private_line(BEN, OPS, 2)
    await house.taken(1)


async def test_a_thread_the_bot_opened_is_its_own_also_when_its_worker_died_before_noting_it(
    house: Any,
) -> None:
    root = await house.bot.worker._platform._client.web.chat_postMessage(channel=OPS, text="Ana asked: why?")
    house.workspace.say(ANA, OPS, "and is it safe?", root["ts"])
    await house.taken(1)
