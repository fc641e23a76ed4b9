"""Each row of DAS Chat's frames, and each way a field is known to be written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.model.event import (
    Activity,
    Event,
    InterruptRaised,
    Reasoning,
    RunError,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
    Unknown,
    Usage,
)
from bot.upstream.das_frames import DasFrames


def translate(*frames: dict[str, Any]) -> list[Event]:
    """The events of these frames of one stream."""
    reader = DasFrames()
    return [*(event for frame in frames for event in reader.read(frame)), *reader.rest()]


WHO = {"AgentId": "sub", "ParentAgentId": "root"}
CALL = {"ToolCallId": "c1", "AgentId": "sub"}
PARTS = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]


@pytest.mark.parametrize(
    ("kind", "fields", "events"),
    [
        ("RUN_STARTED", {"RunId": "r"}, [RunStarted("r")]),
        ("RUN_FINISHED", {"RunId": "r"}, [RunFinished("r")]),
        ("RUN_ERROR", {"Code": -5, "Message": "m"}, [RunError("-5", "m")]),
        ("RUN_ERROR", {"Value": {"Code": "X", "Message": "m"}}, [RunError("X", "m")]),
        ("RUN_ERROR", {}, [RunError("", "")]),
        ("TEXT_MESSAGE_START", {"MessageId": "m", "Role": "user"}, [TextMessageStart("m", "user")]),
        ("TEXT_MESSAGE_START", {"MessageId": "m"}, [TextMessageStart("m", "assistant")]),
        ("TEXT_MESSAGE_START", {"MessageId": "m", "Role": "tool", **WHO},
         [TextMessageStart("m", "tool", "sub", "root")]),
        ("TEXT_MESSAGE_CONTENT", {"MessageId": "m", "Delta": "x", **WHO},
         [TextMessageContent("m", "x", "sub", "root")]),
        ("TEXT_MESSAGE_CONTENT", {"MessageId": "m", "Delta": {"text": "x"}}, [TextMessageContent("m", "x")]),
        ("TEXT_MESSAGE_CONTENT", {"MessageId": "m", "Delta": {"type": "text", "Text": "x"}},
         [TextMessageContent("m", "x")]),
        ("TEXT_MESSAGE_CONTENT", {"MessageId": "m", "Delta": {"content": [{"text": "x"}, "y"]}},
         [TextMessageContent("m", "xy")]),
        ("TEXT_MESSAGE_CONTENT", {"MessageId": "m", "Delta": None}, [TextMessageContent("m", "")]),
        ("TEXT_MESSAGE_CONTENT", {"MessageId": "m", "Delta": 5}, [TextMessageContent("m", "5")]),
        ("TEXT_MESSAGE_CONTENT", {"MessageId": "m", "Content": "x"}, [TextMessageContent("m", "x")]),
        ("TEXT_MESSAGE_END", {"MessageId": "m"}, [TextMessageEnd("m")]),
        ("ACTIVITY_DELTA", {"ActivityType": "waiting", "Patch": [{"op": "add"}]}, [Activity("waiting")]),
        ("ACTIVITY_SNAPSHOT", {"ActivityType": "plan", "Content": {"a": 1}}, [Activity("plan")]),
        ("TOOL_CALL_START", {**CALL, "ToolCallName": "das_api"}, [ToolCallStart("c1", "das_api", "sub")]),
        ("TOOL_CALL_START", {"ToolCallId": "c1"}, [ToolCallStart("c1", "")]),
        ("TOOL_CALL_START", {"ToolCallName": "das_api"}, [Unknown("TOOL_CALL_START")]),
        ("TOOL_CALL_ARGS", {**CALL, "Delta": '{"a'}, [ToolCallArgs("c1", '{"a', "sub")]),
        ("TOOL_CALL_ARGS", {**CALL, "Delta": None}, [ToolCallArgs("c1", "", "sub")]),
        ("TOOL_CALL_ARGS", {**CALL, "Delta": {"text": '{"a'}}, [ToolCallArgs("c1", '{"a', "sub")]),
        ("TOOL_CALL_ARGS", {**CALL, "Delta": {"api": "查"}}, [ToolCallArgs("c1", '{"api": "查"}', "sub")]),
        ("TOOL_CALL_END", CALL, [ToolCallEnd("c1", "sub")]),
        ("TOOL_CALL_END", {**CALL, "Result": "r"}, [ToolCallEnd("c1", "sub"), ToolCallResult("c1", "r", "sub")]),
        ("TOOL_CALL_CHUNK", {**CALL, "Chunk": "x"}, [ToolCallChunk("c1", "x", "sub")]),
        ("TOOL_CALL_CHUNK", {**CALL, "Delta": "x"}, [ToolCallChunk("c1", "x", "sub")]),
        ("TOOL_CALL_RESULT", {**CALL, "Content": "r"}, [ToolCallResult("c1", "r", "sub")]),
        ("TOOL_CALL_RESULT", {**CALL, "Content": "", "Delta": "r"}, [ToolCallResult("c1", "r", "sub")]),
        ("TOOL_CALL_RESULT", {**CALL, "Result": {"n": 1}}, [ToolCallResult("c1", '{"n": 1}', "sub")]),
        ("TOOL_CALL_RESULT", {**CALL, "Content": PARTS}, [ToolCallResult("c1", "one two", "sub")]),
        ("TOOL_CALL_RESULT", {**CALL, "Content": [{"n": 1}]}, [ToolCallResult("c1", '[{"n": 1}]', "sub")]),
        ("TOOL_CALL_RESULT", {**CALL, "Content": [{"text": "SELECT", "rows": 3}]},
         [ToolCallResult("c1", '[{"text": "SELECT", "rows": 3}]', "sub")]),
        ("TOOL_CALL_WHATEVER", CALL, [Unknown("TOOL_CALL_WHATEVER")]),
        ("STEP_STARTED",
         {"StepName": "s", "Kind": "task", "Label": "Space", "OriginatingToolCallId": "c1", **WHO},
         [StepStarted("s", "Space", "sub", "root", "c1")]),
        ("STEP_FINISHED", {"StepName": "s", "StepStatus": "failed", **WHO}, [StepFinished("s", "failed", "sub")]),
        ("CUSTOM", {"Name": "summary", "Value": {"CharCount": 9, "SessionId": "s", "RequestId": "q"}},
         [Usage(9, "s", "q")]),
        ("CUSTOM", {"Name": "summary", "Value": '{"CharCount":"9","SessionId":"s"}'}, [Usage(9, "s", "")]),
        ("CUSTOM", {"Name": "summary", "Value": "?"}, [Unknown("CUSTOM summary")]),
        ("CUSTOM", {"Name": "error", "Value": {"Code": -1810006, "Message": "m"}}, [RunError("-1810006", "m")]),
        ("CUSTOM", {"Name": "error", "Value": '{"Code":"X","Message":"m"}'}, [RunError("X", "m")]),
        ("CUSTOM", {"Name": "error", "Value": "plain words"}, [RunError("", "plain words")]),
        ("CUSTOM", {"Name": "other"}, [Unknown("CUSTOM other")]),
        ("REASONING_START", {"MessageId": "m"}, [Reasoning("")]),
        ("REASONING_MESSAGE_CONTENT", {"MessageId": "m", "Delta": "hm"}, [Reasoning("hm")]),
        ("REASONING_MESSAGE_CHUNK", {"Content": "hm"}, [Reasoning("hm")]),
        ("REASONING_END", {"Content": "all of it once more"}, [Reasoning("")]),
        ("REASONING_ENCRYPTED_VALUE", {"Delta": "c2VjcmV0"}, [Reasoning("")]),
        ("THINKING_TEXT_MESSAGE_CONTENT", {"Delta": "hm"}, [Reasoning("hm")]),
        ("TEXT_MESSAGE_CHUNK", {"MessageId": "m", "Role": "assistant", "Delta": "x", **WHO},
         [TextMessageStart("m", "assistant", "sub", "root"), TextMessageContent("m", "x", "sub", "root")]),
        ("TEXT_MESSAGE_CHUNK", {"MessageId": "m", "Delta": "x"}, [TextMessageContent("m", "x")]),
        ("STATE_DELTA", {"Delta": []}, [Unknown("STATE_DELTA")]),
    ],
)  # fmt: skip
def test_rows(kind: str, fields: dict[str, Any], events: list[Event]) -> None:
    assert translate({"Type": kind, **fields}) == events


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("boom", "boom"),
        ({"Message": "boom"}, "boom"),
        ({"a": 1}, '{"a": 1}'),
        (True, "error"),
        (False, ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize("kind", ["START", "ARGS", "END", "CHUNK", "RESULT"])
def test_a_tool_error_may_stand_on_any_tool_frame(kind: str, error: object, text: str) -> None:
    event = translate({"Type": f"TOOL_CALL_{kind}", **CALL, "ToolCallError": error})[0]
    assert not isinstance(event, Unknown)
    assert getattr(event, "error", None) == text


def test_a_chunk_without_an_id_goes_on_with_the_last_one() -> None:
    first = {"Type": "TEXT_MESSAGE_CHUNK", "MessageId": "m", "Role": "user", "Delta": "a"}
    events = translate(first, {"Type": "TEXT_MESSAGE_CHUNK", "Delta": "b"})
    assert events == [
        TextMessageStart("m", "user"),
        TextMessageContent("m", "a"),
        TextMessageContent("m", "b"),
    ]


ASKED = {
    "interruptId": "i1",
    "request": {"message": "Which one?", "options": ["a", {"value": "b", "label": "B"}]},
}
RAISED = InterruptRaised("i1", "Which one?", ("a", "b"))


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        ({"Type": "INTERRUPT", **ASKED}, [RAISED]),
        ({"Type": "CUSTOM", "Name": "interrupt", "Value": ASKED}, [RAISED]),
        ({"Type": "CUSTOM", "Name": "interrupt", "Value": json.dumps(ASKED)}, [RAISED]),
        ({"Type": "CUSTOM", "Name": "x", "Value": [{"deep": {"er": ASKED}}]}, [RAISED]),
        ({"Type": "RUN_FINISHED", "Outcome": {"Interrupts": [ASKED]}}, [RAISED, RunFinished()]),
        ({"Type": "X", "InterruptId": "i1", "Request": {"Question": "?", "Options": []}}, [InterruptRaised("i1", "?")]),
        ({"Type": "X", "interrupt_id": 7, "request": '{"options": [{"title": "t"}, 3, null]}'},
         [InterruptRaised("7", "", ("t", "3"))]),
        ({"Type": "X", "interruptId": "i1", "status": "resolved", "payload": {"value": "a"}}, [Unknown("X")]),
        ({"Type": "X", "interruptId": "", "request": {}}, [Unknown("X")]),
        ({"Type": "TOOL_CALL_RESULT", "ToolCallId": "c", "Content": ASKED},
         [ToolCallResult("c", json.dumps(ASKED))]),
    ],
    ids=["flat", "value", "json", "deep", "finished", "names", "odd-options", "answered", "no-id", "in-a-result"],
)  # fmt: skip
def test_a_question_to_the_person_is_found_in_frames_nobody_documented(
    frame: dict[str, Any], events: list[Event]
) -> None:
    assert translate(frame) == events


def test_endless_nesting_holds_no_question() -> None:
    deep: dict[str, Any] = ASKED
    for _ in range(100):
        deep = {"x": deep}
    assert translate({"Type": "X", "Value": deep}) == [Unknown("X")]


def test_camel_case_is_read_too() -> None:
    assert translate({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"}) == [
        TextMessageContent("m", "x")
    ]


def test_a_frame_without_a_type() -> None:
    assert translate({}) == translate({"Type": None}) == [Unknown("")]


KINDS = [
    "RUN_STARTED", "RUN_ERROR", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TOOL_CALL_START", "TOOL_CALL_END",
    "TOOL_CALL_RESULT", "TOOL_CALL_CHUNK", "STEP_STARTED", "STEP_FINISHED", "CUSTOM", "ACTIVITY_DELTA",
    "TEXT_MESSAGE_CHUNK", "REASONING_MESSAGE_CONTENT", "INTERRUPT", "RUN_FINISHED",
]  # fmt: skip
NAMES = [
    "Delta",
    "Content",
    "Value",
    "Name",
    "MessageId",
    "ToolCallId",
    "ToolCallError",
    "AgentId",
    "Chunk",
    "Code",
    "Role",
    "interruptId",
    "request",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text('ab {"😀', max_size=8)
    | st.sampled_from(["error"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "Code", "x", "interruptId", "request", "options"]), inner)
    ),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), JSON))
def test_never_raises_and_always_says_something(kind: str, fields: dict[str, Any]) -> None:
    assert translate({"Type": kind, **fields})
