"""What a worker that slept through its lease has posted is taken away, and nothing of what counts."""

from __future__ import annotations

import asyncio

import pytest

from bot.model.question import Question
from bot.relay.mending import Mending
from bot.store import keys

from .conftest import THREAD, Stage, WrittenPlatform


async def mended(stage: Stage, run_id: str) -> list[str]:
    """What is taken away for a run whose late writer heard of no message of its own."""

    async def pause(_: float) -> None:
        stage.pauses.append(0.0)
        await asyncio.sleep(0)

    await Mending(stage.runs, WrittenPlatform(stage.world), pause).replies({run_id: []})
    lines = [line for lines in stage.world.lines.values() for line in lines]
    return [line.removeprefix("WITHDRAWN ") for line in lines if line.startswith("WITHDRAWN")]


async def test_what_is_posted_while_late_messages_are_looked_for_is_left(stage: Stage) -> None:
    run_id = await stage.ask("a")
    record = keys.run(run_id)
    await stage.redis.hset(record, mapping={"state": "running", "reply_ts": '["first"]', "posting": "0"})

    async def look() -> set[str]:
        # Its worker goes on in a second message.
        await stage.redis.hset(record, "reply_ts", '["first", "second"]')
        return {"first", "second", "stray"}

    stage.world.look = look
    assert await mended(stage, run_id) == ["stray"]


async def test_the_reply_of_a_paused_run_is_left_while_the_one_that_goes_on_waits(stage: Stage) -> None:
    before = await stage.ask("a")
    after = (await stage.runs.accept(Question(THREAD, "2.0", "U1", "T1", "go on", "resume"))).run_id
    await stage.redis.hset(
        keys.run(before), mapping={"state": "paused", "reply_ts": '["first"]', "decided_run": after}
    )

    async def look() -> set[str]:
        return {"first", "stray"}

    async def begins() -> None:
        while len(stage.pauses) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not stage.world.lines
        await stage.redis.hset(keys.run(after), mapping={"reply_ts": '["first"]', "posting": "0"})

    stage.world.look = look
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        group.create_task(begins())
        taken = group.create_task(mended(stage, before))
    assert taken.result() == ["stray"]


@pytest.mark.parametrize("was_posting", [True, False])
async def test_what_a_dead_worker_was_posting_is_looked_for_after_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, was_posting: bool
) -> None:
    """It came after the one who took over had looked for it, and whoever posted it is not there to take it away."""
    monkeypatch.setattr("bot.relay.worker.STRAY_SECONDS", 0.0)
    looks = 0

    async def look() -> set[str]:
        nonlocal looks
        looks += 1
        return {"stray"}

    stage.world.look = look
    run_id = await stage.ask("a")
    await stage.redis.hset(keys.run(run_id), "posting", str(int(was_posting)))
    stage.backend.answer("a")
    worker = stage.worker()
    await stage.until_state(run_id, "answered")
    if was_posting:
        await stage.until(lambda: "WITHDRAWN stray" in stage.world.lines["a"])
    await stage.until(lambda: not worker.busy)
    assert looks == was_posting
