"""Translates the frames of DAS Chat into events; pure.

A frame is a flat object in PascalCase whose `Type` is an AG-UI event name.
"""

from __future__ import annotations

from collections.abc import Callable

from bot.model.event import (
    Activity,
    Event,
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
from bot.upstream.interrupts import find_interrupt
from bot.upstream.values import Frame, document, get, mapping, number, string


class DasFrames:
    """The frames of one stream."""

    def __init__(self) -> None:
        self._chunked = ""

    def read(self, frame: Frame) -> list[Event]:
        """The events of one frame: usually one, two when it both ends a call's arguments and has its result.

        Never raises; what cannot be understood is `Unknown`.
        """
        kind = string(get(frame, "Type"))
        try:
            return self._text_chunk(frame) if kind == "TEXT_MESSAGE_CHUNK" else _events(kind, frame)
        except RecursionError:
            return [Unknown(kind)]

    def rest(self) -> list[Event]:
        """Nothing: every frame tells all at once."""
        return []

    def _text_chunk(self, frame: Frame) -> list[Event]:
        """AG-UI's short form of start and content; only the first of a message must name it and its role."""
        self._chunked = string(get(frame, "MessageId")) or self._chunked
        named = {**frame, "MessageId": self._chunked}
        start: list[Event] = [_text_start(named)] if get(frame, "Role") else []
        return [*start, _text_content(named)]


def _events(kind: str, frame: Frame) -> list[Event]:
    if kind.startswith("TOOL_CALL_"):
        return _tool_call(kind, frame)
    if kind.startswith(("REASONING_", "THINKING_")):
        return [Reasoning(_text(frame) if kind.endswith(("_CONTENT", "_CHUNK")) else "")]
    if kind.startswith("ACTIVITY_"):
        return [Activity(string(get(frame, "ActivityType")))]
    read = READERS.get(kind)
    event = read(frame) if read else Unknown(kind)
    if isinstance(event, Unknown | RunFinished) and (interrupt := find_interrupt(frame)):
        return [interrupt, event] if isinstance(event, RunFinished) else [interrupt]
    return [event]


def _text(frame: Frame) -> str:
    return string(get(frame, "Delta")) or string(get(frame, "Content"))


def _failure(frame: Frame) -> str:
    """The text of ToolCallError, which may be a text, an object, or a bare flag."""
    error = get(frame, "ToolCallError")
    if not error:
        return ""
    if error is True:
        return "error"
    message = string(get(error, "Message")) if isinstance(error, dict) else ""
    return message or document(error)


def _result(frame: Frame) -> str:
    texts = (document(get(frame, name)) for name in ("Content", "Result", "Delta"))
    return next((text for text in texts if text), "")


def _tool_call(kind: str, frame: Frame) -> list[Event]:
    call_id = string(get(frame, "ToolCallId"))
    if not call_id:
        return [Unknown(kind)]
    agent_id, error = string(get(frame, "AgentId")), _failure(frame)
    match kind:
        case "TOOL_CALL_START":
            return [ToolCallStart(call_id, string(get(frame, "ToolCallName")), agent_id, error)]
        case "TOOL_CALL_ARGS":
            return [ToolCallArgs(call_id, document(get(frame, "Delta")), agent_id, error)]
        case "TOOL_CALL_CHUNK":
            piece = get(frame, "Chunk")
            return [
                ToolCallChunk(
                    call_id, document(get(frame, "Delta") if piece is None else piece), agent_id, error
                )
            ]
        case "TOOL_CALL_END":
            end = ToolCallEnd(call_id, agent_id, error)
            result = _result(frame)
            return [end, ToolCallResult(call_id, result, agent_id, error)] if result else [end]
        case "TOOL_CALL_RESULT":
            return [ToolCallResult(call_id, _result(frame), agent_id, error)]
        case _:
            return [Unknown(kind)]


def _run_started(frame: Frame) -> Event:
    return RunStarted(string(get(frame, "RunId")))


def _run_finished(frame: Frame) -> Event:
    return RunFinished(string(get(frame, "RunId")))


def _run_error(frame: Frame) -> Event:
    inside = mapping(get(frame, "Value"))
    code = string(get(frame, "Code")) or string(get(inside, "Code"))
    return RunError(code, string(get(frame, "Message")) or string(get(inside, "Message")))


def _text_start(frame: Frame) -> Event:
    return TextMessageStart(
        string(get(frame, "MessageId")),
        string(get(frame, "Role")).lower() or "assistant",
        string(get(frame, "AgentId")),
        string(get(frame, "ParentAgentId")),
    )


def _text_content(frame: Frame) -> Event:
    return TextMessageContent(
        string(get(frame, "MessageId")),
        _text(frame),
        string(get(frame, "AgentId")),
        string(get(frame, "ParentAgentId")),
    )


def _text_end(frame: Frame) -> Event:
    return TextMessageEnd(string(get(frame, "MessageId")))


def _step_started(frame: Frame) -> Event:
    return StepStarted(
        string(get(frame, "StepName")),
        string(get(frame, "Label")),
        string(get(frame, "AgentId")),
        string(get(frame, "ParentAgentId")),
        string(get(frame, "OriginatingToolCallId")),
    )


def _step_finished(frame: Frame) -> Event:
    return StepFinished(
        string(get(frame, "StepName")), string(get(frame, "StepStatus")), string(get(frame, "AgentId"))
    )


def _custom(frame: Frame) -> Event:
    name, value = string(get(frame, "Name")), get(frame, "Value")
    inside = mapping(value)
    if name == "summary" and inside:
        return Usage(
            number(get(inside, "CharCount")),
            string(get(inside, "SessionId")),
            string(get(inside, "RequestId")),
        )
    if name == "error":
        # An error that cannot be parsed is still the end of the run.
        return RunError(string(get(inside, "Code")), string(get(inside, "Message")) or document(value))
    return Unknown(f"CUSTOM {name}".strip())


READERS: dict[str, Callable[[Frame], Event]] = {
    "RUN_STARTED": _run_started,
    "RUN_FINISHED": _run_finished,
    "RUN_ERROR": _run_error,
    "TEXT_MESSAGE_START": _text_start,
    "TEXT_MESSAGE_CONTENT": _text_content,
    "TEXT_MESSAGE_END": _text_end,
    "STEP_STARTED": _step_started,
    "STEP_FINISHED": _step_finished,
    "CUSTOM": _custom,
}
