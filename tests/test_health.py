"""/readyz's truth: about credentials, looked for in the background; about a Redis that takes nothing; about the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from redis.asyncio import Redis

from bot import metrics
from bot.health import LOOK_SECONDS, Health
from bot.upstream.acs3 import Credentials
from bot.upstream.errors import UpstreamError

if TYPE_CHECKING:
    from tests.fleet import Fleet


class Chain:
    """A source that fails as told, and counts how often it was asked."""

    def __init__(self) -> None:
        self.fails: Exception | None = UpstreamError("Credentials", "none of its variables is set")
        self.asked = 0

    async def get(self) -> Credentials:
        self.asked += 1
        if self.fails:
            raise self.fails
        return Credentials("id", "secret")


class Steps:
    """A sleep that ends when the test lets it."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.go = asyncio.Semaphore(0)
        self.arrived = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.arrived.release()
        await self.go.acquire()

    async def next(self) -> None:
        self.go.release()
        await self.arrived.acquire()


async def yes() -> bool:
    return True


async def test_credentials_are_looked_for_apart_from_the_probes(valkey_url: str) -> None:
    chain, steps = Chain(), Steps()
    health = Health(Redis.from_url(valkey_url), yes)
    with structlog.testing.capture_logs() as logs:
        watching = asyncio.create_task(health.watch(chain, steps.sleep))
        await steps.arrived.acquire()
        missing = {"ok": False, "redis": True, "slack": True, "credentials": False}
        assert [await health.ready() for _ in range(3)] == [missing] * 3
        assert metrics.REGISTRY.get_sample_value("das_bot_ready", {"part": "credentials"}) == 0
        await steps.next()
        assert chain.asked == 2
        chain.fails = None
        await steps.next()
        assert await health.ready() == {"ok": True, "redis": True, "slack": True, "credentials": True}
        # Lost later, it is said, but people are still answered, if only with the reason.
        chain.fails = OSError("the chain broke")
        await steps.next()
        assert await health.ready() == {"ok": True, "redis": True, "slack": True, "credentials": False}
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert steps.slept == [LOOK_SECONDS] * 4
    told: list[Any] = [(entry["log_level"], entry.get("reason")) for entry in logs]
    assert told == [("error", "none of its variables is set"), ("info", None), ("error", "OSError")]
    assert health.redis
    await health.redis.aclose()


async def test_before_anything_is_started_nothing_is_ready() -> None:
    nothing = {"ok": False, "redis": False, "slack": False, "credentials": False}
    assert await Health().ready() == nothing


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "unix:///nowhere/redis.sock"])
async def test_a_redis_that_is_away_is_not_ready(url: str) -> None:
    redis = Redis.from_url(url)
    assert (await Health(redis, yes).ready())["redis"] is False
    await redis.aclose()


@pytest.mark.parametrize(
    ("setting", "trouble", "well"), [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")]
)
async def test_a_redis_that_takes_nothing_is_not_ready(
    make_fleet: Callable[[str], Fleet], setting: str, trouble: str, well: str
) -> None:
    redis = Redis.from_url(f"redis://127.0.0.1:{make_fleet('redis').start()}")
    health = Health(redis, yes)
    assert (await health.ready())["redis"] is True
    await redis.config_set(setting, trouble)
    assert (await health.ready())["redis"] is False
    await redis.config_set(setting, well)
    assert (await health.ready())["redis"] is True
    await redis.aclose()
