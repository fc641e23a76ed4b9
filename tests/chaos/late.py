"""A process freezes with a call to Slack on the wire, another takes its thread over, and then the call arrives.

The double of Slack knows when a call comes, so the process is stopped at that moment and not at about that moment.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from bot.demo.workspace import Call, Message
from bot.demo.workspace.faults import Fault
from tests.chaos.check import Asked, ending, is_running
from tests.chaos.ground import Bot, Ground, now

BEGIN, UPDATE, STORE = "its first message", "an update", "the store away when it wakes"
"""What is on the wire; with the last it has arrived, and what comes next must not leave."""
WAYS = (BEGIN, UPDATE, STORE)
_BEGINNINGS = ("chat.startStream", "chat.postMessage")
_CHANGES = ("chat.appendStream", "chat.update")
WRITES = (*_CHANGES, "chat.stopStream")
"""Calls that change a message."""
_PATIENCE_SECONDS = 10.0
"""Longest wait for the call: its question may end, or its process be killed, before there is one."""
_AWAKE_SECONDS = 2.5
"""How long the store is away from a process that wakes: twenty writes of an answer that grows."""


_WIRE_SECONDS = 0.1
"""What an answer takes to a process that is about to wake."""


@dataclass(slots=True)
class Late:
    """One process that lost a thread.

    Attributes:
        asked, way: the thread's question, and what is on the wire; see `WAYS`.
        bot, froze: the process, and when it did, in Unix seconds.
        caught, arrive: its call has come; its call may be carried out.
        messages, own: the ts of what others, or it, have ended; those of them in this thread.
        span: when it may not change them (Unix times, seconds).
    """

    asked: Asked
    way: str
    bot: Bot | None = None
    froze: float = 0.0
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    arrive: asyncio.Event = field(default_factory=asyncio.Event)
    messages: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    span: tuple[float, float] = (0.0, 0.0)


class Wire:
    """The calls on their way to Slack."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._waiting: list[Late] = []
        ground.workspace.before_calls(self._hold)

    async def freeze(self, late: Late) -> str | None:
        """Freeze the process that answers `late.asked`; what was done, None when nothing could be."""
        self._waiting.append(late)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await late.caught.wait()
        except TimeoutError:
            return None
        finally:
            self._waiting.remove(late)
            if not late.caught.is_set():
                late.arrive.set()
        assert late.bot is not None
        try:
            if late.way == STORE:
                late.arrive.set()
            is_over = await self._ended(late, 3 * self._ground.options.lease_seconds + _PATIENCE_SECONDS)
            late.arrive.set()
            if late.way == STORE and is_over:
                await self._wake_alone(late)
            # The answer to its call is to be there when it wakes.
            await asyncio.sleep(_WIRE_SECONDS)
            self._ground.wake(late.bot)
            # Killed at once, it could not take back what arrived when it slept.
            await self._ended(late, self._ground.options.lease_seconds)
        finally:
            self._ground.wake(late.bot)
            late.bot.busy.release()
        return f"process {late.bot.number}, {'taken over' if is_over else 'not taken over in time'}"

    async def _wake_alone(self, late: Late) -> None:
        """Wake the process while the store is away: nobody can tell it that the thread is another's."""
        assert late.bot is not None
        written = (message for message in self._ground.workspace.messages if message.bot_id)
        late.messages = frozenset(message.ts for message in written if ending(message) != "nothing")
        late.own = late.messages.intersection(message.ts for message in self._replies(late.asked))
        async with self._ground.store_away():
            began = now()
            self._ground.wake(late.bot)
            await asyncio.sleep(_AWAKE_SECONDS)
            late.span = began, now()

    async def _ended(self, late: Late, seconds: float) -> bool:
        """Whether the thread shows the question's end within so many seconds."""

        def is_over() -> bool:
            replies = self._replies(late.asked)
            return bool(replies) and not any(is_running(message) for message in replies)

        with suppress(TimeoutError):
            await self._ground.workspace.until(is_over, seconds)
            return True
        return False

    async def _hold(self, call: Call) -> Fault | None:
        for late in self._waiting:
            if late.caught.is_set() or not self._is_of(call, late):
                continue
            if late.way == UPDATE and call.method == "chat.appendStream":
                # Slack has ended the stream: the next words come as an update.
                return Fault(error="message_not_in_streaming_state")
            late.bot = next(bot for bot in self._ground.bots if call.port in bot.ports)
            if late.bot.busy.locked():
                continue
            await late.bot.busy.acquire()
            self._ground.put_to_sleep(late.bot)
            late.froze = now()
            late.caught.set()
            await late.arrive.wait()
            return None
        return None

    def _is_of(self, call: Call, late: Late) -> bool:
        if late.way == BEGIN:
            return call.method in _BEGINNINGS and call.args.get("thread_ts") == late.asked.ts
        services = (self._ground.das, self._ground.rds)
        is_asked = any(late.asked.token in request.question for one in services for request in one.requests)
        is_own = call.args.get("ts") in [message.ts for message in self._replies(late.asked)]
        return is_asked and is_own and call.method in _CHANGES

    def _replies(self, asked: Asked) -> list[Message]:
        replies = self._ground.workspace.replies(asked.channel, asked.ts)
        return [message for message in replies if message.bot_id and not message.deleted]
