"""Secrets out of text: before every Slack write and every log line. Pure, but for the patterns operators add at start.

Errs on the side of hiding: a hidden word costs a click in the console, a shown key costs a rotation. Redacting twice
changes nothing more. Letters of other widths and what is invisible between letters do not hide a secret from us.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from bot.secret_shapes import (
    ADDRESS,
    BARE_SECRET,
    BEGUN,
    COLUMN,
    IS_SECRET_NAME,
    KEY_ID,
    NEAR,
    NO_SECRET,
    PORT,
    RULES,
)

HIDDEN = "[hidden]"

_CLOSE_BEHIND = 200
"""Characters behind a key's id in which its secret is looked for, and before a word in which its name is."""
_BEGINNING_MOST = 4_000
"""Characters at the end of a text that is cut short in which the beginning of a secret is looked for."""
_WORD = re.compile(r"[^\s\"']*")
_ALIKE = {
    code: plain
    # Full and half widths, letter-like signs, circled and mathematical letters.
    for begin, end in ((0xFF00, 0xFFF0), (0x2100, 0x2150), (0x2460, 0x2500), (0x1D400, 0x1D800), (0xA0, 0xA1))
    for code in range(begin, end)
    if len(plain := unicodedata.normalize("NFKC", chr(code))) == 1 and plain != chr(code)
} | {0x3000: " "}
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]"
)
_CELLS = re.compile(r"(?<!\\)\|")
_RULE_LINE = re.compile(r"[\s>]*[|+]?[ \t]*:?-[-:+| \t]*")
_CELL = re.compile(rf"(?is)^(\s*)(?!\s){NO_SECRET}(.*?)(\s*)$")

_extra: list[re.Pattern[str]] = []


def also_hide(patterns: Iterable[str]) -> None:
    """Hide what these regular expressions match as well, from now on, in this process.

    They replace those given before. One matches within a line of an answer.
    """
    _extra[:] = [re.compile(pattern) for pattern in patterns]


def has_extra() -> bool:
    """Whether there are such expressions."""
    return bool(_extra)


def redact(text: str) -> str:
    """`text` with everything that looks like a credential replaced by `[hidden]`."""
    for extra in _extra:
        text = extra.sub(HIDDEN, text)
    if "|" in text and "\n" in text:
        columns = Columns()
        text = "\n".join(map(columns.line, text.split("\n")))
    plain, places = _plain(text)
    spans = sorted(_spans(plain))
    if not spans:
        return text
    parts: list[str] = []
    done = 0
    for begin, end in _joined(spans):
        if places:
            begin, end = places[begin], places[end - 1] + 1
        parts += [text[done:begin], HIDDEN]
        done = end
    return "".join([*parts, text[done:]])


def unfinished(text: str) -> str:
    """`text`, more of which is to come, without the word it ends with: it may yet turn out to be half a secret."""
    if _extra:
        # Nobody knows where a pattern of the operators begins to match.
        return text[: text.rfind("\n") + 1]
    return text[: _last_word(text)]


def cut_short(text: str) -> str:
    """`text` that its author could not end, with "…" for its last word if that may be the beginning of a secret."""
    at = _last_word(text)
    if at == len(text):
        return text
    plain, _ = _plain(text[-_BEGINNING_MOST:])
    begin = max(0, len(plain) - (len(text) - at))
    near = NEAR.search(plain, max(0, begin - _CLOSE_BEHIND))
    # Beyond its name there has to be something: a last word that only names a secret stays.
    is_named = near is not None and near.end() < len(plain) and "\n\n" not in plain[near.end() :]
    behind_key = any(True for key in KEY_ID.finditer(plain) if key.end() >= begin - _CLOSE_BEHIND)
    is_begun = bool(BEGUN.search(plain, begin))
    return text[:at] + "…" if _extra or is_named or behind_key or is_begun else text


def _last_word(text: str) -> int:
    """Where the word begins that the text ends with."""
    backwards = text[: -_BEGINNING_MOST - 1 : -1]
    return len(text) - _WORD.match(backwards).end()  # type: ignore[union-attr]


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, as `password` or `accessKeySecret` do."""
    return bool(IS_SECRET_NAME.search(name))


class Columns:
    """Follows a table line by line, and hides what stands in its columns of secrets.

    `is_open`: what comes next is a row of a table.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._head: frozenset[int] | None = None
        """Which cells of the line before name a secret; None when it had no cells."""
        self._hidden: frozenset[int] = frozenset()

    def line(self, line: str) -> str:
        """One line, its secret cells hidden."""
        if ("|" in line or "+" in line) and _RULE_LINE.fullmatch(line):
            if self._head is not None:
                self.is_open, self._hidden, self._head = True, self._hidden | self._head, None
            return line
        if "|" not in line:
            self.is_open, self._head, self._hidden = False, None, frozenset()
            return line
        # A row of one table may be the head of the next.
        cells = _CELLS.split(_plain(line)[0])
        first = _first_column(cells)
        self._head = frozenset(n - first for n, cell in enumerate(cells) if COLUMN.search(cell))
        return self._row(line) if self._hidden else line

    def copy(self) -> Columns:
        """One that goes on from here on its own."""
        other = Columns()
        other.is_open, other._head, other._hidden = self.is_open, self._head, self._hidden
        return other

    def _row(self, line: str) -> str:
        cells = _CELLS.split(line)
        first = _first_column(cells)
        for n in (column + first for column in self._hidden):
            if n < len(cells) and (cell := _CELL.match(cells[n])) and cell[2]:
                cells[n] = cell[1] + HIDDEN + cell[3]
        return "|".join(cells)


def _first_column(cells: list[str]) -> int:
    """Which of a row's parts is its first cell: before a sign at its beginning there is none."""
    return 0 if cells[0].strip(" \t>") else 1


def _plain(text: str) -> tuple[str, list[int]]:
    """The text as one reads it, in plain letters; and where each of them stands, when that is not the same place."""
    if text.isascii():
        return text, []
    plain = text.translate(_ALIKE)
    if not _INVISIBLE.search(plain):
        return plain, []
    places = [at for at, sign in enumerate(plain) if not _INVISIBLE.match(sign)]
    return "".join(plain[at] for at in places), places


def _spans(text: str) -> Iterator[tuple[int, int]]:
    if "LTAI" in text or "STS." in text:
        yield from _partners(text)
    folded = text.casefold()
    if "//" in text or "%2f%2f" in folded:
        yield from _in_addresses(text)
    for signs, pattern in RULES:
        if any(sign in folded for sign in signs):
            for found in pattern.finditer(text):
                yield found.span(found.lastindex or 0)


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Sorted spans, those that touch as one."""
    begin, end = spans[0]
    for each in spans:
        if each[0] > end:
            yield begin, end
            begin, end = each
        end = max(end, each[1])
    yield begin, end


def _in_addresses(text: str) -> Iterator[tuple[int, int]]:
    """user:password@host in a URL: the user may stay. A password may hold an @ itself, or miss what follows it."""
    for address in ADDRESS.finditer(text):
        begin, rest = address.start(1), address[1]
        if PORT.match(rest):
            continue
        at = max(rest.rfind("@"), rest.rfind("%40"))
        if at > 0:
            yield begin, begin + at
        elif at < 0 and rest and address.end() == len(text):
            yield begin, len(text)


def _partners(text: str) -> Iterator[tuple[int, int]]:
    """What stands close behind a key's id and looks like its secret."""
    done = 0
    for key in KEY_ID.finditer(text):
        begin, end = max(done, key.end()), min(len(text), key.end() + _CLOSE_BEHIND)
        if begin >= end:
            continue
        # Not to take the beginning of a longer word for a secret, the window ends between words.
        while (
            end < len(text)
            and text[end - 1].isalnum()
            and text[end].isalnum()
            and end - begin < 2 * _CLOSE_BEHIND
        ):
            end += 1
        for secret in BARE_SECRET.finditer(text[begin:end]):
            yield begin + secret.start(), begin + secret.end()
        done = end
