"""Bold text beside Chinese, and emphasis that is still being written. Pure.

CommonMark decides by the characters on both sides whether `**` opens or closes: between punctuation and a letter it is
taken for text. Slack's own reading is stricter: it is reported to miss `**` right beside Chinese letters too. Chinese
has no spaces there, so a hair space goes where a space makes the difference.

slack-markdown-parser 2.7 does this with zero-width spaces, and turns tables into table blocks. It is not used: it works
on whole texts only, so each update would cost the answer so far; it takes a message of its own for each table and code
block; and it leaves mentions and script links as they are. What it measured of Slack is in `limits` and here.
"""

from __future__ import annotations

import re
import unicodedata

CODE_SPAN = re.compile(r"(?<![`\\])(`{1,9})(?!`)(?:.+?)(?<!`)\1(?!`)")
"""A code span within a line."""
_BOLD = re.compile(r"(?<![\\*])\*\*(?!\*)")
_OPEN_LINK = re.compile(r"\[(?!\d{1,9}\])[^\[\]\n]{0,200}(?:\](?:\([^()\s]{0,400})?)?\s?$")
"""A link as far as it has come, at the end of its line."""
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
        is_opening = number % 2 == 0
        outer, inner = (before, after) if is_opening else (after, before)
        if _is_cjk(outer) or (_is_letter(outer) and inner and inner in _CJK_PUNCTUATION):
            parts += [line[end:at], _HAIR_SPACE + "**" if is_opening else "**" + _HAIR_SPACE]
            end = at + 2
    return "".join([*parts, line[end:]])


def closed(line: str) -> str:
    """A line that is still being written, its open code span or bold text closed, without a link that has no end."""
    if line.count("`") % 2:
        line = line.rstrip()
        line = line[:-1] if line.endswith("`") else line + "`"
    code = [span.span() for span in CODE_SPAN.finditer(line)]
    begun = _OPEN_LINK.search(line)
    if begun and not any(a <= begun.start() < b for a, b in code):
        line = line[: begun.start()]
    if _has_open_bold(CODE_SPAN.sub("x", line)):
        line = line.rstrip()
        line = line[:-2] if line.endswith("**") else line + "**"
    return line


def _has_open_bold(line: str) -> bool:
    """Whether bold text is open at the end; a mark between spaces is none."""
    is_open = False
    for mark in _BOLD.finditer(line):
        before, after = line[mark.start() - 1 : mark.start()], line[mark.end() : mark.end() + 1]
        is_open = not before.strip() if is_open else bool(after.strip()) or mark.end() == len(line)
    return is_open


def _is_letter(char: str) -> bool:
    return bool(char) and unicodedata.category(char)[0] in "LN"


def _is_cjk(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff"
