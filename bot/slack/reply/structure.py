"""Which lines of Markdown are code, and inside which quotes and lists they stand. Pure; reads line by line.

What CommonMark says about containers, as far as it decides what is code: lines are taken as it takes them, those of a
paragraph that goes on without its markers among them. HTML is text to Slack, so it is here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_QUOTE = re.compile(r" {0,3}> ?")
_MARKER = re.compile(r"( {0,3})([-+*]|\d{1,9}[.)])(?=( *)(?:\S|$))")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_FENCE = re.compile(r"( {0,3})(`{3,64}(?=[^`]*$)|~{3,64}(?!~))(.*)$")
"""No more signs than anybody writes: they are repeated on each page, and a model may never stop writing them."""
_FENCE_END = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*$")
_SPACES = re.compile(r" *")
_HEAD = re.compile(r"[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t>]+)*")
_CODE_INDENT = 4
"""Columns from which on a line is code, unless it goes on with a paragraph."""
_DEEPEST = 20
"""Containers inside each other. The signs of quotes are repeated on each page; deeper ones are text."""


@dataclass(slots=True)
class Container:
    """A quote, or an item of a list whose content stands `width` columns further right."""

    width: int
    """0 for a quote."""
    is_gone: bool = False
    """An item that began on an earlier page: on this one its lines are not indented for it."""
    is_bare: bool = False
    """Nothing of the item has come yet but its marker."""

    @property
    def prefix(self) -> str:
        """What a line begins with to belong to it."""
        return " " * self.width if self.width else "> "


@dataclass(frozen=True, slots=True)
class Fence:
    """What opened fenced code: its indentation inside its containers, its sign, and what stands behind."""

    indent: str
    sign: str
    info: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was understood."""

    text: str
    """The line; tabs before its content are spaces."""
    places: tuple[int, ...]
    """Where what belongs to each container ends that was open before and is still, the outermost first."""
    kept: tuple[Container, ...]
    """Those containers."""
    content: str
    """What stands inside all containers."""
    is_fenced: bool
    """It is fenced code, or one of its fences."""
    is_indented: bool
    """It is code by its indentation."""
    goes_on: bool
    """It belongs to a paragraph that has begun before."""
    left_item: bool
    """An item of a list ends before it."""
    left_gone: bool
    """One that began on an earlier page does."""
    left_fence: bool
    """Fenced code ends before it, with its container."""
    is_new: bool
    """A container begins with it."""


@dataclass(slots=True)
class Structure:
    """What the lines so far have opened."""

    containers: list[Container] = field(default_factory=list)
    fence: Fence | None = None
    in_paragraph: bool = False

    def copy(self) -> Structure:
        """One that goes on from here on its own."""
        return Structure(list(self.containers), self.fence, self.in_paragraph)

    def prefix(self) -> str:
        """What a line of this page begins with to stay inside all containers that are open on it."""
        return "".join(each.prefix for each in self.containers if not each.is_gone)

    def take(self, line: str) -> Line:
        """Understand the next line; its newline does not count."""
        end = "\n" if line.endswith("\n") else ""
        text = line.removesuffix("\n")
        if "\t" in text and (self.containers or not self.fence):
            text = _untabbed(text)
        places = self._matched(text)
        kept = tuple(self.containers[: len(places)])
        at = places[-1] if places else 0
        if self.fence and len(kept) == len(self.containers):
            self._in_fence(text[at:])
            return Line(
                text + end, tuple(places), kept, text[at:], True, False, False, False, False, False, False
            )
        left_fence, self.fence = self.fence is not None, None
        opened, at, opens_fence = self._opened(text, at, len(kept))
        content = text[at:]
        indent = len(content) - len(content.lstrip(" "))
        is_blank = not content.strip()
        is_plain = not (is_blank or opened or opens_fence or _is_block(content))
        goes_on = self.in_paragraph and is_plain
        if goes_on:
            if len(kept) == len(self.containers) and _UNDERLINE.match(content):
                self.in_paragraph = False
            return Line(
                text + end, tuple(places), kept, content, False, False, True, False, False, left_fence, False
            )
        left = self.containers[len(kept) :]
        left_item, left_gone = any(each.width for each in left), any(each.is_gone for each in left)
        self.containers = [*kept, *opened]
        for each in kept:
            each.is_bare = False
        self.in_paragraph = (
            not is_blank and indent < _CODE_INDENT and not opens_fence and not _is_block(content)
        )
        if opens_fence and (found := _FENCE.match(content)):
            self.fence = Fence(found[1], found[2], found[3])
        is_indented = indent >= _CODE_INDENT and not is_blank
        return Line(
            text + end,
            tuple(places),
            kept,
            content,
            opens_fence,
            is_indented,
            False,
            left_item,
            left_gone,
            left_fence,
            bool(opened),
        )

    def _matched(self, text: str) -> list[int]:
        """Where the parts of the line end that belong to the containers which go on in it."""
        places: list[int] = []
        at = 0
        for each in self.containers:
            if not each.width:
                quote = _QUOTE.match(text, at)
                if not quote:
                    break
                at = quote.end()
            else:
                indent = _indent(text, at)
                is_blank = at + indent == len(text)
                if (is_blank and each.is_bare) or (not is_blank and indent < each.width):
                    break
                at += min(indent, each.width)
            places.append(at)
        return places

    def _in_fence(self, content: str) -> None:
        opened = self.fence
        found = _FENCE_END.match(content)
        if opened and found and found[1].startswith(opened.sign):
            self.fence = None

    def _opened(self, text: str, at: int, kept: int) -> tuple[list[Container], int, bool]:
        """The containers that begin in the line, where its content begins, and whether that opens a fence."""
        opened: list[Container] = []
        while True:
            rest = text[at:]
            if _indent(text, at) >= _CODE_INDENT or not rest.strip() or kept + len(opened) == _DEEPEST:
                return opened, at, False
            if quote := _QUOTE.match(text, at):
                opened.append(Container(0))
                at = quote.end()
                continue
            marker = None if _RULE.match(rest) else _MARKER.match(rest)
            if marker and not (marker[3] or len(rest) == marker.end()):
                marker = None
            # In the middle of a paragraph only some lists may begin.
            if marker and self.in_paragraph and not opened and kept == len(self.containers):
                is_empty = not rest[marker.end() :].strip()
                if is_empty or (marker[2][0].isdigit() and int(marker[2][:-1]) != 1):
                    marker = None
            if not marker:
                return opened, at, bool(_FENCE.match(rest))
            spaces, is_empty = len(marker[3]), not rest[marker.end() :].strip()
            if is_empty or spaces > _CODE_INDENT:
                spaces = 1
            width = marker.end() + spaces
            opened.append(Container(width, is_bare=is_empty))
            at = min(len(text), at + width)


def _is_block(content: str) -> bool:
    """Whether a line is a block of its own, so that no paragraph goes on in it."""
    return bool(_RULE.match(content) or _HEADING.match(content))


def _indent(text: str, at: int) -> int:
    return _SPACES.match(text, at).end() - at  # type: ignore[union-attr]


def _untabbed(text: str) -> str:
    head = _HEAD.match(text).end()  # type: ignore[union-attr]
    return text[:head].expandtabs(4) + text[head:]
