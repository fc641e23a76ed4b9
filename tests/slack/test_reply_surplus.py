"""What an answer no longer needs, and what Slack does not let be changed: one true end, and nothing live beside it."""

from __future__ import annotations

import asyncio
import json
from collections import deque

import pytest

from bot.demo.workspace.arguments import Arguments
from bot.demo.workspace.errors import SlackError
from bot.demo.workspace.messages import Message
from bot.demo.workspace.state import State as Workspace
from bot.demo.workspace.web_api import METHODS
from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import Run, State
from bot.slack.budget import Priority
from bot.slack.client import UncertainError
from bot.slack.reply.writer import SlackReply
from tests.bench.ground import Fault, Slack
from tests.bench.virtual import now
from tests.slack.streaming import (
    DONE,
    START,
    STOP,
    UPDATE,
    WORKING,
    Script,
    complete,
    in_virtual_time,
    live,
    markdown,
    squeezed,
    words,
)

DELETE, POST = "chat.delete", "chat.postMessage"
LONG = "This sentence of a long draft will be taken back. " * 340
SHORT = "The short answer that counts.\n"
INTERRUPTED = Ending(State.INTERRUPTED, "The bot restarted.")


def live_parts(message: Message) -> list[str]:
    """What of a message looks as if it went on."""
    shown = json.dumps(message.blocks, ensure_ascii=False) + message.text
    marks = [mark for mark in ("run_stop", "hourglass", "Writing", "Goes on in the next") if mark in shown]
    return [*marks, *(["a stream"] if message.stream and message.stream.is_open else [])]


def shrinking() -> list[tuple[float, ev.Event]]:
    return [*words(LONG, 30, 40), (2.0, ev.TextMessageReplaced("m", SHORT))]


async def shown_by(slack: Slack, run: Run, events: list[tuple[float, ev.Event]]) -> tuple[SlackReply, Answer]:
    """A run whose worker is still at work after these events."""
    reply, answer = slack.reply(run), Answer()
    await reply.open(Progress("starting"))
    writing = asyncio.create_task(reply.keep_writing())
    for pause, event in events:
        await asyncio.sleep(pause)
        answer.apply(event, now())
        reply.show(answer, WORKING)
    await asyncio.sleep(12)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return reply, answer


# -- an answer that shrinks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [True, False])
@in_virtual_time
async def test_a_shorter_answer_takes_its_old_messages_away(streams: bool) -> None:
    slack = Slack()
    run = slack.ask(streams=streams)
    most: list[int] = []
    slack.seen = lambda *_: most.append(len(slack.shown(run)))
    await live(slack, run, shrinking())
    assert max(most) == 3
    complete(slack, run, SHORT)
    assert slack.failed() == [] and slack.count()[DELETE] == 2
    assert "surplus" not in json.loads(run.shown)


@in_virtual_time
async def test_a_sub_agents_words_that_came_before_it_was_known_leave_nothing() -> None:
    slack = Slack()
    run = slack.ask()
    chatter = "A line of what the sub-agent says.\n" * 500
    said = [
        (0.05, ev.TextMessageContent("s", chatter[at : at + 60], "sub-1"))
        for at in range(0, len(chatter), 60)
    ]
    step: Script = [(1.0, ev.StepStarted("x", "X", "sub-1")), (1.0, ev.StepFinished("x", "ok", "sub-1"))]
    await live(slack, run, [*said, *step, *words(SHORT, 1)])
    complete(slack, run, SHORT)


@in_virtual_time
async def test_an_answer_that_grows_back_goes_on_in_its_old_messages() -> None:
    slack = Slack()
    run = slack.ask()
    posted: list[list[str]] = []
    slack.seen = lambda *_: posted.append([message.ts for message in slack.shown(run)])
    again = "And this sentence replaces it, line by line.\n" * 300
    await live(slack, run, [*shrinking(), *words(again, 30, 40)])
    complete(slack, run, SHORT + again, messages=2)
    assert run.reply_ts == max(posted, key=len)[:2]
    assert slack.count()[DELETE] == 1 and slack.failed() == []


@pytest.mark.parametrize("code", ["cant_delete_message", "some_new_code"])
@in_virtual_time
async def test_what_cannot_be_deleted_says_that_it_counts_no_more(code: str) -> None:
    slack = Slack()
    run = slack.ask()
    slack.faults[DELETE].extend([Fault(code)] * 2)
    await live(slack, run, shrinking())
    first, *rest = slack.shown(run)
    assert run.reply_ts == [first.ts] and SHORT.strip() in json.dumps(first.blocks)
    assert [message.text for message in rest] == ["_This part of the answer was replaced._"] * 2
    assert not any(live_parts(message) for message in (first, *rest))


@in_virtual_time
async def test_what_cannot_be_deleted_is_not_taken_for_a_message_of_the_reply_later() -> None:
    slack = Slack()
    run = slack.ask(streams=False)
    slack.faults[DELETE].extend([Fault("cant_delete_message")] * 2)
    await live(slack, run, shrinking())
    assert [number async for _, number in slack.reply(run)._line.written_for(run.id)] == [0]


@pytest.mark.parametrize("fault", [Fault(lost=True), Fault("internal_error"), Fault(retry_after=3.0)])
@in_virtual_time
async def test_a_deletion_of_unknown_fate_is_repeated(fault: Fault) -> None:
    slack = Slack()
    run = slack.ask()
    slack.faults[DELETE].extend([fault] * 9)
    await live(slack, run, shrinking())
    complete(slack, run, SHORT)


@in_virtual_time
async def test_where_an_open_stream_cannot_be_deleted_it_is_stopped_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delete = METHODS[DELETE]

    def strict(state: Workspace, arguments: Arguments) -> dict[str, object]:
        message = state.messages.get(arguments.required("channel"), arguments.required("ts"))
        if message.stream and message.stream.is_open:
            raise SlackError("streaming_state_conflict")
        return delete(state, arguments)

    monkeypatch.setitem(METHODS, DELETE, strict)
    slack = Slack()
    run = slack.ask()
    slack.faults[STOP].extend(
        [Fault(), Fault(), *[Fault("internal_error")] * 3]
    )  # the one of the last message
    await live(slack, run, shrinking())
    complete(slack, run, SHORT)


@in_virtual_time
async def test_a_message_somebody_deleted_meanwhile_is_not_missed() -> None:
    slack = Slack()
    run = slack.ask()
    reply, answer = await shown_by(slack, run, shrinking())
    slack.state.delete(slack.shown(run)[1])
    answer.close(now())
    await reply.finish(answer, DONE)
    complete(slack, run, SHORT)


# -- a crash in the middle of it -------------------------------------------------------------------------------


@pytest.mark.parametrize("edits", [1e9, -1.0])
@in_virtual_time
async def test_a_crash_at_any_save_leaves_one_end_and_nothing_live(
    monkeypatch: pytest.MonkeyPatch, edits: float
) -> None:
    """The worker dies after each of its saves in turn, before whatever it would have written next."""
    window(monkeypatch, edits, "edit_window_closed")
    slack = Slack()
    die_at = 0

    class DeadError(Exception):
        pass

    for die_at in range(1, 400):
        slack = Slack()
        run = slack.ask()
        reply = slack.reply(run)
        kept: list[tuple[list[str], bool, str]] = []

        async def save(
            run: Run = run, kept: list[tuple[list[str], bool, str]] = kept, last: int = die_at
        ) -> None:
            kept.append((list(run.reply_ts), run.posting, run.shown))
            if len(kept) == last:
                raise DeadError

        reply._record._save = save
        answer = Answer()
        try:
            await reply.open(Progress("starting"))
            for event in (ev.TextMessageContent("m", LONG), ev.TextMessageReplaced("m", SHORT)):
                answer.apply(event, now())
                reply.show(answer, WORKING)
                await asyncio.sleep(5)
                await reply._write(Priority.TEXT)
            answer.close(now())
            await reply.finish(answer, DONE)
            break
        except DeadError:
            pass
        run.reply_ts, run.posting, run.shown = kept[-1]
        await slack.reply(run).recover(INTERRUPTED)
        shown = slack.shown(run)
        ends = [message.ts for message in shown if "run_again" in json.dumps(message.blocks)]
        assert len(ends) == 1, die_at
        assert [message.ts for message in shown] == run.reply_ts, die_at
        assert not [live_parts(message) for message in shown[-1:] if live_parts(message)], die_at
    assert die_at > 8
    complete(slack, run, SHORT)


@pytest.mark.parametrize("code", ["edit_window_closed", "message_not_found"])
@in_virtual_time
async def test_a_crash_before_the_end_is_posted_anew_leaves_that_end(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Once the record says how the run ended, nothing that is saved says less."""
    slack = Slack()
    run = slack.ask(streams=False)
    reply, answer = await shown_by(slack, run, [*words(SHORT, 3)])
    saved: list[tuple[list[str], bool, str]] = []

    async def save() -> None:
        saved.append((list(run.reply_ts), run.posting, run.shown))

    reply._record._save = save
    window(monkeypatch, -1.0, code)
    answer.close(now())
    await reply.finish(answer, DONE)
    monkeypatch.undo()
    first = next(n for n, (_, _, shown) in enumerate(saved) if "ended" in json.loads(shown))
    assert len(saved) - first > 2
    for run.reply_ts, run.posting, run.shown in saved[first:]:
        assert json.loads(run.shown).get("ended") == State.ANSWERED
    run.reply_ts, run.posting, run.shown = saved[first + 1]
    assert await slack.reply(run).recover(INTERRUPTED) == Ending(State.ANSWERED)


@in_virtual_time
async def test_nothing_is_taken_away_before_a_dead_workers_answer_is_known() -> None:
    slack = Slack()
    run = slack.ask()
    await shown_by(slack, run, [*words(LONG, 30, 40)])
    before, shown = list(run.reply_ts), run.shown
    reply = slack.reply(run)
    reply.show(Answer(), WORKING)
    await reply._write(Priority.TEXT)
    assert run.reply_ts == before and run.shown == shown
    await reply.recover(INTERRUPTED)
    assert [message.ts for message in slack.shown(run)] == before
    assert "The bot restarted." in json.dumps(slack.shown(run)[-1].blocks)


# -- a message that cannot be changed --------------------------------------------------------------------------


def window(monkeypatch: pytest.MonkeyPatch, seconds: float, code: str) -> None:
    """The workspace lets nobody edit what is older than that."""
    update = METHODS[UPDATE]

    def strict(state: Workspace, arguments: Arguments) -> dict[str, object]:
        if state.clock() - float(arguments.required("ts")) > seconds:
            raise SlackError(code)
        return update(state, arguments)

    monkeypatch.setitem(METHODS, UPDATE, strict)


@pytest.mark.parametrize("code", ["edit_window_closed", "cant_update_message", "some_new_code"])
@pytest.mark.parametrize(("streams", "seconds"), [(True, 90), (False, 300), (True, 400)])
@pytest.mark.parametrize("edits", [60.0, -1.0])
@in_virtual_time
async def test_the_end_is_shown_once_where_edits_are_refused(
    monkeypatch: pytest.MonkeyPatch, code: str, streams: bool, seconds: float, edits: float
) -> None:
    window(monkeypatch, edits, code)
    slack = Slack()
    run = slack.ask(streams=streams)
    most: list[int] = []
    slack.seen = lambda *_: most.append(len(slack.shown(run)))
    text = "The answer grows and grows.\n" * 60
    await live(slack, run, words(text, seconds))
    complete(slack, run, text)
    assert max(most) == 2
    counts = slack.count()
    assert counts[POST] + counts[START] == 2 and counts[DELETE] == 1
    assert len(slack.failed()) <= 3


@in_virtual_time
async def test_a_long_answer_where_edits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    window(monkeypatch, 60.0, "edit_window_closed")
    slack = Slack()
    run = slack.ask(streams=False)
    text = "Line of an answer that takes more than one message.\n" * 320
    await live(slack, run, words(text, 100, 40))
    complete(slack, run, text, messages=3)


@in_virtual_time
async def test_what_lacks_only_its_layout_is_not_posted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    window(monkeypatch, 60.0, "edit_window_closed")
    slack = Slack()
    run = slack.ask(streams=False)
    text = "Line of an answer that takes more than one message.\n" * 320
    await live(slack, run, [*words(text, 30, 40), (100.0, ev.Activity("thinking")), *words("The end.", 1)])
    assert squeezed(markdown(slack, run)) == squeezed(text + "The end.")
    assert slack.count()[DELETE] == 1 and slack.count()[POST] == 4
    assert not any(live_parts(message) for message in slack.shown(run)[2:])


@in_virtual_time
async def test_the_old_message_stays_where_it_can_neither_be_changed_nor_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window(monkeypatch, 60.0, "edit_window_closed")
    slack = Slack()
    run = slack.ask()
    slack.faults[DELETE].append(Fault("cant_delete_message"))
    await live(slack, run, words(SHORT * 40, 90))
    _, new = slack.shown(run)
    assert run.reply_ts == [new.ts] and "run_again" in json.dumps(new.blocks)
    assert slack.count()[POST] == 1


@in_virtual_time
async def test_a_post_of_the_end_whose_fate_is_unknown_is_not_taken_for_the_old_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window(monkeypatch, 60.0, "edit_window_closed")
    slack = Slack()
    run = slack.ask(streams=False)
    reply, answer = await shown_by(slack, run, [*words(SHORT * 40, 90)])
    slack.faults[POST].append(Fault("internal_error"))
    answer.close(now())
    await reply.finish(answer, DONE)
    complete(slack, run, SHORT * 40)
    assert slack.count()[POST] == 3  # the first, the one that did not arrive, and that again


@pytest.mark.parametrize("fault", [Fault(), Fault(lost=True)])
@in_virtual_time
async def test_a_dead_workers_message_that_cannot_be_changed_is_ended_below(
    monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    window(monkeypatch, 60.0, "edit_window_closed")
    slack = Slack()
    run = slack.ask(streams=False)
    await shown_by(slack, run, [*words(SHORT * 40, 30)])
    await asyncio.sleep(60)
    slack.faults[POST].append(fault)
    await slack.reply(run).recover(INTERRUPTED)
    (message,) = slack.shown(run)
    assert run.reply_ts == [message.ts] and not run.posting and not live_parts(message)
    assert SHORT.strip() in message.text and "The bot restarted." in message.text


# -- other refusals of the end ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "method"),
    [
        (["some_new_code"] * 9, UPDATE),
        (["invalid_arguments"], UPDATE),
        (["msg_too_long"] * 9, UPDATE),
        (["invalid_blocks"] * 9, UPDATE),
        (["msg_too_long", "some_new_code", "invalid_blocks"], UPDATE),
    ],
)
@pytest.mark.parametrize("growing", [True, False])
@in_virtual_time
async def test_whatever_is_refused_the_end_is_shown(codes: list[str], method: str, growing: bool) -> None:
    slack = Slack()
    run = slack.ask(streams=False)
    faults = deque(Fault(code) for code in codes)
    if growing:
        slack.faults[method] = faults
    reply, answer = await shown_by(slack, run, [*words(SHORT * 40, 10)])
    if not growing:
        slack.faults[method] = faults
    answer.close(now())
    await reply.finish(answer, DONE)
    (message,) = slack.shown(run)
    assert run.reply_ts == [message.ts] and not live_parts(message)
    assert SHORT.strip() in message.text + json.dumps(message.blocks)


@in_virtual_time
async def test_while_slack_does_not_answer_what_is_to_go_stays_noted() -> None:
    slack = Slack()
    run = slack.ask()
    reply, _ = await shown_by(slack, run, shrinking())
    assert len(json.loads(run.shown)["surplus"]) == 2
    slack.faults[DELETE].extend([Fault("internal_error")] * 6)
    with pytest.raises(UncertainError):
        await reply._surplus.clear(reply._draft.frame())
    assert len(json.loads(run.shown)["surplus"]) == 2
    slack.faults[DELETE].extend([Fault("internal_error")] * 20)
    await slack.reply(run).recover(INTERRUPTED)
    (message,) = slack.shown(run)
    assert not live_parts(message) and "surplus" not in json.loads(run.shown)
