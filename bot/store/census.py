"""How much work there is in the whole deployment, counted for the metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from redis import RedisError, exceptions
from redis.asyncio import Redis

from bot import metrics
from bot.store import keys
from bot.store.slots import Slots

CENSUS_SECONDS = 10.0
"""How often it is counted: no less often than Prometheus usually looks."""


class Census:
    """Counts a workspace's waiting runs, threads with work, and the slots of every agent this process has asked for.

    `run` is its life.
    """

    def __init__(self, redis: Redis, slots: Slots, team: str) -> None:
        self._redis = redis
        self._slots = slots
        self._team = team

    async def run(self) -> None:
        """Count again and again until cancelled. While Redis is away the last figures stand."""
        while True:
            try:
                await self.take()
            except (RedisError, OSError):
                pass  # The workers say so.
            await asyncio.sleep(CENSUS_SECONDS)

    async def take(self) -> None:
        """Count once.

        Raises:
            redis.RedisError: when the server is away.
        """
        known = sorted(self._slots.known)
        # What is counted was written by Redis's clock; ours may differ from it.
        seconds, microseconds = await self._redis.time()
        now = seconds + microseconds / 1e6
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(keys.waiting(self._team))
            pipe.zrange(keys.waiting(self._team), 0, 0, withscores=True)
            pipe.xlen(keys.THREADS)
            pipe.xpending(keys.THREADS, keys.GROUP)
            for agent in known:
                pipe.zcount(keys.slot(agent, "held"), now * 1000, "+inf")
                pipe.zcount(keys.slot(agent, "alive"), now * 1000, "+inf")
            found: list[Any] = await pipe.execute(raise_on_error=False)
        waiting, oldest, length, pending, *counts = found
        if isinstance(pending, exceptions.ResponseError):
            pending = {"pending": 0}  # Nobody has made the group yet.
        for result in (waiting, oldest, length, *counts):
            if isinstance(result, Exception):
                raise result
        metrics.SHARED_WAITING.set(int(waiting))
        metrics.SHARED_OLDEST_SECONDS.set(max(0.0, now - float(oldest[0][1])) if oldest else 0)
        taken = int(pending["pending"])
        metrics.SHARED_THREADS.labels("taken").set(taken)
        metrics.SHARED_THREADS.labels("waiting").set(max(0, int(length) - taken))
        for agent, held, queued in zip(known, counts[::2], counts[1::2], strict=True):
            metrics.SHARED_SLOTS.labels(agent, "held").set(held)
            metrics.SHARED_SLOTS.labels(agent, "waiting").set(queued)
