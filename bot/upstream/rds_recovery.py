"""Fetches an RDS Copilot answer whose stream was lost: polls its record until its generation has ended.

The words the service uses for the state of a generation are undocumented, so an unknown one is settled by the
documented state of the conversation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from bot.model.event import (
    ApprovalAsked,
    Event,
    RunError,
    RunFinished,
    RunStarted,
    TextMessageContent,
    TextMessageReplaced,
)
from bot.upstream.backend import Others
from bot.upstream.errors import UpstreamError
from bot.upstream.halves import Halves
from bot.upstream.rds_frames import RdsFrames
from bot.upstream.rds_records import Record, is_away, name_of, pick
from bot.upstream.rds_search import Search
from bot.upstream.values import parsed, string, text_of

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
"""Seconds between two looks: soon at first, because most answers have ended by then, doubling later."""
MISSING_WITHIN = 15.0
"""Seconds in which a record that is not there yet may still appear."""
SETTLES_WITHIN = 3.0
"""Seconds before the only conversation that fits is believed to be the only one: another may be listed a moment
later."""

RUNNING = ("running", "generating", "processing", "inprogress", "started", "streaming", "queued")
FINISHED = ("finished", "completed", "complete", "success", "succeeded", "done", "end", "ended", "normal")
STOPPED = ("stopped", "stop", "terminated", "aborted", "canceled", "cancelled")
FAILED = ("failed", "fail", "failure", "error", "exception", "timeout")
SETTLED = ("idle", "pending_approval")
"""States of a conversation in which nothing is being generated; documented."""


class Recovery:
    """How to fetch answers.

    Args:
        conversations: the records of all conversations, those that changed last first. messages: those of one.
        status: the state of a conversation.
        within: seconds on `clock` after which an answer is no longer waited for.
    """

    def __init__(
        self,
        conversations: Callable[[], AsyncIterator[Record]],
        messages: Callable[[str], Awaitable[list[Record]]],
        status: Callable[[str], Awaitable[str]],
        *,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
        within: float,
    ) -> None:
        self._conversations = conversations
        self._messages = messages
        self._status = status
        self._looks = partial(Looks, sleep, clock, within)

    async def events(
        self, session_id: str, query: str, message_id: str, since: float, others: Others
    ) -> AsyncIterator[Event]:
        """What is new at every look, until the generation has ended; see `bot.upstream.backend.Followed.recover`."""
        looks = self._looks()
        if not session_id:
            search = Search(self._conversations, self._messages, others, query, since)
            session_id, message_id = await self._find(search, looks)
        recorded, halves = Recorded(session_id), Halves()
        while True:
            records = await _unless_away(self._messages(session_id))
            found = pick(records, query, message_id, since) if records is not None else None
            if found is not None:
                for event in recorded.read(found):
                    yield halves.join(event)
                if end := await self._end(session_id, found, recorded):
                    for event in (*halves.rest(), *recorded.rest(), end):
                        yield event
                    return
            await looks.again(missing=found is None and records is not None)

    async def _find(self, search: Search, looks: Looks) -> tuple[str, str]:
        """The conversation and the message of the question, once exactly one fits."""
        while True:
            found = await _unless_away(search.look())
            if found is not None and len(found) == 1 and looks.waited >= SETTLES_WITHIN:
                return found[0]
            await looks.again(missing=found is not None)

    async def _end(self, session_id: str, record: Record, recorded: Recorded) -> Event | None:
        """The event that ends the answer, None while it is being written."""
        word = string(record.get("generationstatus"))
        status = word.lower().replace("_", "").replace("-", "")
        if status in FAILED:
            return recorded.error or RunError(word, string(record.get("message")))
        if status in STOPPED:
            return RunError("Stopped", word)
        if status in FINISHED or (status not in RUNNING and record.get("generationfinishedat")):
            return recorded.error or RunFinished()
        if status in RUNNING:
            return None
        return RunFinished() if await _unless_away(self._status(session_id)) in SETTLED else None


class Looks:
    """The looks at the service's memory for one answer: when the next is due, and when there is none any more.

    Attributes:
        waited: seconds since the first.
    """

    def __init__(
        self, sleep: Callable[[float], Awaitable[None]], clock: Callable[[], float], within: float
    ) -> None:
        self._sleep, self._clock, self._within = sleep, clock, within
        self._began = clock()
        self._pause = FIRST_PAUSE

    @property
    def waited(self) -> float:
        return self._clock() - self._began

    async def again(self, *, missing: bool) -> None:
        """Wait until the next look. `missing`: the last one showed that nothing is there.

        Raises:
            UpstreamError: "NotFound" when it has been missing for too long, "Deadline" when there is no time left.
        """
        if missing and self.waited >= MISSING_WITHIN:
            raise UpstreamError("NotFound", "no answer in the history is certainly this one")
        if self.waited >= self._within:
            raise UpstreamError("Deadline", "the answer was not complete in time", begun=True)
        await self._sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


class Recorded:
    """What was told of an answer's record so far.

    Attributes:
        error: how it failed, None when it did not.
    """

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self._message_id = ""
        self._frames = RdsFrames()
        self._entries: list[Any] = []
        self._text = ""
        self._approvals: list[Event] = []
        self.error: RunError | None = None

    def read(self, record: Record) -> list[Event]:
        """What is new in the record since the last look. Its end is told by its status, not by its events."""
        message_id = name_of(record)
        found: list[Event] = []
        if message_id != self._message_id:
            self._message_id = message_id
            found.append(RunStarted(session_id=self._session_id, message_id=message_id))
        listed = parsed(record.get("events"))
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        for place, entry in enumerate(entries):
            # An entry may be appended, or brought up to date where it stands.
            if self._entries[place : place + 1] != [entry]:
                found += [event for event in self._frames.read(entry) if not self._keep(event)]
        self._entries = entries
        # The record holds the answer as a whole; should its events hold more, that is the answer.
        text = max(text_of(record.get("answer")), _said(entries), key=len)
        return [*found, *self._new(text)]

    def rest(self) -> list[Event]:
        """The decision it waits for."""
        return [*self._approvals, *self._frames.rest()]

    def _keep(self, event: Event) -> bool:
        """Whether an event is not for now: text is told as a whole, ends and pauses at the end."""
        match event:
            case ApprovalAsked():
                self._approvals.append(event)
            case RunError():
                self.error = event
            case TextMessageContent() | TextMessageReplaced() | RunStarted() | RunFinished():
                pass
            case _:
                return False
        return True

    def _new(self, text: str) -> list[Event]:
        known, self._text = self._text, text
        if text == known:
            return []
        if text.startswith(known):
            return [TextMessageContent(self._message_id, text[len(known) :])]
        return [TextMessageReplaced(self._message_id, text)]


def _said(entries: list[Record]) -> str:
    """The text in a record's events, read anew, because an entry may have grown where it stands."""
    said: list[str] = []
    frames = RdsFrames()
    for event in (event for entry in entries for event in frames.read(entry)):
        if isinstance(event, TextMessageReplaced):
            said = [event.text]
        elif isinstance(event, TextMessageContent):
            said.append(event.delta)
    return "".join(said)


async def _unless_away(look: Awaitable[T]) -> T | None:
    """What a look shows, None while the service is away for a moment: the answer is not."""
    try:
        return await look
    except UpstreamError as error:
        if is_away(error):
            return None
        raise
