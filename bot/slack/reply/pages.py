"""An answer's safe Markdown cut into messages. Pure; a page that is full is sealed and never changes again.

A cut falls between paragraphs where it can, else between lines; a fence that is open there is closed and opened again
in the next page, and a table's head is repeated.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})(.*)$")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_JOINERS = "\u200d\ufe0f\u20e3"
"""Characters that belong to the one before them."""


def cost(text: str) -> int:
    """Characters `text` takes in a payload."""
    return len(json.dumps(text, ensure_ascii=False)) - 2


_REPEATED_MOST = 600
"""Characters of a fence's opener or a table's head that are worth repeating on each page."""


@dataclass(slots=True)
class _Open:
    """The page being written: its lines, its size, and what is open at its end."""

    lines: list[str] = field(default_factory=list)
    size: int = 0
    fence: str = ""
    """The line that opened a fence still open, else empty."""
    table: list[str] = field(default_factory=list)
    """Head and rule of a table still open, else empty."""
    cut_at: int = 0
    """How many lines stand before the last blank line outside of fence and table."""
    prefix: int = 0
    """How many lines at the top repeat what the page before had open."""


class Pages:
    """Pages of one answer: `sealed` ones, and the one that is being written."""

    def __init__(self) -> None:
        self.sealed: list[str] = []
        self._open = _Open()

    def add(self, line: str, capacity: int) -> None:
        """Add a settled line; `capacity` is what the current page may take, in characters of payload."""
        need = cost(line)
        page = self._open
        if page.size + need + len(_closing(page)) > capacity and len(page.lines) > page.prefix:
            self._seal()
            self.add(line, capacity)
            return
        room = capacity - page.size - 2 * len(_closing(page))
        if need > room:
            head, rest = _cut(line, max(room, 1))
            self._append(head)
            self._seal()
            self.add(rest, capacity)
            return
        self._append(line)

    def text(self, tail: str = "", room: int = 0) -> str:
        """The page being written, its fence closed; with the provisional `tail`, when that fits into `room`."""
        body = "".join(self._open.lines)
        if tail and self._open.size + cost(tail) + len(_closing(self._open)) <= room:
            body += tail
        if not self._open.fence:
            return body.strip("\n")
        return body.rstrip("\n") + "\n" + _closing(self._open).strip("\n")

    @property
    def unshown(self) -> int:
        """Characters in the page being written, what it repeats not counted."""
        return sum(map(len, self._open.lines[self._open.prefix :]))

    @property
    def count(self) -> int:
        """Pages so far, the one being written included unless it is empty and others exist."""
        blank = not "".join(self._open.lines[self._open.prefix :]).strip()
        return len(self.sealed) + (0 if blank and self.sealed else 1)

    def _append(self, line: str) -> None:
        page = self._open
        page.lines.append(line)
        page.size += cost(line)
        fence = _FENCE.match(line.rstrip("\n"))
        if page.fence:
            opened = _FENCE.match(page.fence)
            if fence and opened and fence[1].startswith(opened[1]) and not fence[2].strip():
                page.fence = ""
        elif fence:
            page.fence, page.table = line, []
        elif page.table:
            if not line.lstrip().startswith("|") and "|" not in line:
                page.table = []
        elif _TABLE_RULE.match(line) and "|" in line and len(page.lines) > 1 and "|" in page.lines[-2]:
            page.table = [page.lines[-2], line]
        if not page.fence and not page.table and not line.strip():
            page.cut_at = len(page.lines)

    def _seal(self) -> None:
        """End the page, at its last paragraph when that is in its second half."""
        page = self._open
        moved: list[str] = []
        at_paragraph = (
            page.cut_at > page.prefix and sum(map(cost, page.lines[: page.cut_at])) > page.size // 2
        )
        if at_paragraph:
            moved = page.lines[page.cut_at :]
            page.lines = page.lines[: page.cut_at]
            page.fence, page.table = "", []
        self.sealed.append(self.text())
        self._open = _Open()
        repeated = [page.fence] if page.fence else page.table
        if sum(map(cost, repeated)) <= _REPEATED_MOST:
            for line in repeated:
                self._append(line)
        self._open.prefix = len(self._open.lines)
        for line in moved:
            self._append(line)


def _closing(page: _Open) -> str:
    fence = _FENCE.match(page.fence)
    return f"\n{fence[1]}\n" if fence else ""


def _cut(line: str, room: int) -> tuple[str, str]:
    """A line too long for any page in two, behind a space where there is one near."""
    at = min(room, len(line) - 1)
    while at > 1 and cost(line[:at]) > room:
        at -= max(1, (cost(line[:at]) - room) // 2)
    space = line.rfind(" ", at - 200 if at > 400 else at // 2, at)
    if space > 0:
        at = space + 1
    while 1 < at < len(line) and (line[at] in _JOINERS or line[at - 1] == "\u200d"):
        at -= 1
    at = max(1, at)
    return line[:at], line[at:]
