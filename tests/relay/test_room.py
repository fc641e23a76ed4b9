"""How much a worker takes at once, and what may not wait for what."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from bot import metrics
from bot.model.question import Thread
from bot.model.run import State
from bot.relay.control import Control
from bot.store import keys
from bot.store.runs import Runs

if TYPE_CHECKING:
    from tests.relay.conftest import Stage


async def test_who_waits_for_a_busy_agent_takes_no_place_of_who_asks_a_free_one(stage: Stage) -> None:
    for number in range(5):
        await stage.ask(f"das {number}", Thread("T1", "C1", f"{number}.0"))
    stage.worker(max_runs=3)
    await stage.until(lambda: stage.backend.open)
    rds = await stage.ask("rds", Thread("T1", "C1", "99.0"), backend="rds")
    stage.followed.answer("rds")
    await stage.until_state(rds, "answered")
    assert len(stage.backend.asked) == 1


async def test_no_more_wait_in_one_process_than_it_may_hold(stage: Stage) -> None:
    stage.limit = 1
    worker = stage.worker(max_runs=2, max_waiting=2)
    for number in range(6):
        await stage.ask(f"q{number}", Thread("T1", "C1", f"{number}.0"))
    await stage.until(lambda: worker.busy == 4)
    await stage.until(lambda: sum(job.control.waits_for_slot for job in worker._jobs.values()) == 3)
    # What the autoscaler looks at: no replica could begin sooner what waits for a slot.
    assert metrics.REGISTRY.get_sample_value("das_bot_threads_working") == 1
    for number in range(6):
        stage.backend.answer(f"q{number}")
    await stage.until(lambda: len(stage.backend.asked) == 6 and not worker.busy)
    assert stage.backend.most_open == 1


@pytest.mark.parametrize("how", ["shut down", "stopped"])
async def test_what_had_not_left_when_it_was_told_to_end_was_never_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The slot comes in the moment in which the process has to end, or in which somebody stops the run."""
    came, go_on = asyncio.Event(), asyncio.Event()
    worker = stage.worker()
    ask: Any = worker._parts.slots.ask

    async def held_up(*args: Any, **options: Any) -> int:
        came.set()
        await go_on.wait()
        return int(await ask(*args, **options))

    monkeypatch.setattr(worker._parts.slots, "ask", held_up)
    shut_down, stop = Control.shut_down, Control.stop

    def told(act: Any) -> Any:
        def tell(control: Control, *args: str) -> None:
            act(control, *args)
            go_on.set()

        return tell

    monkeypatch.setattr(Control, "shut_down", told(shut_down))
    monkeypatch.setattr(Control, "stop", told(stop))
    run_id = await stage.ask("why?")
    await came.wait()
    if how == "stopped":
        worker.stop_run(run_id, "U9")
        await stage.until_state(run_id, "stopped")
        assert stage.world.endings("why?") == ["END stopped stopped_early by=U9|"]
        assert stage.backend.asked == []
    else:
        await worker.drain(1)
        assert stage.backend.asked == [] and stage.world.endings("why?") == []
        stage.worker()
        stage.backend.answer("why?")
        await stage.until_state(run_id, "answered")
        assert stage.backend.asked == ["why?"]


@pytest.mark.parametrize("how", ["shut down", "stopped"])
async def test_what_is_noted_as_asked_and_has_not_left_is_taken_back(stage: Stage, how: str) -> None:
    """Told to end while the note that it is asked is on its way."""
    worker = stage.worker()
    noted: Any = worker._runs.save
    held = asyncio.Event()

    async def save(lease: Any, run: Any) -> None:
        await noted(lease, run)
        if run.asks and not run.refusals:
            held.set()
            if how == "shut down":
                [job] = worker._jobs.values()
                job.control.shut_down()
            else:
                worker.stop_run(run.id, "U9")
            await asyncio.sleep(0)

    worker._runs.save = save  # type: ignore[method-assign]
    run_id = await stage.ask("why?", backend="rds")
    await held.wait()
    if how == "stopped":
        await stage.until_state(run_id, "stopped")
        assert stage.world.endings("why?") == ["END stopped stopped_early by=U9|"]
    else:
        stage.followed.answer("why?")
        await stage.until_state(run_id, "answered")
    assert stage.followed.asked == (["why?"] if how == "shut down" else [])


async def test_what_many_dead_workers_left_is_taken_over_without_a_pause(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one look takes; the next look by the clock would come after the test has been given up."""
    monkeypatch.setattr("bot.relay.worker.RECLAIM_SECONDS", 3_600.0)
    dead = Runs(stage.redis, keys.Lives(), "dead")
    ids = [await stage.ask(f"q{number}", Thread("T1", "C1", f"{number}.0")) for number in range(120)]
    entries = [entry for _ in range(2) for entry in await dead.next_entries(60, 100)]
    for entry, thread in entries:
        lease = await dead.lease(entry, thread)
        assert lease
        run = await dead.get(lease.run_id)
        assert run
        run.asks, run.asked_at, run.state, run.backend = 1, time.time(), State.RUNNING, "das"
        await dead.save(lease, run)
        await stage.look_dead(lease, "dead")
    stage.worker(max_runs=200)
    for run_id in ids:
        await stage.until_state(run_id, "interrupted")


async def test_a_full_worker_takes_over_a_few_at_a_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.relay.worker.RECLAIM_SECONDS", 3_600.0)
    monkeypatch.setattr("bot.relay.worker._RECLAIM_FULL_SECONDS", 0.005)
    stage.limit = 100
    dead = Runs(stage.redis, keys.Lives(), "dead")
    for number in range(30):
        await stage.ask(f"q{number}", Thread("T1", "C1", f"{number}.0"))
    entries = await dead.next_entries(50, 100)
    ids: list[Any] = [entry for entry, _ in entries]
    await stage.redis.xclaim(keys.THREADS, keys.GROUP, "dead", 0, ids, idle=60_000, justid=True)
    worker = stage.worker(max_runs=1)
    await stage.until(lambda: worker.busy == 30)
