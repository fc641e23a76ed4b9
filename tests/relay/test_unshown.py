"""A question whose answer nobody could see is not asked; the run ends, its asker is told, and it counts apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot import metrics
from bot.model.event import RunFinished, TextMessageContent
from bot.model.question import Thread

if TYPE_CHECKING:
    from tests.relay.conftest import Stage

GONE = "is_archived"


def ended(state: str) -> float:
    return sum(
        sample.value
        for family in metrics.RUNS.collect()
        for sample in family.samples
        if sample.name == "das_bot_runs_total" and sample.labels["state"] == state
    )


async def test_where_nothing_can_be_shown_nothing_is_asked(stage: Stage) -> None:
    before = ended("unshown"), ended("failed")
    stage.world.refused = GONE
    stage.worker()
    run_id = await stage.ask("why?")
    await stage.until_state(run_id, "failed")
    await stage.until(lambda: ended("unshown") > before[0])
    assert stage.backend.asked == []
    run = await stage.runs.get(run_id)
    assert run is not None and run.asks == 0 and run.characters == 0
    assert stage.world.excuses == [f"unasked channel=C1 reference={run.reference}"]
    assert (ended("unshown"), ended("failed")) == (before[0] + 1, before[1])


async def test_what_can_no_longer_be_shown_when_its_slot_comes_is_not_asked(stage: Stage) -> None:
    stage.worker()
    await stage.ask("a")
    await stage.until(lambda: stage.backend.open == 1)
    second = await stage.ask("b", Thread("T1", "C1", "2.0"))
    await stage.until(lambda: any("waiting_slot" in line for line in stage.world.lines.get("b", [])))
    stage.world.refused = GONE
    stage.backend.answer("a")
    await stage.until_state(second, "failed")
    assert stage.backend.asked == ["a"]


async def test_an_answer_that_nobody_could_see_does_not_count_as_answered(stage: Stage) -> None:
    before = ended("unshown"), ended("answered")
    stage.worker()
    run_id = await stage.ask("why?")
    await stage.until(lambda: stage.backend.open == 1)
    stage.world.refused = GONE
    stage.backend.feed("why?", TextMessageContent("m", "because"), RunFinished())
    await stage.until_state(run_id, "answered")
    await stage.until(lambda: ended("unshown") > before[0])
    assert ended("answered") == before[1]
    assert stage.world.excuses[0].startswith("unshown channel=C1")
