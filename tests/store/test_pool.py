"""More calls at once than there are connections: they wait, and none fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from bot.store import connection

_FEW = 3


@pytest.fixture
async def redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setattr(connection, "_CONNECTIONS", _FEW)
    client = connection.connect(redis_url)
    yield client
    await client.aclose()


async def test_a_burst_is_answered_by_the_connections_there_are(redis: Redis) -> None:
    answers = await asyncio.gather(*(redis.incr("{das-bot}:burst") for _ in range(1_000)))
    assert sorted(answers) == list(range(1, 1_001))


async def test_who_finds_all_connections_in_use_waits_until_one_is_free(redis: Redis) -> None:
    async def write(number: int) -> bool:
        return bool(await redis.set(f"{{das-bot}}:{number}", number))

    pool: Any = redis.connection_pool
    taken = [await pool.get_connection() for _ in range(_FEW)]
    waiting = [asyncio.create_task(write(number)) for number in range(50)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    for each in taken:
        await pool.release(each)
    assert all(await asyncio.gather(*waiting))


async def test_it_waits_for_longer_than_a_connection_can_hang(redis: Redis) -> None:
    pool = redis.connection_pool
    assert isinstance(pool, BlockingConnectionPool)
    tries = 1 + connection._RETRIES
    assert pool.timeout is not None
    assert pool.timeout > tries * connection.SOCKET_SECONDS
