"""The connection to Redis or Valkey, with retries and timeouts of our own."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from bot import log
from bot.settings import Settings, SettingsError
from bot.store import embedded

logger = log.get(__name__)

SOCKET_SECONDS = 5
"""Longest wait for one answer; longer than the workers' blocking read."""
_CONNECTIONS = 100
"""Most connections of one process; small managed servers take a few hundred clients."""
_OLDEST = (7, 0)
"""Debian 12's Redis is the oldest dialect the scripts are tested on."""


class _Cancellable:
    """Mixed into redis-py's connections so that cancelling whoever sends a command is never lost.

    They send under asyncio.wait_for, and before Python 3.12 that drops a cancellation which arrives while the sending
    is done already. A task cancelled once would then go on for ever.
    """

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]
        if task and task.cancelling() > before:
            # The command has left and nobody will read its answer.
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise asyncio.CancelledError


def connect(url: str) -> Redis:
    """A client of `url`. Nothing is sent yet."""
    pool = BlockingConnectionPool.from_url(
        url,
        # A burst waits for a connection instead of failing.
        max_connections=_CONNECTIONS,
        timeout=SOCKET_SECONDS,
        decode_responses=True,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        health_check_interval=15,
        # Short: a caller knows better than the connection what to do when Redis is away for longer.
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        retry_on_error=[exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError],
    )
    plain = pool.connection_class
    pool.connection_class = type(f"Cancellable{plain.__name__}", (_Cancellable, plain), {})
    return Redis.from_pool(pool)


async def open_store(settings: Settings) -> Redis:
    """Connect as the settings say, waiting while the server is away.

    Raises:
        SettingsError: when the address or the password is wrong, or the server is too old.
    """
    url = settings.redis_url
    if url == "embedded":
        url = await asyncio.to_thread(embedded.url, settings.data_dir)
    try:
        version = await _version(url)
    except ValueError as error:
        raise SettingsError([f"REDIS_URL: {error}"]) from None
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _OLDEST:
        raise SettingsError([f"REDIS_URL: the server is version {version}; 7.0 or newer is needed"])
    return connect(url)


async def _version(url: str) -> str:
    """The server's version, waiting while it is away. Without retries of the client's: they hide who refuses us."""
    probe = Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    wait = 0.5
    try:
        while True:
            try:
                return str((await probe.info("server")).get("redis_version", ""))
            except (exceptions.RedisError, OSError) as error:
                if _is_refusal(error):
                    reason = f"the server refuses us: {error}; check user and password"
                    raise SettingsError([f"REDIS_URL: {reason}"]) from None
                logger.warning("redis is away, trying again", reason=str(error), seconds=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 10)
    finally:
        await probe.aclose()


def _is_refusal(error: BaseException | None) -> bool:
    """Whether the server answered and said no. redis-py wraps that in a ConnectionError of its own."""
    refusals = (exceptions.AuthenticationError, exceptions.ResponseError)
    while error is not None and not isinstance(error, refusals):
        error = error.__cause__
    return error is not None
