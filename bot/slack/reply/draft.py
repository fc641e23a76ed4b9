"""A reply as it would be written now: an answer in, the payload of each message out. Pure, without clock or Slack.

What has been drawn is kept: text is made safe and cut into pages once, an unchanged tool call is not drawn again. So
an update costs what is new plus one message, however long the answer has become.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.model.run import State
from bot.slack.reply import layout, limits
from bot.slack.reply.asks import CONSOLE
from bot.slack.reply.blocks import Block
from bot.slack.reply.files import File, all_calls, whole_answer
from bot.slack.reply.folds import Folds
from bot.slack.reply.ladder import RUNGS, text_only
from bot.slack.reply.pages import Pages
from bot.slack.reply.safe import SafeText
from bot.slack.reply.sizes import cost, size

_BODY = limits.MESSAGES - 1
"""Messages that show the answer from its beginning on; one more shows its end, however far away that is."""
_HALF = limits.PAGE // 2 - 100
"""Characters of a page beyond those: the last message shows the last two, with a blank line between them."""
_BARE = limits.TEXT - 600
"""Characters of a page that is shown as text alone: what escaping adds to most answers, and a note, fit beside it."""


class Draft:
    """The messages of one reply.

    Attributes:
        answer, progress: the newest state; set them, then `take_in`.
        ending: set when the run has ended; the layout is then the final one.
        elapsed: seconds since the question was asked; of a run that never ran 0, which no footer shows.
        language: what the bot itself says is in this one.
        backend: the service's name, for the footer.
        agent: an agent's id worth showing in the footer, else "".
        decided: who let the answer go on and when, in mrkdwn; "" when it was never paused.
        rung: how simple the blocks are, 0 for the newest types; Slack's refusals are remembered by it.
        is_without_files: nothing can be attached, and no fold says so.
    """

    def __init__(
        self, run_id: str, language: Language, backend: str, *, agent: str = "", console: str = CONSOLE
    ) -> None:
        self.answer = Answer()
        self.progress = Progress("starting")
        self.ending: Ending | None = None
        self.elapsed = 0.0
        self.agent = agent
        self.decided = ""
        self.rung = 0
        self.is_without_files = False
        self._is_filed = False
        self._run_id = run_id
        self.language = language
        self.backend = backend
        self._console = console
        self._safe = SafeText()
        self._pages = Pages()
        self._folds = Folds(language, run_id)
        self._mark = (0, 0)
        self._taken_from = self.answer
        self._heard = (-1, 0.0)
        self._version = 0
        self._ended_text = False

    def take_in(self) -> None:
        """Feed what is new of the text into the pages."""
        if self._taken_from is not self.answer:
            # A mark means nothing to another answer.
            self._taken_from, self._mark = self.answer, (-1, 0)
            self._folds = Folds(self.language, self._run_id)
        new, self._mark, anew = self.answer.text_after(self._mark)
        if anew:
            self._safe, self._pages, self._ended_text = SafeText(), Pages(), False
        lines = self._safe.feed(new) if new else []
        if self.ending and not self._ended_text:
            self._ended_text = True
            lines += self._safe.finish(is_cut=self.ending.state is not State.ANSWERED)
        if not lines:
            return
        capacity = self._capacity()
        for line in lines:
            sealed = len(self._pages.sealed)
            self._pages.add(line, capacity)
            if len(self._pages.sealed) != sealed:
                capacity = self._capacity()

    @property
    def count(self) -> int:
        """How many messages the answer takes so far, at least one."""
        return min(self._pages.count, limits.MESSAGES)

    def payload(self, number: int) -> layout.Payload:
        """Arguments of chat.postMessage and chat.update for message `number`: blocks and text."""
        self._version += 1
        page, frame = self._page(number), self.frame()
        if self.ending:
            footer = layout.footer(self.answer, self.backend, self.elapsed, frame, self.agent, self.ending)
            return RUNGS[self.rung](layout.ended(page, frame, self.ending, self.answer, footer))
        return RUNGS[self.rung](layout.running(page, frame, self._status(self.elapsed, self.quiet())))

    def growing(self, number: int) -> str | None:
        """A message's text as one appends to it, an open fence left open; None when it does not only grow."""
        if number != self.count - 1 or number >= _BODY:
            return None
        return self._text(number, closed=False)[0]

    def signature(self, number: int) -> Any:
        """Tells whether a message would look different; the moving seconds do not count."""
        page = self._page(number)
        folds = tuple(block["block_id"] for block in page.folds)
        state = self.ending or (self._status(0.0) if page.is_last else "")
        return page.text, folds, page.is_last, page.left_out, state, self.rung

    def is_told(self, number: int, signature: Any) -> bool:
        """Whether a message that looks as `signature` says lacks nothing but its final layout, and has nothing live."""
        told = self.signature(number)
        return signature is not None and not told[2] and signature[:4] == told[:4]

    @property
    def has_simpler(self) -> bool:
        """Whether there are simpler blocks to fall back to."""
        return self.rung + 1 < len(RUNGS)

    def step_down(self) -> bool:
        """Fall back to simpler blocks; False when there are none simpler."""
        if not self.has_simpler:
            return False
        self.rung += 1
        if self.is_bare:
            # Less fits into a message then.
            self._mark, self._taken_from = (-1, 0), self.answer
            self.take_in()
        return True

    def frame(self) -> layout.Frame:
        """What stands around the text of every message."""
        # Of what it waits for anew, nothing is decided.
        decided = "" if self.ending and self.ending.state is State.PAUSED else self.decided
        return layout.Frame(self._run_id, self.language, self._version, self._console, decided)

    def attachments(self) -> list[File]:
        """What no message can hold of an answer that has ended, as files to put below it, made safe.

        Takes a second or two of computing for the longest: call it once, away from the event loop.
        """
        if not self._takes_files:
            return []
        self.take_in()
        files = []
        reference = self.frame().reference
        if self._left_out():
            files.append(whole_answer(self.answer, reference, self.language))
        self._page(0)
        if self._is_filed or (self.is_bare and self.answer.calls):
            files.append(all_calls(self.answer, reference, self.language))
        return files

    @property
    def is_bare(self) -> bool:
        """Whether messages are their text alone."""
        return RUNGS[self.rung] is text_only

    def _capacity(self) -> int:
        """Characters the page being written may take; in the first message, what its folds leave."""
        sealed = len(self._pages.sealed)
        if self.is_bare:
            return _BARE if sealed < _BODY else _BARE // 2
        if sealed:
            return limits.PAGE if sealed < _BODY else _HALF
        is_over = self.ending is not None
        folds = size(self._folds.draw(self.answer, limits.FOLDS, limits.PAGE_ITEMS, is_over=is_over).blocks)
        return limits.PAGE - max(limits.FOLDS_LEAST, folds)

    def _page(self, number: int) -> layout.Page:
        text, items = self._text(number)
        folds: list[Block] = []
        if number == 0 and not self.is_bare:
            room = max(limits.FOLDS_LEAST, limits.PAGE - cost(text))
            folds = self._draw(room, limits.ITEMS - limits.FRAME_BLOCKS - items)
        left_out = self._left_out() if number == _BODY else 0
        return layout.Page(number, number == self.count - 1, text, folds, left_out)

    def _text(self, number: int, *, closed: bool = True) -> tuple[str, int]:
        """A message's text, and how many items Slack makes of it."""
        sealed = self._pages.sealed
        if number < min(len(sealed), _BODY):
            return sealed[number], self._pages.items[number]
        room = _HALF if number == _BODY else limits.PAGE if number else limits.PAGE - limits.FOLDS_LEAST
        if self.is_bare:
            room = min(room, _BARE if number < _BODY else _BARE // 2)
        text = self._pages.text(self._safe.tail(is_closed=closed), room, closed=closed)
        if len(sealed) > _BODY:
            # The page before the last comes along: the last one may hold a single line.
            text = f"{sealed[-1]}\n\n{text}".strip()
        return text, self._pages.open_items

    def _left_out(self) -> int:
        return sum(map(len, self._pages.sealed[_BODY:-1]))

    def _draw(self, room: int, most: int) -> list[Block]:
        if self.ending is None:
            return self._folds.draw(self.answer, room, most, is_over=False).blocks
        draw = partial(
            self._folds.draw, self.answer, room, most, is_over=True, previews=limits.PREVIEWS_AT_END
        )
        drawing = draw()
        self._is_filed = drawing.is_large and self._takes_files
        return draw(in_file=True).blocks if self._is_filed else drawing.blocks

    @property
    def _takes_files(self) -> bool:
        return self.ending is not None and self.ending.state is not State.PAUSED and not self.is_without_files

    def quiet(self) -> float:
        """Seconds since the answer was first seen as it is now."""
        revision = self.answer.revision
        if self._heard[0] != revision:
            self._heard = revision, self.elapsed
        return self.elapsed - self._heard[1]

    def _status(self, elapsed: float, quiet: float = 0.0) -> str:
        return layout.status(self.answer, self.progress, elapsed, self.language, quiet)


def final_payloads(draft: Draft) -> list[layout.Payload]:
    """Every message of an answer that has ended."""
    draft.take_in()
    return [draft.payload(number) for number in range(draft.count)]
