"""A paused run that goes on is one answer to whoever reads it: its end tells of all its parts."""

from __future__ import annotations

import pytest

from bot.model.event import ApprovalAsked, InterruptRaised, RunFinished, RunStarted, TextMessageContent, Usage
from bot.model.question import Thread

from .conftest import THREAD, Stage
from .test_moved import shows

ELSEWHERE = Thread("T1", "C1", "2.0")


async def paused(stage: Stage) -> str:
    """A run of RDS Copilot's that waits for a decision; it cost 19 characters."""
    stage.followed.feed(
        "kill it",
        RunStarted("task-1", "conv-1", "msg-1"),
        TextMessageContent("m", "half"),
        Usage(19),
        ApprovalAsked("call-1"),
    )
    run_id = await stage.ask("kill it", backend="rds")
    await stage.until_state(run_id, "paused")
    return run_id


@pytest.mark.parametrize("behind", [ELSEWHERE, THREAD])
async def test_stopped_before_it_goes_on_nothing_is_said_of_nothing_having_run(
    stage: Stage, behind: Thread
) -> None:
    """Whether it waits for a slot or behind another question of its thread."""
    worker = stage.worker()
    before = await paused(stage)
    await stage.ask("x", behind, backend="rds")
    await stage.until(lambda: stage.followed.open)
    run_id = await stage.ask("", resumes=before)
    if behind is ELSEWHERE:
        await stage.until(lambda: shows(stage, "", "waiting_slot 1"))
    await stage.runs.stop(run_id, "U2")
    worker.stop_run(run_id, "U2")
    await stage.until_state(run_id, "stopped")
    assert stage.world.endings("") == ["END stopped stopped_decided by=U2|half"]
    assert stage.followed.asked == ["kill it", "x"]
    # It cost what its first part did, which is counted there.
    assert stage.world.spent[""] == 19
    assert [text for text, *_ in stage.counted] == ["kill it"]


async def test_stopped_before_das_agent_has_the_answer_to_what_it_asked(stage: Stage) -> None:
    stage.resumes = True
    worker = stage.worker()
    stage.backend.feed("which?", TextMessageContent("m", "half"), InterruptRaised("i-1", "Which one?"))
    before = await stage.ask("which?")
    await stage.until_state(before, "paused")
    await stage.ask("x", ELSEWHERE)
    await stage.until(lambda: stage.backend.open)
    run_id = await stage.ask("rm-2", resumes=before)
    await stage.until(lambda: shows(stage, "rm-2", "waiting_slot 1"))
    worker.stop_run(run_id, "U2")
    await stage.until_state(run_id, "stopped")
    assert stage.world.endings("rm-2") == ["END stopped stopped_unanswered by=U2|half"]


async def test_its_end_tells_the_cost_and_the_time_of_all_parts(stage: Stage) -> None:
    now = 1_000.0

    def wall() -> float:
        nonlocal now
        now += 1.0
        return now

    stage.worker(wall=wall)
    before = await paused(stage)
    stage.followed.feed("", Usage(935), RunFinished())
    run_id = await stage.ask("", resumes=before)
    await stage.until_state(run_id, "answered")
    first, second = await stage.runs.get(before), await stage.runs.get(run_id)
    assert first and second
    assert stage.world.spent[""] == 954
    assert (
        second.seconds_before == pytest.approx(first.ended_at - first.asked_at) and first.seconds_before == 0
    )
    assert second.seconds_before >= 1.0
