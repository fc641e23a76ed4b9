"""What the service keeps: conversations, their messages with everything generated, and approvals asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from bot.demo.rds.ask import Approval
from bot.demo.rds.script import Write
from bot.demo.upstream.script import Topic
from bot.demo.upstream.wire import Frame

KEPT_CONVERSATIONS = 1000
"""Conversations kept; the one unused for longest goes first. Far more than a demo or a test opens."""


@dataclass(slots=True)
class Call:
    """A tool that waits for somebody's decision. `approved` is None until then."""

    id: str
    write: Write
    approved: bool | None = None


@dataclass(slots=True)
class AskedRound:
    """The calls of one round of approval."""

    id: str
    calls: list[Call]

    @property
    def decided(self) -> bool:
        return all(call.approved is not None for call in self.calls)


@dataclass(slots=True)
class Message:
    """One question and what was generated for it.

    `asked` is the round of approval it asks for. Times are Unix seconds; `finished` is 0 while it is generated.
    """

    id: str
    conversation_id: str
    task_id: str
    question: str
    started: float
    asked: AskedRound | None = None
    frames: list[Frame] = field(default_factory=list)
    status: Literal["running", "finished", "failed", "stopped"] = "running"
    finished: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def answer(self) -> str:
        """The text so far."""
        text = ""
        for frame in self.frames:
            if frame["Event"] == "message":
                text += frame["Answer"]
            elif frame["Event"] == "message_replace":
                text = frame["Answer"]
        return text

    def add(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._ring()

    def close(self, status: Literal["finished", "failed", "stopped"], now: float) -> None:
        self.status, self.finished = status, now
        self._ring()

    async def follow(self) -> AsyncIterator[Frame]:
        """All frames, the past ones and those to come, until the generation has ended."""
        given = 0
        while given < len(self.frames) or self.status == "running":
            if given < len(self.frames):
                yield self.frames[given]
                given += 1
            else:
                await self._changed.wait()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(slots=True)
class Conversation:
    """A conversation; `topic` is what was found last, `approval` the mode its tools are in.

    `updated` is when it was asked or its answer ended, in Unix seconds as `created`.
    """

    id: str
    created: float
    name: str
    updated: float = 0.0
    instance: str = ""
    topic: Topic | None = None
    approval: Approval = "manual"
    round: AskedRound | None = None
    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Waiting for approval counts for more than running, as documented."""
        if self.round and not self.round.decided:
            return "pending_approval"
        return "running" if any(message.status == "running" for message in self.messages) else "idle"


class Conversations:
    """Conversations by id, bounded."""

    def __init__(self, kept: int = KEPT_CONVERSATIONS) -> None:
        self._kept = kept
        self._by_id: OrderedDict[str, Conversation] = OrderedDict()

    def find(self, conversation_id: str) -> Conversation | None:
        return self._by_id.get(conversation_id)

    def forget(self, conversation_id: str) -> None:
        self._by_id.pop(conversation_id, None)

    def keep(self, conversation: Conversation) -> None:
        """Add it, or note that it is used."""
        self._by_id[conversation.id] = conversation
        self._by_id.move_to_end(conversation.id)
        while len(self._by_id) > self._kept:
            self._by_id.popitem(last=False)

    def latest_first(self) -> list[Conversation]:
        """By when they changed; the one used last first where the clock cannot tell."""
        used = reversed(self._by_id.values())
        return sorted(used, key=lambda conversation: conversation.updated, reverse=True)

    def message(self, message_id: str) -> Message | None:
        return next((message for message in self._messages() if message.id == message_id), None)

    def task(self, task_id: str) -> Message | None:
        return next((message for message in self._messages() if message.task_id == task_id), None)

    def waiting(self) -> list[tuple[Conversation, Call]]:
        """The calls nobody has decided on, and where they were asked for."""
        return [
            (conversation, call)
            for conversation in self._by_id.values()
            if conversation.round
            for call in conversation.round.calls
            if call.approved is None
        ]

    def _messages(self) -> list[Message]:
        return [message for conversation in self._by_id.values() for message in conversation.messages]
