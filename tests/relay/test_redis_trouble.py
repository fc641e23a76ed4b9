"""Redis failed over, full, slow or read-only in the middle of an answer: it still ends, once, and the next one too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from redis import exceptions

from bot.model.event import RunFinished, TextMessageContent
from bot.store import connection, keys

if TYPE_CHECKING:
    from tests.fleet import Fleet, Replicated
    from tests.relay.conftest import Stage

REST = (TextMessageContent("m", "second half"), RunFinished())
WHOLE = ["END answered |first half, second half"]


@pytest.fixture
def valkey_url(request: pytest.FixtureRequest, make_fleet: Callable[[str], Fleet]) -> str:
    """A server of this test's own; with the mark "sentinels" the primary behind a Sentinel."""
    if request.node.get_closest_marker("usefixtures"):
        replicated: Replicated = request.getfixturevalue("sentinels")
        return replicated.url
    return f"redis://127.0.0.1:{make_fleet('valkey').start()}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SOCKET_SECONDS", 0.5)
    monkeypatch.setattr(connection, "_RETRIES", 0)
    # A slot that cannot be given back runs out by itself; the next question waits for that.
    monkeypatch.setattr(keys, "SLOT_LIFE", 500)


async def half_way(stage: Stage) -> list[str]:
    """A question half answered, and one behind it."""
    asked = [await stage.ask("a"), await stage.ask("b")]
    stage.backend.feed("a", TextMessageContent("m", "first half, "))
    await stage.until(lambda: "working 0 first half," in stage.world.lines.get("a", []))
    return asked


async def both_end(stage: Stage, asked: list[str]) -> None:
    stage.backend.answer("b")
    for run_id in asked:
        await stage.until_state(run_id, "answered")
    assert stage.world.endings("a") == WHOLE
    assert stage.backend.asked == ["a", "b"]


@pytest.mark.usefixtures("sentinels")
async def test_failed_over(stage: Stage, sentinels: Replicated) -> None:
    worker = stage.worker()
    asked = await half_way(stage)
    await asyncio.to_thread(sentinels.wait_until_replicated)
    await asyncio.to_thread(sentinels.kill_primary)
    await stage.until(lambda: not worker.redis_ok)
    stage.backend.feed("a", *REST)
    await stage.until(lambda: worker.redis_ok)
    await both_end(stage, asked)


async def test_full(stage: Stage) -> None:
    stage.worker()
    asked = await half_way(stage)
    await stage.redis.config_set("maxmemory", 1)
    with pytest.raises(exceptions.OutOfMemoryError):
        await stage.ask("c")
    stage.backend.feed("a", *REST)
    await both_end(stage, asked)
    await stage.redis.config_set("maxmemory", 0)
    stage.backend.answer("c")
    await stage.until_state(await stage.ask("c"), "answered")


@pytest.mark.parametrize("trouble", ["slow", "read-only"])
async def test_slow_or_read_only(stage: Stage, trouble: str) -> None:
    redis: Any = stage.redis
    worker = stage.worker()
    asked = await half_way(stage)
    if trouble == "slow":
        await redis.client_pause(60_000, all=False)
    else:
        await redis.replicaof("127.0.0.1", 1)
    await stage.until(lambda: not worker.redis_ok)
    stage.backend.feed("a", *REST)
    await stage.until(lambda: stage.world.endings("a"))
    await (redis.client_unpause() if trouble == "slow" else redis.replicaof("NO", "ONE"))
    await both_end(stage, asked)
