"""Reads what stands inside RDS Copilot's frames: tool calls and documents; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.model.event import (
    Event,
    Source,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from bot.upstream.values import Frame, document, first, folded, parsed, string

FAILED = ("error", "failed", "fail", "failure", "exception", "timeout", "rejected", "canceled", "cancelled")
STARTED = ("start", "started")
RUNNING = ("pending", "running")

NAME_KEYS = ("toolcallname", "toolname", "name")
ID_KEYS = ("toolcallid", "callid", "id")

LINK = re.compile(r"\[([^\]\n]{1,300})\]\((https?://[^\s)]+)\)")
URL = re.compile(r"https?://[^\s<>\"'）】]+")
TITLE_LIMIT = 300
"""Characters of a document's title; what is longer is its text."""
DEPTH = 6
"""Levels of envelopes around documents looked into."""


class ToolCalls:
    """The tool calls of one stream: which were told already, and what is left to tell of them."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._with_arguments: set[str] = set()
        self._finished: dict[str, int] = {}

    def read(self, fields: Frame) -> list[Event] | None:
        """The events of a tool_call frame, None when it names no call."""
        found = parsed(fields.get("answer"))
        listed = found if isinstance(found, list) else [found]
        calls = [folded(call) for call in listed if isinstance(call, dict)]
        named = [call for call in calls if first(call, *NAME_KEYS, *ID_KEYS)]
        return [event for call in named for event in self._call(call)] if named else None

    def waits(self, call_id: str, arguments: str) -> list[Event]:
        """The events of a request for approval: what is asked of a call may be told with it alone."""
        if not arguments or call_id not in self._told or call_id in self._with_arguments:
            return []
        self._with_arguments.add(call_id)
        return [ToolCallArgs(call_id, arguments), ToolCallEnd(call_id)]

    def _call(self, call: Frame) -> list[Event]:
        name, given = string(first(call, *NAME_KEYS)), string(first(call, *ID_KEYS))
        # Without an id a call is the next of its name that has not ended.
        call_id = given or f"{name}-{self._finished.get(name, 0)}"
        events: list[Event] = [] if call_id in self._told else [ToolCallStart(call_id, name)]
        self._told.add(call_id)
        arguments = first(
            call, "arguments", "toolarguments", "toolcallarguments", "args", "parameters", "input"
        )
        if arguments is not None and call_id not in self._with_arguments:
            self._with_arguments.add(call_id)
            events.append(ToolCallArgs(call_id, document(arguments)))
        status = string(first(call, "status", "state")).lower()
        if status in STARTED:
            return events
        if status in RUNNING:
            return [*events, ToolCallEnd(call_id)]
        if not given:
            self._finished[name] = self._finished.get(name, 0) + 1
        content = document(first(call, "response", "result", "output", "content"))
        error = document(first(call, "error", "errormessage"))
        if status in FAILED:
            error = error or content or status
        return [*events, ToolCallResult(call_id, content, error=error)]


def sources(value: Any, depth: int = DEPTH) -> Iterator[Source]:
    """The documents in a value: objects with a title or an address, at any level, or links in a text."""
    value = parsed(value)
    if isinstance(value, str):
        yield from _in_text(value)
    elif isinstance(value, list) and depth:
        for item in value:
            yield from sources(item, depth - 1)
    elif isinstance(value, dict):
        fields = folded(value)
        url = string(first(fields, "url", "link", "href", "sourceurl", "docurl", "documenturl"))
        title = string(first(fields, "title", "name", "doctitle", "docname", "documentname", "filename"))
        if url or title:
            yield Source((title or url)[:TITLE_LIMIT], url)
        elif depth:
            for item in value.values():
                if isinstance(parsed(item), dict | list):
                    yield from sources(item, depth - 1)


def _in_text(text: str) -> Iterator[Source]:
    links = [Source(title, url) for title, url in LINK.findall(text)]
    rest = LINK.sub(" ", text)
    links += [Source(url, url) for url in (found.rstrip(".,;:!?)") for found in URL.findall(rest))]
    if links:
        yield from links
    elif text.strip():
        yield Source(" ".join(text.split())[:TITLE_LIMIT])
