"""Slack takes the ground away in the middle of an answer: the run ends, nothing is tried for ever, the log says why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from bot.demo.das import Faults
from bot.demo.workspace import NO_LIMITS, Workspace
from bot.demo.workspace.messages import Message
from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Question, Thread
from bot.model.run import Run, State
from bot.slack import client as client_module
from bot.slack.budget import Budget
from bot.slack.client import SlackClient
from bot.slack.reply.writer import SlackReply
from bot.store import keys

ANA, OPS, OTHER = "U0ANA00001", "C0DBOPS001", "C0ORDERS01"
HELD_AFTER = 40
"""Frames of the agent after which it waits for us: the reply has its first words by then."""
MOST_CALLS = 12
"""Calls in vain after Slack has refused for good."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a reply between its tries take no time."""

    async def no_pause(_: float) -> None:
        await asyncio.sleep(0)

    defaults = SlackReply.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "sleep", no_pause)


def replies(house: Any, root: str) -> list[Message]:
    return [message for message in house.workspace.replies(OPS, root) if message.bot_id]


async def begun(make_house: Any) -> tuple[Any, str]:
    """A bot in the middle of an answer, whose agent is silent now; the answer's thread."""
    house = await make_house()
    await house.start()
    house.das.next_faults.append(Faults(hang_after=HELD_AFTER))
    root = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(
        lambda: any("First the load" in str(reply.blocks) for reply in replies(house, root))
    )
    return house, root


async def at_rest(house: Any) -> None:
    """Every run has ended, and nothing is held for it: no lease, no slot, no place among those at work."""
    await house.ended(1)

    async def is_idle() -> bool:
        left = [
            name async for name in house.redis.scan_iter("*") if keys.lease("") in name or "slot:" in name
        ]
        return not (left or house.bot.worker.busy or house.das.open_now)

    await house.eventually(is_idle)


async def health(house: Any) -> tuple[int, dict[str, bool]]:
    async with aiohttp.ClientSession() as session, session.get(f"{house.url}/readyz") as response:
        return response.status, await response.json()


REFUSALS: list[tuple[str, Callable[[Workspace], object], str]] = [
    ("token revoked", lambda workspace: workspace.revoke_tokens(), "token_revoked"),
    ("app uninstalled", lambda workspace: workspace.uninstall_app(), "account_inactive"),
    ("channel archived", lambda workspace: workspace.archive(ANA, OPS), "is_inactive"),
    ("bot removed", lambda workspace: workspace.remove_bot(ANA, OPS), "channel_not_found"),
]


@pytest.mark.parametrize(("what", "happens", "code"), REFUSALS, ids=[what for what, *_ in REFUSALS])
async def test_where_slack_refuses_for_good_the_run_ends_and_the_log_says_where(
    make_house: Any, capfd: pytest.CaptureFixture[str], what: str, happens: Any, code: str
) -> None:
    house, _ = await begun(make_house)
    happens(house.workspace)
    before = len(house.workspace.calls)
    house.das.resume()
    await at_rest(house)
    assert len(house.workspace.calls) - before <= MOST_CALLS
    (run,) = await house.runs()
    assert run["state"] == "answered"
    (name,) = [name async for name in house.redis.scan_iter(keys.run("*"))]
    run_id = name.removeprefix(keys.run(""))
    log = "".join(capfd.readouterr())
    (line,) = [line for line in log.splitlines() if "slack refuses the reply" in line]
    assert code in line and f"{run_id[:4]}-{run_id[4:8]}" in line
    assert "Traceback" not in log
    is_dead = code in ("token_revoked", "account_inactive")
    status, parts = await health(house)
    assert (status, parts["slack"]) == ((503, False) if is_dead else (200, True))
    if not is_dead:
        elsewhere = house.workspace.say(ANA, OTHER, "@das why is rm-bp1demo0002 slow?")
        await house.answer(OTHER, elsewhere)


async def test_over_http_too_a_token_that_was_taken_back_is_told_by_readyz(make_house: Any) -> None:
    """No socket breaks and no event comes: only a call that is refused tells."""
    house = await make_house()
    await house.start(slack_app_token="")
    assert (await health(house))[0] == 200
    house.workspace.fail_next("chat.startStream", error="token_revoked")
    house.workspace.fail_next("chat.postMessage", error="token_revoked")
    house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await at_rest(house)
    status, parts = await health(house)
    assert (status, parts["slack"]) == (503, False)


async def test_what_nobody_could_read_is_not_asked(make_house: Any) -> None:
    """The channel was archived meanwhile; who asked learns of it in their direct messages."""
    house = await make_house()
    await house.start()
    house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    house.workspace.archive(ANA, OPS)
    await at_rest(house)
    (run,) = await house.runs()
    assert run["state"] == "failed" and not house.das.requests
    direct = next(room for room in house.workspace.state.channels.values() if room.user == ANA and room.is_im)
    await house.eventually(lambda: told(house, direct.id))
    (line,) = [message for message in house.workspace.messages if message.channel == direct.id]
    assert line.text.startswith(f"I could not write in <#{OPS}>, so your question there was not asked.")


async def told(house: Any, channel: str) -> bool:
    return any(message.channel == channel for message in house.workspace.messages)


async def test_questions_that_wait_when_the_token_is_taken_back_are_not_asked(make_house: Any) -> None:
    house = await make_house()
    await house.start()
    house.das.next_faults.append(Faults(hang_after=HELD_AFTER))
    for number in range(3):
        house.workspace.say(ANA, OPS, f"@das why is rm-bp1demo000{number} slow?")
    await house.taken(3)

    async def all_wait() -> bool:
        waiting = [message for message in house.workspace.messages if "Waiting: place" in str(message.blocks)]
        return len(waiting) == 2

    await house.eventually(all_wait)
    house.workspace.revoke_tokens()
    house.das.resume()
    await house.ended(3)
    assert sorted(run["state"] for run in await house.runs()) == ["answered", "failed", "failed"]
    assert len(house.das.requests) == 1


async def test_a_deleted_question_is_answered_all_the_same(make_house: Any) -> None:
    house, root = await begun(make_house)
    house.workspace.delete(ANA, OPS, root)
    house.das.resume()
    await at_rest(house)
    (reply,) = replies(house, root)
    assert "idx_user_created" in str(reply.blocks) and "run_again" in str(reply.blocks)


async def test_a_deleted_reply_is_written_anew(make_house: Any) -> None:
    house, root = await begun(make_house)
    (deleted,) = replies(house, root)
    house.workspace.state.delete(deleted)
    house.das.resume()
    await at_rest(house)
    (reply,) = replies(house, root)
    assert reply.ts != deleted.ts and "idx_user_created" in str(reply.blocks)


async def test_who_deletes_the_reply_every_time_does_not_want_it(make_house: Any) -> None:
    house, root = await begun(make_house)

    def delete(change: Any) -> None:
        message = change.message
        if change.kind == "posted" and message and message.bot_id and message.thread_ts == root:
            house.workspace.state.delete(message)

    house.workspace.state.listen(delete)
    house.workspace.state.delete(replies(house, root)[0])
    house.das.resume()
    await at_rest(house)
    assert replies(house, root) == []
    posts = [*house.workspace.calls_of("chat.postMessage"), *house.workspace.calls_of("chat.startStream")]
    assert len(posts) <= 5


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 503}, {"reset": True}, {"error": "internal_error"}]
)
async def test_a_final_state_outlasts_an_ill_slack(make_house: Any, fault: dict[str, Any]) -> None:
    house, root = await begun(make_house)
    for method in ("chat.update", "chat.appendStream", "chat.stopStream"):
        house.workspace.fail_next(method, times=9, **fault)
    house.das.resume()
    await at_rest(house)
    (reply,) = replies(house, root)
    assert "idx_user_created" in str(reply.blocks) and "run_again" in str(reply.blocks)


async def test_a_final_state_outlasts_a_slack_that_does_not_answer(
    make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CALL_SECONDS", 0.2)
    house, root = await begun(make_house)
    for method in ("chat.update", "chat.appendStream", "chat.stopStream"):
        house.workspace.fail_next(method, times=2, hang=True)
    house.das.resume()
    await at_rest(house)
    (reply,) = replies(house, root)
    assert "idx_user_created" in str(reply.blocks) and "run_again" in str(reply.blocks)


@dataclass
class Time:
    """A clock whose pauses take no time."""

    now: float = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Alone:
    """One reply on a clock of its own."""

    workspace: Workspace
    reply: SlackReply
    root: str
    time: Time

    async def end(self) -> None:
        answer = Answer()
        answer.apply(ev.TextMessageContent("m", "The end."), self.time.now)
        await self.reply.finish(answer, Ending(State.ANSWERED))

    @property
    def shown(self) -> str:
        [message] = [message for message in self.workspace.replies(OPS, self.root) if message.bot_id]
        return f"{message.text} {message.blocks}"


@pytest.fixture
async def alone() -> AsyncIterator[Alone]:
    async def save() -> None: ...

    workspace = Workspace(rates=NO_LIMITS)
    await workspace.start()
    root = workspace.say(ANA, OPS, "why?")
    run = Run("0123456789abcdef", Question(Thread("T", OPS, root), root, ANA, "", "why?", "mention"))

    time = Time()
    budget = Budget(clock=time.clock, sleep=time.sleep)
    client = SlackClient(workspace.bot_token, workspace.api_url, budget)
    reply = SlackReply(client, run, save, {"": "DAS Agent"}, clock=time.clock, sleep=time.sleep)
    await reply.open(Progress("working"))
    yield Alone(workspace, reply, root, time)
    await client.aclose()
    await budget.aclose()
    await workspace.stop()


async def test_a_final_state_outlasts_a_storm_of_refusals(alone: Alone) -> None:
    """429 for half an hour: obeyed for as long as Slack says each time, and the end is written after it."""
    alone.workspace.fail_next("chat.update", times=60, retry_after=30)
    await alone.end()
    assert "The end." in alone.shown
    assert len(alone.workspace.calls_of("chat.update")) == 61 and alone.time.now >= 60 * 30


@pytest.mark.parametrize("code", ["internal_error", "fatal_error"])
async def test_an_end_at_which_slack_fails_each_time_is_made_simpler(alone: Alone, code: str) -> None:
    alone.workspace.fail_next("chat.update", times=10, error=code)
    await alone.end()
    assert "The end." in alone.shown and not alone.reply.refused
    assert "run_again" in alone.shown, "one round of tries costs no more than one step"


async def test_an_end_at_which_slack_always_fails_is_given_up_after_minutes(alone: Alone) -> None:
    alone.workspace.fail_next("chat.update", times=100_000, error="internal_error")
    await alone.end()
    assert alone.reply.refused.startswith("internal_error")
    assert 240 < alone.time.now < 480 and len(alone.workspace.calls_of("chat.update")) < 150


async def test_an_end_that_slack_does_not_answer_is_not_given_up(alone: Alone) -> None:
    alone.workspace.fail_next("chat.update", times=400, status=503)
    await alone.end()
    assert "The end." in alone.shown and "run_again" in alone.shown and alone.time.now > 900


async def test_what_a_dead_worker_left_is_given_up_as_well(alone: Alone) -> None:
    alone.reply._run.shown = json.dumps({"text": "half", "blocks": []})
    alone.workspace.fail_next("chat.update", times=100_000, error="fatal_error")
    await alone.reply.recover(Ending(State.INTERRUPTED, "The bot restarted."))
    assert alone.reply.refused.startswith("fatal_error")
