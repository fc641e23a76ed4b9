"""What arrives at the wrong moment: a stop, a crash, a move; and what a resumed run leaves in its reply then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.model.event import (
    ApprovalAsked,
    Event,
    InterruptRaised,
    RunError,
    RunFinished,
    RunStarted,
    TextMessageContent,
    Usage,
)
from bot.model.question import Question
from bot.model.run import Run
from bot.store import keys
from bot.store.runs import Lease
from bot.store.sessions import Agent, Sessions
from bot.upstream.backend import Ask, Resume
from bot.upstream.errors import UpstreamError

from .conftest import THREAD, Stage

BEGUN = RunStarted("task-1", "conv-1", "msg-1")
HALF = TextMessageContent("m", "half")
BUSY = UpstreamError("TooManyRequests", status=429)


def shows(stage: Stage, question: str, text: str) -> bool:
    return any(text in line for line in stage.world.lines.get(question, []))


async def paused(stage: Stage, *, backend: str = "rds") -> str:
    """A run that has said "half" and waits for a person."""
    waits = ApprovalAsked("call-1") if backend == "rds" else InterruptRaised("i-1", "Which one?")
    service = stage.followed if backend == "rds" else stage.backend
    service.feed("kill it", BEGUN, HALF, Usage(500), waits)
    run_id = await stage.ask("kill it", backend=backend)
    await stage.until_state(run_id, "paused")
    return run_id


# -- a stop --------------------------------------------------------------------------------------------------


async def test_a_stop_while_the_service_is_about_to_refuse_lets_nobody_ask_again(stage: Stage) -> None:
    worker = stage.worker()
    refusing, was_asked = asyncio.Event(), asyncio.Event()
    original = stage.followed.ask

    @asynccontextmanager
    async def slow(ask: Ask) -> AsyncIterator[AsyncIterator[Event]]:
        was_asked.set()
        await refusing.wait()
        async with original(ask) as events:
            yield events

    stage.followed.ask = slow  # type: ignore[method-assign]
    stage.followed.refuse_first["a"] = [BUSY]
    stage.followed.feed("a", BEGUN, HALF)
    run_id = await stage.ask("a", backend="rds")
    await was_asked.wait()
    worker.stop_run(run_id, "U2")
    await stage.until(lambda: 0.1 in stage.pauses)
    refusing.set()
    await stage.until_state(run_id, "stopped")
    assert stage.followed.asked == ["a"] and stage.followed.stopped == []
    assert stage.world.endings("a") == ["END stopped stopped_early by=U2|"]


async def test_a_stop_after_the_last_word_stops_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it cut off what comes behind: the next question follows this answer."""
    worker = stage.worker()
    sessions = worker._parts.sessions
    adopting, go_on, original = asyncio.Event(), asyncio.Event(), sessions.adopt

    async def adopt(*args: Any) -> None:
        adopting.set()
        await go_on.wait()
        await original(*args)

    stage.followed.feed("a", BEGUN, HALF)
    run_id = await stage.ask("a", backend="rds")
    await stage.until(lambda: shows(stage, "a", "half"))
    monkeypatch.setattr(sessions, "adopt", adopt)
    stage.followed.feed("a", RunFinished())
    await adopting.wait()
    worker.stop_run(run_id, "U2")
    for _ in range(10):
        await asyncio.sleep(0)
    go_on.set()
    await stage.until_state(run_id, "answered", "stopped")
    assert stage.followed.stopped == []
    assert stage.world.endings("a") == ["END answered |half"]
    session = await sessions.session_of(THREAD, Agent("rds"), named_by_service=True)
    assert session.parent_id == "msg-1"


async def test_a_stop_before_anything_was_fetched_keeps_what_the_dead_worker_showed(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("a", backend="rds")
    stage.followed.feed("a", BEGUN, HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    await stage.redis.hset(keys.run(run_id), "shown", "what had come")
    await stage.kill(0)
    fetching = asyncio.Event()

    async def recover(*_: object) -> AsyncIterator[Event]:
        fetching.set()
        await asyncio.Event().wait()
        yield BEGUN

    stage.followed.recover = recover  # type: ignore[assignment, method-assign]
    worker = stage.worker()
    await stage.until(fetching.is_set)
    worker.stop_run(run_id, "U2")
    await stage.until_state(run_id, "stopped")
    assert stage.followed.stopped == ["task-1"]
    assert stage.world.endings("a") == ["END stopped stopped_for_good by=U2|what had come"]


async def test_a_stop_of_a_run_without_a_name_does_not_wait_for_one_while_its_answer_is_looked_for(
    stage: Stage,
) -> None:
    """Only the stream tells it, and that is lost: the bot stops listening, and says no more than that."""
    fetching = asyncio.Event()

    async def recover(*_: object) -> AsyncIterator[Event]:
        fetching.set()
        await asyncio.Event().wait()
        yield BEGUN

    stage.followed.recover = recover  # type: ignore[assignment, method-assign]
    worker = stage.worker()
    stage.followed.refuse["a"] = UpstreamError("Cut")
    run_id = await stage.ask("a", backend="rds")
    await stage.until(fetching.is_set)
    worker.stop_run(run_id, "U2")
    await stage.until_state(run_id, "stopped")
    assert stage.followed.stopped == [] and stage.pauses == []
    assert stage.world.endings("a") == ["END stopped stopped by=U2|"]


async def test_a_stop_that_only_the_next_worker_sees_is_told_as_one(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("a")
    stage.backend.feed("a", HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    await stage.redis.hset(keys.run(run_id), "shown", "what had come")
    await stage.kill(0)
    assert await stage.runs.stop(run_id, "U9") == "stopping"
    stage.worker()
    await stage.until_state(run_id, "stopped", "interrupted")
    assert stage.world.endings("a") == ["END stopped stopped by=U9|what had come"]


# -- a service that makes one wait -------------------------------------------------------------------------


async def test_a_service_is_not_waited_for_longer_than_a_question_lives(stage: Stage) -> None:
    stage.worker()
    stage.backend.refuse_first["a"] = [UpstreamError("TooManyRequests", status=429, retry_after=86_400.0)]
    stage.backend.answer("a")
    await stage.until_state(await stage.ask("a"), "failed", "answered")
    assert stage.world.endings("a") == ["END failed explained TooManyRequests|"]
    assert stage.backend.asked == ["a"]


async def test_a_service_that_is_busy_all_day_is_still_waited_for(stage: Stage) -> None:
    stage.worker()
    stage.backend.refuse_first["a"] = [BUSY] * 1_100
    stage.backend.answer("a")
    await stage.until_state(await stage.ask("a"), "failed", "answered")
    assert stage.world.endings("a") == ["END answered |because"]
    assert max(stage.pauses) == 60


@pytest.mark.parametrize("between", ["tries", "asks"])
async def test_a_refusal_that_was_being_noted_when_the_process_ended_is_noted_all_the_same(
    stage: Stage, between: str
) -> None:
    worker = stage.worker()
    noting, save, original = asyncio.Event(), worker._runs.save, stage.backend.ask

    async def slow(lease: Lease, run: Run) -> None:
        if run.refusals and not noting.is_set():
            noting.set()
            await asyncio.Event().wait()
        await save(lease, run)

    @asynccontextmanager
    async def refuses_and_is_tried_again(ask: Ask) -> AsyncIterator[AsyncIterator[Event]]:
        if between == "tries" and not noting.is_set():
            assert ask.pause
            await ask.pause(1.0)
        async with original(ask) as events:
            yield events

    worker._runs.save = slow  # type: ignore[method-assign]
    stage.backend.ask = refuses_and_is_tried_again  # type: ignore[method-assign]
    stage.backend.refuse_first["a"] = [BUSY] if between == "asks" else []
    stage.backend.answer("a")
    run_id = await stage.ask("a")
    await noting.wait()
    await worker.drain(0)
    stage.worker()
    await stage.until_state(run_id, "answered", "interrupted")
    assert stage.world.endings("a") == ["END answered |because"]


async def test_a_session_that_ends_inside_the_stream_is_not_asked_again_but_begun_anew_next(
    stage: Stage,
) -> None:
    stage.worker()
    stage.backend.feed("a", RunError("SessionExpired", "gone"), RunFinished())
    await stage.until_state(await stage.ask("a"), "failed")
    stage.backend.answer("b")
    await stage.until_state(await stage.ask("b"), "answered")
    assert stage.backend.asked == ["a", "b"]
    first, second = stage.backend.asks
    assert first.session_id != second.session_id


# -- a crash -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refused", "answered"])
async def test_a_crash_after_the_end_was_shown_asks_nothing_again(stage: Stage, how: str) -> None:
    stage.world.hold_finish = asyncio.Event()
    stage.worker()
    if how == "refused":
        stage.backend.refuse_first["a"] = [UpstreamError("NoPermission", status=403)]
    stage.backend.answer("a")
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.world.endings("a"))
    await stage.kill(0)
    stage.world.hold_finish = None
    stage.worker()
    await stage.until_state(run_id, "failed", "answered")
    assert await stage.state(run_id) == ("failed" if how == "refused" else "answered")
    assert stage.backend.asked == ["a"] and len(stage.world.endings("a")) == 1


async def test_what_is_fetched_can_be_rated(stage: Stage) -> None:
    """The worker died before the first frame: only the history tells the answer's name."""
    stage.worker()
    stage.followed.feed("before", BEGUN, HALF, RunFinished())
    await stage.until_state(await stage.ask("before", backend="rds"), "answered")
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.followed.asked == ["before", "a"] and stage.followed.open)
    await stage.kill(0)
    stage.followed.history["a"] = [RunStarted("", "conv-1", "msg-2"), HALF, RunFinished()]
    stage.worker()
    await stage.until_state(run_id, "answered")
    run = await stage.runs.get(run_id)
    assert run is not None and run.message_id == "msg-2"


# -- runs that go on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["moved", "forgotten"])
async def test_a_paused_run_goes_on_where_it_was_paused(stage: Stage, how: str) -> None:
    stage.worker()
    before = await paused(stage)
    sessions = Sessions(stage.redis, keys.Lives())
    if how == "moved":
        await sessions.move(THREAD, Agent("das"), "9.0")
    else:
        await sessions.forget(THREAD)
    stage.followed.answer("go on", ", done")
    await stage.until_state(await stage.ask("go on", resumes=before), "answered", "failed")
    assert stage.backend.asked == []
    ask = stage.followed.asks[-1]
    assert (ask.resume, ask.session_id) == (Resume("call-1", "go on"), "conv-1")
    assert stage.world.endings("go on") == ["END answered |half, done"]
    # The thread stays where it is now.
    assert await sessions.agent_of(THREAD) == Agent("das" if how == "moved" else "rds")
    session = await sessions.session_of(THREAD, Agent("rds"), named_by_service=True)
    assert session.session_id != "conv-1"


async def test_what_a_resumed_run_costs_is_its_own(stage: Stage) -> None:
    stage.worker()
    before = await paused(stage)
    stage.followed.answer("go on", ", done")
    await stage.until_state(await stage.ask("go on", resumes=before), "answered")
    assert stage.counted == [("kill it", 500, False), ("go on", len("go on") + len(", done"), True)]


async def test_a_resumed_run_that_is_interrupted_keeps_what_was_said_before_it(stage: Stage) -> None:
    stage.resumes = True
    stage.worker()
    before = await paused(stage, backend="das")
    run_id = await stage.ask("rm-2", resumes=before)
    await stage.until(lambda: stage.backend.open)
    await stage.kill(0)
    stage.worker()
    await stage.until_state(run_id, "interrupted")
    assert stage.world.endings("rm-2") == ["END interrupted interrupted|half"]
    assert stage.backend.asked == ["kill it", "rm-2"]


async def test_a_resumed_run_whose_rest_cannot_be_fetched_keeps_all_that_was_shown(stage: Stage) -> None:
    stage.worker()
    before = await paused(stage)
    run_id = await stage.ask("go on", resumes=before)
    stage.followed.feed("go on", BEGUN, TextMessageContent("m", ", nearly"))
    await stage.until(lambda: shows(stage, "go on", "half, nearly"))
    await stage.redis.hset(keys.run(run_id), "shown", "half, nearly")
    await stage.kill(0)
    stage.worker()
    await stage.until_state(run_id, "interrupted")
    assert stage.world.endings("go on") == ["END interrupted interrupted|half, nearly"]


async def test_a_message_that_went_on_after_its_pause_is_fetched_once(stage: Stage) -> None:
    """Its record holds all of it, what was said before the pause as well."""
    stage.worker()
    before = await paused(stage)
    stage.followed.feed("go on", BEGUN, UpstreamError("Cut", begun=True))
    stage.followed.history["go on"] = [BEGUN, TextMessageContent("m", "half, done"), RunFinished()]
    await stage.until_state(await stage.ask("go on", resumes=before), "answered")
    assert stage.world.endings("go on") == ["END answered |half, done"]


async def test_a_late_write_of_a_paused_run_is_put_right_by_the_run_that_goes_on(stage: Stage) -> None:
    """They share the reply: the paused one's end would stand over the other's answer."""
    frozen = stage.worker()
    stage.world.late = True
    stage.followed.feed("kill it", BEGUN, HALF)
    before = await stage.ask("kill it", backend="rds")
    await stage.until(lambda: shows(stage, "kill it", "half"))
    after = (await stage.runs.accept(Question(THREAD, "2.0", "U1", "T1", "go on", "resume"))).run_id
    for run_id, state in ((before, "paused"), (after, "answered")):
        await stage.redis.hset(keys.run(run_id), mapping={"state": state, "reply_ts": '["ts-kill it"]'})
    await stage.redis.hset(keys.run(before), "decided_run", after)
    [job] = frozen._jobs.values()
    await stage.redis.set(keys.lease(THREAD.key), job.lease.token + 1, px=60_000)
    await stage.until(lambda: not frozen.busy)
    assert shows(stage, "go on", "RESTORED") and not shows(stage, "kill it", "RESTORED")
    assert not shows(stage, "go on", "WITHDRAWN")


async def test_an_answer_of_days_ago_is_not_shown_as_news(stage: Stage) -> None:
    """The worker died and the next one came days later: the service still has the answer, which nobody waits for."""
    stage.worker()
    run_id = await stage.ask("why?", backend="rds")
    stage.followed.feed("why?", BEGUN, HALF)
    await stage.until(lambda: shows(stage, "why?", "half"))
    await stage.kill(0)
    stage.followed.history["why?"] = [BEGUN, TextMessageContent("m", "half, done"), RunFinished()]
    stage.worker(wall=lambda: time.time() + 3 * 86_400)
    await stage.until_state(run_id, "interrupted")
    assert stage.world.endings("why?") == ["END interrupted outdated|"]
    assert stage.followed.fetched == []
