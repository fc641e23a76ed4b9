"""More calls at once than there are connections: they wait, and none fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import Redis

from bot.store import connection
from bot.store.pool import FairPool

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


async def test_who_waits_goes_before_who_comes(redis: Redis) -> None:
    pool: Any = redis.connection_pool
    taken = [await pool.get_connection() for _ in range(_FEW)]
    order = []

    async def take(name: str) -> None:
        found = await pool.get_connection()
        order.append(name)
        await pool.release(found)

    first = asyncio.create_task(take("first"))
    await asyncio.sleep(0)
    await pool.release(taken.pop())
    await take("newcomer")
    await first
    assert order == ["first", "newcomer"]
    for each in taken:
        await pool.release(each)


async def test_who_is_cancelled_at_any_moment_leaves_no_connection_taken(redis: Redis) -> None:
    pool: Any = redis.connection_pool

    async def write(number: int) -> bool:
        return bool(await redis.set(f"{{das-bot}}:{number}", number))

    for steps in range(40):
        tasks = [asyncio.create_task(write(number)) for number in range(4 * _FEW)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    taken = [await pool.get_connection() for _ in range(_FEW)]
    for each in taken:
        await pool.release(each)


async def test_who_gets_none_in_time_is_told(redis: Redis) -> None:
    pool: Any = redis.connection_pool
    pool.longest_wait = 0
    taken = [await pool.get_connection() for _ in range(_FEW)]
    with pytest.raises(exceptions.ConnectionError, match="no connection became free"):
        await redis.ping()
    for each in taken:
        await pool.release(each)
    assert await redis.ping()


async def test_a_server_that_is_away_leaves_no_connection_taken() -> None:
    client = connection.connect("redis://127.0.0.1:1")
    pool: Any = client.connection_pool
    with pytest.raises(exceptions.ConnectionError):
        await pool.get_connection()
    assert not pool._in_use_connections
    await client.aclose()


async def test_it_waits_for_longer_than_a_connection_can_hang(redis: Redis) -> None:
    pool = redis.connection_pool
    assert isinstance(pool, FairPool)
    assert pool.longest_wait > (1 + connection._RETRIES) * connection.SOCKET_SECONDS
