"""Paused runs: those allowed let them go on, once; everybody else is told who may."""

import asyncio
import copy
import json
import time
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisAway

from bot.demo.workspace.events import click_payload
from bot.store import keys
from bot.store.wishes import Wishes

ANA, BEN, WANG = "U0ANA00001", "U0BEN00001", "U0WANG0001"
OPS = "C0DBOPS001"
DECIDED = f"<@{ANA}> has decided that already; this thread shows what came of it."


async def paused(make_house: Any, backend: str, **settings: Any) -> tuple[Any, str, Any, str]:
    """A house with a paused run of Ana's: the house, its thread, its reply and the run's id."""
    house = await make_house()
    await house.start(**settings)
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    # As it stands now: who presses late sees it so still.
    reply = copy.deepcopy(await house.answer(OPS, ts))
    await house.ended(1)
    run_id = await house.run_id()
    # How a run comes to be paused is the relay's affair.
    await house.redis.hset(keys.run(run_id), mapping={"state": "paused", "asked_of": backend})
    return house, ts, reply, run_id


async def press(
    house: Any, who: str, reply: Any, action: str, value: str, text: str = "Yes", at: str = "run_again"
) -> None:
    """Press a button that a paused reply has, in the place of one that `reply` has."""
    payload = click_payload(house.workspace.state, house.workspace.people[who], reply, at, None, None)
    label = {"type": "plain_text", "text": text}
    payload["actions"][0] |= {"action_id": action, "value": value, "text": label}
    delivery = house.workspace._dispatcher.send("interactive", payload)
    await house.workspace._dispatcher.finished(delivery)
    assert delivery.acked


async def record(house: Any, run_id: str) -> dict[str, str]:
    found: dict[str, str] = await house.redis.hgetall(keys.run(run_id))
    return found


@pytest.mark.parametrize(
    ("settings", "who", "refusal"),
    [
        ({}, ANA, ""),
        ({}, BEN, ""),  # An admin of the workspace.
        # In the language of who pressed, not of who asked.
        ({}, WANG, f"只有 <@{ANA}> 或管理员可以让其继续。"),
        ({"admin_users": frozenset({WANG})}, WANG, ""),
        ({"admin_users": frozenset({WANG})}, BEN, f"Only <@{ANA}> or an admin can let this go on."),
        ({"approver_users": frozenset({WANG})}, WANG, ""),
        ({"approver_users": frozenset({WANG})}, ANA, f"Only <@{WANG}> can let this go on."),
        ({"approver_users": frozenset({WANG})}, BEN, f"Only <@{WANG}> can let this go on."),
    ],
)
async def test_who_may_let_a_run_go_on(
    make_house: Any, settings: dict[str, Any], who: str, refusal: str
) -> None:
    house, _, reply, run_id = await paused(make_house, "rds", **settings)
    await press(house, who, reply, "run_continue", run_id)
    if refusal:
        assert (await house.private_line(who, OPS)).text == refusal
        await house.taken(1)
        return
    _, second = await house.taken(2)
    assert second["resumes"] == run_id
    # It goes on as the question of who asked: theirs to stop, and their cost.
    assert (second["surface"], second["user"], second["backend"]) == ("resume", ANA, "rds")
    assert second["text"] == "Decided, continue"
    decision = await record(house, run_id)
    assert decision["decided_by"] == who and float(decision["decided_at"]) > 1e9


async def test_a_decision_counts_once(make_house: Any) -> None:
    house, _, reply, run_id = await paused(make_house, "rds")
    await asyncio.gather(*(press(house, ANA, reply, "run_continue", run_id) for _ in range(5)))
    await house.taken(2)
    await house.private_line(ANA, OPS, 4)
    await press(house, BEN, reply, "run_continue", run_id)
    assert (await house.private_line(BEN, OPS)).text == DECIDED
    await house.taken(2)


@pytest.mark.parametrize("state", ["answered", "running", "stopped"])
async def test_only_a_paused_run_goes_on(make_house: Any, state: str) -> None:
    house, _, reply, run_id = await paused(make_house, "rds")
    await house.redis.hset(keys.run(run_id), "state", state)
    await press(house, ANA, reply, "run_continue", run_id)
    assert (await house.private_line(ANA, OPS)).text == "That run is already over."
    assert len(await house.runs()) == 1


OPTIONS = ("Wait", "Restart rm-bp1demo0001 now: " + "x" * 300)


@pytest.mark.parametrize("number", [0, 1])
async def test_an_option_is_the_answer_in_full(make_house: Any, number: int) -> None:
    house, _, reply, run_id = await paused(make_house, "das")
    await house.redis.hset(keys.run(run_id), "options", json.dumps(OPTIONS))
    await press(house, WANG, reply, f"run_answer_{number}", f"{run_id}:{number}", "Restart…")
    await house.private_line(WANG, OPS)
    await press(house, ANA, reply, f"run_answer_{number}", f"{run_id}:{number}", "Restart…")
    _, second = await house.taken(2)
    assert (second["text"], second["resumes"], second["backend"]) == (OPTIONS[number], run_id, "das")


async def test_an_option_that_is_none_is_over(make_house: Any) -> None:
    house, _, reply, run_id = await paused(make_house, "das")
    await house.redis.hset(keys.run(run_id), "options", json.dumps(OPTIONS))
    for count, value in enumerate(("", ":", ":2", ":-1", ":one", ":0:1"), start=1):
        await press(house, ANA, reply, "run_answer_0", run_id + value)
        assert (await house.private_line(ANA, OPS, count)).text == "That run is already over."
    await house.taken(1)


@pytest.mark.parametrize(
    ("backend", "resume", "who", "counts"),
    [
        ("das", True, ANA, True),
        ("das", False, ANA, False),
        ("rds", True, ANA, False),
        ("das", True, WANG, False),
    ],
)
async def test_words_in_the_thread_may_be_the_answer(
    make_house: Any, backend: str, resume: bool, who: str, counts: bool
) -> None:
    house, ts, _, run_id = await paused(make_house, backend, das_resume=resume)
    house.workspace.say(who, OPS, "restart it tonight", ts)
    _, second = await house.taken(2)
    house.workspace.replay_event()
    await house.taken(2)
    assert second["resumes"] == (run_id if counts else "")
    assert (second["surface"], second["text"]) == ("resume" if counts else "thread", "restart it tonight")
    # Said to DAS Agent as a question of its own it is an answer all the same.
    is_answer = backend == "das" and who == ANA
    assert (await record(house, run_id)).get("decided_by", "") == (who if is_answer else "")


async def test_a_mention_answers_once_for_its_twins_and_later_words_are_questions(make_house: Any) -> None:
    house, ts, reply, run_id = await paused(make_house, "das", das_resume=True)
    house.workspace.say(ANA, OPS, "@das yes", ts)
    await house.taken(2)
    house.workspace.say(BEN, OPS, "no, wait", ts)
    _, second, third = await house.taken(3)
    assert (second["resumes"], third["resumes"]) == (run_id, "")
    await house.redis.hset(keys.run(run_id), "options", json.dumps(OPTIONS))
    await press(house, BEN, reply, "run_answer_0", f"{run_id}:0")
    assert (await house.private_line(BEN, OPS)).text.startswith(f"<@{ANA}> has decided that already")


@pytest.mark.parametrize("way", ["button", "words"])
async def test_there_may_be_no_room_for_an_answer_and_who_gave_it_hears(make_house: Any, way: str) -> None:
    house, ts, reply, run_id = await paused(make_house, "das", das_resume=True, max_waiting=1)
    await house.redis.hset(keys.run(run_id), "options", json.dumps(OPTIONS))
    await house.redis.zadd(keys.waiting("T0DEMO00001"), {"another": time.time()})
    if way == "button":
        await press(house, ANA, reply, "run_answer_0", f"{run_id}:0")
    else:
        house.workspace.say(ANA, OPS, "wait", ts)
    assert (await house.private_line(ANA, OPS)).text.startswith("1 questions already wait in the workspace")
    await house.taken(1)
    # Nobody has decided yet.
    await house.redis.delete(keys.waiting("T0DEMO00001"))
    await press(house, ANA, reply, "run_answer_1", f"{run_id}:1")
    await house.taken(2)


async def test_a_decision_counts_as_soon_as_the_reply_shows_what_is_asked(make_house: Any) -> None:
    """The run is noted as paused only when its files are up."""
    house, _, reply, run_id = await paused(make_house, "rds")
    await house.redis.hset(keys.run(run_id), mapping={"state": "running", "pending": "call-1"})
    await press(house, ANA, reply, "run_continue", run_id)
    _, second = await house.taken(2)
    assert second["resumes"] == run_id


async def test_asking_again_what_went_on_asks_the_question_that_began_it(make_house: Any) -> None:
    """What waited for the decision is done: the same decision is no answer twice, and the reply it led to stays."""
    house, _, reply, run_id = await paused(make_house, "das")
    await press(house, ANA, reply, "run_continue", run_id)
    await house.ended(2)
    resumed = await house.run_id(1)
    await press(house, WANG, reply, "run_again", resumed)
    *_, third = await house.taken(3)
    assert (third["surface"], third["resumes"], third["user"]) == ("again", "", WANG)
    assert third["text"] == "why is rm-bp1demo0001 slow?"


async def test_what_never_went_on_may_be_asked_again_only_by_those_who_decide(make_house: Any) -> None:
    house, _, reply, run_id = await paused(make_house, "rds", approver_users=frozenset({WANG}))
    await press(house, WANG, reply, "run_continue", run_id)
    await house.ended(2)
    resumed = await house.run_id(1)
    await house.redis.hset(keys.run(resumed), "asks", "0")
    await press(house, ANA, reply, "run_again", resumed)
    assert (await house.private_line(ANA, OPS)).text == f"Only <@{WANG}> can let this go on."
    await press(house, WANG, reply, "run_again", resumed)
    *_, third = await house.taken(3)
    assert (third["surface"], third["resumes"], third["resumed_by"]) == ("again", run_id, WANG)


async def test_a_change_that_was_approved_in_the_console_is_carried_out(make_house: Any) -> None:
    """The whole way: RDS Copilot asks, somebody decides in its console, and the answer goes on where it stood."""
    house = await make_house(rds=True)
    console = "https://console.example.com/rds"
    await house.start(default_agent="rds", rds_tool_approval="manual", rds_console_url=console)
    ts = house.workspace.say(ANA, OPS, "@das demo:approve rm-bp1demo0001")

    def replies() -> list[Any]:
        return [m for m in house.workspace.replies(OPS, ts) if m.bot_id and not m.ephemeral_for]

    await house.workspace.until(lambda: replies() and "run_continue" in str(replies()[0].blocks))
    await house.ended(1)
    (call,) = house.rds.waiting
    assert f"<{console}|" in str(replies()[0].blocks)
    # Too early: it waits still, and nobody is said to have decided.
    assert (await house.workspace.click(ANA, OPS, replies()[0].ts, "run_continue")).ok
    await house.ended(2)
    await house.workspace.until(lambda: "Nothing has been decided" in str(replies()[0].blocks))
    assert "Decided by" not in str(replies()[0].blocks)
    # Above its button, and in the fold of the call that waits.
    assert str(replies()[0].blocks).count('"max_connections": "1200"') == 2
    house.rds.decide(call, True)
    assert (await house.workspace.click(ANA, OPS, replies()[0].ts, "run_continue")).ok
    first, early, second = await house.ended(3)
    assert (first["state"], early["state"], second["state"]) == ("paused", "paused", "answered")
    assert second["reply_ts"] == first["reply_ts"]
    await house.workspace.until(lambda: "run_continue" not in str(replies()[0].blocks))
    assert "answer_feedback" in str(replies()[0].blocks)
    assert f"Decided by <@{ANA}>" in str(replies()[0].blocks)
    # What was done is told with what was asked for, once.
    assert str(replies()[0].blocks).count('"max_connections": "1200"') == 1


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize("way", ["button", "words"])
async def test_what_das_agent_asks_is_answered(make_house: Any, resumes: bool, way: str) -> None:
    """The whole way, as Resume or, without the setting, as a question like any other."""
    house = await make_house()
    await house.start(das_resume=resumes)
    ts = house.workspace.say(ANA, OPS, "@das demo:interrupt")

    def replies() -> list[Any]:
        return [m for m in house.workspace.replies(OPS, ts) if m.bot_id and not m.ephemeral_for]

    await house.workspace.until(lambda: replies() and "run_answer_1" in str(replies()[0].blocks))
    await house.ended(1)
    options = json.loads((await house.runs())[0]["options"])
    if way == "button":
        assert (await house.workspace.click(ANA, OPS, replies()[0].ts, "run_answer_1")).ok
    else:
        house.workspace.say(ANA, OPS, options[1], ts)
    first, second = await house.ended(2)
    assert (first["state"], second["state"], second["text"]) == ("paused", "answered", options[1])
    went_on = resumes or way == "button"
    assert (second["reply_ts"] == first["reply_ts"]) is went_on
    assert (first["decided_by"], second["resumes"] != "") == (ANA, went_on)


@pytest.mark.parametrize(("who", "may"), [(BEN, True), (WANG, False)])
async def test_an_approver_decides_who_may_not_ask(make_house: Any, who: str, may: bool) -> None:
    """Else nobody could, where those who ask are listed and the approvers are not among them."""
    lists = {"allowed_users": frozenset({ANA}), "approver_users": frozenset({BEN})}
    house, _, reply, run_id = await paused(make_house, "rds", **lists)
    await press(house, who, reply, "run_continue", run_id)
    if may:
        _, second = await house.taken(2)
        assert second["resumes"] == run_id
    else:
        assert (await house.private_line(who, OPS)).text.startswith("您不在允许提问的人员名单中")
        await house.taken(1)


async def test_an_approver_s_words_are_the_answer_though_they_may_not_ask(make_house: Any) -> None:
    lists = {"allowed_users": frozenset({ANA}), "approver_users": frozenset({BEN})}
    house, ts, _, run_id = await paused(make_house, "das", das_resume=True, **lists)
    house.workspace.say(BEN, OPS, "restart it tonight", ts)
    _, second = await house.taken(2)
    assert second["resumes"] == run_id
    house.workspace.say(BEN, OPS, "and why?", ts)
    assert (await house.private_line(BEN, OPS)).text.startswith("You are not on the list")
    await house.taken(2)


@pytest.mark.parametrize("way", ["button", "words"])
async def test_a_decision_behind_another_question_is_noted(make_house: Any, way: str) -> None:
    house, ts, reply, run_id = await paused(make_house, "das", das_resume=True)
    await house.redis.hset(keys.run(run_id), "options", json.dumps(OPTIONS))
    house.das.pace = 100
    house.workspace.say(WANG, OPS, "and rm-bp1demo0002?", ts)
    await house.taken(2)
    if way == "button":
        await press(house, BEN, reply, "run_answer_0", f"{run_id}:0")
    else:
        # As when it was paused after that had been asked.
        await house.redis.hset(keys.thread(f"T0DEMO00001:{OPS}:{ts}"), "last", run_id)
        house.workspace.say(BEN, OPS, "wait", ts)
    line = await house.private_line(BEN, OPS)
    assert line.text == "Noted. It goes on when the question before it has ended."
    await house.taken(3)


def shown(house: Any, ts: str) -> list[Any]:
    return [m for m in house.workspace.replies(OPS, ts) if m.bot_id and not m.ephemeral_for]


@pytest.mark.parametrize("way", ["button", "words"])
async def test_a_chinese_question_goes_on_in_chinese_and_says_who_decided(make_house: Any, way: str) -> None:
    house = await make_house()
    await house.start(das_resume=True)
    ts = house.workspace.say(WANG, OPS, "@das demo:interrupt 重启哪个实例？")
    await house.workspace.until(
        lambda: shown(house, ts) and "run_answer_1" in str(shown(house, ts)[0].blocks)
    )
    await house.ended(1)
    if way == "button":
        assert (await house.workspace.click(BEN, OPS, shown(house, ts)[0].ts, "run_answer_1")).ok
    else:
        house.workspace.say(BEN, OPS, "rm-bp1orders0001", ts)
    _, second = await house.ended(2)
    assert (second["resumed_by"], second["user"]) == (BEN, WANG)
    await house.workspace.until(lambda: "run_answer_1" not in str(shown(house, ts)[0].blocks))
    (reply,) = shown(house, ts)
    assert "重新提问" in str(reply.blocks)
    at = int(float(second["accepted_at"]))
    time_of_day = time.strftime("%H:%M UTC", time.gmtime(at))
    assert f"由 <@{BEN}> 决定，<!date^{at}^{{time}}|{time_of_day}>" in str(reply.blocks)
    # What is posted with a mention pings; what is changed does not.
    posts = house.workspace.calls_of("chat.postMessage") + house.workspace.calls_of("chat.startStream")
    assert not [post for post in posts if f"<@{BEN}>" in str(post)]


@pytest.mark.parametrize("mentions", [True, False])
async def test_an_answer_that_is_a_question_of_its_own_leaves_nothing_to_press(
    make_house: Any, mentions: bool
) -> None:
    house = await make_house()
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das demo:interrupt")
    await house.workspace.until(
        lambda: shown(house, ts) and "run_answer_1" in str(shown(house, ts)[0].blocks)
    )
    await house.ended(1)
    before = copy.deepcopy(shown(house, ts)[0])
    assert "Choose one, or answer in the thread." in str(before.blocks)
    house.workspace.say(ANA, OPS, f"{'@das ' if mentions else ''}the second one, tonight", ts)
    await house.workspace.until(lambda: "run_answer" not in str(shown(house, ts)[0].blocks))
    reply = shown(house, ts)[0]
    assert f"<@{ANA}> has answered in the thread." in str(reply.blocks)
    assert "Choose one" not in str(reply.blocks) and "session_new" in str(reply.blocks)
    assert "*The agent asks:*" in str(reply.blocks)
    _, second = await house.ended(2)
    assert (second["surface"], second["resumes"]) == ("mention" if mentions else "thread", "")
    # Who still sees the buttons is told.
    await press(house, BEN, before, "run_answer_1", f"{await house.run_id()}:1", at="session_new")
    assert (await house.private_line(BEN, OPS)).text == DECIDED
    await house.taken(2)


async def test_what_somebody_else_asks_meanwhile_is_no_answer(make_house: Any) -> None:
    house = await make_house()
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das demo:interrupt")
    await house.workspace.until(
        lambda: shown(house, ts) and "run_answer_1" in str(shown(house, ts)[0].blocks)
    )
    await house.ended(1)
    house.workspace.say(WANG, OPS, "what does that mean?", ts)
    first, _ = await house.ended(2)
    assert "decided_by" not in first
    assert "run_answer_1" in str(shown(house, ts)[0].blocks)


async def test_an_answer_in_words_that_redis_interrupted_is_ended_when_slack_delivers_it_again(
    make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question is taken by then, so the thread's last run is no longer the paused one."""
    house = await make_house(redelivery_delays=[0.0] * 50)
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das demo:interrupt")
    await house.workspace.until(
        lambda: shown(house, ts) and "run_answer_1" in str(shown(house, ts)[0].blocks)
    )
    await house.ended(1)
    answer: Any = Wishes.answer
    tries: list[str] = []

    async def away_once(self: Wishes, run_id: str, user: str) -> bool:
        tries.append(run_id)
        if len(tries) == 1:
            raise RedisAway("away")
        return bool(await answer(self, run_id, user))

    monkeypatch.setattr(Wishes, "answer", away_once)
    house.workspace.say(ANA, OPS, "the second one, tonight", ts)
    await house.workspace.until(lambda: "run_answer" not in str(shown(house, ts)[0].blocks))
    first, second = await house.ended(2)
    assert first["decided_by"] == ANA and second["answers"] == tries[-1]
