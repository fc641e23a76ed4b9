"""A question on its way through workers, relay and a real store: every ending, shown exactly once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from bot.model.answer import TEXT_MOST
from bot.model.event import RunError, RunFinished, TextMessageContent, Usage
from bot.model.question import MAX_QUESTION, Question, Thread
from bot.store import keys
from bot.store.sessions import Agent, Sessions
from bot.upstream.errors import UpstreamError

if TYPE_CHECKING:
    from tests.relay.conftest import Stage

THREAD = Thread("T1", "C1", "1.0")
TEXT = TextMessageContent("m", "half of it")


def shows(stage: Stage, question: str, line: str) -> bool:
    return any(line in shown for shown in stage.world.lines.get(question, []))


async def test_the_happy_way(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("why?")
    stage.backend.feed("why?", TEXT, Usage(session_id="theirs"), RunFinished())
    await stage.until_state(run_id, "answered")
    assert stage.world.lines["why?"] == [
        "starting 0", "working 0", "working 0 half of it", "END answered |half of it"
    ]  # fmt: skip
    run = await stage.runs.get(run_id)
    assert run is not None and run.asked_at and run.ended_at >= run.asked_at and run.reply_ts == ["ts-why?"]
    session = await Sessions(stage.redis, keys.Lives()).session_of(
        THREAD, Agent("das"), named_by_service=False
    )
    assert session.session_id == "theirs"
    await stage.until(lambda: not stage.workers[0].busy)
    assert await stage.redis.keys("*slot*") == []
    assert not await stage.redis.exists(keys.lease(THREAD.key), keys.queue(THREAD.key))


async def test_two_workers_keep_each_thread_in_order_and_one_at_a_time(stage: Stage) -> None:
    stage.limit = 5
    stage.worker()
    stage.worker()
    threads = [Thread("T1", "C1", f"{n}.0") for n in range(3)]
    ids = [await stage.ask(f"{t.thread_ts} q{n}", t) for n in range(4) for t in threads]
    for n in range(4):
        for t in threads:
            stage.backend.answer(f"{t.thread_ts} q{n}")
    for run_id in ids:
        await stage.until_state(run_id, "answered")
    for t in threads:
        own = [text for text in stage.backend.asked if text.startswith(t.thread_ts)]
        assert own == [f"{t.thread_ts} q{n}" for n in range(4)]
    assert all(count == 1 for count in stage.world.posts.values())
    assert all(len(stage.world.endings(text)) == 1 for text in stage.world.lines)


async def test_questions_that_wait_show_their_places(stage: Stage) -> None:
    stage.worker()
    ids = [await stage.ask(text) for text in "abc"]
    await stage.until(lambda: shows(stage, "c", "waiting_thread 2"))
    assert shows(stage, "b", "waiting_thread 1")
    stage.backend.answer("a")
    await stage.until(lambda: shows(stage, "c", "waiting_thread 1"))
    stage.backend.answer("b")
    stage.backend.answer("c")
    for run_id in ids:
        await stage.until_state(run_id, "answered")
    assert stage.world.posts == {"a": 1, "b": 1, "c": 1}


async def test_a_question_that_waits_in_its_thread_is_stopped_where_it_stands(stage: Stage) -> None:
    stage.worker()
    first, second, third = [await stage.ask(text) for text in "abc"]
    await stage.until(lambda: shows(stage, "c", "waiting_thread 2"))
    await stage.runs.stop(second, "U9")
    await stage.until_state(second, "stopped")
    await stage.until(lambda: shows(stage, "c", "waiting_thread 1"))
    stage.backend.answer("a")
    stage.backend.answer("c")
    await stage.until_state(third, "answered")
    assert stage.world.endings("b") == ["END stopped stopped_early by=U9|"]
    assert stage.world.lines["b"][-1].startswith("END")
    assert stage.backend.asked == ["a", "c"] and await stage.state(first) == "answered"


async def test_stopped_while_it_waits_for_a_slot(stage: Stage) -> None:
    worker = stage.worker()
    first = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    second = await stage.ask("b", Thread("T1", "C1", "2.0"))
    await stage.until(lambda: shows(stage, "b", "waiting_slot 1"))
    await stage.runs.stop(second, "U9")
    worker.stop_run(second, "U9")
    await stage.until_state(second, "stopped")
    assert stage.world.endings("b") == ["END stopped stopped_early by=U9|"]
    third = await stage.ask("c", Thread("T1", "C1", "3.0"))
    await stage.until(lambda: shows(stage, "c", "waiting_slot 1"))
    stage.backend.answer("a")
    stage.backend.answer("c")
    await stage.until_state(third, "answered")
    assert await stage.state(first) == "answered" and stage.backend.asked == ["a", "c"]
    assert stage.backend.most_open == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_stopped_while_it_is_answered_twice_over(stage: Stage, begun: bool) -> None:
    worker = stage.worker()
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    if begun:
        stage.backend.feed("a", TEXT)
        await stage.until(lambda: shows(stage, "a", "half of it"))
    assert await stage.runs.stop(run_id, "U9") == "stopping"
    worker.stop_run(run_id, "U9")
    worker.stop_run(run_id, "U8")
    await stage.until_state(run_id, "stopped")
    assert stage.world.endings("a") == [f"END stopped stopped by=U9|{'half of it' if begun else ''}"]
    assert stage.backend.open == 0
    assert await stage.runs.stop(run_id, "U9") == "stopped"


async def test_a_stop_reaches_the_worker_that_has_the_run_through_redis(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    await stage.runs.stop(run_id, "U9")
    await stage.until_state(run_id, "stopped")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("refused", "END failed explained NoPermission|"),
        ("cut", "END failed explained Cut|half of it"),
        ("reported", "END failed explained -1810006|half of it"),
        ("nothing", "END answered nothing|"),
        ("endless", "END answered too_much|" + "x" * TEXT_MOST),
        ("bug", "END failed wrong reference=|"),
        ("cancelled inside", "END failed wrong reference=|"),
    ],
)
async def test_every_other_ending(stage: Stage, how: str, expected: str) -> None:
    stage.worker()
    match how:
        case "refused":
            stage.backend.refuse["a"] = UpstreamError("NoPermission")
        case "cut":
            stage.backend.feed("a", TEXT, UpstreamError("Cut", begun=True))
        case "reported":
            stage.backend.feed("a", TEXT, RunError("-1810006", "quota"), RunFinished())
        case "nothing":
            stage.backend.feed("a", RunFinished())
        case "endless":
            stage.backend.feed("a", TextMessageContent("m", "x" * (TEXT_MOST + 1)), RunFinished())
        case "bug":
            stage.backend.feed("a", TEXT, KeyError("bug"))
        case "cancelled inside":
            stage.backend.refuse["a"] = asyncio.CancelledError()  # type: ignore[assignment]
    run_id = await stage.ask("a")
    await stage.until_state(run_id, "answered", "failed")
    await stage.until(lambda: not stage.workers[0].busy)
    assert [line.replace("reference= ", "reference=") for line in stage.world.endings("a")] == [expected]
    assert stage.backend.asked == ["a"]
    following = await stage.ask("b")
    stage.backend.answer("b")
    await stage.until_state(following, "answered")


async def test_too_long_and_stale_questions_are_closed_unasked(stage: Stage) -> None:
    stage.worker(wall=lambda: time.time() + 3 * 3600)
    stale = await stage.ask("old")
    await stage.until_state(stale, "failed")
    assert stage.world.endings("old") == ["END failed stale minutes=60|"]
    await stage.workers[0].drain(0)
    stage.worker()
    too_long = await stage.ask("x" * (MAX_QUESTION + 1), Thread("T1", "C1", "2.0"))
    await stage.until_state(too_long, "failed")
    assert stage.backend.asked == []


async def test_a_question_that_grows_stale_while_it_waits_for_a_slot_is_closed_unasked(stage: Stage) -> None:
    late = 0.0
    stage.worker(wall=lambda: time.time() + late)
    first = await stage.ask("a")
    await stage.until(lambda: stage.backend.open == 1)
    second = await stage.ask("b", Thread("T1", "C1", "2.0"))
    await stage.until(lambda: shows(stage, "b", "waiting_slot 1"))
    late = 3 * 3600
    await stage.until_state(second, "failed")
    assert stage.world.endings("b") == ["END failed stale minutes=60|"]
    stage.backend.answer("a")
    await stage.until_state(first, "answered")
    assert stage.backend.asked == ["a"]
    assert await stage.redis.keys("*slot*") == []


async def test_a_command_gets_a_thread_and_its_answer_there(stage: Stage) -> None:
    stage.worker()
    asked = Question(Thread("T1", "C1", ""), "command-1", "U1", "T1", "a", "command")
    run_id = (await stage.runs.accept(asked)).run_id
    stage.backend.answer("a")
    await stage.until_state(run_id, "answered")
    run = await stage.runs.get(run_id)
    assert run is not None and run.question.thread.thread_ts == "5.0"
    assert stage.world.roots == ["a"]


async def test_a_root_that_takes_long_to_post_keeps_its_lease(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LEASE_LIFE", 150)
    stage.world.hold_root = asyncio.Event()
    stage.worker()
    stage.worker()
    asked = Question(Thread("T1", "C1", ""), "command-1", "U1", "T1", "a", "command")
    run_id = (await stage.runs.accept(asked)).run_id
    await stage.until(lambda: stage.world.roots)
    await asyncio.sleep(0.4)
    stage.world.hold_root.set()
    stage.backend.answer("a")
    await stage.until_state(run_id, "answered")
    assert stage.world.roots == ["a"]


async def test_a_command_where_the_bot_may_not_post_ends_failed(stage: Stage) -> None:
    stage.world.cannot_post = True
    stage.worker()
    asked = Question(Thread("T1", "C1", ""), "command-1", "U1", "T1", "a", "command")
    run_id = (await stage.runs.accept(asked)).run_id
    await stage.until_state(run_id, "failed")
    assert stage.backend.asked == []


# -- faults of our own -----------------------------------------------------------------------------------


async def test_a_reply_that_cannot_be_finished_ends_the_run_once(stage: Stage) -> None:
    stage.world.break_finish = ValueError("a bug in the layout")
    stage.worker()
    run_id = await stage.ask("a")
    stage.backend.answer("a")
    await stage.until_state(run_id, "failed")
    assert stage.backend.asked == ["a"] and len(stage.world.endings("a")) == 1


async def test_a_reply_that_stops_growing_is_still_finished(stage: Stage) -> None:
    stage.world.break_writing = ValueError("a bug in the layout")
    stage.worker()
    run_id = await stage.ask("a")
    stage.backend.answer("a")
    await stage.until_state(run_id, "answered")


async def test_no_task_is_left_behind_by_a_platform_that_breaks(stage: Stage) -> None:
    worker = stage.worker()
    stage.world.break_reply = ValueError("bug")
    await stage.ask("a")
    await stage.until(lambda: stage.world.broke and not worker.busy)
    left = [str(task.get_coro()) for task in asyncio.all_tasks()]
    assert not [name for name in left if "_beat" in name or "_inform" in name or "_thread" in name]
    assert worker._jobs == {}


async def test_looking_for_work_survives_a_fault(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = stage.worker()
    original = worker._runs.next_entries
    faults = [ValueError("bug"), KeyError("thread")]

    async def faulty(count: int, block_ms: int) -> list[tuple[str, Thread]]:
        if faults:
            raise faults.pop()
        return await original(count, block_ms)

    monkeypatch.setattr(worker._runs, "next_entries", faulty)
    run_id = await stage.ask("a")
    stage.backend.answer("a")
    await stage.until_state(run_id, "answered")
    assert not faults


# -- ending the process ----------------------------------------------------------------------------------


async def test_a_drain_lets_an_answer_end_within_the_grace(stage: Stage) -> None:
    worker = stage.worker()
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    draining = asyncio.create_task(worker.drain(10))
    stage.backend.answer("a")
    await draining
    assert await stage.state(run_id) == "answered"
    assert worker.busy == 0


async def test_what_outlasts_the_grace_is_interrupted_and_the_rest_handed_over(stage: Stage) -> None:
    worker = stage.worker()
    running = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    behind = await stage.ask("behind")
    for_slot = await stage.ask("slot", Thread("T1", "C1", "2.0"))
    await stage.until(lambda: shows(stage, "slot", "waiting_slot 1"))
    stage.backend.feed("a", TEXT)
    await stage.until(lambda: shows(stage, "a", "half of it"))
    await worker.drain(0.02)
    assert await stage.state(running) == "interrupted"
    assert stage.world.endings("a") == ["END interrupted interrupted|half of it"]
    assert (await stage.state(behind), await stage.state(for_slot)) == ("queued", "queued")
    assert stage.backend.open == 0 and worker.busy == 0
    stage.backend.answer("behind")
    stage.backend.answer("slot")
    stage.worker()
    await stage.until_state(behind, "answered")
    await stage.until_state(for_slot, "answered")
    assert sorted(stage.backend.asked) == ["a", "behind", "slot"]
    assert stage.world.posts == {"a": 1, "behind": 1, "slot": 1}


async def test_a_drain_hands_over_at_once_what_was_not_asked(stage: Stage) -> None:
    worker = stage.worker()
    first = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    waiting = await stage.ask("b", Thread("T1", "C1", "2.0"))
    await stage.until(lambda: shows(stage, "b", "waiting_slot 1"))
    draining = asyncio.create_task(worker.drain(30))
    await stage.until(lambda: worker.busy == 1)
    stage.worker()
    stage.backend.answer("a")
    stage.backend.answer("b")
    await stage.until_state(waiting, "answered")
    await draining
    assert await stage.state(first) == "answered"


async def test_a_drain_broken_off_leaves_no_task(stage: Stage) -> None:
    worker = stage.worker()
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    draining = asyncio.create_task(worker.drain(60))
    await asyncio.sleep(0)
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)
    assert worker.busy == 0 and stage.backend.open == 0
    assert await stage.state(run_id) == "running"


# -- crashes ---------------------------------------------------------------------------------------------


async def test_a_crash_before_asking_is_taken_over_and_asked_once(stage: Stage) -> None:
    stage.worker()
    stage.world.hold_open = asyncio.Event()
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.workers[0]._jobs)
    await stage.kill(0)
    stage.world.hold_open.set()
    stage.worker()
    stage.backend.answer("a")
    await stage.until_state(run_id, "answered")
    assert stage.backend.asked == ["a"] and len(stage.world.endings("a")) == 1


async def test_a_crash_after_asking_ends_interrupted_and_is_not_asked_again(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("a")
    stage.backend.feed("a", TEXT)
    await stage.until(lambda: shows(stage, "a", "half of it"))
    following = await stage.ask("b")
    await stage.kill(0)
    stage.worker()
    stage.worker()
    await stage.until_state(run_id, "interrupted")
    stage.backend.answer("b")
    await stage.until_state(following, "answered")
    assert stage.backend.asked == ["a", "b"]
    assert stage.world.endings("a") == ["END interrupted interrupted|"]


async def test_a_full_worker_still_ends_what_a_dead_one_had_asked(stage: Stage) -> None:
    """Else an answer would stand as running for as long as all workers are full."""
    stage.limit = 2
    stage.worker(max_runs=1)
    dead = await stage.ask("a")
    stage.backend.feed("a", TEXT)
    await stage.until(lambda: shows(stage, "a", "half of it"))
    full = stage.worker(max_runs=1)
    other = await stage.ask("c", Thread("T1", "C1", "2.0"))
    await stage.until(lambda: full.busy)
    await stage.kill(0)
    await stage.until_state(dead, "interrupted")
    assert await stage.state(other) != "answered"
    stage.backend.answer("c")
    await stage.until_state(other, "answered")


async def test_who_loses_the_lease_stops_and_writes_nothing_more(stage: Stage) -> None:
    first = stage.worker()
    run_id = await stage.ask("a")
    stage.backend.feed("a", TEXT)
    await stage.until(lambda: shows(stage, "a", "half of it"))
    [job] = first._jobs.values()
    # Another worker has the thread: a newer token stands in the lease.
    await stage.redis.set(keys.lease(THREAD.key), job.lease.token + 1, px=60_000)
    await stage.until(lambda: not first.busy)
    assert stage.backend.open == 0
    assert stage.world.endings("a") == []
    assert await stage.state(run_id) == "running"


async def test_its_own_entry_found_abandoned_does_not_disturb_a_run(stage: Stage) -> None:
    """Redis was away for longer than a lease; the worker comes back to its own entry first."""
    worker = stage.worker()
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    [job] = worker._jobs.values()
    for _ in range(20):
        await stage.look_dead(job.lease, worker._runs.consumer)
        await asyncio.sleep(0.005)
    stage.backend.answer("a")
    await stage.until_state(run_id, "answered", "interrupted")
    assert await stage.state(run_id) == "answered" and len(stage.world.endings("a")) == 1


async def test_waiting_replies_are_left_alone_before_the_thread_is_given_away(stage: Stage) -> None:
    """The next worker of the thread writes them; two at once would post two replies."""
    stage.worker()
    first = await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    stage.world.hold_open = asyncio.Event()
    second = await stage.ask("b")
    worker = stage.workers[0]
    await stage.until(lambda: any(job.waiting == [second] for job in worker._jobs.values()))
    stage.backend.answer("a")
    await stage.until_state(first, "answered")
    stage.world.hold_open.set()
    stage.backend.answer("b")
    await stage.until_state(second, "answered")
    assert stage.world.posts["b"] == 1
