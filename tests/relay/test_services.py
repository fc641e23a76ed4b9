"""What the services of a thread can and cannot do: busy ones, runs that live on, runs that wait for a person."""

from __future__ import annotations

import asyncio

import pytest

from bot.model.event import (
    ApprovalAsked,
    InterruptRaised,
    RunFinished,
    RunStarted,
    TextMessageContent,
    Usage,
)
from bot.model.question import Thread
from bot.store import keys
from bot.store.runs import Lease
from bot.store.sessions import Agent, Session, Sessions
from bot.upstream.backend import Resume
from bot.upstream.errors import UpstreamError

from .conftest import THREAD, Stage

BEGUN = RunStarted("task-1", "conv-1", "msg-1")
HALF, WHOLE = TextMessageContent("m", "half"), TextMessageContent("m", "half and the rest")
BUSY = UpstreamError("TooManyRequests", status=429)


def shows(stage: Stage, question: str, text: str) -> bool:
    return any(text in line for line in stage.world.lines.get(question, []))


# -- busy ----------------------------------------------------------------------------------------------------


async def test_a_busy_service_is_asked_again_and_who_came_later_waits(stage: Stage) -> None:
    stage.worker()
    stage.backend.refuse_first["a"] = [BUSY, BUSY, UpstreamError("Throttling.User", status=400)]
    first = await stage.ask("a")
    await stage.until(lambda: shows(stage, "a", "waiting_service"))
    second = await stage.ask("b", Thread("T1", "C1", "2.0"))
    stage.backend.answer("a")
    stage.backend.answer("b")
    await stage.until_state(second, "answered")
    assert await stage.state(first) == "answered"
    assert stage.backend.asked == ["a", "a", "a", "a", "b"]
    assert stage.pauses[:3] == [4, 8, 16]


async def test_a_service_that_says_how_long_is_believed(stage: Stage) -> None:
    stage.worker()
    stage.backend.refuse_first["a"] = [UpstreamError("TooManyRequests", status=429, retry_after=30.0)]
    stage.backend.answer("a")
    await stage.until_state(await stage.ask("a"), "answered")
    assert stage.pauses == [30]


async def test_a_service_busy_for_longer_than_a_question_lives_fails_it(stage: Stage) -> None:
    stage.worker(wall=lambda: stage.now)
    stage.now = 0.0
    stage.backend.refuse["a"] = BUSY
    run_id = await stage.ask("a")
    await stage.until(lambda: len(stage.backend.asked) > 3)
    stage.now = 1e10
    await stage.until_state(run_id, "failed")
    assert stage.world.endings("a") == ["END failed explained TooManyRequests|"]
    run = await stage.runs.get(run_id)
    assert run is not None and not run.may_have_begun and run.characters == 0


async def test_a_crash_while_a_service_is_busy_loses_nothing(stage: Stage) -> None:
    """It was certainly refused, so another worker may ask again."""
    stage.worker()
    stage.hold_pauses = asyncio.Event()
    stage.backend.refuse_first["a"] = [BUSY]
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.pauses)
    await stage.kill(0)
    stage.worker()
    stage.backend.answer("a")
    await stage.until_state(run_id, "answered", "interrupted")
    assert await stage.state(run_id) == "answered"


async def test_stopped_while_the_service_is_busy_nothing_ran(stage: Stage) -> None:
    worker = stage.worker()
    stage.hold_pauses = asyncio.Event()
    stage.backend.refuse["a"] = BUSY
    run_id = await stage.ask("a")
    await stage.until(lambda: stage.pauses)
    worker.stop_run(run_id, "U2")
    await stage.until_state(run_id, "stopped")
    assert stage.world.endings("a") == ["END stopped stopped_early by=U2|"]


async def test_an_agent_at_its_share_waits_while_another_of_the_account_goes_on(stage: Stage) -> None:
    stage.limit, stage.agents = 3, {"x": 1}
    stage.worker()
    threads = {name: Thread("T1", "C1", f"{number}.0") for number, name in enumerate(("x1", "x2", "a", "b"))}
    sessions = Sessions(stage.redis, keys.Lives())
    for name, thread in threads.items():
        await sessions.move(thread, Agent("rds", "x" if name.startswith("x") else ""), f"9.{name}")
    first = await stage.ask("x1", threads["x1"])
    await stage.until(lambda: stage.followed.asked == ["x1"])
    second = await stage.ask("x2", threads["x2"])
    await stage.until(lambda: shows(stage, "x2", "waiting_slot 1"))
    for name in "ab":
        await stage.ask(name, threads[name])
    await stage.until(lambda: stage.followed.open == 3)
    assert sorted(stage.followed.asked) == ["a", "b", "x1"] and shows(stage, "x2", "waiting_slot 1")
    stage.followed.answer("x1")
    await stage.until_state(first, "answered")
    stage.followed.answer("x2")
    await stage.until_state(second, "answered")
    assert stage.followed.most_open == 3


# -- sessions ------------------------------------------------------------------------------------------------


async def test_a_service_that_names_its_conversations_is_followed(stage: Stage) -> None:
    stage.worker()
    stage.followed.feed("a", BEGUN, WHOLE, Usage(12), RunFinished())
    await stage.until_state(await stage.ask("a", backend="rds"), "answered")
    stage.followed.answer("b")
    await stage.until_state(await stage.ask("b"), "answered")
    first, second = stage.followed.asks
    assert (first.session_id, first.parent_id, first.locale, first.timezone) == (
        "", "", "zh-CN", "Asia/Shanghai"
    )  # fmt: skip
    assert (second.session_id, second.parent_id) == ("conv-1", "msg-1")
    assert stage.counted == [("a", 12, False), ("b", len("b") + len("because"), True)]


async def test_a_moved_thread_asks_another_agent_in_a_new_session(stage: Stage) -> None:
    stage.worker()
    stage.backend.answer("a")
    await stage.until_state(await stage.ask("a"), "answered")
    sessions = Sessions(stage.redis, keys.Lives())
    await sessions.move(THREAD, Agent("rds"), "9.0")
    stage.followed.feed("b", BEGUN, WHOLE, RunFinished())
    await stage.until_state(await stage.ask("b"), "answered")
    assert [ask.session_id for ask in stage.followed.asks] == [""]
    assert await sessions.session_of(THREAD, Agent("rds"), named_by_service=True) == Session(
        Agent("rds"), "conv-1", "msg-1"
    )


async def test_a_forgotten_session_is_begun_anew_and_the_reply_says_so(stage: Stage) -> None:
    stage.worker()
    stage.backend.answer("a")
    await stage.until_state(await stage.ask("a"), "answered")
    gone = UpstreamError("SessionNotFound", "The session does not exist.", status=404)
    stage.backend.refuse_first["b"] = [gone]
    stage.backend.answer("b")
    await stage.until_state(await stage.ask("b"), "answered")
    assert stage.world.endings("b") == ["END answered session_gone|because"]
    sessions = [ask.session_id for ask in stage.backend.asks]
    assert sessions[0] == sessions[1] != sessions[2]
    # A service that refuses every session is not asked for ever.
    stage.backend.refuse["c"] = gone
    await stage.until_state(await stage.ask("c"), "failed")
    assert stage.backend.asked == ["a", "b", "b", "c", "c"]


# -- stopping ------------------------------------------------------------------------------------------------


async def test_a_run_is_stopped_where_it_runs(stage: Stage) -> None:
    worker = stage.worker()
    run_id = await stage.ask("a", backend="rds")
    stage.followed.feed("a", BEGUN, HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    worker.stop_run(run_id, "U2")
    await stage.until_state(run_id, "stopped")
    assert stage.followed.stopped == ["task-1"]
    assert stage.world.endings("a") == ["END stopped stopped_for_good by=U2|half"]


async def test_a_stop_waits_for_the_name_of_the_run(stage: Stage) -> None:
    worker = stage.worker()
    run_id = await stage.ask("a", backend="rds")
    await stage.until(lambda: stage.followed.open)
    worker.stop_run(run_id, "U2")
    await stage.until(lambda: 0.1 in stage.pauses)
    stage.followed.feed("a", BEGUN)
    await stage.until_state(run_id, "stopped")
    assert stage.followed.stopped == ["task-1"]


async def test_a_service_that_does_not_stop_a_run_is_not_said_to_have(stage: Stage) -> None:
    worker = stage.worker()
    stage.followed.cannot_stop = True
    run_id = await stage.ask("a", backend="rds")
    stage.followed.feed("a", BEGUN, HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    worker.stop_run(run_id, "U2")
    await stage.until_state(run_id, "stopped")
    assert stage.world.endings("a") == ["END stopped stopped by=U2|half"]


# -- recovering ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["Cut", "Silence", "Deadline", "BadStream", "TooLarge"])
async def test_a_lost_stream_is_fetched_from_the_history(stage: Stage, code: str) -> None:
    stage.worker()
    stage.followed.history["a"] = [BEGUN, WHOLE, RunFinished()]
    stage.followed.feed("a", BEGUN, HALF, UpstreamError(code, begun=True))
    await stage.until_state(await stage.ask("a", backend="rds"), "answered")
    assert stage.world.endings("a") == ["END answered |half and the rest"]
    assert stage.followed.asked == ["a"]
    [(ask, message_id)] = stage.followed.fetched
    assert (ask.session_id, message_id) == ("conv-1", "msg-1")


async def test_what_cannot_be_fetched_is_told_with_what_had_come(stage: Stage) -> None:
    stage.worker()
    stage.followed.feed("a", BEGUN, HALF, UpstreamError("Cut", begun=True))
    await stage.until_state(await stage.ask("a", backend="rds"), "failed")
    assert stage.world.endings("a") == ["END failed explained Cut|half"]


async def test_a_cut_before_the_conversation_had_a_name_is_fetched_and_the_thread_goes_on_there(
    stage: Stage,
) -> None:
    stage.worker()
    stage.followed.refuse_first["a"] = [UpstreamError("Cut")]
    stage.followed.history["a"] = [RunStarted("", "conv-1", "msg-1"), WHOLE, RunFinished()]
    run_id = await stage.ask("a", backend="rds")
    await stage.until_state(run_id, "answered", "failed")
    assert stage.world.endings("a") == ["END answered |half and the rest"]
    assert stage.followed.asked == ["a"] and stage.followed.others == [frozenset()]
    run = await stage.runs.get(run_id)
    assert run is not None and (run.session_id, run.message_id) == ("conv-1", "msg-1")
    stage.followed.answer("b")
    await stage.until_state(await stage.ask("b"), "answered")
    assert (stage.followed.asks[-1].session_id, stage.followed.asks[-1].parent_id) == ("conv-1", "msg-1")


async def test_a_cut_before_the_conversation_had_a_name_is_told_when_the_history_knows_none(
    stage: Stage,
) -> None:
    stage.worker()
    stage.followed.refuse["a"] = UpstreamError("Cut")
    run_id = await stage.ask("a", backend="rds")
    await stage.until_state(run_id, "failed")
    assert stage.world.endings("a") == ["END failed explained Cut|"]
    assert stage.followed.asked == ["a"]


async def test_who_asked_the_same_words_is_told_to_the_search(stage: Stage) -> None:
    """Somebody whose conversation is known leaves the others to choose from; somebody whose is not leaves nothing."""
    stage.limit = 3
    stage.worker()
    threads = [Thread("T1", "C1", f"{number}.0") for number in range(3)]
    stage.followed.feed("why?", BEGUN, WHOLE, RunFinished())
    await stage.until_state(await stage.ask("why?", threads[0], backend="rds"), "answered")
    stage.followed.refuse["why?"] = UpstreamError("Cut")
    for thread in threads[1:]:
        await stage.until_state(await stage.ask("why?", thread, backend="rds"), "failed")
    assert stage.followed.others == [frozenset({"conv-1"}), None]


async def test_who_asked_the_same_words_is_not_known_while_redis_is_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionError("away")

    worker = stage.worker()
    monkeypatch.setattr(worker._parts.sessions, "of_same_words", away)
    stage.followed.refuse["why?"] = UpstreamError("Cut")
    await stage.until_state(await stage.ask("why?", backend="rds"), "failed")
    assert stage.followed.others == [None]


async def test_a_crash_before_the_conversation_had_a_name_is_fetched_by_the_next_worker(
    stage: Stage,
) -> None:
    stage.worker()
    run_id = await stage.ask("a", backend="rds")
    await stage.until(lambda: stage.followed.open)
    await stage.kill(0)
    stage.followed.history["a"] = [RunStarted("", "conv-1", "msg-1"), WHOLE, RunFinished()]
    stage.worker()
    await stage.until_state(run_id, "answered", "interrupted")
    assert stage.world.endings("a") == ["END answered |half and the rest"]
    stage.followed.answer("b")
    await stage.until_state(await stage.ask("b"), "answered")
    assert stage.followed.asked == ["a", "b"]
    assert (stage.followed.asks[-1].session_id, stage.followed.asks[-1].parent_id) == ("conv-1", "msg-1")


async def test_a_crash_before_the_conversation_had_a_name_that_fits_no_record_ends_as_cut(
    stage: Stage,
) -> None:
    stage.worker()
    run_id = await stage.ask("a", backend="rds")
    await stage.until(lambda: stage.followed.open)
    await stage.kill(0)
    stage.worker()
    await stage.until_state(run_id, "answered", "interrupted")
    assert stage.world.endings("a") == ["END interrupted interrupted|"]
    assert stage.followed.asked == ["a"]


async def test_a_drain_before_the_conversation_had_a_name_leaves_the_run_to_the_next_worker(
    stage: Stage,
) -> None:
    worker = stage.worker()
    run_id = await stage.ask("a", backend="rds")
    await stage.until(lambda: stage.followed.open)
    await worker.drain(0)
    assert stage.world.endings("a") == []
    stage.followed.history["a"] = [RunStarted("", "conv-1", "msg-1"), WHOLE, RunFinished()]
    stage.worker()
    await stage.until_state(run_id, "answered", "interrupted")
    assert stage.world.endings("a") == ["END answered |half and the rest"]


async def test_das_is_never_asked_twice_and_what_had_come_stays(stage: Stage) -> None:
    stage.worker()
    stage.backend.feed("a", HALF, UpstreamError("Cut", begun=True))
    await stage.until_state(await stage.ask("a"), "failed")
    assert stage.backend.asked == ["a"]
    assert stage.world.endings("a") == ["END failed explained Cut|half"]


async def test_a_crash_after_asking_is_fetched_by_the_next_worker_and_asked_once(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("a", backend="rds")
    stage.followed.feed("a", BEGUN, HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    await stage.kill(0)
    stage.followed.history["a"] = [BEGUN, WHOLE, RunFinished()]
    stage.worker()
    await stage.until_state(run_id, "answered", "interrupted")
    assert stage.world.endings("a") == ["END answered |half and the rest"]
    assert stage.followed.asked == ["a"]
    await stage.until(lambda: not stage.workers[1].busy)
    assert await stage.redis.keys("*slot*") == []


async def test_a_crash_whose_answer_is_not_to_be_found_ends_as_cut(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("a", backend="rds")
    stage.followed.feed("a", BEGUN, HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    await stage.kill(0)
    stage.worker()
    await stage.until_state(run_id, "interrupted")
    assert stage.world.endings("a") == ["END interrupted interrupted|"]


async def test_a_drain_leaves_a_run_that_lives_on_to_the_next_worker(stage: Stage) -> None:
    worker = stage.worker()
    run_id = await stage.ask("a", backend="rds")
    stage.followed.feed("a", BEGUN, HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    await worker.drain(0)
    assert stage.world.endings("a") == []
    stage.followed.history["a"] = [BEGUN, WHOLE, RunFinished()]
    stage.worker()
    await stage.until_state(run_id, "answered", "interrupted")
    assert stage.world.endings("a") == ["END answered |half and the rest"]


# -- waiting for a person ------------------------------------------------------------------------------------


async def test_a_paused_run_leaves_the_queue_and_goes_on_in_its_own_reply(stage: Stage) -> None:
    stage.worker()
    stage.followed.feed("kill it", BEGUN, HALF, ApprovalAsked("call-1", tool="kill_session"))
    paused = await stage.ask("kill it", backend="rds")
    await stage.until_state(paused, "paused")
    assert stage.world.endings("kill it") == ["END paused |half"]
    # Others do not wait for the decision.
    stage.followed.answer("meanwhile")
    await stage.until_state(await stage.ask("meanwhile"), "answered")
    run_id = await stage.ask("", resumes=paused)
    stage.followed.feed("", BEGUN, TextMessageContent("m", ", done"), RunFinished())
    await stage.until_state(run_id, "answered")
    assert stage.followed.asks[-1].resume == Resume("call-1")
    assert stage.followed.asks[-1].session_id == "conv-1"
    assert stage.world.endings("") == ["END answered |half, done"]
    resumed = await stage.runs.get(run_id)
    assert resumed is not None and resumed.reply_ts == ["ts-kill it"] and stage.world.posts.get("") is None


async def test_going_on_before_the_decision_says_that_there_is_none(stage: Stage) -> None:
    stage.worker()
    stage.followed.feed("kill it", BEGUN, HALF, ApprovalAsked("call-1", tool="kill_session"))
    paused = await stage.ask("kill it", backend="rds")
    await stage.until_state(paused, "paused")
    stage.followed.feed("", BEGUN, ApprovalAsked("call-1", tool="kill_session"))
    again = await stage.ask("", resumes=paused)
    await stage.until_state(again, "paused")
    assert stage.world.endings("") == ["END paused not_decided|half"]
    first, second = await stage.runs.get(paused), await stage.runs.get(again)
    assert first and second
    assert (second.spent_before, second.estimated_before) == (first.characters, True)
    assert stage.world.spent[""] == first.characters + second.characters


@pytest.mark.parametrize("resumes", [True, False])
async def test_an_answer_to_an_interrupt(stage: Stage, resumes: bool) -> None:
    """Sent as such where that is switched on; else as the next question of the session."""
    stage.resumes = resumes
    stage.worker()
    stage.backend.feed("which?", HALF, InterruptRaised("i-1", "Which one?", ("rm-1", "rm-2")))
    paused = await stage.ask("which?")
    await stage.until_state(paused, "paused")
    stage.backend.answer("rm-2")
    await stage.until_state(await stage.ask("rm-2", resumes=paused), "answered")
    first, second = stage.backend.asks
    assert second.resume == (Resume("i-1", "rm-2") if resumes else None)
    assert second.session_id == first.session_id


# -- late writes ---------------------------------------------------------------------------------------------


async def lose_the_lease(stage: Stage) -> tuple[str, Lease]:
    """A worker that wrote late, when another already has its thread: the run and the worker's lease."""
    frozen = stage.worker()
    run_id = await stage.ask("a")
    stage.world.late = True
    stage.backend.feed("a", HALF)
    await stage.until(lambda: shows(stage, "a", "half"))
    [job] = frozen._jobs.values()
    await stage.redis.set(keys.lease(THREAD.key), job.lease.token + 1, px=60_000)
    return run_id, job.lease


async def test_a_write_over_anothers_end_is_taken_back(stage: Stage) -> None:
    run_id, _ = await lose_the_lease(stage)
    await stage.redis.hset(keys.run(run_id), "state", "interrupted")
    await stage.until(lambda: shows(stage, "a", "RESTORED"))


async def test_a_write_under_anothers_answer_is_put_right_at_its_end(stage: Stage) -> None:
    run_id, lease = await lose_the_lease(stage)
    await stage.until(lambda: not stage.workers[0].busy)
    assert await stage.redis.hget(keys.run(run_id), "late") == "1"
    assert not shows(stage, "a", "RESTORED")
    stage.world.late = False
    await stage.look_dead(lease, "worker0")
    stage.worker()
    await stage.until_state(run_id, "interrupted")
    assert stage.world.lines["a"][-2:] == ["END interrupted interrupted|", "RESTORED"]


async def test_a_message_posted_late_is_taken_away_once_it_is_known_which_one_counts(stage: Stage) -> None:
    run_id, _ = await lose_the_lease(stage)
    # The other worker's post is under way: it may yet find this one, and keep it.
    await stage.redis.hset(keys.run(run_id), mapping={"reply_ts": "[]", "posting": "1"})
    await stage.until(lambda: len(stage.pauses) > 5)
    assert not shows(stage, "a", "WITHDRAWN")
    await stage.redis.hset(keys.run(run_id), mapping={"reply_ts": '["another"]', "posting": "0"})
    await stage.until(lambda: shows(stage, "a", "WITHDRAWN ts-a"))
    assert not shows(stage, "a", "WITHDRAWN another")


async def test_a_root_posted_late_is_taken_away(stage: Stage) -> None:
    stage.world.hold_root = asyncio.Event()
    frozen = stage.worker()
    thread = Thread("T1", "C1", "")
    run_id = await stage.ask("a", thread)
    await stage.until(lambda: stage.world.roots)
    [job] = frozen._jobs.values()
    await stage.redis.set(keys.lease(job.lease.thread.key), job.lease.token + 1, px=60_000)
    stage.world.hold_root.set()
    await stage.until(lambda: len(stage.pauses) > 5)
    assert not shows(stage, "a", "ROOTS")
    await stage.redis.hset(keys.run(run_id), mapping={"thread_ts": "6.0", "posting": "0"})
    await stage.until(lambda: shows(stage, "a", "ROOTS WITHDRAWN BUT 6.0"))
