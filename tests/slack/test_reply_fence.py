"""A worker that slept, or that cannot reach the store, writes to Slack only while the thread is certainly its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from redis.exceptions import ConnectionError as RedisAway

from bot.demo.workspace import NO_LIMITS, Workspace
from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Question, Thread
from bot.model.run import Run, State
from bot.slack.budget import Budget
from bot.slack.client import SlackClient
from bot.slack.reply.writer import SlackReply
from bot.store import keys
from bot.store.keys import LEASE_LIFE
from bot.store.runs import LeaseLostError

OPS, ALICE = "C0DBOPS001", "U0ANA00001"


@dataclass
class Worker:
    """A worker whose clock and store are ours."""

    workspace: Workspace
    client: SlackClient
    now: float = 0.0
    away: bool = False
    lost: bool = False
    """Whether another worker has the thread."""
    sleeps: float = 0.0
    """Seconds the worker sleeps before it hears that the store has saved; then another has the thread."""
    pauses: list[float] = field(default_factory=list)
    back_after: int = 0
    """Pauses after which the store answers again."""

    async def save(self) -> None:
        if self.away:
            raise RedisAway
        if self.lost:
            raise LeaseLostError("T:C:1")
        if self.sleeps:
            self.now, self.sleeps, self.lost = self.now + self.sleeps, 0.0, True

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.away = self.away and len(self.pauses) < self.back_after
        await asyncio.sleep(0)

    async def opened(self) -> SlackReply:
        """A reply whose first message stands."""
        root = self.workspace.say(ALICE, OPS, "why?")
        question = Question(Thread("T", OPS, root), root, ALICE, "", "why?", "mention")
        run = Run("0123456789abcdef", question, accepted_at=self.workspace.state.clock())
        reply = SlackReply(
            self.client, run, self.save, {"": "DAS Agent"}, clock=lambda: self.now, sleep=self.sleep
        )
        await reply.open(Progress("working"))
        return reply

    @property
    def updates(self) -> int:
        return len(self.workspace.calls_of("chat.update"))


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    workspace = Workspace(rates=NO_LIMITS)
    await workspace.start()
    methods = ["chat.postMessage", "chat.update", "chat.startStream", "chat.appendStream"]
    budget = Budget(dict.fromkeys(methods, 1e9))
    client = SlackClient(workspace.bot_token, workspace.api_url, budget)
    try:
        yield Worker(workspace, client)
    finally:
        await client.aclose()
        await budget.aclose()
        await workspace.stop()


async def finish(reply: SlackReply) -> None:
    answer = Answer()
    answer.apply(ev.TextMessageContent("m", "The end."), 1.0)
    await reply.finish(answer, Ending(State.ANSWERED))


async def test_who_slept_through_the_lease_writes_nothing_more(worker: Worker) -> None:
    reply = await worker.opened()
    worker.now += LEASE_LIFE / 1000 + 1
    worker.lost = True
    with pytest.raises(LeaseLostError):
        await finish(reply)
    assert worker.updates == 0


async def test_who_slept_while_the_store_saved_writes_nothing_more(worker: Worker) -> None:
    reply = await worker.opened()
    worker.now += 5
    worker.sleeps = LEASE_LIFE / 1_000
    with pytest.raises(LeaseLostError):
        await reply.finish(Answer(), Ending(State.ANSWERED))
    assert worker.updates == 0


async def test_while_the_lease_is_certain_the_store_is_not_needed(worker: Worker) -> None:
    reply = await worker.opened()
    worker.now += keys.SURE_SECONDS - 1
    worker.away = True
    await finish(reply)
    assert worker.updates == 1 and worker.pauses == []


async def test_who_cannot_know_waits_for_the_store(worker: Worker) -> None:
    reply = await worker.opened()
    worker.now += LEASE_LIFE / 1000 + 1
    worker.away, worker.back_after = True, 3
    await finish(reply)
    assert worker.updates == 1 and len(worker.pauses) == 3


async def test_who_cannot_know_and_has_lost_the_thread_writes_nothing(worker: Worker) -> None:
    reply = await worker.opened()
    worker.now += LEASE_LIFE / 1000 + 1
    worker.away, worker.back_after, worker.lost = True, 3, True
    with pytest.raises(LeaseLostError):
        await finish(reply)
    assert worker.updates == 0


def test_certainty_ends_before_a_lease_can() -> None:
    assert keys.SURE_SECONDS + 2 < LEASE_LIFE / 1000


async def test_nothing_is_posted_before_the_store_knows_of_it(worker: Worker) -> None:
    root = worker.workspace.say(ALICE, OPS, "why?")
    question = Question(Thread("T", OPS, root), root, ALICE, "", "why?", "mention")
    run = Run("0123456789abcdef", question, accepted_at=worker.workspace.state.clock())
    reply = SlackReply(
        worker.client, run, worker.save, {"": "DAS Agent"}, clock=lambda: 0.0, sleep=worker.sleep
    )
    reply._record._saved_at = 0.0  # just now: the thread is certainly ours
    worker.away, worker.back_after = True, 3
    opening = asyncio.create_task(reply.open(Progress("working")))
    while worker.away:
        assert not worker.workspace.replies(OPS, root)
        await asyncio.sleep(0)
    await opening
    assert len(worker.workspace.replies(OPS, root)) == 1 and len(worker.pauses) == 3


async def test_the_end_of_a_recovered_answer_can_be_put_there_again(worker: Worker) -> None:
    reply = await worker.opened()
    dead_ones = reply._run
    reply = SlackReply(worker.client, dead_ones, worker.save, {"": "DAS Agent"}, sleep=worker.sleep)
    await reply.recover(Ending(State.INTERRUPTED, "The bot restarted."))
    (message,) = worker.workspace.replies(OPS, dead_ones.question.thread.thread_ts)
    ended = message.text
    await worker.client.web.chat_update(channel=OPS, ts=message.ts, text="a late write of the dead worker")
    await reply.restore()
    assert message.text == ended and "The bot restarted." in str(message.blocks)
    assert await reply.ended() == Ending(State.INTERRUPTED)


async def test_a_post_with_an_unknown_fate_is_found_in_a_long_thread(worker: Worker) -> None:
    root = worker.workspace.say(ALICE, OPS, "why?")
    for number in range(250):
        worker.workspace.say(ALICE, OPS, f"before {number}", root)
    question = Question(Thread("T", OPS, root), root, ALICE, "", "why?", "mention")
    run = Run("0123456789abcdef", question, accepted_at=worker.workspace.state.clock())
    worker.workspace.fail_next("chat.postMessage", reset=True)
    reply = SlackReply(worker.client, run, worker.save, {"": "DAS Agent"}, sleep=worker.sleep)
    await reply.open(Progress("working"))
    await finish(reply)
    (message,) = [message for message in worker.workspace.replies(OPS, root) if message.bot_id]
    assert run.reply_ts == [message.ts] and "The end." in str(message.blocks)
    assert len(worker.workspace.calls_of("conversations.replies")) == 2


async def test_where_slack_does_not_let_us_look_nothing_is_posted_again(worker: Worker) -> None:
    root = worker.workspace.say(ALICE, OPS, "why?")
    question = Question(Thread("T", OPS, root), root, ALICE, "", "why?", "mention")
    run = Run("0123456789abcdef", question, accepted_at=worker.workspace.state.clock())
    worker.workspace.fail_next("chat.postMessage", reset=True)
    worker.workspace.fail_next("conversations.replies", error="missing_scope")
    reply = SlackReply(worker.client, run, worker.save, {"": "DAS Agent"}, sleep=worker.sleep)
    await reply.open(Progress("working"))
    await finish(reply)
    assert len([message for message in worker.workspace.replies(OPS, root) if message.bot_id]) == 1


@pytest.mark.parametrize("heard_of", [True, False])
@pytest.mark.parametrize("home", ["", "T0DEMO00001"], ids=["posted", "streamed"])
async def test_a_message_that_was_made_late_is_taken_away(worker: Worker, home: str, heard_of: bool) -> None:
    reply = await worker.opened()
    run, root = reply._run, reply._run.question.thread.thread_ts
    other = replace(run.question, user_team=home)
    late = Run(run.id, other, accepted_at=run.accepted_at)
    await SlackReply(worker.client, late, worker.save, {"": "DAS Agent"}).open(Progress("working"))
    somebodys = worker.workspace.say(ALICE, OPS, "me too", root)
    assert len(worker.workspace.calls_of("chat.startStream")) == bool(home)
    if heard_of:
        worker.workspace.fail_next("conversations.replies", error="missing_scope")
    worker.workspace.fail_next("chat.delete", status=500)
    made = await reply.made_for(run.id)
    await reply.withdraw({*late.reply_ts} if heard_of else made)
    assert [message.ts for message in worker.workspace.replies(OPS, root)] == [*run.reply_ts, somebodys]
