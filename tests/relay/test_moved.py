"""A thread that is moved to another agent while questions wait or run: no service learns of another's session."""

from __future__ import annotations

from uuid import UUID

from bot.model.event import ApprovalAsked, RunError, RunFinished, RunStarted, TextMessageContent, Usage
from bot.model.question import Thread
from bot.store import keys
from bot.store.sessions import Agent, Sessions
from bot.upstream.errors import UpstreamError

from .conftest import THREAD, Stage
from .test_turns import Door

ELSEWHERE = Thread("T1", "C1", "2.0")
GONE = UpstreamError("SessionNotFound", "The session does not exist.", status=404)
LOST = (RunError("ConversationNotFound", "Conversation not found."), RunFinished())
RDS = Agent("rds")


def shows(stage: Stage, question: str, text: str) -> bool:
    return any(text in line for line in stage.world.lines.get(question, []))


async def move(stage: Stage, agent: Agent, ts: str = "9.0") -> None:
    assert await Sessions(stage.redis, keys.Lives()).move(THREAD, agent, ts)


async def answered(stage: Stage, text: str) -> None:
    stage.backend.answer(text)
    await stage.until_state(await stage.ask(text), "answered")


async def test_moved_while_it_waits_and_forgotten_it_is_asked_in_a_session_of_its_own(stage: Stage) -> None:
    stage.worker()
    await answered(stage, "first")
    await stage.ask("x", ELSEWHERE)
    await stage.until(lambda: stage.backend.open)
    run_id = await stage.ask("a")
    await stage.until(lambda: shows(stage, "a", "waiting_slot 1"))
    await move(stage, RDS)
    stage.backend.refuse_first["a"] = [GONE]
    stage.backend.feed(
        "a", TextMessageContent("m", "because"), Usage(session_id="das-names-it"), RunFinished()
    )
    stage.backend.answer("x")
    await stage.until_state(run_id, "answered")
    old, anew = (ask.session_id for ask in stage.backend.asks if ask.text == "a")
    assert UUID(anew) and old != anew
    run = await stage.runs.get(run_id)
    assert run is not None and (run.backend, run.session_id) == ("das", "das-names-it")
    # The new agent begins with nothing.
    stage.followed.feed("b", RunStarted("task-1", "conv-1", "msg-1"), RunFinished())
    await stage.until_state(await stage.ask("b"), "answered")
    [asked] = stage.followed.asks
    assert (asked.session_id, asked.parent_id) == ("", "")


async def test_a_paused_run_whose_conversation_is_gone_leaves_the_session_of_another_agent(
    stage: Stage,
) -> None:
    stage.worker()
    begun = RunStarted("task-1", "conv-1", "msg-1")
    stage.followed.feed("a", begun, TextMessageContent("m", "half"), ApprovalAsked("call-1"))
    paused = await stage.ask("a", backend="rds")
    await stage.until_state(paused, "paused")
    await move(stage, Agent("das"))
    await answered(stage, "b")
    stage.followed.feed("go on", *LOST)
    await stage.until_state(await stage.ask("go on", resumes=paused), "failed")
    await answered(stage, "c")
    before, after = (ask.session_id for ask in stage.backend.asks)
    assert before == after != ""


async def test_a_conversation_that_is_gone_in_the_stream_is_forgotten(stage: Stage) -> None:
    stage.worker()
    stage.followed.feed("a", RunStarted("task-1", "conv-1", "msg-1"), RunFinished())
    await stage.until_state(await stage.ask("a", backend="rds"), "answered")
    stage.followed.feed("b", *LOST)
    await stage.until_state(await stage.ask("b"), "failed")
    stage.followed.answer("c")
    await stage.until_state(await stage.ask("c"), "answered")
    assert [ask.session_id for ask in stage.followed.asks] == ["", "conv-1", ""]


async def test_questions_asked_before_a_move_are_answered_by_the_agent_they_were_asked_of(
    stage: Stage,
) -> None:
    stage.worker()
    for text in "abcd":
        if text != "c":
            await stage.ask(text)
        if text == "b":
            await stage.until(lambda: shows(stage, "b", "waiting_thread 1"))
            await move(stage, RDS)
            last = await stage.ask("c")
    for text in "ab":
        stage.backend.answer(text)
    for text in "cd":
        stage.followed.answer(text)
    await stage.until_state(last, "answered")
    await stage.until(lambda: stage.world.endings("d"))
    assert stage.backend.asked == ["a", "b"] and stage.followed.asked == ["c", "d"]
    # In the session they were asked in.
    assert len({ask.session_id for ask in stage.backend.asks}) == 1


async def test_what_was_asked_between_two_moves_is_not_given_to_the_first_agent(stage: Stage) -> None:
    stage.worker()
    await stage.ask("a")
    await stage.until(lambda: stage.backend.open)
    await move(stage, RDS)
    await stage.ask("b")
    await move(stage, Agent("rds", "another-1"), "9.1")
    stage.backend.answer("a")
    stage.followed.answer("b")
    await stage.until(lambda: stage.world.endings("b"))
    assert [(ask.text, ask.agent_id) for ask in stage.followed.asks] == [("b", "another-1")]


async def test_a_question_that_went_with_a_move_is_the_first_of_the_new_session_also_when_its_worker_ends(
    stage: Stage,
) -> None:
    stage.worker()
    await stage.ask("x", ELSEWHERE, backend="rds")
    await stage.until(lambda: stage.followed.open)
    stage.world.hold_open = door = Door()
    run_id = await stage.ask("a")
    await stage.until(lambda: door.reached)
    await move(stage, RDS)
    door.set()
    await stage.until_saved(run_id, lambda run: run.backend == "rds")
    await stage.workers[0].drain(0)
    stage.followed.feed("a", RunStarted("task-1", "conv-1", "msg-1"), RunFinished())
    stage.worker()
    await stage.until_state(run_id, "answered")
    stage.followed.answer("b")
    await stage.until_state(await stage.ask("b"), "answered")
    assert (stage.followed.asks[-1].session_id, stage.followed.asks[-1].parent_id) == ("conv-1", "msg-1")


async def test_they_follow_what_was_said_there_also_where_the_service_names_the_session(stage: Stage) -> None:
    stage.worker()
    stage.followed.feed("a", RunStarted("task-1", "conv-1", "msg-1"))
    await stage.ask("a", backend="rds")
    await stage.until(lambda: stage.followed.open)
    await stage.ask("b")
    third = await stage.ask("c")
    await move(stage, Agent("rds", "another-1"))
    stage.followed.feed("a", RunFinished())
    stage.followed.feed(
        "b", RunStarted("task-2", "conv-1", "msg-2"), RunError("Timeout", "late"), RunFinished()
    )
    stage.followed.answer("c")
    await stage.until_state(third, "answered")
    asked = [(ask.agent_id, ask.session_id, ask.parent_id) for ask in stage.followed.asks]
    # One that failed is nothing to follow.
    assert asked == [("", "", ""), ("", "conv-1", "msg-1"), ("", "conv-1", "msg-1")]
    stage.followed.answer("d")
    await stage.until_state(await stage.ask("d"), "answered")
    assert stage.followed.asks[-1].agent_id == "another-1" and stage.followed.asks[-1].session_id == ""


async def test_a_question_that_waits_for_a_slot_stays_with_its_agent_also_when_its_worker_ends(
    stage: Stage,
) -> None:
    stage.worker()
    await answered(stage, "first")
    await stage.ask("x", ELSEWHERE)
    await stage.until(lambda: stage.backend.open)
    run_id = await stage.ask("a")
    await stage.until(lambda: shows(stage, "a", "waiting_slot 1"))
    await stage.until_saved(run_id, lambda run: run.backend == "das")
    await move(stage, RDS)
    await stage.workers[0].drain(0)
    stage.backend.answer("a")
    stage.worker()
    await stage.until_state(run_id, "answered")
    assert stage.followed.asked == []
    sessions = [ask.session_id for ask in stage.backend.asks if ask.text != "x"]
    assert sessions[0] == sessions[1]
