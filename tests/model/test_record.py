"""An answer kept as text while it is paused says afterwards what it said before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.call import CallState
from bot.model.record import dump, load

_ids = st.sampled_from(["a", "b", "c"])
_agents = st.sampled_from(["", "root", "x"])
_words = st.sampled_from(["one ", "two ", "三", "\n", "😀"])
_events: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.RunStarted, _ids, _ids, _ids),
    st.builds(ev.TextMessageStart, _ids, st.sampled_from(["assistant", "user", "tool"]), _agents, _agents),
    st.builds(ev.TextMessageContent, _ids, _words, _agents, _agents),
    st.builds(ev.TextMessageReplaced, _ids, _words),
    st.builds(ev.Reasoning, _words),
    st.builds(ev.ToolCallStart, _ids, _words, _agents),
    st.builds(ev.ToolCallArgs, _ids, _words, _agents),
    st.builds(ev.ToolCallEnd, _ids, _agents),
    st.builds(ev.ToolCallChunk, _ids, _words, _agents),
    st.builds(ev.ToolCallResult, _ids, _words, _agents, st.sampled_from(["", "denied"])),
    st.builds(ev.StepStarted, _words, _words, _agents, _agents, _ids),
    st.builds(ev.StepFinished, _words, st.sampled_from(["completed", "failed"]), _agents),
    st.builds(ev.Source, _words, _words),
    st.builds(ev.Usage, st.none() | st.integers(0, 9), _ids, _ids),
)


def fold(events: list[ev.Event]) -> Answer:
    answer = Answer()
    for at, event in enumerate(events):
        answer.apply(event, float(at))
    return answer


def said(answer: Answer) -> tuple[object, ...]:
    calls = {
        call.id: (call.name, call.arguments, call.result, call.error, call.state)
        for call in answer.calls.values()
    }
    names = (answer.run_id, answer.session_id, answer.message_id)
    return answer.text, calls, answer.sources, answer.thinking, names


@given(st.lists(_events, max_size=40))
def test_an_answer_comes_back_as_it_was(events: list[ev.Event]) -> None:
    before = fold(events)
    after = load(dump(before, 100.0), 5.0)
    assert said(after) == said(before)
    assert not after.finished and not after.is_paused
    steps = sorted((step.name, step.label, step.status) for step in before.steps)
    assert sorted((step.name, step.label, step.status) for step in after.steps) == steps


def test_of_two_steps_of_one_agent_the_one_that_ended_has_ended() -> None:
    begun = [ev.StepStarted("first", "", "a"), ev.StepStarted("second", "", "a")]
    before = fold([*begun, ev.StepFinished("second", "completed")])
    after = load(dump(before, 9.0), 9.0)
    assert (
        [step.status for step in after.steps] == [step.status for step in before.steps] == ["", "completed"]
    )


def test_durations_are_kept_on_another_clock() -> None:
    before = fold([ev.ToolCallStart("c", "sql"), ev.ToolCallEnd("c"), ev.ToolCallResult("c", "3 rows")])
    call = load(dump(before, 10.0), 1_000.0).calls["c"]
    assert (call.started_at, call.ended_at) == (990.0, 992.0)


def test_a_call_that_waits_for_a_decision_is_open_again() -> None:
    before = fold([ev.ToolCallStart("c", "kill"), ev.ToolCallEnd("c"), ev.ApprovalAsked("c")])
    before.close(9.0)
    assert before.calls["c"].state is CallState.RUNNING
    after = load(dump(before, 9.0), 9.0)
    assert after.open_call is after.calls["c"]
    after.apply(ev.ToolCallResult("c", "done"), 12.0)
    assert after.calls["c"].state is CallState.DONE


@pytest.mark.parametrize("text", ["", "{", "[1", '[["NoSuchKind", 0, {}]]'])
def test_what_cannot_be_read_is_left_out(text: str) -> None:
    assert load(text, 0.0).text == ""


def test_what_it_cost_is_not_said_again() -> None:
    """It was counted when the run paused; the run that goes on has a cost of its own."""
    assert load(dump(fold([ev.Usage(500, "s", "r")]), 0.0), 0.0).usage is None


def test_what_was_asked_of_a_call_is_not_told_twice() -> None:
    """The service may tell it again when the run goes on."""
    answer = Answer()
    for event in (
        ev.ToolCallStart("c", "Kill"),
        ev.ToolCallArgs("c", '{"id": 7}'),
        ev.ToolCallEnd("c"),
        ev.ToolCallStart("d"),
    ):
        answer.apply(event, 1.0)
    on = load(dump(answer, 1.0), 2.0)
    on.apply(ev.ToolCallArgs("c", '{"id": 7}'), 2.0)
    on.apply(ev.ToolCallArgs("d", "{}"), 2.0)
    assert [call.arguments for call in on.calls.values()] == ['{"id": 7}', "{}"]
