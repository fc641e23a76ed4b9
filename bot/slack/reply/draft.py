"""A reply as it would be written now: an answer in, the payload of each message out. Pure, without clock or Slack.

What has been drawn is kept: text is made safe and cut into pages once, an unchanged tool call is not drawn again. So
an update costs what is new plus one message, however long the answer has become.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.slack.reply import layout, limits
from bot.slack.reply.folds import Block, Folds, size
from bot.slack.reply.pages import Pages, cost
from bot.slack.reply.safe import SafeText

_RUNGS: tuple[Callable[[layout.Payload], layout.Payload], ...] = (lambda p: p, layout.plain, layout.text_only)
"""What is tried in turn when Slack refuses the blocks."""


class Draft:
    """The messages of one reply.

    Attributes:
        answer, progress: the newest state; set them, then `take_in`.
        ending: set when the run has ended; the layout is then the final one.
        elapsed: seconds since the question was asked.
        backend: the service's name, for the footer.
    """

    def __init__(self, run_id: str, language: Language, backend: str) -> None:
        self.answer = Answer()
        self.progress = Progress("starting")
        self.ending: Ending | None = None
        self.elapsed = 0.0
        self._run_id = run_id
        self._language = language
        self.backend = backend
        self._safe = SafeText()
        self._pages = Pages()
        self._folds = Folds(language, run_id)
        self._mark = (0, 0)
        self._taken_from = self.answer
        self._missing = 0
        self._version = 0
        self._rung = 0
        self._ended_text = False

    def take_in(self) -> None:
        """Feed what is new of the text into the pages."""
        if self._taken_from is not self.answer:
            # A mark means nothing to another answer.
            self._taken_from, self._mark = self.answer, (-1, 0)
        new, self._mark, anew = self.answer.text_after(self._mark)
        if anew:
            self._safe, self._pages, self._missing = SafeText(), Pages(), 0
        lines = self._safe.feed(new) if new else []
        if self.ending and not self._ended_text:
            self._ended_text = True
            lines += self._safe.finish()
        if not lines:
            return
        capacity = self._capacity()
        for line in lines:
            if len(self._pages.sealed) >= limits.MESSAGES:
                self._missing += len(line)
                continue
            sealed = len(self._pages.sealed)
            self._pages.add(line, capacity)
            if len(self._pages.sealed) != sealed:
                capacity = limits.PAGE

    @property
    def count(self) -> int:
        """How many messages the answer takes so far, at least one."""
        return min(self._pages.count, limits.MESSAGES)

    def payload(self, number: int) -> layout.Payload:
        """Arguments of chat.postMessage and chat.update for message `number`: blocks and text."""
        self._version += 1
        page, frame = self._page(number), self.frame()
        if self.ending:
            footer = layout.footer(self.answer, self.backend, self.elapsed, frame)
            return _RUNGS[self._rung](layout.ended(page, frame, self.ending, footer))
        return _RUNGS[self._rung](layout.running(page, frame, self._status(self.elapsed)))

    def signature(self, number: int) -> Any:
        """Tells whether a message would look different; the moving seconds do not count."""
        page = self._page(number)
        folds = tuple(block["block_id"] for block in page.folds)
        state = self.ending or (self._status(0) if page.is_last else "")
        return page.text, folds, page.is_last, page.missing, state, self._rung

    def step_down(self) -> bool:
        """Fall back to simpler blocks; False when there are none simpler."""
        if self._rung + 1 == len(_RUNGS):
            return False
        self._rung += 1
        return True

    def frame(self) -> layout.Frame:
        """What stands around the text of every message."""
        return layout.Frame(self._run_id, self._language, self._version)

    def _capacity(self) -> int:
        """Characters the page being written may take; in the first message, what its folds leave."""
        if self._pages.sealed:
            return limits.PAGE
        folds = size(self._folds.draw(self.answer, limits.FOLDS))
        return limits.PAGE - max(limits.FOLDS_LEAST, folds)

    def _page(self, number: int) -> layout.Page:
        is_open = number == len(self._pages.sealed)
        room = limits.PAGE if number else limits.PAGE - limits.FOLDS_LEAST
        text = self._pages.text(self._safe.tail(), room) if is_open else self._pages.sealed[number]
        folds: list[Block] = []
        if number == 0:
            folds = self._folds.draw(self.answer, max(limits.FOLDS_LEAST, limits.PAGE - cost(text)))
        unshown = self._pages.unshown if len(self._pages.sealed) >= limits.MESSAGES else 0
        return layout.Page(number, number == self.count - 1, text, folds, self._missing + unshown)

    def _status(self, elapsed: float) -> str:
        return layout.status(self.answer, self.progress, elapsed, self._language)


def final_payloads(draft: Draft) -> list[layout.Payload]:
    """Every message of an answer that has ended."""
    draft.take_in()
    return [draft.payload(number) for number in range(draft.count)]
