"""A reply's messages come to be: opened as a stream where that is possible, else posted; each of them once.

That a post is about to leave is written down before. One whose fate is unknown is looked for before it is repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bot.model.run import Run
from bot.slack.budget import Urgency
from bot.slack.client import SlackError, UncertainError
from bot.slack.reply.chunks import Piece
from bot.slack.reply.layout import Payload
from bot.slack.reply.line import Line
from bot.slack.reply.messages import Messages
from bot.slack.reply.record import PAUSE_SECONDS, Record
from bot.slack.reply.stream import APPEND, UPDATE, Message, Streams


class Posts:
    """What makes the messages of the reply to `run`.

    `keep` keeps a payload in the run's record, False when the store did not answer; `sleep` waits so many seconds.
    """

    def __init__(
        self,
        run: Run,
        line: Line,
        streams: Streams,
        record: Record,
        messages: Messages,
        keep: Callable[[Payload], Awaitable[bool]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._run = run
        self._line = line
        self._streams = streams
        self._record = record
        self._messages = messages
        self._keep = keep
        self._sleep = sleep

    async def post(
        self,
        number: int,
        priority: Urgency,
        make: Callable[[], Payload],
        signature: Any,
        *,
        may_stream: bool = True,
    ) -> None:
        """Make message `number`, which is the next one: `make` gives what it shows, `signature` tells that apart.

        Raises:
            SlackError: when it was refused, or nobody can tell whether it is there.
        """
        if self._run.posting and await self._found(number, None):
            return  # It is there; what it shows is brought up to date next.
        payload = make()
        opening = await self._streams.opening(number) if may_stream else None
        if opening is None:
            self._line.budget.join(UPDATE, self._run.id)
        self._run.posting = True
        while not await self._keep(payload):
            # A post that nobody knows of would be made again after a crash.
            await self._sleep(PAUSE_SECONDS)
        if opening is None or not await self._open_stream(number, opening, signature):
            await self._post_message(number, priority, payload, signature)
        await self._keep(payload)

    async def _open_stream(self, number: int, opening: Piece, signature: Any) -> bool:
        """Begin message `number` as a stream; False when it has to be posted."""
        try:
            return await self._streams.open(
                opening, lambda answer: self._made(number, str(answer["ts"]), signature, opening)
            )
        except UncertainError:
            return await self._found(number, opening)

    async def _post_message(self, number: int, priority: Urgency, payload: Payload, signature: Any) -> None:
        try:
            await self._line.write(
                "chat.postMessage",
                priority,
                lambda: {**self._line.new_message(number), **payload},
                on_answer=lambda answer: self._made(number, str(answer["ts"]), signature, None),
            )
        except UncertainError:
            if not await self._found(number, None):
                raise
        except SlackError:
            self._run.posting = False
            raise

    async def _found(self, number: int, opening: Piece | None) -> bool:
        """Look in the thread for message `number`, which may have been posted, or opened as a stream."""
        ts = await self._line.find(number, self._record.surplus)
        if ts:
            self._made(number, ts, None, opening)
        return bool(ts)

    def _made(self, number: int, ts: str, signature: Any, opening: Piece | None) -> None:
        message = Message(ts, signature)
        if opening:
            message.stream, message.has_words = self._streams.opened(opening), bool(opening.after.text)
        else:
            self._line.budget.leave(APPEND, self._run.id)
            self._line.budget.join(UPDATE, self._run.id)
        # Its end, and without a stream its first words, are not to wait for others' text.
        self._line.budget.expect(UPDATE, self._run.id)
        self._messages.made(number, message)
