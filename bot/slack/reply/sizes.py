"""How much text and blocks take of a payload, and text cut to what is left of one. Pure."""

from __future__ import annotations

import json
from typing import Any

from bot.slack.reply.characters import whole_until


def cost(text: str) -> int:
    """Characters `text` takes in a payload."""
    return len(json.dumps(text, ensure_ascii=False)) - 2


def size(blocks: list[dict[str, Any]]) -> int:
    """Characters of payload that blocks take."""
    return sum(len(json.dumps(block, ensure_ascii=False)) for block in blocks)


def head(text: str, most: int) -> str:
    """What of `text` fits into `most` characters of payload, not cut inside a character."""
    if cost(text) <= most:
        return text
    at = min(len(text), most - 1)
    while at > 0 and (taken := cost(text[:at])) >= most:
        at = min(at - 1, at * most // taken)
    return text[: whole_until(text, at)]


def fitted(text: str, most: int) -> str:
    """`text` in at most `most` characters of payload, with "…" for what is missing."""
    shown = head(text, most)
    return text if shown == text else shown + "…"
