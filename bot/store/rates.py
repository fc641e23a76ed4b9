"""Slack's budget as all replicas share it: one GCRA per lane on Redis's clock.

A lane is a method of a workspace, for posts a channel as well. GCRA keeps one time stamp, the arrival time in theory of
the next call: a call is allowed while that is no further ahead of now than the burst.
"""

from __future__ import annotations

from redis import RedisError
from redis.asyncio import Redis

from bot import log
from bot.store import keys
from bot.store.scripts import Scripts

logger = log.get(__name__)


class SharedRates:
    """The rates of one workspace. While Redis is away every call is allowed: each process has its own pace then."""

    def __init__(self, redis: Redis, team: str) -> None:
        self._redis = redis
        self._script = Scripts(redis)
        self._team = team

    async def ask(self, lane: str, interval: float, burst: float, *, reserve: bool) -> float:
        """Seconds until a call may be made. It is counted when that is 0, and when it is reserved.

        Args:
            lane: which rate.
            interval: seconds between calls in the long run.
            burst: seconds' worth of calls that may be made at once; less for whom the last of it is not meant.
            reserve: the caller will wait, and then make the call without asking again.
        """
        try:
            wait = await self._script(
                "rate", [self._key(lane)], [round(interval * 1000), round(burst * 1000), int(reserve)]
            )
        except (RedisError, OSError) as error:
            logger.warning("shared budget not reached", lane=lane, reason=f"{type(error).__name__}: {error}")
            return 0.0
        return float(wait) / 1000

    async def close(self, lane: str, seconds: float, burst: float) -> None:
        """Slack refused: nobody may call before `seconds` have passed, and then without the `burst`."""
        try:
            await self._script(
                "rate_close",
                [self._key(lane), keys.rate_closed(self._team, lane)],
                [round(seconds * 1000), round(burst * 1000)],
            )
        except (RedisError, OSError) as error:
            logger.warning("shared budget not reached", lane=lane, reason=f"{type(error).__name__}: {error}")

    async def is_closed(self, lane: str) -> bool:
        """Whether a refusal by Slack still holds, also for what was reserved before it."""
        try:
            return bool(await self._redis.exists(keys.rate_closed(self._team, lane)))
        except (RedisError, OSError) as error:
            logger.warning("shared budget not reached", lane=lane, reason=f"{type(error).__name__}: {error}")
            return False

    def _key(self, lane: str) -> str:
        return keys.rate(self._team, lane)
