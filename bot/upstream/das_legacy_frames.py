"""Translates the frames of GetDasAgentSSE into events; pure.

A frame is {Id, Answer, Event, Metadata{Code, CharCount, ToolName, ToolParams, RequestId}}. It says when a tool
begins, never when it ends or what it found: a call counts as done when the agent goes on.
"""

from __future__ import annotations

import json
from typing import Any

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
from bot.upstream.values import Frame, document, folded, mapping, number, parsed, string, text_of

MESSAGE_ID = "answer"
"""The service has no ids of messages; a run has one."""

CUMULATIVE_FROM = 16
"""Characters so far from which an Answer that begins with all of them is taken for the whole text, not for a
piece: a piece repeats so much by chance hardly ever."""

NO_ERROR = ("", "0", "200", "ok", "success")
"""What Code says when nothing is wrong."""


class LegacyFrames:
    """The frames of one stream."""

    def __init__(self) -> None:
        self._session_id = ""
        self._pieces: list[str] = []
        self._length = 0
        self._calls = 0
        self._open_call: tuple[str, str] | None = None

    def read(self, frame: Frame) -> list[Event]:
        """The events of one frame. Never raises; what cannot be understood is `Unknown`."""
        try:
            return self._read(folded(frame))
        except RecursionError:
            return [Unknown("")]

    def rest(self) -> list[Event]:
        """Nothing: every frame tells all at once."""
        return []

    def _read(self, fields: Frame) -> list[Event]:
        kind = string(fields.get("event"))
        meta = folded(mapping(fields.get("metadata")))
        answer = text_of(fields.get("answer"))
        events = self._named(string(fields.get("id")))
        code = string(meta.get("code")) or string(fields.get("code"))
        if kind.lower() == "error" or (not answer and code.lower() not in NO_ERROR):
            message = answer or string(meta.get("message")) or string(fields.get("message"))
            return [*events, RunError(code, message)]
        if kind.lower() not in ("agent_message", "message", "summary", ""):
            events.append(Unknown(kind))
        events += [*self._tool(meta), *self._text(answer)]
        if kind.lower() == "summary":
            events += self._ended()
            usage = Usage(number(meta.get("charcount")), self._session_id, string(meta.get("requestid")))
            events += [usage, RunFinished()]
        return events

    def _named(self, session_id: str) -> list[Event]:
        if not session_id or session_id == self._session_id:
            return []
        self._session_id = session_id
        return [RunStarted(session_id=session_id)]

    def _text(self, answer: str) -> list[Event]:
        if not answer:
            return []
        delta = answer
        if CUMULATIVE_FROM <= self._length <= len(answer):
            known = "".join(self._pieces)
            self._pieces = [known]
            delta = answer.removeprefix(known)
        if not delta:
            return []
        self._pieces.append(delta)
        self._length += len(delta)
        return [*self._ended(), TextMessageContent(MESSAGE_ID, delta)]

    def _tool(self, meta: Frame) -> list[Event]:
        name = string(meta.get("toolname"))
        if not name:
            return []
        call = (name, _arguments(meta.get("toolparams")))
        if call == self._open_call:
            return []  # The same metadata on a later frame.
        events = self._ended()
        self._open_call = call
        self._calls += 1
        call_id = f"call-{self._calls}"
        return [*events, ToolCallStart(call_id, name), ToolCallArgs(call_id, call[1]), ToolCallEnd(call_id)]

    def _ended(self) -> list[Event]:
        """The agent goes on, so the tool it called has answered."""
        if self._open_call is None:
            return []
        self._open_call = None
        return [ToolCallResult(f"call-{self._calls}")]


def _arguments(value: Any) -> str:
    """ToolParams as JSON text; the single item of the list may itself be a JSON list in a string."""
    value = parsed(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(parsed(value[0]), list | dict):
        value = parsed(value[0])
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else document(value)
