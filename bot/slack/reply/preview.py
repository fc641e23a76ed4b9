"""Arguments and results as far as a fold shows them: indented, redacted, cut visibly. Pure."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

from bot.model.call import CallState
from bot.model.question import Language
from bot.redact import cut_short, unfinished
from bot.slack.reply.characters import whole_characters, whole_until
from bot.slack.reply.safe import literal
from bot.slack.words import say

PRETTY_MOST = 20_000
"""Characters of JSON worth indenting; beyond, only a part is shown anyway."""
_FLAT_MOST = 60
"""Characters of JSON that read well on one line."""
_REDACTION_MARGIN = 600
"""Characters read beyond a cut, so that a secret that begins before it is seen whole."""

_encode = json.JSONEncoder(ensure_ascii=False).encode


class Preview(NamedTuple):
    """What is shown of a text, and how many characters of it are not."""

    text: str
    hidden: int


def preview(text: str, most: int, language: Language, *, in_file: bool = False) -> Preview:
    """At most `most` characters of a text, with a line that says how much is missing; `in_file`: a file has it all."""
    whole = pretty(text)
    safe = literal(whole[: most + _REDACTION_MARGIN])
    if len(whole) <= most:
        return Preview(safe, 0)
    # Where secrets were hidden the text is shorter now; what slid in from behind the cut may hold half of one.
    shown = safe[: whole_until(safe, max(1, min(most, len(safe) - _REDACTION_MARGIN)))]
    counts = {"shown": f"{len(shown):,}", "total": f"{len(whole):,}"}
    note = say("cut_in_file" if in_file else "cut", language, **counts)
    return Preview(f"{shown}\n{note}", len(whole) - len(shown))


def so_far(text: str, state: CallState) -> str:
    """What of a call's arguments or result may be read: while more is to come, not what may be half a secret."""
    if state < CallState.UNFINISHED:
        return unfinished(text)
    return cut_short(text) if state is CallState.UNFINISHED else text


def pretty(text: str) -> str:
    """JSON of a readable length indented, anything else as it is; never half a character."""
    if len(text) <= PRETTY_MOST and text.lstrip()[:1] in ("{", "["):
        text = _indented(text)
    return whole_characters(text)


# The previews of an update, small and large, are of the same few texts.
@lru_cache(maxsize=32)
def _indented(text: str) -> str:
    try:
        value = json.loads(text)
        flat = _encode(value)
        return flat if len(flat) <= _FLAT_MOST else _broken(value, "\n")
    except (ValueError, RecursionError):
        return text


def _broken(value: Any, margin: str) -> str:
    """What json.dumps makes with an indent of 2. That leaves functions which hold each other, every time: they were
    nearly all that the garbage collector found, and it stops everything else meanwhile."""
    inner = margin + "  "
    if isinstance(value, dict) and value:
        fields = [f"{inner}{_encode(key)}: {_broken(item, inner)}" for key, item in value.items()]
        return f"{{{','.join(fields)}{margin}}}"
    if isinstance(value, list) and value:
        return f"[{','.join([inner + _broken(item, inner) for item in value])}{margin}]"
    return _encode(value)
