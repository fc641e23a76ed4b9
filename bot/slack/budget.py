"""Slack's budget, shared by every answer: who may call a method next.

Slack counts calls per method and workspace: each has a lane (`bot.slack.lane`). Who waits for one is served by
priority, then by who has waited longest, so that twenty answers get equal shares. A 429 closes exactly its lane.
With a `SharedRates` all replicas draw on one rate as well; what is left of it for less urgent calls is smaller, so that
no replica's growing text delays another's final state.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from bot import log
from bot.slack.lane import PER_CHANNEL, Lane

logger = log.get(__name__)

_AGEING_SECONDS = 20.0
"""Seconds of waiting after which text is as urgent as a tool; half a round of those who wait may be shorter."""
_YOUNG_SECONDS = 2.0
"""Seconds for which a tool that changed certainly goes before text."""
_MOST_LANES = 500
"""Lanes kept before those at rest are dropped: every channel and direct message has one."""
_MOST_OWNERS = 1_000
_FORGOTTEN_SECONDS = 600.0
"""The same for owners; who was not served for so long may as well be new. Not every owner is told to be forgotten."""


class SharedRates(Protocol):
    """The rates all replicas draw on; see `bot.store.rates`."""

    async def ask(self, lane: str, interval: float, burst: float, *, reserve: bool) -> float:
        """Seconds until a call may be made. It is counted when that is 0, and when it is reserved."""
        ...

    async def close(self, lane: str, seconds: float, burst: float) -> None:
        """Nobody may call before `seconds` have passed, and then without the burst."""
        ...

    async def is_closed(self, lane: str) -> bool:
        """Whether Slack's refusal still holds, also for what was reserved before it."""
        ...


class Priority(IntEnum):
    """Who goes first when calls are scarce."""

    FINAL = 0
    FIRST_WORDS = 1
    TOOL = 2
    TEXT = 3


Urgency = Priority | Callable[[], Priority]
"""A priority, or what tells it at any moment: an answer that waits to add text may come to its first words."""

_KEPT = {Priority.FINAL: 0.0, Priority.FIRST_WORDS: 0.02, Priority.TOOL: 0.05, Priority.TEXT: 0.1}
"""The part of a burst that is kept from a call for more urgent ones, of other replicas as well."""
_MOST_KEPT = 0.7
"""The part of a burst that is kept at most, however many calls are expected: some agents think for minutes."""
_LOOK_SECONDS = 0.2
"""Longest pause before a lane is looked at again: somebody more urgent may have come meanwhile."""


class ClosedError(Exception):
    """Slack refused the method while one waited who would rather do something else."""


@dataclass(slots=True, eq=False)
class _Waiter:
    priority: Urgency
    owner: str
    order: int
    since: float
    granted: asyncio.Future[None]
    may_leave: bool

    def urgency(self, waited: float, ageing: float) -> Priority:
        """Its priority; text that waits long is as urgent as a tool: nobody waits for ever."""
        priority = self.priority if isinstance(self.priority, Priority) else self.priority()
        return Priority.TOOL if priority is Priority.TEXT and waited >= ageing else priority


@dataclass(slots=True)
class _Queue:
    """Who waits for a lane."""

    name: str
    method: str
    lane: Lane
    reserved: float | None = None
    """When the call reserved at the shared rate may be made."""
    waiters: list[_Waiter] = field(default_factory=list)
    pump: asyncio.Task[None] | None = None

    def is_at_rest(self, now: float) -> bool:
        """Whether a new one would do as well."""
        is_idle = not self.waiters and self.pump is None and (self.reserved or now) <= now
        return is_idle and self.lane.is_at_rest(now)


class Budget:
    """Permission to call Slack. `clock` gives seconds; `sleep` waits that many."""

    def __init__(
        self,
        per_minute: dict[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        shared: SharedRates | None = None,
    ) -> None:
        self.shared = shared
        self._per_minute = per_minute or {}
        self._clock = clock
        self._sleep = sleep
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._served: dict[str, float] = {}
        """By owner: when its last call was granted."""
        self._users: defaultdict[str, dict[str, float]] = defaultdict(dict)
        """By method: the owners that live on it, and since when."""
        self._expected: defaultdict[str, dict[str, float]] = defaultdict(dict)
        """By method: the owners that will need a call at once when their time comes, and since when."""
        self._count = 0

    async def take(
        self, method: str, channel: str, priority: Urgency, owner: str, *, may_leave: bool = False
    ) -> None:
        """Wait for permission to call `method`. `owner` is the answer it is for: owners share equally.

        Raises:
            ClosedError: when Slack refuses the method meanwhile and `may_leave` is set.
        """
        queue = self._queue(method, channel)
        self._count += 1
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(priority, owner, self._count, self._clock(), granted, may_leave)
        if self.shared is None and not queue.waiters and self._wait(queue, waiter) <= 0:
            self._grant(queue, waiter)
            return
        queue.waiters.append(waiter)
        if queue.pump is None:
            queue.pump = asyncio.create_task(self._serve(queue))
        try:
            await granted
        finally:
            if waiter in queue.waiters:
                queue.waiters.remove(waiter)

    def is_free(self, method: str, channel: str, priority: Priority = Priority.TEXT) -> bool:
        """Whether a call could be made now without anybody waiting for it."""
        queue = self._queue(method, channel)
        return not queue.waiters and queue.lane.wait(self._clock(), self._kept(queue, priority)) <= 0

    def expected_wait(self, method: str, channel: str) -> float:
        """Seconds that a call which is not urgent would wait now, as far as this process knows."""
        queue, now = self._queue(method, channel), self._clock()
        wait = queue.lane.wait(now, self._kept(queue, Priority.TEXT))
        return wait + len(queue.waiters) * queue.lane.gap(now)

    def expect(self, method: str, owner: str) -> None:
        """An answer will need a call of this method at once: for its first words, or its end. One is kept for it."""
        self._expected[method][owner] = self._clock()

    def met(self, method: str, owner: str) -> None:
        """What was expected has come."""
        self._expected[method].pop(owner, None)

    def join(self, method: str, owner: str) -> None:
        """An answer will live on this method."""
        self._users[method][owner] = self._clock()

    def leave(self, method: str, owner: str) -> None:
        """It does no longer."""
        self._users[method].pop(owner, None)

    def turn(self, method: str, more: int = 0) -> float:
        """Seconds between two calls of one answer when all that live on the method, and so many more, take turns."""
        gap = self._queue(method, "").lane.gap(self._clock())
        return (self._alive(self._users[method]) + more) * gap

    def _alive(self, owners: dict[str, float]) -> int:
        """How many of them were heard of lately. An answer that another worker took over says no goodbye."""
        oldest = self._clock() - _FORGOTTEN_SECONDS
        for owner in [each for each, at in owners.items() if max(at, self._served.get(each, at)) < oldest]:
            del owners[owner]
        return len(owners)

    async def refused(self, method: str, channel: str, retry_after: float) -> None:
        """Slack answered 429: nobody calls this method until `retry_after` seconds have passed."""
        queue = self._queue(method, channel)
        queue.lane.refuse(self._clock(), retry_after)
        for waiter in queue.waiters:
            if waiter.may_leave and not waiter.granted.done():
                waiter.granted.set_exception(ClosedError())
        if self.shared:
            await self.shared.close(queue.name, retry_after, queue.lane.burst)

    def forget(self, owner: str) -> None:
        """An answer has ended: its share is free."""
        self._served.pop(owner, None)
        for owners in (*self._users.values(), *self._expected.values()):
            owners.pop(owner, None)

    async def aclose(self) -> None:
        """End the tasks that serve who waits."""
        pumps = [queue.pump for queue in self._queues.values() if queue.pump]
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    def _queue(self, method: str, channel: str) -> _Queue:
        key = (method, channel if method in PER_CHANNEL else "")
        queue = self._queues.get(key)
        if queue is None:
            if len(self._queues) >= _MOST_LANES:
                now = self._clock()
                self._queues = {
                    name: queue for name, queue in self._queues.items() if not queue.is_at_rest(now)
                }
            name = ":".join(part for part in key if part)
            queue = self._queues[key] = _Queue(name, method, Lane.of(method, self._per_minute.get(method)))
        return queue

    def _waits_since(self, waiter: _Waiter) -> float:
        """When it began to wait; who asks thrice at once begins anew with each call."""
        return max(waiter.since, self._served.get(waiter.owner, float("-inf")))

    def _ageing(self, queue: _Queue, now: float) -> float:
        """Seconds after which text is as urgent as a tool: half a round, so that tools do not starve it."""
        return min(_AGEING_SECONDS, max(_YOUNG_SECONDS, len(queue.waiters) * queue.lane.gap(now) / 2))

    def _urgency(self, queue: _Queue, waiter: _Waiter) -> Priority:
        now = self._clock()
        return waiter.urgency(now - self._waits_since(waiter), self._ageing(queue, now))

    def _next(self, queue: _Queue) -> _Waiter:
        # Everybody is looked at, a thousand perhaps: what is the same for all is found once.
        now = self._clock()
        ageing = self._ageing(queue, now)

        def turn(waiter: _Waiter) -> tuple[int, float, int]:
            since = self._waits_since(waiter)
            return waiter.urgency(now - since, ageing), since, waiter.order

        return min(queue.waiters, key=turn)

    def _kept(self, queue: _Queue, urgency: Priority) -> float:
        """Calls of the burst that are out of reach for one of this urgency."""
        calls = queue.lane.burst / queue.lane.interval
        kept = _KEPT[urgency] * calls
        if urgency > Priority.FIRST_WORDS:
            kept += self._alive(self._expected[queue.method])
        return min(kept, _MOST_KEPT * calls)

    def _wait(self, queue: _Queue, waiter: _Waiter) -> float:
        """Seconds until the lane lets this call through."""
        urgency, now = self._urgency(queue, waiter), self._clock()
        kept = self._kept(queue, urgency)
        return (
            queue.lane.wait(now, kept)
            if urgency <= Priority.FIRST_WORDS
            else queue.lane.paced_wait(now, kept)
        )

    def _grant(self, queue: _Queue, waiter: _Waiter) -> None:
        now = self._clock()
        queue.lane.spend(now)
        self._served[waiter.owner] = now
        if len(self._served) > _MOST_OWNERS:
            oldest = now - _FORGOTTEN_SECONDS
            self._served = {name: last for name, last in self._served.items() if last >= oldest}

    async def _shared_wait(self, queue: _Queue, waiter: _Waiter) -> float:
        """Seconds until the shared rate lets this process's next call through; 0 means now.

        A process holds one reservation at a time, so that replicas take turns. Who is urgent need not wait for it
        while the shared burst lasts.
        """
        assert self.shared is not None
        now, urgency = self._clock(), self._urgency(queue, waiter)
        gap = queue.lane.gap(now)
        part = max(queue.lane.burst - self._kept(queue, urgency) * gap, gap)
        if queue.reserved is not None and queue.reserved <= now:
            queue.reserved = None
            # Another replica may have been refused since: then the reservation is worth nothing.
            if not await self.shared.is_closed(queue.name):
                return 0.0
        if queue.reserved is None:
            wait = await self.shared.ask(queue.name, gap, part, reserve=True)
            if wait > 0:
                queue.reserved = now + wait
            return wait
        if urgency <= Priority.FIRST_WORDS:
            wait = await self.shared.ask(queue.name, gap, part, reserve=False)
            return min(wait, queue.reserved - now)
        return queue.reserved - now

    async def _shared_wait_safely(self, queue: _Queue, waiter: _Waiter) -> float:
        try:
            return await self._shared_wait(queue, waiter)
        except Exception:
            # Who waits here would wait for ever if this task ended; the lane's own pace is left.
            logger.exception("the shared budget failed", lane=queue.name)
            return 0.0

    async def _serve(self, queue: _Queue) -> None:
        try:
            while queue.waiters:
                # While nothing is left of the burst nobody has to be chosen.
                wait = queue.lane.wait(self._clock(), 0.0)
                if wait <= 0:
                    # Chosen at every look: somebody more urgent may have come meanwhile.
                    waiter = self._next(queue)
                    wait = self._wait(queue, waiter)
                if wait <= 0 and self.shared:
                    wait = await self._shared_wait_safely(queue, waiter)
                    if wait <= 0 and queue.waiters:
                        waiter = self._next(queue)
                if wait > 0:
                    await self._sleep(min(wait, _LOOK_SECONDS))
                    continue
                if not queue.waiters:
                    break
                queue.waiters.remove(waiter)
                if not waiter.granted.done():
                    self._grant(queue, waiter)
                    waiter.granted.set_result(None)
        finally:
            queue.pump = None
