"""Slots: at most N runs open per agent over all replicas, first come, first served."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.store import keys
from bot.store.scripts import Scripts


class Slots:
    """The slots of every agent. `limit` is how many runs of one agent may be open upstream at once."""

    def __init__(self, redis: Redis, limit: int) -> None:
        self._redis = redis
        self._script = Scripts(redis)
        self.limit = limit

    async def ask(self, agent: str, holder: str) -> int:
        """Take a slot, keep one that is held, or keep one's place in the queue: 0 means held, 1 means next.

        `holder` names one try of one run: a late `free` of a try that lost its thread must not free the next one's.
        Must be called again within `keys.SLOT_LIFE`, or the slot or place goes to others. Raises
        `redis.RedisError` when the server is away.
        """
        return int(await self._script("slot", self._keys(agent), [holder, self.limit, keys.SLOT_LIFE]))

    async def free(self, agent: str, holder: str) -> None:
        """Give back a slot or a place. Doing so twice does no harm."""
        async with self._redis.pipeline(transaction=True) as pipe:
            for key in self._keys(agent):
                pipe.zrem(key, holder)
            await pipe.execute()

    @staticmethod
    def _keys(agent: str) -> list[str]:
        return [keys.slot(agent or "default", part) for part in ("held", "waiting", "alive")]
