"""An answer's safe Markdown cut into messages. Pure; a page that is full is sealed and never changes again.

A cut falls between paragraphs where it can, else between lines; a fence that is open there is closed and opened again
in the next page, and a table's head is repeated. Quotes go on with their signs. Lists do not: what an item that began
on an earlier page still has to say is moved left by as much as it was indented for it, or a page would begin with code.

Tables stay Markdown: Slack draws them as tables since 2026, and a table block of our own would be the only one its
message may have. One with more rows than Slack's tables take becomes several, one with more columns becomes code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.slack.reply import limits
from bot.slack.reply.characters import whole_until
from bot.slack.reply.sizes import cost
from bot.slack.reply.structure import Fence, Line, Structure

_REPEATED_MOST = 600
"""Characters of a fence's opener or a table's head that are worth repeating on each page."""
_BREAKER = re.compile(r" {0,3}(?:#{1,6}(?:\s|$)|([-*_])[ \t]*(?:\1[ \t]*){2,}$)")
"""A heading or a rule: Slack makes it a block of its own, and one of each run of text between them."""
_CODE = Fence("", "```", "")
_BAR = re.compile(r"(?<!\\)\|")


@dataclass(slots=True)
class _Open:
    """The page being written: its lines, its size, and what is open at its end."""

    lines: list[str] = field(default_factory=list)
    size: int = 0
    fence: Fence | None = None
    closing: str = ""
    """The line that would close the fence."""
    table: list[str] = field(default_factory=list)
    """Head and rule of a table still open, else empty; without the signs of quotes and lists around it."""
    rows: int = 0
    """How many rows that table has, its head among them."""
    items: int = 0
    """How many blocks Slack makes of the page."""
    is_run: bool = False
    """Whether the last of them is a run of text, which goes on."""
    prefix: int = 0
    """How many lines at the top repeat what the page before had open."""
    cut_at: int = 0
    """How many lines stand before the last blank line outside of fence and table."""
    at_cut: Structure = field(default_factory=Structure)
    """What was open there."""
    since_cut: list[str] = field(default_factory=list)
    """What was added since then, as it came."""

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing of its own yet."""
        return len(self.lines) <= self.prefix


class Pages:
    """Pages of one answer: `sealed` ones, and the one that is being written.

    `items` tells of each sealed one how many blocks Slack makes of it at most. Without `tables`, rows are lines
    like any other.
    """

    def __init__(self, *, tables: bool = True) -> None:
        self._tables = tables
        self.sealed: list[str] = []
        self.items: list[int] = []
        self._open = _Open()
        self._structure = Structure()
        self._mid_line = False
        self._last = ""
        """What the line before says inside its quotes and lists."""
        self._in_paragraph = False
        """Whether that line may go on in the next."""
        self._is_wide = False
        """Inside a table that is shown as code."""

    def add(self, line: str, capacity: int) -> None:
        """Add a settled line; `capacity` is what the current page may take, in characters of payload."""
        page = self._open
        before = self._structure.copy()
        shown, read = self._read(line)
        need = cost(shown)
        if read and self._structure.fence and not page.fence:
            need += cost(self._closing(self._structure.fence))
        if read and _is_table_rule(read.content):
            need += 2 * cost(self._closing(_CODE))
        if read and _is_row(read) and page.rows >= limits.TABLE_ROWS:
            need += sum(map(cost, self._head_again()))
        room = capacity - page.size - cost(page.closing)
        is_full = need > room or page.items + self._weight(read.content if read else "") > limits.PAGE_ITEMS
        if is_full and not page.is_empty:
            self._structure = before
            self._seal()
            self.add(line, capacity)
            return
        if need <= room:
            self._put(line, shown, read)
            return
        head, rest = _cut(shown, max(room, 1))
        self._put(head, head, read)
        self._seal()
        # At the top of a page spaces would make code of the rest of a sentence.
        self._mid_line = True
        self.add(rest if self._open.fence else rest.lstrip(" "), capacity)

    def text(self, tail: str = "", room: int = 0, *, closed: bool = True) -> str:
        """The page being written, its fence `closed`; with the provisional `tail`, when that fits into `room`."""
        page = self._open
        body, closing = "".join(page.lines), page.closing
        has_room = page.size + cost(tail) + cost(closing) <= room
        if tail and has_room and not page.table:  # Half a row would be a row with cells missing.
            open_, self._structure = self._structure, self._structure.copy()
            shown, read = self._read(tail)
            self._structure = open_
            if read and read.left_fence:
                body, closing = body + closing, ""
            body += shown
        if not closing or not closed:
            return body.strip("\n")
        return (body.rstrip("\n") + "\n" + closing).strip("\n")

    @property
    def open_items(self) -> int:
        """How many blocks Slack makes of the page being written, its provisional end among them."""
        return self._open.items + 1

    @property
    def count(self) -> int:
        """Pages so far, the one being written included unless it is empty and others exist."""
        blank = not "".join(self._open.lines[self._open.prefix :]).strip()
        return len(self.sealed) + (0 if blank and self.sealed else 1)

    def _read(self, line: str) -> tuple[str, Line | None]:
        """A line as this page shows it, and how it was understood; None is the rest of one."""
        if self._mid_line:
            return line, None
        read = self._structure.take(line)
        parts, begin = [], 0
        for container, end in zip(read.kept, read.places, strict=True):
            parts += [] if container.is_gone else [read.text[begin:end]]
            begin = end
        rest = read.text[begin:]
        # Indented as it may be inside a paragraph, it would be code at the top of a page.
        return "".join([*parts, rest.lstrip(" ") if read.goes_on and self._open.is_empty else rest]), read

    def _put(self, line: str, shown: str, read: Line | None) -> None:
        """Put a line onto the page, as `shown`."""
        page = self._open
        if read:
            self._end_before(read)
        self._append(shown, read.content if read else "")
        page.since_cut.append(line)
        self._mid_line = not line.endswith("\n")
        if read is None:
            return
        if not self._is_wide:
            fence = self._structure.fence
            if fence is None or page.fence is None:
                page.fence, page.closing = fence, self._closing(fence) if fence else ""
            if self._tables:
                self._follow_table(read)
        self._last, self._in_paragraph = read.content, self._structure.in_paragraph
        is_blank = not read.content.strip()
        # Not below a heading: it belongs to what follows.
        if is_blank and not page.fence and not page.table and page.is_run:
            page.cut_at, page.at_cut, page.since_cut = len(page.lines), self._structure.copy(), []

    def _end_before(self, read: Line) -> None:
        """Say on this page that something has ended, where the line itself does not."""
        page = self._open
        if page.fence and (read.left_fence or (self._is_wide and not _is_row(read))):
            closing, page.fence, page.closing, self._is_wide = page.closing, None, "", False
            self._append(closing, "")
        elif read.left_gone and self._in_paragraph and not page.is_empty:
            # The last words of an item must not draw in what follows it.
            self._append("\n", "")
        if page.table and not _is_row(read):
            page.table = []
        elif page.table and page.rows >= limits.TABLE_ROWS:
            for again, each in zip(self._head_again(), ["\n", *page.table], strict=True):
                self._append(again, each)
            page.rows = 1

    def _head_again(self) -> list[str]:
        """What ends a table and begins it anew on the same page."""
        return [self._structure.prefix() + each for each in ["\n", *self._open.table]]

    def _append(self, shown: str, content: str) -> None:
        page = self._open
        page.items += self._weight(content or shown)
        is_breaker = not page.fence and bool(_BREAKER.match(content))
        page.is_run = (page.is_run or bool(shown.strip())) and not is_breaker
        page.lines.append(shown)
        page.size += cost(shown)

    def _follow_table(self, read: Line) -> None:
        page = self._open
        if page.table:
            page.rows += 1
            return
        if page.fence or not _is_table_rule(read.content) or "|" not in self._last or len(page.lines) < 2:
            return
        page.items += 1
        if len(_BAR.findall(read.content.strip().strip("|"))) < limits.TABLE_CELLS:
            page.table, page.rows = [self._last.rstrip("\n") + "\n", read.content.rstrip("\n") + "\n"], 1
            return
        # Nobody reads so many columns beside each other, and Slack refuses them: as code they can be copied.
        page.closing = self._closing(_CODE)
        page.lines.insert(-2, page.closing)
        page.size += cost(page.closing)
        page.fence, self._is_wide = _CODE, True

    def _weight(self, content: str) -> int:
        """How many more blocks the page becomes with this line."""
        page = self._open
        if not page.fence and not self._mid_line and _BREAKER.match(content):
            return 1
        return int(bool(content.strip()) and not page.is_run)

    def _seal(self) -> None:
        """End the page, at its last paragraph when that is in its second half."""
        page, mid_line = self._open, self._mid_line
        moved: list[str] = []
        if page.cut_at > page.prefix and sum(map(cost, page.lines[: page.cut_at])) > page.size // 2:
            moved, self._structure = page.since_cut, page.at_cut
            page.lines = page.lines[: page.cut_at]
            page.fence, page.closing, page.table, self._is_wide = None, "", [], False
        self.sealed.append(self.text())
        self.items.append(page.items)
        for container in self._structure.containers:
            container.is_gone = container.width > 0
        self._open = _Open()
        self._mid_line = False
        self._repeat(page)
        for line in moved:
            self._put(line, *self._read(line))
        self._mid_line = mid_line

    def _repeat(self, page: _Open) -> None:
        """Begin the new page with what the one before had open: the opener of a fence, or a table's head and rule."""
        new, prefix = self._open, self._structure.prefix()
        if fence := page.fence:
            info = fence.info if cost(fence.info) <= _REPEATED_MOST else ""
            # Too long an opener still has to be one, or the code would become prose.
            repeated = [f"{fence.indent}{fence.sign}{info}\n"]
        else:
            repeated = page.table if sum(map(cost, page.table)) <= _REPEATED_MOST else []
        for each in repeated:
            self._append(prefix + each, each)
        if page.fence:
            new.fence, new.closing = page.fence, self._closing(page.fence)
        elif repeated:
            new.table, new.rows = repeated, 1
        new.prefix = len(new.lines)
        new.since_cut, new.at_cut = [], self._structure.copy()

    def _closing(self, fence: Fence) -> str:
        return f"{self._structure.prefix()}{fence.indent}{fence.sign}\n"


def _is_row(read: Line) -> bool:
    return "|" in read.content and not (read.left_item or read.is_new)


def _is_table_rule(line: str) -> bool:
    return "-" in line and "|" in line and not line.strip().strip("|:- \t")


def _cut(line: str, room: int) -> tuple[str, str]:
    """A line too long for any page in two, behind a space where there is one near."""
    at = min(room, len(line) - 1)
    while at > 1 and (taken := cost(line[:at])) > room:
        at = min(at - 1, at * room // taken)
    space = line.rfind(" ", at - 200 if at > 400 else at // 2, at)
    if space > 0:
        at = space + 1
    at = whole_until(line, at)
    return line[:at], line[at:]
