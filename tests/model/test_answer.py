"""The fold: whatever the order, nothing is lost, states only move forward, and readers see every character."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.call import CallState
from bot.upstream.recorded import read_events

DATA = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "transcripts"

_ids = st.sampled_from(["", "a", "b", "c"])
_agents = st.sampled_from(["", "root", "x", "y"])
_words = st.sampled_from(["", "one ", "two ", "三", "\n", "😀"])
_events: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.RunStarted, _ids, _ids, _ids),
    st.builds(
        ev.TextMessageStart, _ids, st.sampled_from(["assistant", "user", "tool", ""]), _agents, _agents
    ),
    st.builds(ev.TextMessageContent, _ids, _words, _agents, _agents),
    st.builds(ev.TextMessageReplaced, _ids, _words),
    st.builds(ev.TextMessageEnd, _ids),
    st.builds(ev.Activity, _words),
    st.builds(ev.Reasoning, _words),
    st.builds(ev.ToolCallStart, _ids, _words, _agents, _words),
    st.builds(ev.ToolCallArgs, _ids, _words, _agents, _words),
    st.builds(ev.ToolCallEnd, _ids, _agents, _words),
    st.builds(ev.ToolCallChunk, _ids, _words, _agents, _words),
    st.builds(ev.ToolCallResult, _ids, _words, _agents, _words),
    st.builds(ev.StepStarted, _words, _words, _agents, _agents, _ids),
    st.builds(ev.StepFinished, _words, st.sampled_from(["", "completed", "failed"]), _agents),
    st.builds(ev.Source, _words, _ids),
    st.builds(ev.ApprovalAsked, _ids, _ids, _words, _words, _words),
    st.builds(ev.InterruptRaised, _ids, _words, st.just(("a", "b"))),
    st.builds(ev.Usage, st.none() | st.integers(0, 9), _ids, _ids),
    st.builds(ev.RunFinished, _ids),
    st.builds(ev.RunError, _words, _words),
    st.builds(ev.Unknown, _ids),
)


def fold(events: list[ev.Event]) -> Answer:
    answer = Answer()
    for at, event in enumerate(events):
        answer.apply(event, float(at))
    return answer


@given(st.lists(_events, max_size=60))
def test_any_sequence_folds_and_call_states_only_grow(events: list[ev.Event]) -> None:
    answer = Answer()
    states: dict[str, CallState] = {}
    revision = 0
    over = False
    for at, event in enumerate(events):
        answer.apply(event, float(at))
        assert answer.revision > revision
        revision = answer.revision
        over = over or isinstance(event, ev.RunFinished | ev.RunError)
        for call in answer.calls.values():
            assert call.state >= states.get(call.id, CallState.ARGUMENTS)
            states[call.id] = call.state
            assert (call.ended_at is None) == call.is_open
        assert answer.failures == sum(call.state is CallState.FAILED for call in answer.calls.values())
        if over:
            assert answer.activity == ""
        if over and not answer.is_paused:
            assert answer.open_call is None
            assert answer.open_step is None


@given(st.lists(_events, max_size=60), st.data())
def test_a_reader_who_looks_now_and_then_sees_exactly_the_text(
    events: list[ev.Event], data: st.DataObject
) -> None:
    answer = Answer()
    mark, seen = (0, 0), ""
    for at, event in enumerate(events):
        answer.apply(event, float(at))
        if data.draw(st.booleans()):
            new, mark, anew = answer.text_after(mark)
            seen = new if anew else seen + new
            assert seen == answer.text
    new, _, anew = answer.text_after(mark)
    assert (new if anew else seen + new) == answer.text
    assert answer.has_text == bool(answer.text)


@given(st.lists(_events, max_size=60))
def test_text_of_the_root_agent_is_never_lost(events: list[ev.Event]) -> None:
    answer = fold([*events, ev.TextMessageStart("mine"), ev.TextMessageContent("mine", "kept")])
    assert answer.text.endswith("kept")


def _threads() -> list[list[ev.Event]]:
    """What an answer is made of: within each list the order is the service's, between them there is none."""
    return [
        [
            ev.TextMessageContent("m1", "First, "),
            ev.TextMessageContent("m1", "this."),
            ev.TextMessageEnd("m1"),
        ],
        [ev.TextMessageContent("m2", "Then "), ev.TextMessageContent("m2", "that."), ev.TextMessageEnd("m2")],
        [
            ev.TextMessageStart("u", "user"),
            ev.TextMessageContent("u", "the question"),
            ev.TextMessageEnd("u"),
        ],
        [
            ev.ToolCallStart("c1", "das_api", "root"),
            ev.ToolCallArgs("c1", '{"a":'),
            ev.ToolCallArgs("c1", "1}"),
            ev.ToolCallEnd("c1"),
            ev.ToolCallChunk("c1", "par"),
            ev.ToolCallChunk("c1", "tial"),
            ev.ToolCallResult("c1", "whole"),
        ],
        [ev.ToolCallStart("c2", "sql"), ev.ToolCallEnd("c2"), ev.ToolCallResult("c2", error="denied")],
        [ev.StepStarted("s1", "Space", "x", "root", "c1"), ev.StepFinished("s1", "completed", "x")],
        [ev.StepStarted("s2", "Index", "y", "root"), ev.StepFinished("s2", "failed", "y")],
        [
            ev.TextMessageStart("sub", "assistant", "x", "root"),
            ev.TextMessageContent("sub", "not the answer", "x"),
        ],
        [ev.TextMessageContent("sub2", "nor this", "y")],
        [
            ev.ToolCallStart("c3", "inner", "x"),
            ev.ToolCallEnd("c3", "x"),
            ev.ToolCallChunk("c3", "rows", "x"),
        ],
        [ev.Usage(7)],
        [ev.Usage(None, "session", "request")],
    ]


def _picture(answer: Answer) -> object:
    calls = {
        call.id: (call.name, call.agent_id, call.arguments, call.result, call.error, call.state)
        for call in answer.calls.values()
    }
    steps = {(step.name, step.label, step.agent_id, step.status, step.failed) for step in answer.steps}
    return answer.text, calls, steps, answer.usage, answer.finished, answer.error


@given(st.randoms(use_true_random=False))
def test_any_legal_interleaving_gives_the_same_answer(random_: random.Random) -> None:
    # Messages are ordered by their beginning, so those stay where they are.
    events: list[ev.Event] = [ev.TextMessageStart("m1"), ev.TextMessageStart("m2")]
    threads = _threads()
    while threads:
        thread = random_.choice(threads)
        events.append(thread.pop(0))
        if not thread:
            threads.remove(thread)
    straight: list[ev.Event] = [ev.TextMessageStart("m1"), ev.TextMessageStart("m2")]
    expected = fold([*straight, *(event for thread in _threads() for event in thread), ev.RunFinished()])
    assert _picture(fold([*events, ev.RunFinished()])) == _picture(expected)
    assert expected.text == "First, this.\n\nThen that."


def test_a_start_that_comes_late_takes_the_text_out_of_the_answer() -> None:
    answer = fold([ev.TextMessageContent("m", "echo"), ev.TextMessageContent("n", "answer")])
    assert answer.text == "echo\n\nanswer"
    _, mark, _ = answer.text_after((0, 0))
    answer.apply(ev.TextMessageStart("m", "user"), 3.0)
    assert answer.text == "answer"
    new, _, anew = answer.text_after(mark)
    assert (new, anew) == ("answer", True)


def test_a_step_that_begins_late_takes_its_agents_text_out_of_the_answer() -> None:
    answer = fold([ev.TextMessageContent("m", "inside", "x"), ev.StepStarted("s", agent_id="x")])
    assert answer.text == ""


def test_a_reader_touches_only_what_is_new() -> None:
    answer = fold([ev.TextMessageContent("m", "a" * 1000)])
    _, mark, _ = answer.text_after((0, 0))
    answer.apply(ev.TextMessageContent("m", "b"), 1.0)
    new, mark, anew = answer.text_after(mark)
    assert (new, anew) == ("b", False)
    assert answer.text_after(mark)[0] == ""


def test_the_cost_comes_after_the_end() -> None:
    answer = fold([ev.RunFinished(), ev.Usage(42, "s", "r")])
    assert answer.finished and answer.usage == ev.Usage(42, "s", "r")


def test_what_comes_after_the_end_is_kept_but_is_not_at_work() -> None:
    answer = fold(
        [
            ev.ToolCallStart("c", "t"),
            ev.RunFinished(),
            ev.ToolCallResult("c", "late"),
            ev.ToolCallStart("d", "t"),
        ]
    )
    assert answer.calls["c"].state is CallState.DONE and answer.calls["c"].result == "late"
    assert answer.calls["d"].state is CallState.UNFINISHED


def test_an_agent_sent_out_twice_keeps_its_calls_apart() -> None:
    answer = fold(
        [
            ev.StepStarted("s", agent_id="x"),
            ev.ToolCallStart("c1", "t", "x"),
            ev.StepFinished("s", "completed", "x"),
            ev.StepStarted("s", agent_id="x"),
            ev.ToolCallStart("c2", "t", "x"),
            ev.StepFinished("s", "failed", "x"),
        ]
    )
    first, second = answer.steps
    assert [call.id for call in answer.calls_of(first)] == ["c1"]
    assert [call.id for call in answer.calls_of(second)] == ["c2"]
    assert not first.failed and second.failed


_SUB_AGENTS = (DATA / "das_subagents.sse").read_bytes()


async def _chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def _answer(data: bytes, size: int) -> Answer:
    answer = Answer()
    async for event in read_events(_chunks(data, size)):
        answer.apply(event, 0.0)
    return answer


_FILES = [
    path
    for folder in (DATA, SHARED)
    for path in sorted(folder.glob("das_*.sse"))
    if "legacy" not in path.stem
]


@pytest.mark.parametrize("data", [path.read_bytes() for path in _FILES], ids=[path.stem for path in _FILES])
async def test_recorded_streams_fold_alike_in_any_chunks(data: bytes) -> None:
    whole = await _answer(data, 1 << 20)
    assert whole.text or whole.error
    assert (whole.finished or whole.error) and not any(call.is_open for call in whole.calls.values())
    for size in (1, 7, 64):
        assert _picture(await _answer(data, size)) == _picture(whole)


async def test_the_recorded_sub_agents() -> None:
    answer = await _answer(_SUB_AGENTS, 1 << 20)
    assert [step.label for step in answer.steps] == ["Disk space", "Indexes"]
    assert "two things" not in answer.text and "running out of disk?" not in answer.text
    assert answer.calls["c0"].arguments == '{"agent":"space"}'
    assert answer.calls["c1"].agent_id == "agent-space"


settings.register_profile("das-bot", deadline=None)
settings.load_profile("das-bot")


def test_a_message_taken_back_says_what_stands_in_its_place() -> None:
    answer = fold([ev.TextMessageContent("m", "wrong"), ev.TextMessageContent("n", "kept")])
    _, mark, _ = answer.text_after((0, 0))
    answer.apply(ev.TextMessageReplaced("m", "right"), 3.0)
    new, _, anew = answer.text_after(mark)
    assert (new, anew) == ("right\n\nkept", True)
    assert fold([ev.TextMessageReplaced("m", "all of it")]).text == "all of it"
    assert fold([ev.TextMessageContent("m", "x"), ev.TextMessageReplaced("m", "")]).text == ""


def test_names_come_when_the_service_tells_them_and_change_when_it_says_so() -> None:
    answer = fold([ev.RunStarted(), ev.RunStarted("task"), ev.RunStarted("", "conv", "msg")])
    assert (answer.run_id, answer.session_id, answer.message_id) == ("task", "conv", "msg")
    answer.apply(ev.RunStarted("task-2"), 9.0)
    assert (answer.run_id, answer.session_id) == ("task-2", "conv")


def test_sources_are_told_once_and_thinking_is_no_answer() -> None:
    guide = ev.Source("Slow SQL", "https://help.example.com/slow")
    answer = fold([guide, ev.Reasoning("Hm, "), guide, ev.Reasoning("indexes."), ev.Source("Locks")])
    assert answer.sources == [guide, ev.Source("Locks")]
    assert (answer.thinking, answer.text, answer.activity) == ("Hm, indexes.", "", "thinking")


def test_a_run_that_asks_a_person_is_paused_unless_it_failed() -> None:
    assert fold([ev.ApprovalAsked("c")]).is_paused
    assert fold([ev.InterruptRaised("i")]).is_paused
    assert not fold([ev.ApprovalAsked("c"), ev.RunError("Timeout", "")]).is_paused
