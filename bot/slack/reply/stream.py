"""The streaming side of a reply's messages: opened, added to, ended in time.

A reply begins as a stream where the thread allows it: one call makes the message that says the bot is on it, and the
same message takes the first words, the tool calls and the text, at twice the rate of chat.update. So it costs one call
more than a post, the one that ends it. Slack ends a stream after five minutes and above a certain size, and refuses
more without warning; we end it before. Then, and whenever something cannot be told by adding, or it is not certain
what arrived, chat.update writes the newest state over the same message, which goes on that way.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot import log
from bot.model.run import Run
from bot.slack.budget import Priority, Urgency
from bot.slack.client import (
    GoneError,
    SlackError,
    SlowDownError,
    StoppedError,
    StreamEndedError,
    UncertainError,
)
from bot.slack.reply.chunks import Piece, Sent, closing, news, opening
from bot.slack.reply.draft import Draft
from bot.slack.reply.freshness import Freshness
from bot.slack.reply.line import Line

logger = log.get(__name__)

START, APPEND, STOP, UPDATE = "chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"

LIFE_SECONDS = 240.0
"""Seconds after which a stream is ended at the latest; Slack ends it at 300."""
_SPREAD_SECONDS = 40
"""How much earlier some are ended, so that streams opened together do not need the budget together."""
_PATIENCE_SECONDS = 10.0
"""A wait for the next append that is not worth a change to chat.update."""
_STOP_SOON_SECONDS = 1.5
"""A wait for the call that ends a stream which is not worth a call of its own for its last words."""
_STOP_TRIES = 3
_QUIET_SECONDS = 15.0
"""How long nothing is written after a person used Slack's own Stop. Slack tells the intake who it was, which ends the
run; when they may not, it goes on, and so does its message."""


@dataclass(slots=True)
class Stream:
    """An open stream."""

    sent: Sent
    end_by: float
    """When it has to be ended, in seconds on the reply's clock."""
    uncertain: bool = False
    """A piece left, and nobody knows whether it arrived."""


@dataclass(slots=True)
class Message:
    """One message of a reply: its ts and what it shows."""

    ts: str
    shown: Any = None
    """The signature of what was last written; None forces a write."""
    has_words: bool = False
    """Whether it shows any of the answer's text."""
    stream: Stream | None = None
    is_whole: bool = False
    """Its stream ended with all the text there was; what is missing is its final layout."""
    quiet_until: float = float("-inf")
    """A person has stopped its stream: nothing is written until then, or until the run has ended."""
    is_locked: bool = False
    """Slack did not let it be changed: what it shows stays so until the run has ended."""


class _Roll(Exception):
    """What there is now cannot be told by adding."""


class Streams:
    """The streams of one reply. `clock` gives seconds; `tell_time` sets how long the draft says the run has taken."""

    def __init__(
        self,
        line: Line,
        run: Run,
        draft: Draft,
        freshness: Freshness,
        clock: Callable[[], float],
        tell_time: Callable[[], None],
    ) -> None:
        self._line = line
        self._run = run
        self._draft = draft
        self._freshness = freshness
        self._clock = clock
        self._tell_time = tell_time

    # -- opening ---------------------------------------------------------------------------------------

    async def opening(self, number: int) -> Piece | None:
        """What message `number` would begin with as a stream; None when it is better posted."""
        question, budget = self._run.question, self._line.budget
        # Who typed a command is known, their home team is not: with a wrong one they would see an empty bubble.
        is_known = question.user_team.startswith("T") and question.surface != "command"
        if not is_known or self._draft.ending is not None:
            return None
        # It waits behind another question, perhaps for long, and whoever answers it then knows of no stream.
        if self._draft.progress.doing == "waiting_thread":
            return None
        await budget.look(START)
        if not budget.is_free(START, self._line.channel, Priority.FIRST_WORDS):
            return None
        # Streams and updates have a budget each; whoever comes joins the one whose turns are shorter then. A later
        # message is a long answer's: it outgrows its stream, and lives on updates then.
        if number == 0 and budget.turn(APPEND, more=1) > budget.turn(UPDATE, more=1):
            return None
        # At once: of ten that are asked in the same moment each has to see the one before.
        budget.join(APPEND, self._run.id)
        refusals = self._line.refusals
        piece = None
        if not await refusals.streams():
            piece = opening(self._draft, number, self._run.id, buttons=not await refusals.buttons())
        if piece is None:
            budget.leave(APPEND, self._run.id)
        return piece

    async def open(self, piece: Piece, on_answer: Callable[[dict[str, Any]], None]) -> bool:
        """Open a stream; False when Slack refused and a post has to do.

        Raises:
            UncertainError: when it may stand there or not. It must not be opened again.
        """
        question = self._run.question
        try:
            await self._line.write(
                START,
                Priority.FIRST_WORDS,
                lambda: {
                    "thread_ts": question.thread.thread_ts,
                    "recipient_user_id": question.user,
                    "recipient_team_id": question.user_team,
                    "task_display_mode": "plan",
                    "chunks": piece.chunks,
                },
                on_answer=on_answer,
                once=True,
            )
        except UncertainError:
            raise
        except SlackError as error:
            logger.warning("stream refused", run=self._run.reference, reason=str(error))
            self._line.budget.leave(APPEND, self._run.id)
            await self._line.refusals.stream(error.code, had_buttons=bool(piece.after.placed))
            return False
        return True

    def opened(self, piece: Piece) -> Stream:
        """The stream that a piece opened now."""
        budget = self._line.budget
        budget.leave(UPDATE, self._run.id)
        if not piece.after.text:
            budget.expect(APPEND, self._run.id)
        spread = zlib.crc32(self._run.id.encode()) % _SPREAD_SECONDS
        return Stream(piece.after, self._clock() + LIFE_SECONDS - spread)

    # -- adding ----------------------------------------------------------------------------------------

    async def add(self, number: int, message: Message, priority: Urgency) -> bool:
        """Bring a message up to date by adding to its stream. False when chat.update has to write it now.

        Raises:
            SlowDownError: when Slack's rate was reached; nothing was added.
            GoneError: when the message is no longer there.
        """
        stream = message.stream
        if stream is None:
            return self._draft.ending is None and self._clock() < message.quiet_until
        piece = self._next(number, stream)
        if self._draft.ending is not None:
            if piece and piece.chunks and self._wait(STOP) > _STOP_SOON_SECONDS:
                await self._try_to_add(number, message, stream, priority)
            if message.stream:
                await self._end(number, message, stream, priority)
            return False
        if piece is None or self._goes_on_elsewhere():
            # It shows nothing new until it has ended: it does not wait its turn among texts.
            await self._end(number, message, stream, Priority.FIRST_WORDS)
            return False
        if not piece.chunks:
            message.shown = self._draft.signature(number)
            return True
        added = await self._try_to_add(number, message, stream, priority)
        if not added and message.stream:
            await self._end(number, message, stream, Priority.FIRST_WORDS)
        return added

    def is_due(self, message: Message) -> bool:
        """Whether its stream has to end now, even though nothing is new."""
        return message.stream is not None and self._clock() >= message.stream.end_by

    def _next(self, number: int, stream: Stream) -> Piece | None:
        if stream.uncertain or self._clock() >= stream.end_by:
            return None
        self._draft.take_in()
        self._tell_time()
        return news(self._draft, number, stream.sent, self._run.id)

    def _wait(self, method: str) -> float:
        return self._line.budget.expected_wait(method, self._line.channel)

    def _goes_on_elsewhere(self) -> bool:
        """Whether chat.update would show the next words much sooner: Slack has refused appends, say."""
        wait = self._wait(APPEND)
        return wait > _PATIENCE_SECONDS and wait > 2 * (self._wait(STOP) + self._wait(UPDATE))

    async def _try_to_add(self, number: int, message: Message, stream: Stream, priority: Urgency) -> bool:
        """One append. False: it was not carried out, or nobody knows; then the stream has to end."""
        made: list[tuple[Piece, Any]] = []

        def make() -> dict[str, Any]:
            # Called when the budget allows: only now is the newest put together.
            piece = self._next(number, stream)
            if piece is None or not piece.chunks:
                raise _Roll
            made[:] = [(piece, self._draft.signature(number))]
            stream.uncertain = True
            self._freshness.lay_out()
            return {"ts": message.ts, "chunks": piece.chunks}

        def arrived(_: dict[str, Any]) -> None:
            stream.sent, message.shown = made[0][0].after, made[0][1]
            message.has_words = message.has_words or bool(stream.sent.text)
            stream.uncertain = False
            if message.has_words:
                self._line.budget.met(APPEND, self._run.id)
            self._freshness.shown(has_words=message.has_words)

        try:
            await self._line.write(APPEND, priority, make, on_answer=arrived, once=True)
            return True
        except _Roll:
            return False
        except SlowDownError:
            stream.uncertain = False
            raise
        except StoppedError:
            self._leave(message)
            message.quiet_until = self._clock() + _QUIET_SECONDS
            logger.info("stopped with slack's own button", run=self._run.reference)
            return True
        except GoneError:
            self._leave(message)
            raise
        except SlackError as error:
            # What was refused, or may have arrived, is written by chat.update: never added once more.
            logger.info("stream goes on as an update", run=self._run.reference, reason=str(error))
            if isinstance(error, StreamEndedError):
                self._leave(message)
            return False

    # -- ending ----------------------------------------------------------------------------------------

    async def _end(self, number: int, message: Message, stream: Stream, priority: Urgency) -> None:
        """End a stream with its cards closed, and its last words where they fit."""
        piece = self._next(number, stream)
        last = closing(piece.after if piece else stream.sent)
        did_stop = await self.stop(message.ts, [*(piece.chunks if piece else []), *last], priority)
        message.is_whole = did_stop and piece is not None
        self._leave(message)

    async def part(self, message: Message) -> None:
        """End the stream of a message that the answer no longer needs, if it has one."""
        if message.stream:
            await self.stop(message.ts, closing(message.stream.sent), Priority.TOOL)
            self._leave(message)

    async def stop(self, ts: str, chunks: list[dict[str, Any]], priority: Urgency) -> bool:
        """Stop whatever streams at `ts`. True: the chunks arrived. Whether it stopped at all, chat.update tells."""
        tries: list[dict[str, Any]] = [{"ts": ts, "chunks": chunks}, {"ts": ts}] if chunks else [{"ts": ts}]
        for arguments in tries:
            try:
                await self._line.insist(STOP, priority, partial(dict, arguments), tries=_STOP_TRIES)
                return "chunks" in arguments or not chunks
            except (StreamEndedError, GoneError, UncertainError):
                return False
            except SlackError as error:
                logger.warning("stream not stopped", run=self._run.reference, reason=str(error))
        return False

    def _leave(self, message: Message) -> None:
        message.stream, message.shown = None, None
        self._line.budget.leave(APPEND, self._run.id)
        self._line.budget.met(APPEND, self._run.id)
        self._line.budget.join(UPDATE, self._run.id)
