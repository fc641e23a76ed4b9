"""Each rule of reading GetDasAgentSSE."""

from __future__ import annotations

from typing import Any

import pytest

from bot.model.event import (
    Event,
    RunError,
    RunFinished,
    RunStarted,
    TextMessageContent,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
    Unknown,
    Usage,
)
from bot.upstream.das_legacy_frames import CUMULATIVE_FROM, LegacyFrames


def said(answer: Any, event: str = "agent_message", **meta: Any) -> dict[str, Any]:
    return {"Id": "s1", "Answer": answer, "Event": event, "Metadata": meta}


def read(*frames: dict[str, Any]) -> list[Event]:
    """The events, without the first one's name of the session."""
    reader = LegacyFrames()
    events = [event for frame in frames for event in reader.read(frame)]
    assert reader.rest() == []
    return [event for event in events if event != RunStarted(session_id="s1")]


def text(*frames: dict[str, Any]) -> str:
    return "".join(event.delta for event in read(*frames) if isinstance(event, TextMessageContent))


def test_the_id_is_the_session_and_told_once_until_it_changes() -> None:
    reader = LegacyFrames()
    assert reader.read({"Id": "s1"}) == [RunStarted(session_id="s1")]
    assert reader.read({"Id": "s1"}) == reader.read({"Id": ""}) == []
    assert reader.read({"Id": "s2"}) == [RunStarted(session_id="s2")]


def test_answers_are_pieces() -> None:
    assert text(said("It "), said("is "), said(""), said("数据库")) == "It is 数据库"


LONG = "The instance is healthy."


@pytest.mark.parametrize(
    ("answers", "whole"),
    [
        ([LONG, LONG + " CPU", LONG + " CPU 3%"], LONG + " CPU 3%"),
        ([LONG, LONG], LONG),
        (["The inst", "ance is healthy.", LONG + " More."], LONG + " More."),
        (["ha", "haha"], "hahaha"),
        (["x" * (CUMULATIVE_FROM - 1)] * 2, "x" * (2 * CUMULATIVE_FROM - 2)),
        ([LONG, "Another sentence, as long as it."], LONG + "Another sentence, as long as it."),
    ],
    ids=["whole-text-again", "the-same", "pieces-then-whole", "short", "just-too-short", "other-text"],
)
def test_an_answer_that_repeats_all_so_far_is_the_whole_text(answers: list[str], whole: str) -> None:
    assert text(*map(said, answers)) == whole


def test_a_tool_runs_until_the_agent_goes_on() -> None:
    events = read(
        said("", ToolName="InstanceHealth", ToolParams=["--id", "rm-1"]),
        said("", ToolName="InstanceHealth", ToolParams=["--id", "rm-1"]),
        said("", ToolName="SlowLog", ToolParams=[]),
        said("Fine."),
        said("", "summary"),
    )
    assert events == [
        ToolCallStart("call-1", "InstanceHealth"),
        ToolCallArgs("call-1", '["--id", "rm-1"]'),
        ToolCallEnd("call-1"),
        ToolCallResult("call-1"),
        ToolCallStart("call-2", "SlowLog"),
        ToolCallArgs("call-2", "[]"),
        ToolCallEnd("call-2"),
        ToolCallResult("call-2"),
        TextMessageContent("answer", "Fine."),
        Usage(session_id="s1"),
        RunFinished(),
    ]


@pytest.mark.parametrize(
    ("params", "arguments"),
    [
        (["--id", "数"], '["--id", "数"]'),
        (['["--id", "rm-1"]'], '["--id", "rm-1"]'),
        ('["--id"]', '["--id"]'),
        (['{"id": 1}'], '{"id": 1}'),
        (["plain"], '["plain"]'),
        ("plain", "plain"),
        (["[broken"], '["[broken"]'),
        (None, ""),
    ],
)
def test_parameters_may_be_a_list_inside_a_text(params: Any, arguments: str) -> None:
    assert read(said("", ToolName="t", ToolParams=params))[1] == ToolCallArgs("call-1", arguments)


def test_the_summary_is_cost_and_end() -> None:
    assert read(said("", "summary", CharCount="89", RequestId="R")) == [Usage(89, "s1", "R"), RunFinished()]


def test_text_on_the_summary_is_not_lost() -> None:
    assert read(said("Bye.", "summary")) == [
        TextMessageContent("answer", "Bye."),
        Usage(session_id="s1"),
        RunFinished(),
    ]


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        (said("no instance", "error", Code=-1810006), [RunError("-1810006", "no instance")]),
        (said("", "error", Code="X", Message="m"), [RunError("X", "m")]),
        (said("", "error"), [RunError("", "")]),
        (said("", Code="Throttling"), [RunError("Throttling", "")]),
        ({"Id": "s1", "Code": "X", "Message": "m"}, [RunError("X", "m")]),
        (said("", Code=200), []),
        (said("", Code="success"), []),
        (said("Text.", Code="500"), [TextMessageContent("answer", "Text.")]),
    ],
)
def test_a_code_is_an_error_only_with_the_event_or_without_an_answer(
    frame: dict[str, Any], events: list[Event]
) -> None:
    assert read(frame) == events


def test_what_an_unknown_event_says_is_kept() -> None:
    assert read(said("Text.", "novelty")) == [Unknown("novelty"), TextMessageContent("answer", "Text.")]
    assert read(said(None, "novelty")) == [Unknown("novelty")]


def test_metadata_may_be_json_in_a_text_or_missing() -> None:
    assert read({"Id": "s1", "Answer": "", "Event": "summary", "Metadata": '{"CharCount": 3}'})[0] == Usage(
        3, "s1"
    )
    assert read({"Answer": "x"}) == [TextMessageContent("answer", "x")]
