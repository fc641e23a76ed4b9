"""Fetches an RDS Copilot answer whose stream was lost: polls its record until its generation has ended.

The words the service uses for the state of a generation are undocumented, so an unknown one is settled by the
documented state of the conversation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from bot.model.event import (
    ApprovalAsked,
    Event,
    RunError,
    RunFinished,
    RunStarted,
    TextMessageContent,
    TextMessageReplaced,
)
from bot.upstream.errors import UpstreamError
from bot.upstream.halves import Halves
from bot.upstream.rds_frames import RdsFrames
from bot.upstream.refusals import may_retry
from bot.upstream.values import first, parsed, string, text_of

Record = dict[str, Any]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
"""Seconds between two looks: soon at first, because most answers have ended by then, doubling later."""
MISSING_WITHIN = 15.0
"""Seconds in which a record that is not there yet may still appear."""
CLOCKS_APART = 30.0
"""Seconds by which the service's clock may be behind ours."""
MILLISECONDS_FROM = 1e11
"""Unix times above are in milliseconds; in seconds they would lie in the year 5138."""

RUNNING = ("running", "generating", "processing", "inprogress", "started", "streaming", "queued")
FINISHED = ("finished", "completed", "complete", "success", "succeeded", "done", "end", "ended", "normal")
STOPPED = ("stopped", "stop", "terminated", "aborted", "canceled", "cancelled")
FAILED = ("failed", "fail", "failure", "error", "exception", "timeout")
SETTLED = ("idle", "pending_approval")
"""States of a conversation in which nothing is being generated; documented."""

TRANSIENT = ("Connect", "Cut", "Silence", "Timeout")


class Recovery:
    """How to fetch answers.

    Args:
        messages: the records of a conversation, names folded.
        status: the state of a conversation.
        within: seconds on `clock` after which an answer is no longer waited for.
    """

    def __init__(
        self,
        messages: Callable[[str], Awaitable[list[Record]]],
        status: Callable[[str], Awaitable[str]],
        *,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
        within: float,
    ) -> None:
        self._messages = messages
        self._status = status
        self._sleep = sleep
        self._clock = clock
        self._within = within

    async def events(
        self, session_id: str, query: str, message_id: str, since: float
    ) -> AsyncIterator[Event]:
        """What is new at every look, until the generation has ended; see `bot.upstream.backend.Followed.recover`."""
        began, pause = self._clock(), FIRST_PAUSE
        recorded, halves = Recorded(session_id), Halves()
        while True:
            records = await self._look(session_id)
            found = pick(records, query, message_id, since) if records is not None else None
            if found is not None:
                for event in recorded.read(found):
                    yield halves.join(event)
                if end := await self._end(session_id, found, recorded):
                    for event in (*halves.rest(), *recorded.rest(), end):
                        yield event
                    return
            waited = self._clock() - began
            if found is None and records is not None and waited >= MISSING_WITHIN:
                raise UpstreamError("NotFound", "the conversation has no such answer")
            if waited >= self._within:
                raise UpstreamError("Deadline", "the answer was not complete in time", begun=True)
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _look(self, session_id: str) -> list[Record] | None:
        """The records, None while the service is away for a moment: the answer is not."""
        try:
            return await self._messages(session_id)
        except UpstreamError as error:
            if _is_away(error):
                return None
            raise

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
        try:
            settled = await self._status(session_id) in SETTLED
        except UpstreamError as error:
            if _is_away(error):
                return None
            raise
        return RunFinished() if settled else None


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
        message_id = _id(record)
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


def pick(records: list[Record], query: str, message_id: str, since: float) -> Record | None:
    """The record of an answer: the one with this id, else the newest to this question since it was asked."""
    if message_id:
        return next((record for record in records if _id(record) == message_id), None)
    newest_first = bool(records) and _created(records[0]) > _created(records[-1])
    asked = [
        (created, record)
        # The list's order settles what was asked within one second.
        for record in (records if newest_first else reversed(records))
        if string(record.get("query")).strip() == query.strip()
        and (created := _created(record)) >= since - CLOCKS_APART
    ]
    return max(asked, key=lambda found: found[0])[1] if asked else None


def _is_away(error: UpstreamError) -> bool:
    # A look changes nothing, so one that failed inside the service can be repeated too.
    return error.code in TRANSIENT or error.status >= 500 or may_retry(error)


def _id(record: Record) -> str:
    return string(first(record, "messageid", "id"))


def _created(record: Record) -> float:
    """Unix seconds; 0 when unreadable, for an answer of unknown age may be an older one to the same words."""
    value = string(record.get("createdat"))
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return 0.0
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds / 1000 if seconds >= MILLISECONDS_FROM else seconds
