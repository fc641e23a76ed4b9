"""Where a text may be cut without taking a character apart that people see as one. Pure."""

from __future__ import annotations

import re
import unicodedata

_ZWJ = "\u200d"
_FOLLOWERS = frozenset("\ufe0e\ufe0f\u20e3" + _ZWJ)
_ESCAPE = re.compile("&(?:amp|lt|gt);")
"""One of the signs Slack wants escaped: half of it would be read as letters."""
_ESCAPE_MOST = 5


def whole_until(text: str, at: int) -> int:
    """The last place at or before `at` that is not inside an emoji, an accented letter or an escape; at least 1."""
    while 1 < at < len(text) and _is_inside(text, at):
        at -= 1
    return max(1, at)


def shortened(text: str, most: int) -> str:
    """`text` in at most `most` characters, with "…" for what is missing."""
    if len(text) <= most:
        return text
    return text[: whole_until(text, most - 1)] + "…"


def whole_characters(text: str) -> str:
    """The text with halves of characters joined, or replaced where the other half is missing: they cannot be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def is_first_half(character: str) -> bool:
    """Whether the other half of the character is yet to come."""
    return "\ud800" <= character <= "\udbff"


def _is_inside(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if before == _ZWJ or after in _FOLLOWERS or unicodedata.combining(after):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff":  # a skin tone
        return True
    begin = text.rfind("&", max(0, at - _ESCAPE_MOST + 1), at)
    if begin >= 0 and (escape := _ESCAPE.match(text, begin)) and escape.end() > at:
        return True
    if not (_is_flag_half(before) and _is_flag_half(after)):
        return False
    # Flags are pairs of letters: inside one when an odd number of halves stands before.
    halves = 0
    while halves < at and _is_flag_half(text[at - 1 - halves]):
        halves += 1
    return halves % 2 == 1


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
