"""What the relay asks of an upstream service, whichever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bot.model.event import Event
from bot.model.question import Language


@dataclass(frozen=True, slots=True)
class Resume:
    """What makes a paused run go on: `id` of the tool call decided, or of the interrupt answered with `value`."""

    id: str
    value: str = ""


Pause = Callable[[float], Awaitable[None]]
Leaving = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a service, and the conversation it belongs to.

    Attributes:
        text: the question; empty only when `resume` says what goes on.
        session_id: the conversation's id; empty begins one, where the service names them.
        parent_id: the message this one follows, where the service wants to know.
        agent_id: "ag-…" and the like, empty for the account's default agent.
        language: to answer in. `locale` is the asker's own (BCP 47, "zh-CN"), `timezone` an IANA name; "" unknown.
        resume: set when a paused run goes on.
        pause: waits so many seconds between two tries to ask, when the service has refused and has certainly not
            begun; None waits, and does nothing else. What it raises ends the asking.
        leaving: called when the connection stands and the request is about to leave. What it raises ends the asking,
            and nothing has left.
    """

    text: str
    session_id: str = ""
    parent_id: str = ""
    agent_id: str = ""
    language: Language = "en"
    locale: str = ""
    timezone: str = ""
    resume: Resume | None = None
    pause: Pause | None = field(default=None, compare=False, repr=False)
    leaving: Leaving | None = field(default=None, compare=False, repr=False)


Others = Callable[[], Awaitable[frozenset[str] | None]]
"""The sessions of others who asked the same words at about the same time; None while one of them is not known."""
SAME_TIME = 90.0
"""Seconds apart at most that two questions may be asked and yet either may have begun the same session, as far as the
times in a service's history tell."""


class Backend(Protocol):
    """One upstream service.

    Attributes:
        key: its name in commands and in the store: "das", "das-legacy" or "rds".
        name: shown in the footer ("DAS Agent").
        limit: characters of a question it takes.
        names_sessions: whether the service makes the session ids; else the first question brings a UUID.
    """

    key: str
    name: str
    limit: int
    names_sessions: bool

    def ask(self, ask: Ask) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Ask, and read what happens until the stream ends.

        Leaving the context closes the connection. The iterator ends normally only after RunFinished or RunError, or
        when the run is paused (ApprovalAsked, InterruptRaised); everything else raises `UpstreamError`.

        Raises:
            UpstreamError: on entering, when the service refuses or cannot be reached; while iterating, when
                the answer is cut off, silent for too long or unreadable.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@runtime_checkable
class Followed(Protocol):
    """A service whose runs live on without a listener: they can be stopped, fetched and rated."""

    async def stop(self, run_id: str) -> None:
        """End a run for good.

        Raises:
            UpstreamError: when the service refuses or does not answer; the run may go on then.
        """
        ...

    def recover(self, ask: Ask, message_id: str, since: float, others: Others) -> AsyncIterator[Event]:
        """The answer to a question that was asked and whose stream was lost, read until its generation has ended.

        Ends as `ask`'s iterator does. Its first event tells the session and the message.

        Args:
            ask: as it was asked. Without a session it is looked for among those that began then, by the words.
            message_id: the answer's id, "" when the stream had not told it: the newest answer to this text is meant.
            since: Unix seconds when it was asked; an older answer to the same words is not this one.
            others: asked where the session has to be looked for.

        Raises:
            UpstreamError: when it cannot be fetched; code "NotFound" when the service knows no such answer, or several
                that may be it.
        """
        ...

    async def rate(self, message_id: str, rating: str, comment: str) -> None:
        """Tell the service what somebody thinks of an answer ("like" or "dislike"); `comment` may be empty.

        Raises:
            UpstreamError: when the service refuses or does not answer.
        """
        ...
