"""Messages of a reply that its answer no longer needs: it shrank, or Slack does not let them be changed.

They are noted in the run's record in the same moment in which they stop being the reply's, so that after a crash as
well nothing of them stays live. While the answer goes on they are used again when it grows back; what is left at its
end is deleted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from bot import log
from bot.slack.budget import Priority
from bot.slack.client import (
    GoneError,
    RefusedBlocksError,
    SlackError,
    StreamOpenError,
    TooBigError,
    UncertainError,
)
from bot.slack.reply import layout
from bot.slack.reply.line import Line
from bot.slack.reply.record import Record
from bot.slack.reply.stream import Message, Streams

logger = log.get(__name__)

Update = Callable[[str, Callable[[], layout.Payload], Priority], Awaitable[None]]
"""Writes a payload over the message of a ts, whether that streams or not."""

_TRIES = 6


class Surplus:
    """The surplus of one reply. `update` is how its messages are written."""

    def __init__(self, line: Line, streams: Streams, record: Record, update: Update) -> None:
        self._line = line
        self._streams = streams
        self._record = record
        self._update = update
        self._left = list(record.surplus)
        self._spare: list[Message] = []
        """Those that may be used again, in the order in which they stand."""

    def add(self, messages: list[Message], *, spare: bool) -> None:
        """Set messages aside, which stood at the reply's end. They are noted with the next `Record.keep`.

        `spare`: they may be used again. Else new ones are posted in their place, below them.
        """
        self._spare = [*messages, *self._spare]
        if not spare:
            self._left += [message.ts for message in self._spare]
            self._spare = []
        self._note()

    def take(self) -> Message | None:
        """A message to be used again as the reply's next one, None when there is none."""
        if not self._spare:
            return None
        message = self._spare.pop(0)
        message.shown = None
        self._note()
        return message

    async def clear(self, frame: layout.Frame) -> None:
        """Take them all away, the last one first.

        Raises:
            UncertainError: when Slack does not answer; the rest stays noted.
        """
        if not self._record.surplus:
            return
        for ts in reversed(self._record.surplus):
            await self.remove(ts, frame)
        self._left, self._spare = [], []
        await self._record.cleared()

    def _note(self) -> None:
        self._record.surplus = self._left + [message.ts for message in self._spare]

    async def remove(self, ts: str, frame: layout.Frame) -> None:
        """Take a message away; where Slack does not allow that, it says that it counts no more.

        Raises:
            UncertainError: when Slack does not answer.
        """
        try:
            try:
                await self._delete(ts)
            except StreamOpenError:
                await self._streams.stop(ts, [], Priority.TOOL)
                await self._delete(ts)
        except GoneError:
            return
        except UncertainError:
            raise
        except SlackError as error:
            logger.warning("old message not removed", run=frame.reference, reason=str(error))
            await self._calm(ts, frame)

    async def _delete(self, ts: str) -> None:
        await self._line.insist("chat.delete", Priority.TOOL, lambda: {"ts": ts}, tries=_TRIES)

    async def _calm(self, ts: str, frame: layout.Frame) -> None:
        """What cannot be deleted says that it counts no more, and bears no button."""
        payload = layout.replaced(frame)
        for simpler in (payload, layout.text_only(payload)):
            try:
                await self._update(ts, partial(dict, simpler, **self._line.no_message()), Priority.TOOL)
                return
            except (RefusedBlocksError, TooBigError):
                continue
            except UncertainError:
                raise
            except SlackError as error:
                logger.warning("old message left as it is", run=frame.reference, reason=str(error))
                return
