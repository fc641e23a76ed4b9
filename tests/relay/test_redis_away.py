"""Redis killed and started again, with its file, in the middle of an answer: the answer still ends, once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from bot.model.event import RunFinished, TextMessageContent
from bot.store import embedded, keys

if TYPE_CHECKING:
    from tests.relay.conftest import Stage


@pytest.fixture
def valkey_url(tmp_path: Path) -> Iterator[str]:
    """An embedded server of this test's own, which it may kill."""
    yield embedded.url(tmp_path)
    embedded.stop(tmp_path)


async def killed(redis: Redis) -> None:
    info: Any = await redis.info("server")
    os.kill(info["process_id"], signal.SIGKILL)


@pytest.mark.parametrize("ends_while_away", [True, False])
async def test_an_answer_under_way_survives_redis(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_while_away: bool
) -> None:
    # A slot that cannot be given back while Redis is away runs out by itself; the next question waits for that.
    monkeypatch.setattr(keys, "SLOT_LIFE", 500)
    worker = stage.worker()
    run_id = await stage.ask("a")
    behind = await stage.ask("b")
    stage.backend.feed("a", TextMessageContent("m", "first half, "))
    await stage.until(lambda: "working 0 first half," in stage.world.lines.get("a", []))
    await killed(stage.redis)
    await stage.until(lambda: not worker.redis_ok)
    rest = (TextMessageContent("m", "second half"), RunFinished())
    if ends_while_away:
        stage.backend.feed("a", *rest)
        await stage.until(lambda: stage.world.endings("a"))
    await asyncio.to_thread(embedded.url, tmp_path)
    if not ends_while_away:
        await stage.until(lambda: worker.redis_ok)
        stage.backend.feed("a", *rest)
    stage.backend.answer("b")
    await stage.until_state(run_id, "answered", "interrupted", "failed")
    await stage.until_state(behind, "answered")
    assert await stage.state(run_id) == "answered"
    assert stage.world.endings("a") == ["END answered |first half, second half"]
    assert stage.backend.asked == ["a", "b"]
