"""Translates one frame of DAS Chat into events; pure.

A frame is a flat object in PascalCase whose `Type` is an AG-UI event name. The service's documentation is
thin, so every field is read with suspicion: a text may be a string, an object or a list of parts, a number
may be a string, a value may be JSON inside a string.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

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

Frame = Mapping[str, Any]

TEXT_KEYS = ("text", "Text", "content", "Content", "value", "Value")
"""Where the text of an object lies, in the order of trust."""


def translate(frame: Frame) -> list[Event]:
    """The events of one frame: usually one, two when a frame both ends a call's arguments and has its result.

    Never raises; what cannot be understood is `Unknown`.
    """
    kind = string(get(frame, "Type"))
    try:
        return _events(kind, frame)
    except RecursionError:
        return [Unknown(kind)]


def _events(kind: str, frame: Frame) -> list[Event]:
    if kind.startswith("TOOL_CALL_"):
        return _tool_call(kind, frame)
    if kind.startswith("REASONING_"):
        return [Reasoning(string(get(frame, "Delta")))]
    if kind.startswith("ACTIVITY_"):
        return [Activity(string(get(frame, "ActivityType")))]
    read = READERS.get(kind)
    return [read(frame) if read else Unknown(kind)]


def get(frame: Frame, name: str) -> Any:
    """A field by its PascalCase name, or in camelCase as some of the services' layers write it."""
    value = frame.get(name)
    return frame.get(name[0].lower() + name[1:]) if value is None else value


def string(value: Any) -> str:
    """The text in a value: itself, the text inside an object, the texts of a list of parts; else nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "".join(string(part) for part in value)
    if isinstance(value, dict):
        return next((string(value[key]) for key in TEXT_KEYS if key in value), "")
    return ""


def document(value: Any) -> str:
    """A tool's arguments or result as text: a string as it is, parts of text joined, all else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    parts = value if isinstance(value, list) else [value]
    if parts and all(_is_text(part) for part in parts):
        return string(value)
    return json.dumps(value, ensure_ascii=False)


def _is_text(part: Any) -> bool:
    """Whether this is a part such as {"type": "text", "text": "…"}, not data that has a field named text."""
    if not isinstance(part, dict):
        return isinstance(part, str)
    fields = {name.lower(): value for name, value in part.items()}
    return isinstance(fields.get("text"), str) and (len(fields) == 1 or fields.get("type") == "text")


def _number(value: Any) -> int | None:
    try:
        return None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _object(value: Any) -> dict[str, Any]:
    """A value that is an object, or JSON of one in a string; anything else is empty."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


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
    inside = _object(get(frame, "Value"))
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
        string(get(frame, "Delta")) or string(get(frame, "Content")),
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
    inside = _object(value)
    if name == "summary" and inside:
        return Usage(
            _number(get(inside, "CharCount")),
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
