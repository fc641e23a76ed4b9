"""The writer against a real workspace: one reply in place, whatever Slack does in between."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bot.demo.workspace import NO_LIMITS, Message, Workspace
from bot.demo.workspace.cast import TEAM_ID
from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Question, Thread
from bot.model.run import Run, State
from bot.slack.budget import Budget, Priority, Urgency
from bot.slack.client import SlackClient
from bot.slack.reply.writer import SlackReply

OPS, ALICE = "C0DBOPS001", "U0ANA00001"
WORKING = Progress("working")
DONE = Ending(State.ANSWERED)


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


@dataclass
class Desk:
    """A workspace with one question in it, and a client."""

    workspace: Workspace
    client: SlackClient
    root: str
    saved: int = 0

    async def save(self) -> None:
        self.saved += 1

    def run(self, **more: Any) -> Run:
        thread = Thread("T", OPS, self.root)
        question = Question(thread, self.root, ALICE, "", "why?", "mention")
        return Run("0123456789abcdef" * 2, question, accepted_at=self.workspace.state.clock(), **more)

    def reply(self, run: Run) -> SlackReply:
        return SlackReply(self.client, run, self.save, {"": "DAS Agent"}, sleep=no_pause)

    @property
    def shown(self) -> list[Message]:
        return self.workspace.replies(OPS, self.root)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    workspace = Workspace(rates=NO_LIMITS)
    await workspace.start()
    methods = ["chat.postMessage", "chat.update", "conversations.replies", "chat.delete"]
    streams = ["chat.startStream", "chat.appendStream", "chat.stopStream"]
    rates = dict.fromkeys([*methods, *streams], 1e9)
    budget = Budget(rates, sleep=no_pause)
    client = SlackClient(workspace.bot_token, workspace.api_url, budget)
    try:
        yield Desk(workspace, client, workspace.say(ALICE, OPS, "why?"))
    finally:
        await client.aclose()
        await budget.aclose()
        await workspace.stop()


def answer_of(text: str, *events: ev.Event) -> Answer:
    answer = Answer()
    for event in [*events, ev.TextMessageContent("m", text)]:
        answer.apply(event, 1.0)
    return answer


def content(message: Message) -> str:
    return json.dumps(message.blocks, ensure_ascii=False) + message.text


async def appears(desk: Desk, words: str) -> None:
    await desk.workspace.until(lambda: any(words in content(message) for message in desk.shown))


async def end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(("asks", "refusals", "ran"), [(0, 0, False), (2, 2, False), (2, 1, True)])
async def test_what_never_ran_has_no_duration(desk: Desk, asks: int, refusals: int, ran: bool) -> None:
    reply = desk.reply(desk.run(asks=asks, refusals=refusals))
    await reply.open(Progress("waiting_slot", 1, 1))
    await reply.finish(Answer(), Ending(State.STOPPED, "Stopped."))
    (message,) = desk.shown
    assert bool(re.search(r"DAS Agent · \d+\.\d s · `", content(message))) is ran
    assert ("DAS Agent · `" in content(message)) is not ran


async def test_the_footer_tells_the_seconds_of_all_parts_of_an_answer_that_was_paused(desk: Desk) -> None:
    reply = desk.reply(desk.run(asks=1, seconds_before=83.0))
    await reply.open(Progress("working"))
    await reply.finish(Answer(), Ending(State.ANSWERED))
    (message,) = desk.shown
    assert "DAS Agent · 1 min 23 s · `" in content(message)


async def test_one_message_from_the_first_sign_to_the_end(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(Progress("starting"))
    (message,) = desk.shown
    assert run.reply_ts == [message.ts] and not run.posting and "On it" in content(message)
    writing = asyncio.create_task(reply.keep_writing())
    answer = Answer()
    for word in ("Because\n", "of\n", "a lock.\n"):
        answer.apply(ev.TextMessageContent("m", word), 1.0)
        reply.show(answer, WORKING)
        await appears(desk, word.strip())
    await end(writing)
    await reply.finish(answer, DONE)
    (message,) = desk.shown
    assert message.ts == run.reply_ts[0]
    assert "a lock." in content(message) and "Stop" not in content(message)
    assert desk.saved >= 4 and json.loads(run.shown)["text"] == message.text


async def test_a_reply_that_has_ended_does_not_wait_for_the_garbage_collector(desk: Desk) -> None:
    gc.disable()
    try:
        reply = desk.reply(desk.run())
        await reply.open(Progress("starting"))
        writing = asyncio.create_task(reply.keep_writing())
        reply.show(answer_of("Because\n"), WORKING)
        await appears(desk, "Because")
        await end(writing)
        await reply.finish(answer_of("Because of a lock."), DONE)
        left = weakref.ref(reply)
        del reply, writing
        assert left() is None
    finally:
        gc.enable()


async def test_an_update_carries_the_newest_state(desk: Desk) -> None:
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    desk.workspace.fail_next("chat.update", 1, status=500)
    writing = asyncio.create_task(reply.keep_writing())
    answer = Answer()
    for n in range(200):
        answer.apply(ev.TextMessageContent("m", f"line {n}\n"), 1.0)
        reply.show(answer, WORKING)
    await desk.workspace.until(lambda: "line 199" in content(desk.shown[0]))
    await end(writing)
    assert len(desk.workspace.calls_of("chat.update")) <= 3


async def test_a_refusal_is_obeyed_and_the_final_state_written(desk: Desk) -> None:
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    desk.workspace.fail_next("chat.update", 40, retry_after=1)
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    desk.client.budget._clock, desk.client.budget._sleep = (lambda: now), sleep
    desk.client.budget._queues.clear()
    await reply.finish(answer_of("The end."), DONE)
    assert "The end." in content(desk.shown[0])
    assert now >= 40
    assert len(desk.workspace.calls_of("chat.update")) == 41


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 502}, {"error": "internal_error"}, {"reset": True}]
)
async def test_a_post_of_unknown_fate_is_never_made_twice(desk: Desk, fault: dict[str, Any]) -> None:
    run = desk.run()
    reply = desk.reply(run)
    desk.workspace.fail_next("chat.postMessage", 1, **fault)
    await reply.open(Progress("starting"))
    await reply.finish(answer_of("The end."), DONE)
    (message,) = desk.shown
    assert "The end." in content(message) and run.reply_ts == [message.ts]


async def test_nothing_is_posted_again_before_it_could_be_looked_up(desk: Desk) -> None:
    reply = desk.reply(desk.run())
    desk.workspace.fail_next("chat.postMessage", 1, reset=True)
    desk.workspace.fail_next("conversations.replies", 20, status=503)
    await reply.open(Progress("starting"))
    await reply.finish(answer_of("The end."), DONE)
    (message,) = desk.shown
    assert "The end." in content(message)
    assert len(desk.workspace.calls_of("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("refused", "lost"),
    [(["container"], "container"), (["container", "markdown", "context_actions", "alert"], "markdown")],
)
async def test_simpler_blocks_when_slack_refuses_the_newer_ones(
    desk: Desk, refused: list[str], lost: str
) -> None:
    desk.workspace.refuse_blocks(*refused)
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    await reply.finish(answer_of("The end.", ev.ToolCallStart("c", "das_api")), DONE)
    (message,) = desk.shown
    kinds = [block["type"] for block in message.blocks or []]
    assert lost not in kinds and {"plan", "section"} & set(kinds)
    assert "The end." in content(message) and "das_api" in content(message)


async def test_text_alone_repeats_nothing_of_the_messages_before(desk: Desk) -> None:
    """It is cut into more messages than blocks were; those that stand already show less then."""
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(Progress("starting"))
    desk.workspace.fail_next("chat.postMessage", 3, error="invalid_blocks")
    lines = [f"Line {n} of a long answer." for n in range(400)]
    await reply.finish(answer_of("\n".join(lines)), DONE)
    shown = [line for message in desk.shown for line in message.text.split("\n") if line.startswith("Line")]
    assert shown == lines and run.reply_ts == [message.ts for message in desk.shown]


async def test_text_alone_when_every_block_is_refused(desk: Desk) -> None:
    desk.workspace.refuse_blocks(
        "container", "markdown", "section", "context", "actions", "alert", "context_actions"
    )
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    await reply.finish(answer_of("The end."), DONE)
    (message,) = desk.shown
    assert message.text == "The end." and not message.blocks


async def test_a_message_somebody_deleted_is_said_again_below(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(Progress("starting"))
    gone = desk.shown[0]
    desk.workspace.state.delete(gone)
    await reply.finish(answer_of("The end."), DONE)
    visible = [m for m in desk.shown if m.ts != gone.ts]
    assert len(visible) == 1 and "The end." in content(visible[0]) and run.reply_ts == [visible[0].ts]


async def test_what_is_said_again_is_as_urgent_as_first_words(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Priority]] = []
    take = desk.client.budget.take

    async def note(method: str, channel: str, priority: Urgency, owner: str, **more: Any) -> None:
        asked.append((method, priority if isinstance(priority, Priority) else priority()))
        await take(method, channel, priority, owner, **more)

    monkeypatch.setattr(desk.client.budget, "take", note)
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    writing = asyncio.create_task(reply.keep_writing())
    reply.show(answer_of("One. "), WORKING)
    await appears(desk, "One.")
    desk.workspace.state.delete(desk.shown[0])
    asked.clear()
    reply.show(answer_of("One. Two.\n\n"), WORKING)
    await appears(desk, "Two.")
    await end(writing)
    assert [each for each in asked if each[0] == "chat.postMessage"] == [
        ("chat.postMessage", Priority.FIRST_WORDS)
    ]


async def test_a_reply_deleted_again_and_again_is_given_up(desk: Desk) -> None:
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    desk.workspace.fail_next("chat.update", 50, error="message_not_found")
    for n in range(12):
        reply.show(answer_of(f"{n}\n"), WORKING)
        reply._messages.touch_last()
        await reply._write(Priority.TEXT)
    assert len(desk.workspace.calls_of("chat.postMessage")) <= 5
    await reply.finish(answer_of("The end."), DONE)


@pytest.mark.parametrize("code", ["thread_not_found", "not_in_channel", "is_archived", "invalid_auth"])
async def test_a_thread_one_may_not_write_in_ends_quietly(desk: Desk, code: str) -> None:
    desk.workspace.fail_next("chat.postMessage", 50, error=code)
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(Progress("starting"))
    await reply.finish(answer_of("The end."), DONE)
    assert len(desk.workspace.calls_of("chat.postMessage")) == 1
    assert not desk.shown and not run.posting


async def test_a_long_answer_goes_on_in_next_messages_whose_ts_stay(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(Progress("starting"))
    writing = asyncio.create_task(reply.keep_writing())
    answer = Answer()
    for n in range(700):
        answer.apply(ev.TextMessageContent("m", f"Line {n} of the answer, which is long.\n"), 1.0)
        if n % 100 == 0:
            reply.show(answer, WORKING)
            await appears(desk, f"Line {n} ")
    before = list(run.reply_ts)
    await end(writing)
    await reply.finish(answer, DONE)
    assert len(before) >= 3 and run.reply_ts[: len(before)] == before
    assert [m.ts for m in desk.shown] == run.reply_ts
    whole = "".join(b["text"] for m in desk.shown for b in m.blocks or [] if b["type"] == "markdown")
    positions = [whole.index(f"Line {n} of") for n in range(700)]
    assert positions == sorted(positions)
    assert [("Stop" in content(m), "Ask again" in content(m)) for m in desk.shown][-1] == (False, True)
    assert not any("hourglass" in content(m) for m in desk.shown)
    assert json.loads(run.shown)["blocks"][0]["elements"][0]["text"].startswith("_Goes on from")


async def test_a_first_message_deleted_takes_the_later_ones_with_it(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    long = "Line of the answer, which is long.\n" * 500
    reply.show(answer_of(long), WORKING)
    await reply.open(WORKING)
    old = list(run.reply_ts)
    desk.workspace.state.delete(desk.shown[0])
    reply.show(answer_of(long, ev.ToolCallStart("c", "t")), WORKING)
    await reply.finish(answer_of(long, ev.ToolCallStart("c", "t")), DONE)
    assert len(old) > 1 and not set(old) & set(run.reply_ts)
    assert [m.ts for m in desk.shown if m.ts not in old[:1]] == run.reply_ts


async def test_a_cancelled_update_never_overtakes_the_final_one(desk: Desk) -> None:
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    for n in range(10):
        writing = asyncio.create_task(reply.keep_writing())
        reply.show(answer_of(f"old {n}\n"), WORKING)
        for _ in range(n * 3):
            await asyncio.sleep(0)
        await end(writing)
    await reply.finish(answer_of("The end."), DONE)
    assert "The end." in content(desk.shown[0]) and "old" not in content(desk.shown[0])
    assert "The end." in json.dumps(desk.workspace.calls_of("chat.update")[-1].args)


async def test_an_update_cut_off_after_it_was_made_is_repeated_to_the_end(desk: Desk) -> None:
    reply = desk.reply(desk.run())
    await reply.open(Progress("starting"))
    desk.workspace.fail_next("chat.update", 3, reset=True)
    desk.workspace.fail_next("chat.update", 10, status=503)
    await reply.finish(answer_of("The end."), DONE)
    assert len(desk.shown) == 1 and "Ask again" in content(desk.shown[0])


# -- after a crash -------------------------------------------------------------------------------------------

INTERRUPTED = Ending(State.INTERRUPTED, "The bot restarted.")


async def test_what_a_dead_worker_left_is_ended_in_place(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    reply.show(answer_of("What had come.\n"), WORKING)
    await reply.open(WORKING)
    await desk.reply(run).recover(INTERRUPTED)
    (message,) = desk.shown
    assert "What had come." in content(message) and "The bot restarted." in content(message)
    assert "Ask again" in content(message) and "hourglass" not in content(message)


async def test_a_post_under_way_at_the_crash_is_found_and_ended(desk: Desk) -> None:
    run = desk.run()
    await desk.reply(run).open(WORKING)
    run.reply_ts, run.posting = [], True  # as the record was before Slack's answer
    await desk.reply(run).recover(INTERRUPTED)
    (message,) = desk.shown
    assert "The bot restarted." in content(message) and run.reply_ts == [message.ts]


async def test_a_post_that_never_left_is_made_by_the_next_worker(desk: Desk) -> None:
    run = desk.run(posting=True, shown=json.dumps({"text": "What had come.", "blocks": []}))
    await desk.reply(run).recover(INTERRUPTED)
    (message,) = desk.shown
    assert "What had come." in content(message) and "The bot restarted." in content(message)


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_crash_while_the_next_message_is_posted_loses_neither(desk: Desk, arrived: bool) -> None:
    run = desk.run()
    reply = desk.reply(run)
    reply.show(answer_of("Line of the answer, which is long.\n" * 400), WORKING)
    await reply.open(WORKING)
    first, second = run.reply_ts
    run.reply_ts, run.posting = [first], True
    if not arrived:
        desk.workspace.state.delete(desk.shown[1])
    before = next(m for m in desk.shown if m.ts == first).text
    await desk.reply(run).recover(INTERRUPTED)
    messages = [m for m in desk.shown if m.ts in run.reply_ts]
    assert len(messages) == 2 and messages[0].text == before
    assert "Line of the answer" in content(messages[1]) and "The bot restarted." in content(messages[1])
    assert (messages[1].ts == second) is arrived


async def test_recovery_outlasts_an_absent_slack_and_refused_blocks(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    reply.show(answer_of("What had come.\n", ev.ToolCallStart("c", "das_api")), WORKING)
    await reply.open(WORKING)
    desk.workspace.fail_next("chat.update", 15, status=503)
    desk.workspace.refuse_blocks("alert", "container")
    await desk.reply(run).recover(INTERRUPTED)
    assert "The bot restarted." in content(desk.shown[0])


async def test_a_run_that_showed_nothing_is_ended_with_a_message(desk: Desk) -> None:
    await desk.reply(desk.run()).recover(INTERRUPTED)
    (message,) = desk.shown
    assert "The bot restarted." in content(message)


async def test_a_worker_that_died_after_showing_the_end_leaves_that_end(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(WORKING)
    await reply.finish(answer_of("All of it.\n"), Ending(State.ANSWERED))
    before = content(desk.shown[0])
    ending = await desk.reply(run).recover(INTERRUPTED)
    assert ending.state is State.ANSWERED
    assert content(desk.shown[0]) == before


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_crash_while_the_end_is_posted_still_shows_the_end(desk: Desk, arrived: bool) -> None:
    run = desk.run()
    reply = desk.reply(run)
    saved: list[tuple[list[str], bool, str]] = []

    async def save() -> None:
        saved.append((list(run.reply_ts), run.posting, run.shown))

    reply._record._save = save
    await reply.finish(answer_of("All of it.\n"), Ending(State.ANSWERED))
    # As the record was while the only message was on its way.
    run.reply_ts, run.posting, run.shown = next(each for each in saved if each[1])
    if not arrived:
        desk.workspace.state.delete(desk.shown[0])
    ending = await desk.reply(run).recover(INTERRUPTED)
    (message,) = [m for m in desk.shown if m.ts in run.reply_ts]
    assert ending.state is State.ANSWERED
    assert "All of it." in content(message) and "The bot restarted." not in content(message)


async def test_a_crash_just_after_the_end_was_shown_leaves_that_end(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(WORKING)
    saved: list[str] = []
    shown_when_saved: list[str] = []

    async def save() -> None:
        saved.append(run.shown)
        shown_when_saved.append(content(desk.shown[0]))

    reply._record._save = save
    await reply.finish(answer_of("All of it.\n"), Ending(State.ANSWERED))
    # As the record was while the update was on its way, which arrives or not.
    leaving = next(n for n, shown in enumerate(saved) if "leaving" in shown)
    assert "All of it." not in shown_when_saved[leaving]
    run.shown = saved[leaving]
    ending = await desk.reply(run).recover(INTERRUPTED)
    (message,) = desk.shown
    assert ending.state is State.ANSWERED
    assert "All of it." in content(message) and "The bot restarted." not in content(message)
    assert "leaving" not in saved[-1]


async def test_a_reply_whose_run_failed_unexpectedly_ends_what_it_has_written_itself(desk: Desk) -> None:
    reply = desk.reply(desk.run())
    await reply.open(WORKING)
    await reply.recover(Ending(State.FAILED, "Something went wrong."))
    (message,) = desk.shown
    assert "Something went wrong." in content(message) and "hourglass" not in content(message)


async def test_the_end_is_written_however_long_slack_is_away(desk: Desk) -> None:
    run = desk.run()
    reply = desk.reply(run)
    await reply.open(WORKING)
    desk.workspace.fail_next("chat.update", 300, status=503)
    await reply.finish(answer_of("All of it.\n"), Ending(State.ANSWERED))
    assert "All of it." in content(desk.shown[0]) and "Ask again" in content(desk.shown[0])


# -- as a stream, over HTTP --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cut", ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update", ""]
)
async def test_a_stream_whose_connection_is_cut_after_the_call_was_applied(desk: Desk, cut: str) -> None:
    run = desk.run()
    run.question = replace(run.question, user_team=TEAM_ID)
    if cut:
        desk.workspace.fail_next(cut, 1, reset=True)
    reply = desk.reply(run)
    await reply.open(Progress("starting"))
    (message,) = desk.shown
    assert message.stream and message.stream.is_open and "On it" in content(message)
    writing = asyncio.create_task(reply.keep_writing())
    answer = Answer()
    for word in ("Because\n", "of\n", "a lock.\n"):
        answer.apply(ev.TextMessageContent("m", word), 1.0)
        reply.show(answer, WORKING)
        await appears(desk, word.strip())
    await end(writing)
    await reply.finish(answer, DONE)
    (message,) = desk.shown
    assert run.reply_ts == [message.ts] and message.stream and not message.stream.is_open
    assert "Because\nof\na lock." in (message.blocks or [])[0]["text"] and "Ask again" in content(message)
    assert not any("Because\nBecause" in str(version.blocks) for version in message.versions)
    assert len(desk.workspace.calls_of("chat.startStream")) == 1
    assert not desk.workspace.calls_of("chat.postMessage")
