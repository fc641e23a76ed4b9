"""A process that slept with a question on its way to the service asks it only where the thread is still its own."""

from __future__ import annotations

import asyncio

import pytest

from bot.store import keys
from bot.store.keys import LEASE_LIFE
from tests.relay.conftest import THREAD, Stage


@pytest.mark.parametrize("is_lost", [True, False])
async def test_who_slept_while_it_connected_asks_only_where_the_thread_is_still_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    now, connecting, awake = 1_000.0, asyncio.Event(), asyncio.Event()

    async def connect(question: str) -> None:
        connecting.set()
        await awake.wait()

    monkeypatch.setattr(stage.backend, "connect", connect)
    worker = stage.worker(clock=lambda: now)
    run_id = await stage.ask("why?")
    await connecting.wait()
    now += LEASE_LIFE / 1000
    if is_lost:
        [job] = worker._jobs.values()
        await stage.redis.set(keys.lease(THREAD.key), job.lease.token + 1, px=60_000)
        # So that it is not the next beat that tells.
        monkeypatch.setattr(worker._runs, "beat_all", asyncio.Event().wait)
    stage.backend.answer("why?")
    awake.set()
    if is_lost:
        await stage.until(lambda: not worker.busy)
        assert stage.backend.asked == []
        assert await stage.state(run_id) == "running", "it is the other worker's to end"
    else:
        await stage.until_state(run_id, "answered")
        assert stage.backend.asked == ["why?"]
