"""A reply as a stream, from the first sign to the end: in virtual time, by the strict workspace's rules and rates."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import Run, State
from bot.slack.refusals import OwnMemory, Refusals
from tests.bench.ground import OPS, Fault, Slack
from tests.bench.virtual import now
from tests.slack.streaming import (
    APPEND,
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
    streamed,
    tool,
    words,
)

TEXT = "The lock on `orders` is held by **4711**; see the [docs](https://help.example.com).\n\n" * 12


@in_virtual_time
async def test_one_message_from_the_first_sign_to_the_final_layout() -> None:
    slack = Slack()
    run = slack.ask()
    await live(slack, run, [*words(TEXT, 20)])
    complete(slack, run, TEXT)
    assert slack.failed() == []
    counts = slack.count()
    assert (counts[START], counts[STOP], counts[UPDATE], counts["chat.postMessage"]) == (1, 1, 1, 0)
    assert [call.method for call in slack.calls][-2:] == [STOP, UPDATE]
    assert 25 < counts[APPEND] < 80
    assert TEXT.startswith(streamed(slack, run)[:100]) and squeezed(streamed(slack, run)) == squeezed(TEXT)
    arguments = slack.calls[0].arguments
    assert (arguments["recipient_user_id"], arguments["recipient_team_id"]) == (
        run.question.user,
        run.question.user_team,
    )
    assert "markdown_text" not in arguments and "On it" in json.dumps(arguments["chunks"])


@in_virtual_time
async def test_a_card_says_what_a_call_does_and_is_done_at_its_result() -> None:
    slack = Slack()
    run = slack.ask()
    states: list[tuple[float, str, str]] = []

    def look(method: str, _: dict[str, Any]) -> None:
        for message in slack.shown(run):
            if message.stream and message.stream.is_open:
                states.extend((now(), task.title, task.status) for task in message.stream.content.tasks)

    slack.seen = look
    began = now()
    await live(slack, run, [*tool("slow", 6), *tool("bad", 3, "no such instance"), *words(TEXT, 5)])
    complete(slack, run, TEXT)
    slow = [(at - began, title, status) for at, title, status in states if "Getslow" in title]
    assert {status for at, _, status in slow if at < 6} == {"in_progress"}
    assert {status for at, _, status in slow if at > 8} == {"complete"}
    assert any(title.endswith(" s") for _, title, _ in slow)
    assert {status for at, title, status in states if "Getbad" in title and at - began > 11} == {"error"}
    sent = [c for call in slack.calls if call.method == APPEND for c in call.arguments["chunks"]]
    assert sum("no such instance" in str(chunk) for chunk in sent) == 1  # output is appended, never replaced
    assert slack.failed() == []


@in_virtual_time
async def test_a_long_silence_is_told_once_a_minute() -> None:
    slack = Slack()
    run = slack.ask()
    titles: list[str] = []

    def look(method: str, _: dict[str, Any]) -> None:
        for message in slack.shown(run):
            if message.stream and message.stream.content.plan_title not in titles:
                titles.append(message.stream.content.plan_title)

    slack.seen = look
    await live(slack, run, [*tool("slow", 200), *words(TEXT, 5)])
    told = [title for title in titles if "still working" in title]
    assert told == [f"Calling das_api · Getslow · still working, {minutes} min" for minutes in (1, 2, 3)]
    # Each costs one call, and there are no others in the silence but the one that says what is called.
    assert slack.count()[APPEND] < 20
    complete(slack, run, TEXT)


@in_virtual_time
async def test_thirty_thousand_chinese_characters_are_all_there() -> None:
    slack = Slack()
    run = slack.ask()
    text = "".join(
        f"第{n}行：慢日志显示该实例的锁等待时间过长，建议为订单表的状态列添加索引。\n\n" for n in range(790)
    )
    assert len(text) > 30_000
    await live(slack, run, [*words(text, 240, 20)])
    complete(slack, run, text, messages=len(run.reply_ts))
    assert len(run.reply_ts) == slack.count()[START] + slack.count()["chat.postMessage"]
    assert slack.failed() == []


@in_virtual_time
async def test_three_hundred_tool_calls() -> None:
    slack = Slack()
    run = slack.ask()
    calls = [each for n in range(300) for each in tool(f"c{n}", 0.4)]
    await live(slack, run, [*calls, *words(TEXT, 5)])
    complete(slack, run, TEXT)
    assert slack.failed() == []
    last = json.dumps(slack.shown(run)[0].blocks)
    assert "Getc299" in last and "earlier tool calls" in last
    assert slack.state.files and "Getc0" in next(iter(slack.uploaded.values())).decode()


@in_virtual_time
async def test_an_answer_of_twelve_minutes_outlives_its_stream() -> None:
    slack = Slack()
    run = slack.ask()
    text = TEXT * 5
    grows: list[float] = []
    slack.seen = lambda method, _: grows.append(now())
    await live(slack, run, [*words(text, 720, 4)])
    complete(slack, run, text)
    assert slack.failed() == []
    stopped = next(call.at for call in slack.calls if call.method == STOP)
    assert 190 < stopped - slack.calls[0].at < 242
    assert max(after - before for before, after in itertools.pairwise(grows)) < 8
    assert slack.count()[STOP] == 1


@pytest.mark.parametrize("signs", [0.3, 1_000.0])
@in_virtual_time
async def test_a_long_silence_does_not_outlast_the_stream(signs: float) -> None:
    slack = Slack()
    run = slack.ask()
    silence = [(signs, ev.Activity("thinking"))] * int(1_000 / signs)
    await live(slack, run, [*words(TEXT, 10), *silence, *words("The end.", 1)])
    complete(slack, run, TEXT + "The end.")
    assert slack.failed() == []
    assert 190 < next(call.at for call in slack.calls if call.method == STOP) - slack.calls[0].at < 255


@pytest.mark.parametrize("method", [APPEND, UPDATE, START, STOP])
@in_virtual_time
async def test_a_storm_of_429(method: str) -> None:
    slack = Slack()
    run = slack.ask()
    slack.faults[method].extend([Fault(retry_after=4.0)] * 8)
    await live(slack, run, [*tool("slow", 2), *words(TEXT, 30)])
    complete(slack, run, TEXT)
    assert {call.result for call in slack.failed()} == {"ratelimited"}
    refused = [call for call in slack.calls if call.method == method]
    for before, after in itertools.pairwise(refused):
        if before.result == "ratelimited":
            assert after.at - before.at >= 4.0 - 0.14


@pytest.mark.parametrize("nth", [0, 1, 3])
@pytest.mark.parametrize("method", [START, APPEND, STOP, UPDATE])
@in_virtual_time
async def test_an_answer_lost_after_the_call_was_carried_out(method: str, nth: int) -> None:
    slack = Slack()
    run = slack.ask()
    slack.faults[method].extend([*[Fault()] * nth, Fault(lost=True)])
    await live(slack, run, [*tool("slow", 2), *words(TEXT, 20)])
    complete(slack, run, TEXT)
    sent = streamed(slack, run)
    assert squeezed(TEXT).startswith(squeezed(sent))  # nothing was added twice
    assert {call.result for call in slack.failed()} <= {"lost", "message_not_in_streaming_state"}
    assert slack.count()[START] == 1 and slack.count()["chat.postMessage"] == 0


@in_virtual_time
async def test_an_answer_lost_to_a_post_is_looked_up() -> None:
    slack = Slack()
    run = slack.ask(streams=False)
    slack.faults["chat.postMessage"].append(Fault(lost=True))
    await live(slack, run, [*words(TEXT, 10)])
    complete(slack, run, TEXT)
    assert slack.count()["chat.postMessage"] == 1 and slack.count()[START] == 0


@pytest.mark.parametrize("lost", [APPEND, STOP])
@pytest.mark.parametrize(
    "code",
    [
        "message_not_in_streaming_state",
        "msg_too_long",
        "streaming_mode_mismatch",
        "streaming_state_conflict",
        "invalid_chunks",
        "internal_error",
    ],
)
@in_virtual_time
async def test_what_a_stream_refuses_is_written_as_an_update(code: str, lost: str) -> None:
    slack = Slack()
    run = slack.ask()
    slack.faults[lost].extend([*[Fault()] * 3 * (lost == APPEND), Fault(error=code)])
    await live(slack, run, [*tool("slow", 2), *words(TEXT, 20)])
    complete(slack, run, TEXT)
    assert squeezed(TEXT).startswith(squeezed(streamed(slack, run)))
    assert len(slack.failed()) <= 3


@in_virtual_time
async def test_a_stream_that_ended_by_itself_is_gone_on_with() -> None:
    slack = Slack()
    run = slack.ask()

    async def end_it() -> None:
        await asyncio.sleep(7)
        (message,) = slack.shown(run)
        assert message.stream
        message.stream.end("expired")

    ending = asyncio.create_task(end_it())
    await live(slack, run, [*words(TEXT, 20)])
    await ending
    complete(slack, run, TEXT)
    assert [call.result for call in slack.failed()] == ["message_not_in_streaming_state"]


@in_virtual_time
async def test_a_stream_that_cannot_be_stopped_is_updated_when_it_has_expired() -> None:
    slack = Slack()
    run = slack.ask()
    slack.faults[STOP].extend([Fault(error="msg_too_long")] * 1_000)
    await live(slack, run, [*words(TEXT, 20)])
    complete(slack, run, TEXT)
    assert now() - slack.calls[0].at < 320


async def pressed(slack: Slack, run: Run, after: float) -> None:
    """Somebody presses Slack's own Stop."""
    await asyncio.sleep(after)
    (message,) = slack.shown(run)
    assert message.stream
    message.stream.end("stopped_by_user")


@in_virtual_time
async def test_stopped_by_a_person_is_final() -> None:
    slack = Slack()
    run = slack.ask()
    pressing = asyncio.create_task(pressed(slack, run, 5))
    began = now()
    await live(slack, run, [*words(TEXT, 20)][:60])  # the intake hears who it was and ends the run
    await pressing
    complete(slack, run, TEXT[: 60 * 8])
    after = [call.method for call in slack.calls if call.at - began > 5.6]
    assert after.count(APPEND) == 0 and after.count("chat.postMessage") == 0 and after.count(UPDATE) == 1


@in_virtual_time
async def test_a_run_that_goes_on_after_such_a_stop_goes_on_in_its_message() -> None:
    slack = Slack()
    run = slack.ask()
    pressing = asyncio.create_task(pressed(slack, run, 5))
    began = now()
    await live(slack, run, [*words(TEXT, 40)])  # whoever pressed may not stop it
    await pressing
    complete(slack, run, TEXT)
    after = [(call.at - began, call.method) for call in slack.calls if call.at - began > 5.6]
    assert {method for _, method in after} == {UPDATE} and 19 < after[0][0] < 22


@pytest.mark.parametrize(
    ("code", "again_after"), [("missing_scope", 6 * 3600), ("some_new_code", 600), ("internal_error", 0)]
)
@in_virtual_time
async def test_a_refused_stream_costs_one_call_and_is_remembered(code: str, again_after: float) -> None:
    slack = Slack()
    slack.refusals = Refusals(OwnMemory(now))
    slack.faults[START].append(Fault(error=code))
    run = slack.ask(1)
    await live(slack, run, [*words(TEXT, 5)])
    complete(slack, run, TEXT)
    assert slack.count()[START] == 1 and slack.count()["chat.postMessage"] == 1
    for wait, starts in ((again_after - 30, 1 if again_after else 2), (60, 2 if again_after else 3)):
        await asyncio.sleep(max(0.0, wait))
        run = slack.ask(starts)
        await live(slack, run, [*words(TEXT, 5)])
        complete(slack, run, TEXT)
        assert slack.count()[START] == starts


@pytest.mark.parametrize("code", ["team_not_found", "channel_not_found"])
@in_virtual_time
async def test_what_concerns_one_question_is_not_remembered(code: str) -> None:
    slack = Slack()
    slack.faults[START].append(Fault(error=code))
    await live(slack, slack.ask(1), [*words(TEXT, 5)])
    await live(slack, slack.ask(2), [*words(TEXT, 5)])
    assert slack.count()[START] == 2


@in_virtual_time
async def test_where_streams_take_no_buttons_they_go_on_without() -> None:
    slack = Slack()
    slack.faults[START].append(Fault(error="invalid_blocks"))
    for n in range(3):
        run = slack.ask(n)
        await live(slack, run, [*words(TEXT, 5)])
        complete(slack, run, TEXT)
    starts = [call for call in slack.calls if call.method == START]
    assert [call.result for call in starts] == ["invalid_blocks", "ok", "ok"]
    assert ["run_stop" in json.dumps(call.arguments) for call in starts] == [True, False, False]


@in_virtual_time
async def test_refused_containers_are_remembered_and_streams_go_on() -> None:
    slack = Slack()
    slack.state.refused_blocks = {"container"}
    first, second = slack.ask(1), slack.ask(2)
    for run in (first, second):
        await live(slack, run, [*tool("slow", 1), *words(TEXT, 5)])
        complete(slack, run, TEXT)
        assert "plan" in [block["type"] for block in slack.shown(run)[0].blocks or []]
    assert [call.result for call in slack.failed()] == ["invalid_blocks"]


@in_virtual_time
async def test_who_is_not_known_well_enough_gets_no_stream() -> None:
    slack = Slack()
    run = slack.ask(streams=False)
    await live(slack, run, [*words(TEXT, 5)])
    complete(slack, run, TEXT)
    assert slack.count()[START] == 0 and slack.failed() == []


@in_virtual_time
async def test_what_a_dead_worker_left_streaming_is_ended_in_place() -> None:
    slack = Slack()
    run = slack.ask()
    reply, answer = slack.reply(run), Answer()
    await reply.open(Progress("starting"))
    writing = asyncio.create_task(reply.keep_writing())
    answer.apply(ev.TextMessageContent("m", "What had come.\n"), now())
    reply.show(answer, WORKING)
    await asyncio.sleep(3)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await slack.reply(run).recover(Ending(State.INTERRUPTED, "The bot restarted."))
    (message,) = slack.shown(run)
    assert message.stream and not message.stream.is_open
    assert "What had come." in json.dumps(message.blocks) and "The bot restarted." in json.dumps(
        message.blocks
    )
    assert "run_stop" not in json.dumps(message.blocks)


@in_virtual_time
async def test_a_start_under_way_at_the_crash_is_found() -> None:
    slack = Slack()
    run = slack.ask()
    await slack.reply(run).open(Progress("starting"))
    run.reply_ts, run.posting = [], True  # as the record was before Slack's answer
    await slack.reply(run).recover(Ending(State.INTERRUPTED, "The bot restarted."))
    (message,) = slack.shown(run)
    assert run.reply_ts == [message.ts] and "The bot restarted." in json.dumps(message.blocks)


@in_virtual_time
async def test_nothing_dangerous_is_streamed_not_even_half_of_it() -> None:
    slack = Slack()
    run = slack.ask()
    key = "LTAI" + "5tQnXyZaBcDeFgHiJkLm"
    text = f"Ask <!channel> or <@U0BEN00001>: `{key}` and [x](javascript:alert(1)) 密钥。\n" * 5
    await live(slack, run, [*words(text, 10, 1)])
    sent = "".join(json.dumps(call.arguments, ensure_ascii=False) for call in slack.calls)
    for danger in ("<!channel", "<@U0BEN", "](javascript:", key[:12]):
        assert danger not in sent
    assert slack.failed() == []


@in_virtual_time
async def test_twenty_at_once_share_both_budgets_without_a_refusal() -> None:
    slack = Slack()
    runs = [slack.ask(n) for n in range(20)]

    async def one(n: int) -> None:
        await asyncio.sleep(n * 0.3)
        await live(slack, runs[n], [(2.0, ev.Activity("thinking")), *tool("slow", 2), *words(TEXT, 40)])

    await asyncio.gather(*(one(n) for n in range(20)))
    for run in runs[::6]:
        complete(slack, run, TEXT)
    assert all(
        squeezed(markdown(slack, run)) == squeezed(TEXT) and len(slack.shown(run)) == 1 for run in runs
    )
    assert slack.failed() == []
    counts = slack.count()
    assert counts[START] >= 8 and counts["chat.postMessage"] >= 5
    assert counts[APPEND] > 60 and counts[UPDATE] > 30


@in_virtual_time
async def test_a_reply_leaves_a_lane_that_slack_closed() -> None:
    slack = Slack()
    run = slack.ask()

    async def close() -> None:
        await asyncio.sleep(5)
        await slack.budget.refused(APPEND, "", 120.0)

    closing = asyncio.create_task(close())
    grows: list[float] = []
    slack.seen = lambda method, _: grows.append(now())
    await live(slack, run, [*words(TEXT, 40)])
    await closing
    complete(slack, run, TEXT)
    assert max(after - before for before, after in itertools.pairwise(grows)) < 6
    assert slack.count()[STOP] == 1 and slack.failed() == []


@in_virtual_time
async def test_files_are_attached_once_and_a_failure_spoils_nothing() -> None:
    slack = Slack()
    run = slack.ask()
    calls = [each for n in range(40) for each in tool(f"c{n}", 0.2)]
    slack.faults["files.completeUploadExternal"].append(Fault(error="file_type_not_allowed"))
    reply = await live(slack, run, [*calls, *words(TEXT, 5)])
    complete(slack, run, TEXT)
    await reply._attach()
    assert slack.count()["files.completeUploadExternal"] == 1


@pytest.mark.parametrize(
    ("method", "fault", "told"),
    [
        ("files.completeUploadExternal", Fault(), True),
        ("files.completeUploadExternal", Fault(lost=True), True),
        ("files.completeUploadExternal", Fault("file_type_not_allowed"), False),
        ("files.getUploadURLExternal", Fault("missing_scope"), False),
    ],
)
@in_virtual_time
async def test_a_fold_names_a_file_only_where_there_is_one(method: str, fault: Fault, told: bool) -> None:
    slack = Slack()
    run = slack.ask()
    slack.faults[method].append(fault)
    large: Script = [(0.1, ev.ToolCallStart("c", "sql")), (1.0, ev.ToolCallResult("c", "row " * 9_000))]
    await live(slack, run, [*large, *words(TEXT, 5)])
    complete(slack, run, TEXT)
    shown = json.dumps(slack.shown(run)[0].blocks)
    assert "of 36,000 characters shown" in shown and ("in the file below" in shown) is told
    assert (
        any(message.files for message in slack.state.messages.thread(OPS, run.question.thread.thread_ts))
        is told
    )


@in_virtual_time
async def test_the_last_words_do_not_wait_for_the_stop_of_others() -> None:
    slack = Slack()
    run = slack.ask()
    lane = slack.budget._queue(STOP, "").lane
    lane.arrival = now() + lane.burst + 10
    reply, answer = slack.reply(run), Answer()
    await reply.open(Progress("starting"))
    answer.apply(ev.TextMessageContent("m", "The end.\n"), now())
    answer.close(now())
    seen: list[float] = []
    slack.seen = lambda method, _: seen.append(now()) if method == APPEND else None
    began = now()
    await reply.finish(answer, DONE)
    assert seen and seen[0] - began < 0.3
    complete(slack, run, "The end.")
