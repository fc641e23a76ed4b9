"""Bold text beside Chinese. Pure.

CommonMark decides by the characters on both sides whether `**` opens or closes: between punctuation and a letter it is
taken for text. Chinese has no spaces there, so a hair space goes where a space would make the difference.
"""

from __future__ import annotations

import re
import unicodedata

CODE_SPAN = re.compile(r"(?<![`\\])(`{1,9})(?!`)(?:.+?)(?<!`)\1(?!`)")
"""A code span within a line."""
_BOLD = re.compile(r"(?<![\\*])\*\*(?!\*)")
_HAIR_SPACE = "\u200a"
_CJK_PUNCTUATION = "。，、；：！？…—“”‘’（）《》〈〉「」『』【】％"


def beside_cjk(line: str) -> str:
    """The line, with each `**` between Chinese punctuation and a letter set apart on its outer side."""
    if "**" not in line:
        return line
    code = [span.span() for span in CODE_SPAN.finditer(line)]
    marks = [m.start() for m in _BOLD.finditer(line) if not any(a <= m.start() < b for a, b in code)]
    parts, end = [], 0
    for number, at in enumerate(marks[: len(marks) // 2 * 2]):
        before, after = line[at - 1 : at], line[at + 2 : at + 3]
        if number % 2 == 0 and _is_letter(before) and after and after in _CJK_PUNCTUATION:
            parts += [line[end:at], _HAIR_SPACE, "**"]
            end = at + 2
        elif number % 2 and before and before in _CJK_PUNCTUATION and _is_letter(after):
            parts += [line[end : at + 2], _HAIR_SPACE]
            end = at + 2
    return "".join([*parts, line[end:]])


def _is_letter(char: str) -> bool:
    return bool(char) and unicodedata.category(char)[0] in "LN"
