"""Folds: what they show of calls and sub-agents, what they leave out, and when that is attached as a file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import State
from bot.slack.reply.draft import Draft, final_payloads
from tests.judges.panel import judge

DONE, PAUSED = Ending(State.ANSWERED), Ending(State.PAUSED)
PW = "S3cr3t-Hunter2"
BAD = f"password: {PW} <!channel> <@U1> @here"


def draft_of(*events: ev.Event, ending: Ending | None = None, **options: Any) -> Draft:
    draft = Draft("0123456789abcdef" * 2, "en", "RDS Copilot", **options)
    draft.progress = Progress("working")
    for at, event in enumerate(events):
        draft.answer.apply(event, float(at))
    draft.ending = ending
    return draft


def call(number: int, result: str) -> list[ev.Event]:
    name = f"c{number}"
    return [ev.ToolCallStart(name, "sql"), ev.ToolCallResult(name, result)]


@pytest.mark.parametrize("ending", [PAUSED, None])
def test_no_file_is_promised_before_there_is_one(ending: Ending | None) -> None:
    draft = draft_of(*call(1, "x" * 90_000), ending=ending)
    draft.take_in()
    assert 'of 90,000 characters shown"' in json.dumps(draft.payload(0)) and draft.attachments() == []


@pytest.mark.parametrize(
    ("calls", "size", "words"), [(1, 1_600, 2_000), (1, 6_500, 500), (3, 2_000, 200), (7, 600, 100)]
)
def test_ordinary_results_stay_whole_in_their_folds(calls: int, size: int, words: int) -> None:
    made = [event for n in range(calls) for event in call(n, "r" * size)]
    draft = draft_of(*made, ev.TextMessageContent("m", "w " * (words // 2)), ending=DONE)
    (payload,) = final_payloads(draft)
    assert judge(payload) == []
    assert json.dumps(payload).count("r" * size) == calls and "characters shown" not in json.dumps(payload)
    assert draft.attachments() == []


def test_larger_previews_leave_an_answer_in_as_many_messages() -> None:
    words = ev.TextMessageContent("m", "A sentence of the answer.\n" * 140)
    results = [1_500, 6_000]
    counts = [len(final_payloads(draft_of(*call(1, "r" * size), words, ending=DONE))) for size in results]
    assert counts == [1, 1]


def test_what_no_fold_has_room_for_is_said_to_be_cut_and_makes_no_file_while_it_is_little() -> None:
    made = [event for n in range(7) for event in call(n, "r" * 1_200)]
    draft = draft_of(*made, ending=DONE)
    (payload,) = final_payloads(draft)
    assert judge(payload) == []
    assert json.dumps(payload).count('of 1,200 characters shown"') == 7 and draft.attachments() == []


@pytest.mark.parametrize(("calls", "files"), [(40, 0), (140, 1)])
def test_calls_that_are_not_even_named_are_in_a_file(calls: int, files: int) -> None:
    draft = draft_of(*[event for n in range(calls) for event in call(n, "1")], ending=DONE)
    (payload,) = final_payloads(draft)
    assert (" more" in json.dumps(payload)) is bool(files) and len(draft.attachments()) == files


# -- calls summed up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["", "a"])
def test_a_call_that_failed_is_named_with_its_reason_where_calls_are_summed_up(agent: str) -> None:
    step = [ev.StepStarted("s", "Look", agent)] if agent else []
    made: list[ev.Event] = [
        event
        for n in range(300)
        for event in (
            ev.ToolCallStart(f"c{n}", f"tool_{n}", agent),
            ev.ToolCallResult(f"c{n}", "ok", agent, error=f"<{BAD}> lock wait timeout" if n == 250 else ""),
        )
    ]
    (payload,) = final_payloads(draft_of(*step, *made, ending=DONE))
    assert judge(payload) == []
    first = next(block for block in payload["blocks"] if block["type"] == "container")
    lines = next(child for child in first["child_blocks"] if child["type"] == "section")["text"]["text"]
    name, reason = lines.split("\n")[0].split(": ", 1)
    assert (
        name.startswith("✗ tool_250")
        and "lock wait timeout" in reason
        and PW not in lines
        and "<" not in reason
    )


def test_calls_at_work_that_are_summed_up_do_not_look_done() -> None:
    calls: list[ev.Event] = [ev.ToolCallStart(f"c{n}", "sql") for n in range(20)]
    draft = draft_of(*calls)
    draft.take_in()
    payload = draft.payload(0)
    first = next(block for block in payload["blocks"] if block["type"] == "container")
    assert first["title"]["text"].startswith("… 8 earlier")


@pytest.mark.parametrize("agents", [20, 200])
def test_a_look_at_an_answer_that_has_nothing_new_does_not_grow_with_its_calls(
    monkeypatch: pytest.MonkeyPatch, agents: int
) -> None:
    made: list[ev.Event] = []
    for n in range(agents):
        made.append(ev.StepStarted(f"s{n}", f"S{n}", f"a{n}"))
        made += [ev.ToolCallStart(f"c{n}-{k}", "sql", f"a{n}") for k in range(5)]
    draft = draft_of(*made)
    draft.take_in()
    draft.payload(0)
    looked = 0

    def counted(answer: Answer) -> object:
        nonlocal looked
        looked += 1
        return {}

    monkeypatch.setattr(Answer, "_nest", counted)
    monkeypatch.setattr("bot.slack.reply.folds._items", counted)
    draft.answer.apply(ev.TextMessageContent("m", "Words.\n"), 1.0)
    draft.take_in()
    draft.signature(0)
    draft.payload(0)
    assert looked == 0
