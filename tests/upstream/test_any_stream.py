"""Whatever a service sends, in whatever pieces: reading never raises out of the fold, and no text is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.model.answer import Answer
from bot.model.event import Event
from bot.upstream.das_frames import DasFrames
from bot.upstream.das_legacy_frames import LegacyFrames
from bot.upstream.errors import UpstreamError
from bot.upstream.rds_frames import RdsFrames
from bot.upstream.reader import EventReader, Frames

Frame = dict[str, Any]

SERVICES: dict[str, Callable[[], Frames]] = {"das": DasFrames, "das-legacy": LegacyFrames, "rds": RdsFrames}


def das_text(piece: str) -> Frame:
    return {"Type": "TEXT_MESSAGE_CONTENT", "MessageId": "m", "Delta": piece}


def legacy_text(piece: str) -> Frame:
    return {"Id": "s", "Answer": piece, "Event": "agent_message", "Metadata": {}}


def rds_text(piece: str) -> Frame:
    return {"Event": "message", "Answer": piece, "MessageId": "m", "TaskId": "t"}


TEXT = {"das": das_text, "das-legacy": legacy_text, "rds": rds_text}

SMALL = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "a", "b", "pending", "start", "error", "{", "[]"])
)
VALUE = st.recursive(
    SMALL,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["text", "Code", "title", "url", "status", "tool_call_name", "tool_call_id", "interruptId",
                             "request", "options", "ToolName", "ToolParams", "CharCount"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)  # fmt: skip
DAS_KINDS = [
    "RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "TOOL_CALL_START",
    "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_CHUNK", "TOOL_CALL_RESULT", "STEP_STARTED", "STEP_FINISHED",
    "CUSTOM", "REASONING_CONTENT", "ACTIVITY_DELTA", "NOVELTY",
]  # fmt: skip
RDS_KINDS = [
    "workflow_started", "tool_call", "doc", "thinking", "sub_task", "node_finished", "workflow_finished", "message_end",
    "ping", "error", "MysqlIOException", "tool_approval", "novelty",
]  # fmt: skip


def beside(name: str) -> st.SearchStrategy[Frame]:
    """A frame that is not text, with anything in its fields."""
    if name == "das":
        fields = [
            "ToolCallId",
            "ToolCallName",
            "Delta",
            "Content",
            "Value",
            "StepName",
            "ToolCallError",
            "RunId",
        ]
        kinds = st.sampled_from(DAS_KINDS).map(lambda kind: {"Type": kind})
    elif name == "das-legacy":
        fields = ["Metadata", "Id"]
        kinds = st.sampled_from(["agent_message", "summary", "novelty", "error", ""]).map(
            lambda kind: {"Event": kind}
        )
    else:
        fields = ["Answer", "CallId", "RoundId", "ApprovalStatus", "ToolArguments", "Code", "TaskId"]
        kinds = st.sampled_from(RDS_KINDS).map(lambda kind: {"Event": kind})
    others = st.dictionaries(st.sampled_from(fields), VALUE | VALUE.map(json.dumps), max_size=4)
    return st.builds(lambda kind, rest: {**rest, **kind}, kinds, others)


NOISE = st.sampled_from(
    [b": hi\n\n", b"event: ping\ndata: {}\n\n", b"data:\n\n", b"data: {oops\n\n", b"data: 7\n\n"]
)


def fold(name: str, chunks: list[bytes]) -> tuple[Answer, list[Event], str]:
    """The answer, the events it was made of, and the code of the error that ended the reading."""
    reader, answer, seen, code = EventReader(SERVICES[name]()), Answer(), list[Event](), ""

    def take(event: Event) -> None:
        seen.append(event)
        answer.apply(event, 0.0)

    try:
        for chunk in chunks:
            for event in reader.feed(chunk):
                take(event)
        for event in reader.close():
            take(event)
    except UpstreamError as error:
        code = error.code
    return answer, seen, code


def wire(frame: Frame) -> bytes:
    return b"data: " + json.dumps(frame).encode() + b"\n\n"


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    """The text cut anywhere, also between the halves of a character."""
    units = text.encode("utf-16-le", "surrogatepass")
    ends = sorted({min(2 * cut, len(units)) for cut in cuts} | {len(units)})
    return [
        units[a:b].decode("utf-16-le", "surrogatepass")
        for a, b in zip([0, *ends], ends, strict=False)
        if a < b
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
@pytest.mark.parametrize("name", SERVICES)
@given(data=st.data())
def test_any_sequence_of_frames_in_any_chunks(name: str, data: st.DataObject) -> None:
    # Words that cannot be mistaken for a repetition of what was said, as a cumulative answer repeats it.
    text = " ".join(f"w{number}数😀" for number in range(data.draw(st.integers(0, 12))))
    ends = sorted(data.draw(st.sets(st.integers(1, max(1, len(text))), max_size=8)) | {len(text)})
    pieces = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    stream = b"\xef\xbb\xbf" if data.draw(st.booleans()) else b""
    for piece in pieces:
        for frame in data.draw(st.lists(beside(name), max_size=2)):
            if name != "das-legacy" or frame.get("Event") != "error":
                stream += wire(frame)
        stream += data.draw(NOISE | st.just(b"")) + wire(TEXT[name](piece))
    for frame in data.draw(st.lists(beside(name), max_size=3)):
        stream += wire(frame)
    if data.draw(st.booleans()):
        stream = stream.replace(b"\n", b"\r\n")
    whole = fold(name, [stream])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert fold(name, chunks)[1:] == whole[1:]
    # Other frames may say something too, but what the text frames said is in it, in their order.
    rest = iter(whole[0].text)
    assert all(character in rest for character in text)


@settings(deadline=None)
@pytest.mark.parametrize("name", SERVICES)
@given(
    text=st.text(st.sampled_from("ab数😀🎉\n"), max_size=15), cuts=st.lists(st.integers(0, 40), max_size=6)
)
def test_text_alone_is_told_exactly(name: str, text: str, cuts: list[int]) -> None:
    stream = b"".join(wire(TEXT[name](piece)) for piece in pieces_of(text, cuts))
    assert fold(name, [stream])[0].text == text


@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("name", SERVICES)
@given(
    st.lists(
        st.binary(max_size=40) | NOISE | st.just(b'data: {"Event":7,"Type":[],"Id":{}}\n\n'), max_size=12
    )
)
def test_any_bytes(name: str, chunks: list[bytes]) -> None:
    whole = fold(name, [b"".join(chunks)])
    assert fold(name, chunks)[1:] == whole[1:]


@pytest.mark.parametrize("name", SERVICES)
def test_deep_nesting_is_survived(name: str) -> None:
    deep = '{"a":' * 50_000 + "1" + "}" * 50_000
    frames = [wire({"Type": "CUSTOM", "Event": kind, "Answer": deep, "Value": deep, "Metadata": deep})
              for kind in ("doc", "tool_call", "agent_message", "sub_task")]  # fmt: skip
    reachable = '{"a":' * 900 + "1" + "}" * 900
    frames.append(
        f'data: {{"Type":"CUSTOM","Event":"doc","Value":{reachable},"Answer":{reachable}}}\n\n'.encode()
    )
    answer, seen, code = fold(name, [*frames, wire(TEXT[name]("end"))])
    assert (answer.text.endswith("end"), code) == (True, "Cut")
    assert seen
