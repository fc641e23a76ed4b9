"""Slack's budget, shared by every answer: one rate per method, and per channel for posts.

Slack counts calls per method and workspace. Each lane is a GCRA (a leaky bucket kept as one time stamp). Who waits is
served by priority, then by who was served longest ago, so that twenty answers get equal shares. A 429 closes exactly
its lane for as long as Slack says. With a `SharedRates` all replicas draw on one rate as well; what is left of it for
less urgent calls is smaller, so that no replica's growing text delays another's final state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from bot import log

logger = log.get(__name__)

PER_MINUTE: dict[str, float] = {
    "chat.postMessage": 55,
    "chat.update": 42,
    "chat.delete": 42,
    "chat.postEphemeral": 85,
    "conversations.replies": 42,
    "conversations.history": 42,
    "users.info": 85,
}
"""Calls per minute and workspace; posts count per channel. Below Slack's published tiers by the burst, so that even
the first minute after a quiet time keeps to them."""
_OTHERS = 18
"""Calls per minute of any other method: the slowest tier."""
_BURST_SECONDS = 10
"""How many seconds' worth of calls may be made at once after a quiet time."""
_AGEING_SECONDS = 20.0
"""Seconds of waiting that raise a call by one priority."""
_MOST_LANES = 500
"""Lanes kept before those at rest are dropped: every channel and direct message has one."""
_MOST_OWNERS = 1_000
_FORGOTTEN_SECONDS = 600.0
"""The same for owners; who was not served for so long may as well be new. Not every owner is told to be forgotten."""
_PER_CHANNEL = frozenset({"chat.postMessage"})


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


_PART_OF_BURST = {Priority.FINAL: 1.0, Priority.FIRST_WORDS: 0.9, Priority.TOOL: 0.7, Priority.TEXT: 0.5}
"""How much of the shared burst a call may use; the rest is kept for more urgent ones of other replicas."""
_LOOK_SECONDS = 1.0
"""Longest pause before the shared rate is asked again: somebody more urgent may have come here meanwhile."""


@dataclass(slots=True, eq=False)
class _Waiter:
    priority: Priority
    owner: str
    order: int
    since: float
    granted: asyncio.Future[None]

    def urgency(self, waited: float) -> int:
        """Its priority, raised while its owner gets nothing, up to that of first words: nobody waits for ever."""
        if self.priority <= Priority.FIRST_WORDS:
            return self.priority
        return max(Priority.FIRST_WORDS, self.priority - int(waited / _AGEING_SECONDS))


@dataclass(slots=True)
class _Lane:
    name: str
    interval: float
    burst: float
    arrival: float = float("-inf")
    """GCRA's theoretical arrival time of the next call."""
    closed_until: float = float("-inf")
    reserved: float | None = None
    """When the call reserved at the shared rate may be made."""
    waiters: list[_Waiter] = field(default_factory=list)
    pump: asyncio.Task[None] | None = None

    def wait(self, now: float) -> float:
        """Seconds until a call may be made."""
        return max(0.0, self.closed_until - now, self.arrival - self.burst - now)

    def is_at_rest(self, now: float) -> bool:
        """Whether a new lane would do as well."""
        is_idle = not self.waiters and self.pump is None and (self.reserved or now) <= now
        return is_idle and max(self.arrival, self.closed_until) <= now

    def spend(self, now: float) -> None:
        self.arrival = max(now, self.arrival) + self.interval


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
        self._per_minute = PER_MINUTE | (per_minute or {})
        self._clock = clock
        self._sleep = sleep
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._served: dict[str, tuple[int, float]] = {}
        """By owner: the number and the time of the last call granted."""
        self._count = 0

    async def take(self, method: str, channel: str, priority: Priority, owner: str) -> None:
        """Wait for permission to call `method`. `owner` is the answer it is for: owners share equally."""
        lane = self._lane(method, channel)
        if self.shared is None and not lane.waiters and lane.wait(self._clock()) <= 0:
            self._grant(lane, owner)
            return
        self._count += 1
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(priority, owner, self._count, self._clock(), granted)
        lane.waiters.append(waiter)
        if lane.pump is None:
            lane.pump = asyncio.create_task(self._serve(lane))
        try:
            await granted
        finally:
            if waiter in lane.waiters:
                lane.waiters.remove(waiter)

    def is_free(self, method: str, channel: str) -> bool:
        """Whether a call could be made now without anybody waiting for it."""
        lane = self._lane(method, channel)
        return not lane.waiters and lane.wait(self._clock()) <= 0

    async def refused(self, method: str, channel: str, retry_after: float) -> None:
        """Slack answered 429: nobody calls this method until `retry_after` seconds have passed."""
        lane = self._lane(method, channel)
        lane.closed_until = max(lane.closed_until, self._clock() + retry_after)
        lane.arrival = max(lane.arrival, lane.closed_until + lane.burst)
        if self.shared:
            await self.shared.close(lane.name, retry_after, lane.burst)

    def forget(self, owner: str) -> None:
        """An answer has ended: its share is free."""
        self._served.pop(owner, None)

    async def aclose(self) -> None:
        """End the tasks that serve who waits."""
        pumps = [lane.pump for lane in self._lanes.values() if lane.pump]
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    def _lane(self, method: str, channel: str) -> _Lane:
        key = (method, channel if method in _PER_CHANNEL else "")
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                now = self._clock()
                self._lanes = {name: lane for name, lane in self._lanes.items() if not lane.is_at_rest(now)}
            interval = 60 / self._per_minute.get(method, _OTHERS)
            lane = self._lanes[key] = _Lane(
                ":".join(part for part in key if part), interval, max(_BURST_SECONDS, interval)
            )
        return lane

    def _grant(self, lane: _Lane, owner: str) -> None:
        lane.spend(self._clock())
        self._count += 1
        self._served[owner] = (self._count, self._clock())
        if len(self._served) > _MOST_OWNERS:
            oldest = self._clock() - _FORGOTTEN_SECONDS
            self._served = {name: last for name, last in self._served.items() if last[1] >= oldest}

    def _next(self, lane: _Lane) -> _Waiter:
        now = self._clock()

        def turn(waiter: _Waiter) -> tuple[int, int, int]:
            number, at = self._served.get(waiter.owner, (0, waiter.since))
            return waiter.urgency(now - max(at, waiter.since)), number, waiter.order

        return min(lane.waiters, key=turn)

    async def _shared_wait(self, lane: _Lane, waiter: _Waiter) -> float:
        """Seconds until the shared rate lets this process's next call through; 0 means now.

        A process holds one reservation at a time, so that replicas take turns. Who is urgent need not wait for it
        while the shared burst lasts.
        """
        assert self.shared is not None
        part = max(lane.burst * _PART_OF_BURST[waiter.priority], lane.interval)
        now = self._clock()
        if lane.reserved is not None and lane.reserved <= now:
            lane.reserved = None
            # Another replica may have been refused since: then the reservation is worth nothing.
            if not await self.shared.is_closed(lane.name):
                return 0.0
        if lane.reserved is None:
            wait = await self.shared.ask(lane.name, lane.interval, part, reserve=True)
            if wait > 0:
                lane.reserved = now + wait
            return wait
        if waiter.priority <= Priority.FIRST_WORDS:
            wait = await self.shared.ask(lane.name, lane.interval, part, reserve=False)
            return min(wait, lane.reserved - now)
        return lane.reserved - now

    async def _shared_wait_safely(self, lane: _Lane, waiter: _Waiter) -> float:
        try:
            return await self._shared_wait(lane, waiter)
        except Exception:
            # Who waits here would wait for ever if this task ended; the lane's own pace is left.
            logger.exception("the shared budget failed", lane=lane.name)
            return 0.0

    async def _serve(self, lane: _Lane) -> None:
        try:
            while lane.waiters:
                wait = lane.wait(self._clock())
                if wait > 0:
                    await self._sleep(wait)
                    continue
                # Chosen only now: somebody more urgent may have come while the lane was closed.
                if self.shared and (wait := await self._shared_wait_safely(lane, self._next(lane))):
                    await self._sleep(min(wait, _LOOK_SECONDS))
                    continue
                if not lane.waiters:
                    break
                waiter = self._next(lane)
                lane.waiters.remove(waiter)
                if not waiter.granted.done():
                    self._grant(lane, waiter.owner)
                    waiter.granted.set_result(None)
        finally:
            lane.pump = None
