"""Each rule of reading ChatMessages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.model.event import (
    ApprovalAsked,
    Event,
    Reasoning,
    RunError,
    RunFinished,
    RunStarted,
    Source,
    StepFinished,
    StepStarted,
    TextMessageContent,
    TextMessageReplaced,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
    Unknown,
)
from bot.upstream.rds_frames import RdsFrames

NAMES = {"TaskId": "t1", "ConversationId": "c1", "MessageId": "m1"}


def frame(event: str | None, answer: Any = None, **fields: Any) -> dict[str, Any]:
    return {**NAMES, "Event": event, "Answer": answer, **fields}


def read(*frames: dict[str, Any]) -> list[Event]:
    """The events of these frames of one stream, without the names that all of them bear."""
    reader = RdsFrames()
    events = [*(event for each in frames for event in reader.read(each)), *reader.rest()]
    return [event for event in events if event != RunStarted("t1", "c1", "m1")]


def said(text: str) -> TextMessageContent:
    return TextMessageContent("m1", text)


def test_names_are_told_when_known_and_when_they_change() -> None:
    reader = RdsFrames()
    assert reader.read({"Event": "ping", "ConversationId": "c1"}) == [RunStarted("", "c1", "")]
    assert reader.read({"Event": "ping", "TaskId": "t1", "Id": "m1"}) == [RunStarted("t1", "c1", "m1")]
    assert reader.read({"Event": "ping", "MessageId": ""}) == []
    # Id may be of the frame rather than of the message.
    assert reader.read({"Event": "ping", "Id": "other"}) == []
    assert reader.read({"Event": "ping", "ConversationId": "c2"}) == [RunStarted("t1", "c2", "m1")]


def test_all_text_of_a_stream_is_one_message() -> None:
    reader = RdsFrames()
    frames = [
        {"Event": "message", "Answer": "a"},
        frame("message", "b"),
        frame("message", "c", MessageId="m2"),
    ]
    events = [event for each in frames for event in reader.read(each)]
    assert [e for e in events if isinstance(e, TextMessageContent)] == [
        TextMessageContent("answer", letter) for letter in "abc"
    ]


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        (frame("message", "数据"), [said("数据")]),
        (frame("message", ""), []),
        (frame("message"), []),
        (frame(None, "x"), [said("x")]),
        (frame("agent_message", "x"), [said("x")]),
        (frame("message", {"text": "x"}), [said("x")]),
        (frame("message", {"rows": 3}), [said('{"rows": 3}')]),
        (frame("message", 3), [said("3")]),
        ({"event": "message", "answer": "x", "message_id": "m1", "conversation_id": "c1", "task_id": "t1"},
         [said("x")]),
        (frame("message_replace", "new"), [TextMessageReplaced("m1", "new")]),
        (frame("workflow_started"), []),
        (frame("ping"), []),
        (frame("thinking", "hm"), [Reasoning("hm")]),
        (frame("workflow_finished"), [RunFinished("t1")]),
        (frame("finish"), [RunFinished("t1")]),
        (frame("message_end", ""), [RunFinished("t1")]),
        (frame("message_end", "all"), [said("all"), RunFinished("t1")]),
        (frame("error", status=400, code="X", message="m"), [RunError("X", "m")]),
        (frame("error", Status="500", Message="m"), [RunError("HTTP500", "m")]),
        (frame("error", '{"code": "X", "message": "m"}'), [RunError("X", "m")]),
        (frame("error", "plain words"), [RunError("", "plain words")]),
        (frame("error", {"status": "failed"}), [RunError("failed", "")]),
        ({"Code": "Throttling", "Message": "m"}, [RunError("Throttling", "m")]),
        (frame("MysqlIOException"), [RunError("MysqlIOException", "")]),
        (frame("java.lang.NullPointerException", "", Message="m"), [RunError("java.lang.NullPointerException", "m")]),
        (frame("MysqlIOException", "Text."), [Unknown("MysqlIOException"), said("Text.")]),
        (frame("novelty", "Text."), [Unknown("novelty"), said("Text.")]),
        (frame("novelty", '{"a": 1}'), [Unknown("novelty")]),
        (frame("novelty"), [Unknown("novelty")]),
        (frame("doc", '[{"title": "T", "url": "https://a.example/1"}]'), [Source("T", "https://a.example/1")]),
        (frame("doc", ""), [Unknown("doc")]),
    ],
)  # fmt: skip
def test_rows(sent: dict[str, Any], events: list[Event]) -> None:
    assert read(sent) == events


def test_the_end_does_not_repeat_the_text() -> None:
    assert read(frame("message", "a"), frame("message", "b"), frame("message_end", "ab")) == [
        said("a"),
        said("b"),
        RunFinished("t1"),
    ]


def call(status: str, **fields: Any) -> dict[str, Any]:
    return frame("tool_call", json.dumps({"tool_call_name": "Show", "status": status, **fields}))


def test_a_tool_call() -> None:
    assert read(
        call("start", tool_call_id="k"),
        call("pending", tool_call_id="k", arguments={"RegionId": "cn-hangzhou"}),
        call("pending", tool_call_id="k", arguments={"RegionId": "cn-hangzhou"}),
        call("end", tool_call_id="k", response={"n": 2}),
    ) == [
        ToolCallStart("k", "Show"),
        ToolCallArgs("k", '{"RegionId": "cn-hangzhou"}'),
        ToolCallEnd("k"),
        ToolCallEnd("k"),
        ToolCallResult("k", '{"n": 2}'),
    ]


@pytest.mark.parametrize(
    ("last", "result"),
    [
        (call("anything", tool_call_id="k", response="done"), ToolCallResult("k", "done")),
        (call("", tool_call_id="k"), ToolCallResult("k")),
        (call("failed", tool_call_id="k", response="no table"), ToolCallResult("k", "no table", error="no table")),
        (call("error", tool_call_id="k"), ToolCallResult("k", error="error")),
        (call("end", tool_call_id="k", error={"code": "X"}), ToolCallResult("k", error='{"code": "X"}')),
    ],
)  # fmt: skip
def test_how_a_tool_call_ends(last: dict[str, Any], result: ToolCallResult) -> None:
    assert read(call("start", tool_call_id="k"), last)[-1] == result


def test_an_end_alone_is_a_whole_call() -> None:
    assert read(call("end", tool_call_id="k", arguments='{"a": 1}', response="r")) == [
        ToolCallStart("k", "Show"),
        ToolCallArgs("k", '{"a": 1}'),
        ToolCallResult("k", "r"),
    ]


def test_calls_without_ids_are_told_apart_by_their_ends() -> None:
    events = read(call("start"), call("end", response=1), call("start"), call("end", response=2))
    assert [e.call_id for e in events if isinstance(e, ToolCallStart)] == ["Show-0", "Show-1"]
    assert [(e.call_id, e.content) for e in events if isinstance(e, ToolCallResult)] == [
        ("Show-0", "1"),
        ("Show-1", "2"),
    ]


def test_a_call_told_twice_is_told_once() -> None:
    assert read(call("start", tool_call_id="k"), call("start", tool_call_id="k")) == [
        ToolCallStart("k", "Show")
    ]


def test_several_calls_in_one_frame_and_calls_that_are_none() -> None:
    both = [
        {"tool_call_name": "A", "tool_call_id": "a", "status": "start"},
        {"tool_call_id": "b", "status": "start"},
    ]
    assert read(frame("tool_call", both)) == [ToolCallStart("a", "A"), ToolCallStart("b", "")]
    assert read(frame("tool_call", "reading tables")) == [Unknown("tool_call"), Reasoning("reading tables")]


def pending(
    call_id: str, status: str | None = "pending", event: str = "tool_approval", **fields: Any
) -> dict[str, Any]:
    return frame(event, CallId=call_id, RoundId="r", ApprovalStatus=status, ToolName="Modify", **fields)


def test_a_decision_it_waits_for_is_told_at_the_end() -> None:
    asked = pending("k1", ToolArguments={"a": 1}, Description="Set a")
    event = ApprovalAsked("k1", "r", "Modify", '{"a": 1}', "Set a")
    assert read(asked) == read(pending("k1", None, ToolArguments={"a": 1}, Description="Set a")) == [event]
    assert read(asked, frame("workflow_finished")) == [event, RunFinished("t1")]
    assert read(asked, frame("message", "So.")) == [said("So."), event]


def test_what_is_asked_of_a_call_is_told_with_the_request_for_its_approval() -> None:
    started = frame("tool_call", '{"tool_call_name":"Modify","status":"start","tool_call_id":"k1"}')
    asked = pending("k1", ToolArguments={"a": 1})
    start, *told, event = read(started, asked, asked)
    assert start == ToolCallStart("k1", "Modify")
    assert told == [ToolCallArgs("k1", '{"a": 1}'), ToolCallEnd("k1")]
    assert event == ApprovalAsked("k1", "r", "Modify", '{"a": 1}')


def test_what_is_decided_together_is_asked_together() -> None:
    first = pending("k1", ToolArguments={"a": 1}, Description="Set a")
    second = {**pending("k2", Description="Save b"), "ToolName": "Backup"}
    assert read(first, second, pending("k3")) == [
        ApprovalAsked(
            "k1",
            "r",
            "Modify, Backup",
            '[{"tool": "Modify", "arguments": {"a": 1}}, {"tool": "Backup", "arguments": ""},'
            ' {"tool": "Modify", "arguments": ""}]',
            "Set a\nSave b",
        )
    ]


def test_a_decision_made_meanwhile_is_not_waited_for() -> None:
    assert read(pending("k1"), pending("k2"), pending("k1", "approved"), pending("k2", "rejected")) == [
        ToolCallStart("k2", "Modify"),
        ToolCallResult("k2", error="rejected"),
    ]
    assert read(pending("", "rejected")) == []


def test_a_tool_call_in_a_round_is_no_request() -> None:
    ran = {**call("end", tool_call_id="k", response="r"), "CallId": "k", "RoundId": "r"}
    assert read(ran) == [ToolCallStart("k", "Show"), ToolCallResult("k", "r")]


def test_text_beside_a_request_is_kept_when_it_is_a_message() -> None:
    assert read(pending("k", event="message", Answer="May I?")) == [
        said("May I?"),
        ApprovalAsked("k", "r", "Modify"),
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (("sub_task", {"title": "disk", "status": "start"}), ("sub_task", {"title": "disk", "status": "end"})),
        (("subtask", {"task_name": "disk", "status": "running"}), ("subtask", {"task_name": "disk", "status": "end"})),
        (("node_started", {"name": "disk"}), ("node_end", {"name": "disk"})),
    ],
)  # fmt: skip
def test_sub_tasks_are_steps(start: tuple[str, Any], end: tuple[str, Any]) -> None:
    begun = frame(start[0], json.dumps(start[1]))
    assert read(begun, begun, frame(end[0], json.dumps(end[1]))) == [
        StepStarted("disk", "disk"),
        StepFinished("disk", "end"),
    ]


def test_a_sub_task_told_only_when_it_ended_is_a_step_too() -> None:
    done, again = (frame("sub_task", {"title": "disk", "status": status}) for status in ("done", "start"))
    step: list[Event] = [StepStarted("disk", "disk"), StepFinished("disk", "done")]
    assert read(done, done) == step
    assert read(done, again, done) == step * 2


def test_a_sub_task_that_is_only_words_is_thinking() -> None:
    assert read(frame("sub_task", "checking disks")) == [Unknown("sub_task"), Reasoning("checking disks")]


@pytest.mark.parametrize(
    ("answer", "sources"),
    [
        ({"documents": [{"doc_name": "A", "link": "https://a.example"}, {"name": "B"}]},
         [Source("A", "https://a.example"), Source("B")]),
        ([{"url": "https://a.example"}], [Source("https://a.example", "https://a.example")]),
        (["https://a.example/x"], [Source("https://a.example/x", "https://a.example/x")]),
        ("See [A](https://a.example) and https://b.example.", [Source("A", "https://a.example"),
                                                               Source("https://b.example", "https://b.example")]),
        ("Storage   scaling\nguide", [Source("Storage scaling guide")]),
        ([{"title": "A", "content": "…"}, 7, None], [Source("A")]),
    ],
)  # fmt: skip
def test_documents_in_many_shapes(answer: Any, sources: list[Source]) -> None:
    assert read(frame("doc", answer)) == sources
    assert read(frame("doc", answer if isinstance(answer, str) else json.dumps(answer))) == sources
