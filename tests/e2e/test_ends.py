"""The bot's process ends in the middle of an answer: what its thread shows in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from bot.demo.stage import Stage
from bot.demo.workspace import NO_LIMITS
from bot.demo.workspace.messages import Message

ANA, OPS = "U0ANA00001", "C0DBOPS001"
QUESTION = "<@U0DASBOT01> why is rm-bp1demo0001 slow?"
PROMISED_SECONDS = 60.0
"""Within which every accepted question reaches an end that its thread shows, whatever dies when."""

MakeStage = Callable[..., Awaitable[Stage]]

pytestmark = pytest.mark.asyncio(loop_scope="session")


def replies(stage: Stage, root: str) -> list[Message]:
    return stage.workspace.replies(OPS, root)


def shown(stage: Stage, root: str) -> str:
    return "".join(str(reply.blocks) for reply in replies(stage, root))


async def begun(stage: Stage) -> str:
    """Asks, and waits until the answer's first words are shown."""
    root = stage.workspace.say(ANA, OPS, QUESTION)
    await stage.workspace.until(lambda: "First the load" in shown(stage, root))
    return root


async def test_a_killed_bot_s_answer_ends_as_interrupted_and_is_not_asked_twice(
    make_stage: MakeStage,
) -> None:
    stage = await make_stage(pace=1.0, workspace={"rates": NO_LIMITS})
    root = await begun(stage)
    asked_on = stage.workspace.say(ANA, OPS, "and is it safe?", root)
    await stage.workspace.until(lambda: len(replies(stage, root)) == 3)  # The one behind waits visibly.
    assert stage.bot is not None
    stage.bot.kill()
    await stage.bot.wait()
    stage.das.pace = 0
    await stage.start_bot()
    await stage.workspace.until(lambda: "The bot restarted" in shown(stage, root), PROMISED_SECONDS)
    first = replies(stage, root)[0]
    blocks = str(first.blocks)
    assert "First the load" in blocks
    assert "run_again" in blocks and "run_stop" not in blocks and "hourglass" not in blocks
    # The question behind it is asked by the bot that came after; the first one never again.
    await stage.workspace.until(lambda: "answer_feedback" in shown(stage, root), PROMISED_SECONDS)
    assert [message.user for message in replies(stage, root)] == ["U0DASBOT01", ANA, "U0DASBOT01"]
    assert replies(stage, root)[1].ts == asked_on
    assert [request.question for request in stage.das.requests] == [
        "why is rm-bp1demo0001 slow?",
        "and is it safe?",
    ]


async def test_an_answer_is_finished_within_the_grace_of_sigterm(make_stage: MakeStage) -> None:
    stage = await make_stage(pace=0.2, env={"DRAIN_SECONDS": "60"}, workspace={"rates": NO_LIMITS})
    root = await begun(stage)
    assert stage.bot is not None
    stage.bot.terminate()
    assert await stage.bot.wait() == 0
    (reply,) = replies(stage, root)
    assert "ADD INDEX idx_user_created" in str(reply.blocks)
    assert "answer_feedback" in str(reply.blocks) and "run_stop" not in str(reply.blocks)


async def test_an_answer_longer_than_the_grace_ends_as_interrupted(make_stage: MakeStage) -> None:
    stage = await make_stage(pace=1.0, env={"DRAIN_SECONDS": "0"}, workspace={"rates": NO_LIMITS})
    root = await begun(stage)
    assert stage.bot is not None
    stage.bot.terminate()
    assert await stage.bot.wait() == 0
    (reply,) = replies(stage, root)
    assert "The bot restarted in the middle of this answer" in str(reply.blocks)
    assert "First the load" in str(reply.blocks) and "run_again" in str(reply.blocks)
    assert len(stage.das.requests) == 1


async def test_a_question_that_waits_is_handed_to_the_next_bot(make_stage: MakeStage) -> None:
    stage = await make_stage(pace=1.0, env={"DRAIN_SECONDS": "0"}, workspace={"rates": NO_LIMITS})
    await begun(stage)
    waiting = stage.workspace.say(ANA, OPS, "<@U0DASBOT01> who holds the locks on rm-bp1demo0002?")
    await stage.workspace.until(lambda: "Waiting: place 1" in shown(stage, waiting))
    await stage.end_bot()
    stage.das.pace = 0
    await stage.start_bot()
    await stage.workspace.until(lambda: "answer_feedback" in shown(stage, waiting), PROMISED_SECONDS)
    assert len(replies(stage, waiting)) == 1
    assert len(stage.das.requests) == 2
