"""A daily budget holds also for questions that were accepted while something was left of it."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import pytest

from bot.model.event import ApprovalAsked, RunFinished, RunStarted, TextMessageContent, Usage
from bot.model.question import Thread
from bot.model.run import Run
from bot.store.runs import Lease
from bot.store.usage import Daily
from bot.store.usage import Usage as Sums
from bot.upstream.errors import UpstreamError

from .conftest import THREAD, Stage

LARGE = (TextMessageContent("m", "because"), Usage(1_600), RunFinished())
THREADS = [Thread("T1", "C1", f"{number}.0") for number in range(6)]
BUSY = UpstreamError("TooManyRequests", status=429)


@pytest.fixture
def budget(stage: Stage) -> Sums:
    """Somebody may spend a thousand characters."""
    stage.daily = Daily(person=1_000)
    stage.usage = Sums(stage.redis, ZoneInfo("UTC"))
    return stage.usage


async def spent(budget: Sums) -> int:
    [(_, today)] = await budget.days("T1", 1)
    return today.total.characters


async def test_of_many_at_once_only_those_are_asked_that_the_budget_still_has_room_for(
    stage: Stage, budget: Sums
) -> None:
    # Replies that come back late: what a run has cost is summed up before another one gets its slot.
    stage.world.hold_finish = asyncio.Event()
    stage.worker()
    names = [f"q{number}" for number in range(6)]
    for name in names:
        stage.backend.feed(name, *LARGE)
    ids = [await stage.ask(name, thread) for name, thread in zip(names, THREADS, strict=True)]
    await stage.until(lambda: all(stage.world.endings(name) for name in names))
    [asked] = stage.backend.asked
    for name in names:
        expected = "END answered |because" if name == asked else "END failed spent|"
        assert stage.world.endings(name) == [expected]
    assert await spent(budget) == 1_600
    stage.world.hold_finish.set()
    for run_id in ids:
        await stage.until_state(run_id, "answered", "failed")
    assert await spent(budget) == 1_600
    assert [name for name, *_ in stage.counted if name != asked] == []


async def test_a_question_that_waited_for_a_busy_service_is_not_asked_beyond_the_budget(
    stage: Stage, budget: Sums
) -> None:
    stage.limit = 2
    stage.hold_pauses = asyncio.Event()
    stage.worker()
    stage.backend.refuse_first["a"] = [BUSY]
    first = await stage.ask("a")
    await stage.until(lambda: stage.pauses)
    stage.backend.feed("b", *LARGE)
    await stage.until_state(await stage.ask("b", THREADS[2]), "answered")
    stage.hold_pauses.set()
    await stage.until_state(first, "failed")
    assert stage.world.endings("a") == ["END failed spent|"]
    assert stage.backend.asked == ["a", "b"]


async def test_what_was_stopped_or_cut_is_summed_up_before_the_next_one_is_asked(
    stage: Stage, budget: Sums
) -> None:
    worker = stage.worker()
    stage.world.hold_finish = asyncio.Event()
    first = await stage.ask("a")
    stage.backend.feed("a", TextMessageContent("m", "x" * 2_000))
    await stage.until(lambda: any("xxx" in line for line in stage.world.lines.get("a", [])))
    await stage.ask("b", THREADS[2])
    await stage.until(lambda: "waiting_slot 1" in stage.world.lines.get("b", []))
    worker.stop_run(first, "U1")
    await stage.until(lambda: stage.world.endings("b"))
    assert stage.world.endings("b") == ["END failed spent|"]
    assert await spent(budget) == len("a") + 2_000
    stage.world.hold_finish.set()


async def test_what_was_decided_goes_on_whatever_is_left(stage: Stage, budget: Sums) -> None:
    """Its tool call is decided in the console; refused here, the run would wait for nothing."""
    stage.worker()
    stage.followed.feed(
        "a",
        RunStarted("task-1", "conv-1", "msg-1"),
        TextMessageContent("m", "half"),
        Usage(1_600),
        ApprovalAsked("call-1", "kill_session", "{}"),
    )
    paused = await stage.ask("a", THREAD, backend="rds")
    await stage.until_state(paused, "paused")
    stage.followed.feed("go on", *LARGE)
    await stage.until_state(await stage.ask("go on", resumes=paused), "answered")
    assert await spent(budget) == 3_200
    await stage.until_state(await stage.ask("b"), "failed")
    assert stage.world.endings("b") == ["END failed spent|"]


async def test_what_was_noted_as_asked_and_never_left_costs_nothing(
    stage: Stage, budget: Sums, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = stage.worker()
    save = worker._runs.save

    async def stopped_meanwhile(lease: Lease, run: Run) -> None:
        await save(lease, run)
        if run.asks and not run.refusals:
            worker.stop_run(run.id, "U1")

    monkeypatch.setattr(worker._runs, "save", stopped_meanwhile)
    await stage.until_state(await stage.ask("a"), "stopped")
    assert stage.backend.asked == [] and stage.counted == []
