"""What a workspace refused, kept for all replicas for as long as it is worth believing."""

from __future__ import annotations

from redis import RedisError
from redis.asyncio import Redis

from bot import log
from bot.store import keys

logger = log.get(__name__)


class Refusals:
    """The refusals of one workspace. While Redis is away nothing is remembered: asking again costs one call."""

    def __init__(self, redis: Redis, team: str) -> None:
        self._redis = redis
        self._team = team

    async def put(self, name: str, value: str, seconds: float) -> None:
        """Keep a value for so long."""
        try:
            await self._redis.set(keys.refusal(self._team, name), value, px=round(seconds * 1000))
        except (RedisError, OSError) as error:
            logger.warning("refusal not remembered", name=name, reason=f"{type(error).__name__}: {error}")

    async def get(self, name: str) -> str:
        """The value, "" when there is none."""
        try:
            value = await self._redis.get(keys.refusal(self._team, name))
        except (RedisError, OSError) as error:
            logger.warning("refusals not known", name=name, reason=f"{type(error).__name__}: {error}")
            return ""
        return value.decode() if isinstance(value, bytes) else str(value or "")
