"""What the health checks tell: whether Redis, the connection to Slack and Alibaba Cloud's credentials are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis import RedisError
from redis.asyncio import Redis

from bot import log, metrics
from bot.store import keys
from bot.upstream.credentials import CredentialsSource
from bot.upstream.errors import UpstreamError

logger = log.get(__name__)

_READY_SECONDS = 2.0
"""Longest wait of a probe for Redis."""
LOOK_SECONDS = 60.0
"""How often the credentials are looked for: a role's are renewed by the chain long before they expire."""


@dataclass(slots=True)
class Health:
    """Of as much as has been started. `watch` keeps an eye on the credentials, so that no probe has to call out."""

    redis: Redis | None = None
    slack: Callable[[], Awaitable[bool]] | None = None
    has_credentials: bool = False
    is_ending: bool = False
    _had_credentials: bool = False
    _reason: str = ""

    async def ready(self) -> dict[str, bool]:
        """Each part, and whether it works; `ok` is whether questions should come here.

        A process that never had credentials is deployed wrongly and shall not replace one that works. When they are
        lost later, whoever asks is told so in the thread, which is better than a request that nobody takes.
        """
        try:
            async with asyncio.timeout(_READY_SECONDS):
                redis_ok = bool(self.redis and await self.redis.set(keys.PROBE, 1, px=keys.PROBE_LIFE))
        except (RedisError, OSError, TimeoutError):
            redis_ok = False
        slack_ok = bool(self.slack and await self.slack())
        parts = {"redis": redis_ok, "slack": slack_ok, "credentials": self.has_credentials}
        for name, works in parts.items():
            metrics.READY.labels(name).set(works)
        can_work = redis_ok and slack_ok and self._had_credentials
        # Who ends still answers what comes in, but a load balancer shall look for others.
        return {"ok": can_work and not self.is_ending, **parts}

    async def watch(
        self, source: CredentialsSource, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Look for credentials again and again until cancelled; what changes is logged."""
        while True:
            await self._look(source)
            await sleep(LOOK_SECONDS)

    async def _look(self, source: CredentialsSource) -> None:
        reason = ""
        try:
            await source.get()
        except UpstreamError as error:
            reason = error.message
        except Exception as error:
            reason = type(error).__name__
        self.has_credentials = not reason
        if reason and reason != self._reason:
            logger.error("no credentials for Alibaba Cloud, questions cannot be asked", reason=reason)
        elif self._reason and not reason:
            logger.info("credentials for Alibaba Cloud found")
        self._reason = reason
        self._had_credentials = self._had_credentials or self.has_credentials
