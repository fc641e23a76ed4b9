"""Finds the question an agent asks the person in the middle of a run; pure.

DAS documents how such a question is answered, not how it arrives. So it is looked for by what an answer needs:
an object with an interruptId and a request, anywhere inside a frame of a kind we do not know.
"""

from __future__ import annotations

from typing import Any

from bot.model.event import InterruptRaised
from bot.upstream.values import document, first, folded, parsed, string

DEPTH = 8
"""Levels of nesting looked into; an envelope or two are plausible."""

OPTION_KEYS = ("value", "label", "text", "name", "title", "id")
MESSAGE_KEYS = ("message", "question", "prompt", "text", "description", "title")


def find_interrupt(value: Any, depth: int = DEPTH) -> InterruptRaised | None:
    """The interrupt inside this value, None when there is none."""
    value = parsed(value)
    if depth == 0 or not isinstance(value, dict | list):
        return None
    if isinstance(value, dict) and (here := _interrupt(value)):
        return here
    inside = value.values() if isinstance(value, dict) else value
    return next((found for item in inside if (found := find_interrupt(item, depth - 1))), None)


def _interrupt(value: dict[str, Any]) -> InterruptRaised | None:
    fields = folded(value)
    interrupt_id, request = string(fields.get("interruptid")), parsed(fields.get("request"))
    if not interrupt_id or not isinstance(request, dict):
        return None
    asked = folded(request)
    message = first(asked, *MESSAGE_KEYS) or first(fields, *MESSAGE_KEYS)
    listed = parsed(asked.get("options"))
    options = (_option(option) for option in (listed if isinstance(listed, list) else []))
    return InterruptRaised(interrupt_id, document(message), tuple(option for option in options if option))


def _option(option: Any) -> str:
    return document(first(folded(option), *OPTION_KEYS)) if isinstance(option, dict) else string(option)
