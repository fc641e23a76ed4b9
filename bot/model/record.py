"""An answer as text and back: what a paused run has said is kept until somebody lets it go on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bot.model import event as ev
from bot.model.answer import Answer

_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        ev.RunStarted,
        ev.TextMessageStart,
        ev.TextMessageContent,
        ev.Reasoning,
        ev.ToolCallStart,
        ev.ToolCallArgs,
        ev.ToolCallEnd,
        ev.ToolCallChunk,
        ev.ToolCallResult,
        ev.StepStarted,
        ev.StepFinished,
        ev.Source,
    )
}


def dump(answer: Answer, now: float) -> str:
    """The answer as JSON. `now` is the time on the clock its events were folded with, in seconds."""
    return json.dumps(
        [
            [type(event).__name__, round(at - now, 3), asdict(event)]
            for at, event in sorted(answer.events(), key=lambda pair: pair[0])
        ],
        ensure_ascii=False,
    )


def load(text: str, now: float) -> Answer:
    """The answer of a dump, ready to go on: neither closed nor paused. What cannot be read is left out."""
    answer = Answer()
    for name, at, fields in _read(text):
        if kind := _KINDS.get(name):
            answer.apply(kind(**fields), now + at)
    answer.go_on()
    return answer


def _read(text: str) -> list[Any]:
    try:
        return list(json.loads(text or "[]"))
    except ValueError:
        return []
