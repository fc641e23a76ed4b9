"""What a run cost where the service does not say: an estimate of what it bills, from all that is known to have come."""

from __future__ import annotations

import pytest

from bot.model.answer import Answer
from bot.model.event import (
    ApprovalAsked,
    RunFinished,
    RunStarted,
    TextMessageContent,
    TextMessageReplaced,
    Usage,
)
from bot.model.question import Question
from bot.model.run import Run
from bot.relay.endings import note_cost

from .conftest import THREAD, Stage
from .test_moved import shows

LONG = TextMessageContent("m", "x" * 20_000)
QUESTION = "why is it slow?"


@pytest.mark.parametrize(
    ("backend", "characters"), [("das", len(QUESTION) + 20_000), ("rds", 20_015), ("das-legacy", 20_000)]
)
def test_each_service_bills_what_it_bills(backend: str, characters: int) -> None:
    """DAS Agent's older interface bills what the agent writes, not what it is asked."""
    run = Run("1", Question(THREAD, "1.0", "U1", "T1", QUESTION, "mention"), backend=backend)
    answer = Answer()
    answer.apply(LONG, 0.0)
    note_cost(answer, run, carried=0)
    assert (run.characters, run.estimated) == (characters, True)
    answer.apply(Usage(7), 0.0)
    note_cost(answer, run, carried=0)
    assert (run.characters, run.estimated) == (7, False)


async def test_what_a_dead_worker_had_shown_is_counted(stage: Stage) -> None:
    stage.worker()
    run_id = await stage.ask("a")
    # With the name of its session the run is saved; a reply saves it with each update.
    stage.backend.feed("a", LONG, RunStarted("", "theirs"))
    await stage.until(lambda: shows(stage, "a", "xxx"))
    await stage.until_saved(run_id, lambda run: run.session_id == "theirs")
    await stage.kill(0)
    stage.worker()
    await stage.until_state(run_id, "interrupted")
    assert stage.counted == [("a", len("a") + 20_000, True)]


async def test_a_paused_runs_words_are_counted_once_and_replaced_ones_as_they_stand(stage: Stage) -> None:
    stage.worker()
    stage.followed.feed("a", RunStarted("t", "conv-1", "msg-1"), LONG, ApprovalAsked("call-1"))
    paused = await stage.ask("a", backend="rds")
    await stage.until_state(paused, "paused")
    more = TextMessageContent("n", "y" * 10)
    stage.followed.feed("on", more, TextMessageReplaced("n", "zz"), more, RunFinished())
    await stage.until_state(await stage.ask("on", resumes=paused), "answered")
    assert stage.counted == [("a", 20_001, True), ("on", len("on\n\nzz") + 10, True)]
