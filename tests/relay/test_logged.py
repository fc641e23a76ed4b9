"""Which run and thread a line of the log is about: told wherever it is written, and of no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from structlog.contextvars import get_contextvars

from bot.model.question import Thread
from bot.model.run import reference

if TYPE_CHECKING:
    from tests.relay.conftest import Stage


async def test_all_that_is_done_for_a_run_says_whose_it_is(stage: Stage) -> None:
    heard: dict[str, dict[str, Any]] = {}
    ask = stage.backend.ask

    def asked(question: Any) -> Any:
        heard[question.text] = get_contextvars()
        return ask(question)

    stage.backend.ask = asked  # type: ignore[method-assign, assignment]
    stage.limit = 2
    worker = stage.worker()
    beats: list[dict[str, Any]] = []
    beat_all = worker._runs.beat_all

    async def beat(leases: Any) -> Any:
        beats.append(get_contextvars())
        return await beat_all(leases)

    worker._runs.beat_all = beat  # type: ignore[method-assign]
    first = await stage.ask("a")
    second = await stage.ask("b", Thread("T1", "C1", "2.0"))
    await stage.until(lambda: len(heard) == 2 and beats)
    assert heard["a"] == {"thread": "T1:C1:1.0", "run": reference(first)}
    assert heard["b"] == {"thread": "T1:C1:2.0", "run": reference(second)}
    assert not any(beats), "what is done for all is nobody's"
    assert get_contextvars() == {}


async def test_a_waiting_question_is_informed_under_its_own_name(stage: Stage) -> None:
    worker = stage.worker()
    names: dict[str, Any] = {}
    reply = worker._platform.reply

    def made(run: Any, save: Any) -> Any:
        names[run.question.text] = get_contextvars()["run"]
        return reply(run, save)

    worker._platform.reply = made  # type: ignore[method-assign]
    await stage.ask("a")
    second = await stage.ask("b")
    await stage.until(lambda: "b" in names)
    assert names["b"] == reference(second)
