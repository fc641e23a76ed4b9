"""An answer's safe Markdown cut into messages. Pure; a page that is full is sealed and never changes again.

A cut falls between paragraphs where it can, else between lines; a fence that is open there is closed and opened again
in the next page, and a table's head is repeated. Tables stay Markdown: Slack draws them as tables since 2026, and a
table block of our own would be the only one its message may have. One with more rows than Slack's tables take becomes
several, one with more columns becomes code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.slack.reply import limits
from bot.slack.reply.characters import whole_until
from bot.slack.reply.safe import FENCE
from bot.slack.reply.sizes import cost

_REPEATED_MOST = 600
"""Characters of a fence's opener or a table's head that are worth repeating on each page."""
_BREAKER = re.compile(r" {0,3}(?:#{1,6}(?:\s|$)|([-*_])[ \t]*(?:\1[ \t]*){2,}$)")
"""A heading or a rule: Slack makes it a block of its own, and one of each run of text between them."""
_CODE = "```\n"
_ITEM = re.compile(r" *(?:[-*+]|\d{1,9}[.)])\s")
"""The first line of a list's item."""
_BAR = re.compile(r"(?<!\\)\|")


@dataclass(slots=True)
class _Open:
    """The page being written: its lines, its size, and what is open at its end."""

    lines: list[str] = field(default_factory=list)
    size: int = 0
    fence: str = ""
    """The line that opened a fence still open, else empty."""
    table: list[str] = field(default_factory=list)
    """Head and rule of a table still open, else empty."""
    rows: int = 0
    """How many rows that table has, its head among them."""
    items: int = 0
    """How many blocks Slack makes of the page."""
    is_run: bool = False
    """Whether the last of them is a run of text, which goes on."""
    cut_at: int = 0
    """How many lines stand before the last blank line outside of fence and table."""
    prefix: int = 0
    """How many lines at the top repeat what the page before had open."""


class Pages:
    """Pages of one answer: `sealed` ones, and the one that is being written.

    `items` tells of each sealed one how many blocks Slack makes of it at most.
    """

    def __init__(self) -> None:
        self.sealed: list[str] = []
        self.items: list[int] = []
        self._open = _Open()
        self._mid_line = False
        self._outdent = 0
        """How far the lines of an open fence are moved left: deep in a list it cannot be opened again."""
        self._shift = 0
        """How far the lines of a list are moved left: a page that began deep in one would begin with code."""
        self._is_wide = False
        """Inside a table that is shown as code."""

    def add(self, line: str, capacity: int) -> None:
        """Add a settled line; `capacity` is what the current page may take, in characters of payload."""
        if not self._mid_line:
            line = _outdented(self._shifted(line), self._outdent)
        if self._is_wide and not self._mid_line and "|" not in line:
            self._is_wide = False
            self._append(_CODE)
        self._add(line, capacity)

    def _add(self, line: str, capacity: int) -> None:
        page = self._open
        if page.table and page.rows >= limits.TABLE_ROWS and "|" in line and not self._mid_line:
            for each in ["\n", *page.table]:
                self._append(each)
        need = cost(line) + (2 * cost(_CODE) if _is_table_rule(line) else 0)
        room = capacity - page.size - cost(_closing(page))
        is_full = need > room or page.items + self._weight(line) > limits.PAGE_ITEMS
        if is_full and len(page.lines) > page.prefix:
            before = self._outdent
            self._seal()
            if not self._mid_line:
                line = _outdented(self._shifted(line, again=True), self._outdent - before)
            self._add(line, capacity)
            return
        if need > room:
            head, rest = _cut(line, max(room, 1))
            self._append(head)
            self._mid_line = True
            self._seal()
            self._add(rest, capacity)
            return
        self._append(line)
        self._mid_line = not line.endswith("\n")

    def text(self, tail: str = "", room: int = 0, *, closed: bool = True) -> str:
        """The page being written, its fence `closed`; with the provisional `tail`, when that fits into `room`."""
        body = "".join(self._open.lines)
        has_room = self._open.size + cost(tail) + len(_closing(self._open)) <= room
        if tail and has_room and not self._open.table:  # Half a row would be a row with cells missing.
            body += tail
        if not self._open.fence or not closed:
            return body.strip("\n")
        return body.rstrip("\n") + _closing(self._open).rstrip("\n")

    @property
    def open_items(self) -> int:
        """How many blocks Slack makes of the page being written, its provisional end among them."""
        return self._open.items + 1

    @property
    def count(self) -> int:
        """Pages so far, the one being written included unless it is empty and others exist."""
        blank = not "".join(self._open.lines[self._open.prefix :]).strip()
        return len(self.sealed) + (0 if blank and self.sealed else 1)

    def _append(self, line: str) -> None:
        page = self._open
        page.items += self._weight(line)
        page.is_run = (page.is_run or bool(line.strip())) and (bool(page.fence) or not _BREAKER.match(line))
        page.lines.append(line)
        page.size += cost(line)
        fence = None if self._mid_line else FENCE.match(line.rstrip("\n"))
        if page.fence:
            opened = FENCE.match(page.fence)
            if fence and opened and fence[2].startswith(opened[2]) and not fence[3].strip():
                page.fence = ""
                self._outdent = 0
        elif fence:
            page.fence, page.table = line if line.endswith("\n") else line + "\n", []
        elif page.table:
            page.rows += 1
            if "|" not in line:
                page.table = []
        elif _is_table_rule(line) and len(page.lines) > 1 and "|" in page.lines[-2]:
            self._open_table(line)
        is_blank = not line.strip()
        # Not below a heading: it belongs to what follows.
        if is_blank and not page.fence and not page.table and page.is_run:
            page.cut_at = len(page.lines)

    def _open_table(self, rule: str) -> None:
        page = self._open
        page.items += 1
        if len(_BAR.findall(rule.strip().strip("|"))) < limits.TABLE_CELLS:
            page.table, page.rows = [page.lines[-2], rule], 1
            return
        # Nobody reads so many columns beside each other, and Slack refuses them: as code they can be copied.
        page.lines.insert(-2, _CODE)
        page.size += cost(_CODE)
        page.fence, self._is_wide = _CODE, True

    def _shifted(self, line: str, *, again: bool = False) -> str:
        """A line as deep in its list as the page allows; `again` is one that was moved left before."""
        if not line.strip():
            return line
        page, depth = self._open, len(line) - len(line.lstrip(" "))
        if page.fence:
            return line if again else _outdented(line, self._shift)
        moved = self._shift if again else 0
        if len(page.lines) == page.prefix:
            self._shift = moved + depth if _ITEM.match(line) else 0
        self._shift = min(self._shift, moved + depth)
        return line[max(0, self._shift - moved) :]

    def _weight(self, line: str) -> int:
        """How many more blocks the page becomes with this line."""
        page = self._open
        if not page.fence and not self._mid_line and _BREAKER.match(line):
            return 1
        return int(bool(line.strip()) and not page.is_run)

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
        self.items.append(page.items)
        self._open = _Open()
        mid_line, self._mid_line = self._mid_line, False
        for line in self._repeated(page):
            self._append(line)
        self._open.prefix = len(self._open.lines)
        for line in moved:
            self._append(self._shifted(line, again=True))
            self._mid_line = not line.endswith("\n")
        self._mid_line = mid_line

    def _repeated(self, page: _Open) -> list[str]:
        """What the next page has to begin with: the opener of a fence, or a table's head and rule."""
        repeated = [page.fence] if page.fence else page.table
        if sum(map(cost, repeated)) > _REPEATED_MOST:
            # Too long an opener still has to be one, or the code would become prose.
            opened = FENCE.match(page.fence)
            repeated = [f"{opened[1]}{opened[2]}\n"] if opened else []
        if page.fence and (opened := FENCE.match(page.fence)) and len(opened[1]) > 3:
            self._outdent += len(opened[1])
            repeated = [line.lstrip() for line in repeated]
        return repeated


def _closing(page: _Open) -> str:
    fence = FENCE.match(page.fence)
    return f"\n{fence[1]}{fence[2]}\n" if fence else ""


def _outdented(line: str, columns: int) -> str:
    return line[min(columns, len(line) - len(line.lstrip(" "))) :]


def _is_table_rule(line: str) -> bool:
    return "-" in line and "|" in line and not line.strip().strip("|:- \t")


def _cut(line: str, room: int) -> tuple[str, str]:
    """A line too long for any page in two, behind a space where there is one near."""
    at = min(room, len(line) - 1)
    while at > 1 and cost(line[:at]) > room:
        at -= max(1, (cost(line[:at]) - room) // 2)
    space = line.rfind(" ", at - 200 if at > 400 else at // 2, at)
    if space > 0:
        at = space + 1
    at = whole_until(line, at)
    return line[:at], line[at:]
