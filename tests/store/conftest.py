"""A client of each dialect, and questions to put into the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.store import keys
from bot.store.connection import connect
from bot.store.runs import Runs


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """An empty store."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def runs(redis: Redis) -> Runs:
    """The runs as the worker "one" sees them."""
    runs = Runs(redis, keys.Lives(), "one")
    await runs.prepare()
    return runs


@pytest.fixture
async def others(redis: Redis) -> Runs:
    """The same runs as the worker "two" sees them."""
    return Runs(redis, keys.Lives(), "two")
