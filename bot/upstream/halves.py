"""Makes the text of events whole: a character outside the basic plane may come as two halves in two frames.

JSON may escape such a character as a surrogate pair, and a service that cuts text into pieces may cut between
the two. A half alone can be written neither to Redis nor to Slack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from bot.model.event import (
    Event,
    Reasoning,
    TextMessageContent,
    TextMessageReplaced,
    ToolCallArgs,
    ToolCallChunk,
)

LOST = "\ufffd"
_HALF = re.compile("[\ud800-\udfff]")

_Piece = TextMessageContent | Reasoning | ToolCallArgs | ToolCallChunk


class Halves:
    """Keeps back a first half until the next piece of the same text brings the second."""

    def __init__(self) -> None:
        self._kept: dict[tuple[type, str], _Piece] = {}

    def join(self, event: Event) -> Event:
        """The event with whole characters only; what has no other half becomes U+FFFD."""
        if isinstance(event, _Piece):
            kept = self._kept.pop(_key(event), None) if self._kept else None
            delta = kept.delta + event.delta if kept else event.delta
            if _ends_in_half(delta):
                self._kept[_key(event)] = replace(event, delta=delta[-1])
                delta = delta[:-1]
            if delta is not event.delta:
                event = replace(event, delta=delta)
        elif isinstance(event, TextMessageReplaced):
            piece = TextMessageContent(event.message_id, event.text[-1:])
            self._kept.pop(_key(piece), None)
            if _ends_in_half(event.text):
                self._kept[_key(piece)] = piece
                event = replace(event, text=event.text[:-1])
        broken = {
            field.name: whole
            for field in fields(event)
            if (whole := _whole(value := getattr(event, field.name))) is not value
        }
        return replace(event, **broken) if broken else event

    def rest(self) -> Iterator[Event]:
        """What was kept back and never completed."""
        for piece in self._kept.values():
            yield replace(piece, delta=LOST)
        self._kept.clear()


def _ends_in_half(text: str) -> bool:
    return "\ud800" <= text[-1:] <= "\udbff"


def _key(piece: _Piece) -> tuple[type, str]:
    match piece:
        case TextMessageContent():
            return TextMessageContent, piece.message_id
        case ToolCallArgs() | ToolCallChunk():
            return type(piece), piece.call_id
        case Reasoning():
            return Reasoning, ""


def _whole(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_whole, value)) if any(_whole(item) is not item for item in value) else value
    if not isinstance(value, str) or value.isascii() or not _HALF.search(value):
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
