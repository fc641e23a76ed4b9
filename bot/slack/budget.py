"""Slack's budget, shared by every answer: who may call a method next.

Slack counts calls per method and workspace: each has a lane (`bot.slack.lane`). Who waits for one is served by
priority, then by who has waited longest, so that twenty answers get equal shares. A 429 closes exactly its lane.
With a `SharedRates` all of this holds for all replicas together: how a lane stands, whose call is next, and for how
many answers to come a call is kept, is known to the store. This process's view of a lane is brought up to that with
each call, and is what is left while the store is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf

from bot import log
from bot.slack.lane import PER_CHANNEL, RECOVERY_SECONDS, SLOWER, SLOWEST, Lane
from bot.slack.tally import Tally
from bot.store.rates import Asked, SharedRates, Standing, Turn

logger = log.get(__name__)

_AGEING_SECONDS = 20.0
"""Seconds of waiting after which text is as urgent as a tool; half a round of those who wait may be shorter."""
_YOUNG_SECONDS = 2.0
"""Seconds for which a tool that changed certainly goes before text."""
_MOST_LANES = 500
"""Lanes kept before those at rest are dropped: every channel and direct message has one."""
_BEAT_SECONDS = 5.0
"""How often the other replicas are told what lives here."""


class Priority(IntEnum):
    """Who goes first when calls are scarce."""

    FINAL = 0
    FIRST_WORDS = 1
    TOOL = 2
    TEXT = 3


_TOOL, _TEXT = Priority.TOOL, Priority.TEXT
"""Looking a member up takes longer than all else that is asked of each who waits."""

Urgency = Priority | Callable[[], Priority]
"""A priority, or what tells it at any moment: an answer that waits to add text may come to its first words."""

_KEPT = {Priority.FINAL: 0.0, Priority.FIRST_WORDS: 0.02, Priority.TOOL: 0.05, Priority.TEXT: 0.1}
"""The part of a burst that is kept from a call for more urgent ones, of other replicas as well."""
_MOST_KEPT = 0.9
"""The part of a burst that is kept at most, however many calls are expected. Text always has the rate itself; with less
kept, the ends of twenty answers would take that, too, from the text of the others."""
_LOOK_SECONDS = 0.2
"""Longest pause before a lane is looked at again: somebody more urgent may have come meanwhile."""
_YIELD_SECONDS = 0.05
"""The same while another replica's call goes first."""
_LEAST_SECONDS = 0.001


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
        return _TOOL if waited >= ageing and priority is _TEXT else priority


@dataclass(slots=True)
class _Queue:
    """Who waits for a lane."""

    name: str
    method: str
    lane: Lane
    elsewhere: int = 0
    """How many wait for it at other replicas."""
    told: Priority | None = None
    """The urgency of the call that the other replicas know to wait here."""
    waiters: list[_Waiter] = field(default_factory=list)
    pump: asyncio.Task[None] | None = None

    def is_at_rest(self, now: float) -> bool:
        """Whether a new one would do as well."""
        return not self.waiters and self.pump is None and self.lane.is_at_rest(now)


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
        self._tally = Tally(clock)
        self._beating: asyncio.Task[None] | None = None
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
            queue.lane.spend(self._clock())
            self._serve_owner(owner)
            return
        queue.waiters.append(waiter)
        if queue.pump is None:
            # It serves all who wait, not only who came first.
            queue.pump = asyncio.create_task(self._serve(queue), context=Context())
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
        return wait + self._waiting(queue) * queue.lane.gap(now)

    async def look(self, method: str) -> None:
        """Learn how a method stands for all replicas, before a choice."""
        if self.shared is None:
            return
        queue = self._queue(method, "")
        self._stand(queue, await self.shared.look(queue.name))
        if not self._tally.is_fresh(_BEAT_SECONDS):
            await self._tell()

    def expect(self, method: str, owner: str) -> None:
        """An answer will need a call of this method at once: for its first words, or its end. One is kept for it."""
        self._tally.expect(method, owner)
        self._beat()

    def met(self, method: str, owner: str) -> None:
        """What was expected has come."""
        self._tally.met(method, owner)

    def join(self, method: str, owner: str) -> None:
        """An answer will live on this method."""
        self._tally.join(method, owner)
        self._beat()

    def leave(self, method: str, owner: str) -> None:
        """It does no longer."""
        self._tally.leave(method, owner)

    def turn(self, method: str, more: int = 0) -> float:
        """Seconds between two calls of one answer when all that live on the method, and so many more, take turns."""
        return (self._tally.users(method) + more) * self._queue(method, "").lane.gap(self._clock())

    async def refused(self, method: str, channel: str, retry_after: float) -> None:
        """Slack answered 429: nobody calls this method until `retry_after` seconds have passed."""
        queue = self._queue(method, channel)
        queue.lane.refuse(self._clock(), retry_after)
        self._let_leave(queue)
        if self.shared:
            rules = {"slower": SLOWER, "slowest": SLOWEST, "recovery": RECOVERY_SECONDS}
            self._stand(queue, await self.shared.close(queue.name, retry_after, queue.lane.burst, **rules))

    def forget(self, owner: str) -> None:
        """An answer has ended: its share is free."""
        self._tally.forget(owner)

    async def aclose(self) -> None:
        """End the tasks that serve who waits."""
        tasks = [task for task in (self._beating, *(queue.pump for queue in self._queues.values())) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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

    def _serve_owner(self, owner: str) -> None:
        """Note that a call was granted to an answer; if it asked thrice at once, it begins to wait anew."""
        now = self._clock()
        self._tally.serve(owner)
        for queue in self._queues.values():
            for waiter in queue.waiters:
                if waiter.owner == owner:
                    waiter.since = now

    def _waiting(self, queue: _Queue) -> int:
        return len(queue.waiters) + queue.elsewhere

    def _ageing(self, queue: _Queue, now: float) -> float:
        """Seconds after which text is as urgent as a tool: half a round, so that tools do not starve it."""
        return min(_AGEING_SECONDS, max(_YOUNG_SECONDS, self._waiting(queue) * queue.lane.gap(now) / 2))

    def _urgency(self, queue: _Queue, waiter: _Waiter) -> Priority:
        now = self._clock()
        return waiter.urgency(now - waiter.since, self._ageing(queue, now))

    def _next(self, queue: _Queue, but: _Waiter | None = None) -> _Waiter | None:
        # Everybody is looked at, a thousand perhaps: what is the same for all is found once.
        now = self._clock()
        ageing = self._ageing(queue, now)

        first: _Waiter | None = None
        least = (_TEXT, inf, 0)
        for waiter in queue.waiters:
            if waiter is not but:
                turn = (waiter.urgency(now - waiter.since, ageing), waiter.since, waiter.order)
                if turn < least:
                    first, least = waiter, turn
        return first

    def _kept(self, queue: _Queue, urgency: Priority) -> float:
        """Calls of the burst that are out of reach for one of this urgency."""
        calls = queue.lane.burst / queue.lane.interval
        kept = _KEPT[urgency] * calls
        if urgency > Priority.FIRST_WORDS:
            kept += self._tally.expected(queue.method)
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

    async def _admitted(self, queue: _Queue, waiter: _Waiter) -> float:
        """Seconds until the call may be asked for again; 0 when it may be made, and is counted."""
        now, wait = self._clock(), self._wait(queue, waiter)
        is_closed = queue.lane.closed_until > now
        if self.shared is not None and not is_closed and (wait <= 0 or self._is_news(queue, waiter)):
            urgency = self._urgency(queue, waiter)
            turn = await self._ask(queue, self._asked(queue, waiter, urgency))
            if turn is not None:
                queue.elsewhere, queue.told = turn.waiting, None if turn.granted else urgency
                self._stand(queue, turn.standing)
                if turn.granted:
                    return 0.0
                yields = min(turn.after, _YIELD_SECONDS)
                return max(
                    yields, self._wait(queue, waiter) if waiter in queue.waiters else 0.0, _LEAST_SECONDS
                )
        if wait <= 0:
            queue.lane.spend(now)
        return wait

    async def _ask(self, queue: _Queue, asked: Asked) -> Turn | None:
        assert self.shared is not None
        try:
            return await self.shared.ask(queue.name, asked)
        except Exception:
            # Who waits here would wait for ever if this task ended; the lane's own pace is left.
            logger.exception("the shared budget failed", lane=queue.name)
            return None

    def _asked(self, queue: _Queue, waiter: _Waiter, urgency: Priority) -> Asked:
        now, lane, kept = self._clock(), queue.lane, self._kept(queue, urgency)
        after = (self._next(queue, but=waiter) if self._has_others(queue) else None) or waiter
        return Asked(
            gap=lane.gap(now),
            usable=lane.usable(now, kept),
            step=0.0 if urgency <= Priority.FIRST_WORDS else lane.step(now, kept),
            rank=urgency,
            waited=now - waiter.since,
            waiting=len(queue.waiters),
            next_rank=self._urgency(queue, after),
            next_waited=now - after.since,
        )

    def _is_news(self, queue: _Queue, waiter: _Waiter) -> bool:
        """Whether the others should know that this call waits: theirs are less urgent, perhaps, and would go first."""
        urgency = self._urgency(queue, waiter)
        is_known = queue.told is not None and queue.told <= urgency
        return urgency is not Priority.TEXT and not is_known and self._has_others(queue)

    def _has_others(self, queue: _Queue) -> bool:
        return queue.elsewhere > 0 or self._tally.has_others

    def _stand(self, queue: _Queue, standing: Standing | None) -> None:
        """Take over how a lane stands for all; who would rather leave does when another replica was refused."""
        if standing is None:
            return
        now, was_closed = self._clock(), queue.lane.closed_until
        queue.lane.stand(now, standing)
        if queue.lane.closed_until > max(now, was_closed + _LOOK_SECONDS):
            self._let_leave(queue)

    def _let_leave(self, queue: _Queue) -> None:
        for waiter in queue.waiters:
            if waiter.may_leave and not waiter.granted.done():
                waiter.granted.set_exception(ClosedError())

    def _beat(self) -> None:
        """Tell the others what lives here, as long as anything does."""
        if self.shared is not None and (self._beating is None or self._beating.done()):
            self._beating = asyncio.create_task(self._keep_telling(), context=Context())

    async def _keep_telling(self) -> None:
        while await self._tell():
            await self._sleep(_BEAT_SECONDS)

    async def _tell(self) -> bool:
        """Whether there was anything to tell."""
        own = self._tally.own()
        if self.shared is not None and (elsewhere := await self.shared.tell(own)) is not None:
            self._tally.hear(elsewhere)
        return bool(own)

    async def _serve(self, queue: _Queue) -> None:
        try:
            while queue.waiters:
                # While nothing is left of the burst nobody has to be chosen, unless others are to know of it.
                wait = queue.lane.wait(self._clock(), 0.0)
                # Chosen at every look: somebody more urgent may have come meanwhile.
                if (wait <= 0 or self._has_others(queue)) and (waiter := self._next(queue)):
                    wait = await self._admitted(queue, waiter)
                if wait > 0:
                    await self._sleep(min(wait, _LOOK_SECONDS))
                elif waiter := self._next(queue):
                    # Perhaps another one: somebody more urgent may have come while the store was asked.
                    queue.waiters.remove(waiter)
                    if not waiter.granted.done():
                        self._serve_owner(waiter.owner)
                        waiter.granted.set_result(None)
        finally:
            queue.pump = None
