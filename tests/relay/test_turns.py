"""Whose turn it is: over threads, questions are asked in the order of asking, however soon their replies appear."""

from __future__ import annotations

import asyncio

from bot.model.question import Thread

from .conftest import THREAD, Stage

SECOND, THIRD = Thread("T1", "C1", "2.0"), Thread("T1", "C1", "3.0")


class Door(asyncio.Event):
    """Tells whether somebody stands before it."""

    reached = False

    async def wait(self) -> bool:  # type: ignore[override]
        self.reached = True
        await super().wait()
        return True


def shows(stage: Stage, question: str, text: str) -> bool:
    return text in stage.world.lines.get(question, [])


async def test_who_asked_first_goes_first_also_when_their_reply_opens_late(stage: Stage) -> None:
    stage.worker()
    for text in ("x", "a", "b"):
        stage.backend.feed(text)
    await stage.ask("x")
    await stage.until(lambda: stage.backend.open)
    stage.world.hold_open = door = Door()
    await stage.ask("a", SECOND)
    await stage.until(lambda: door.reached)
    stage.world.hold_open = None
    last = await stage.ask("b", THIRD)
    await stage.until(lambda: shows(stage, "b", "waiting_slot 1"))
    door.set()
    await stage.until(lambda: shows(stage, "a", "waiting_slot 1") and shows(stage, "b", "waiting_slot 2"))
    for text in ("x", "a", "b"):
        stage.backend.answer(text)
    await stage.until_state(last, "answered")
    assert stage.backend.asked == ["x", "a", "b"]


async def test_of_a_thread_only_the_question_whose_turn_it_is_waits_for_a_slot(stage: Stage) -> None:
    """One that waits behind another of its thread takes its place when it comes to the head."""
    stage.worker()
    await stage.ask("x")
    last = await stage.ask("behind x", THREAD)
    await stage.until(lambda: stage.backend.open)
    await stage.ask("b", SECOND)
    await stage.until(lambda: shows(stage, "b", "waiting_slot 1"))
    for text in ("x", "b", "behind x"):
        stage.backend.answer(text)
    await stage.until_state(last, "answered")
    assert stage.backend.asked == ["x", "b", "behind x"]


async def test_six_at_once_are_asked_in_the_order_of_asking_once_the_slot_is_taken(stage: Stage) -> None:
    stage.worker()
    await stage.ask("x")
    await stage.until(lambda: stage.backend.open)
    names = [f"q{number}" for number in range(6)]
    ids = [await stage.ask(name, Thread("T1", "C1", f"9.{name}")) for name in names]
    await stage.until(
        lambda: all(shows(stage, name, f"waiting_slot {n + 1}") for n, name in enumerate(names))
    )
    for text in ("x", *names):
        stage.backend.answer(text)
    for run_id in ids:
        await stage.until_state(run_id, "answered")
    assert stage.backend.asked == ["x", *names]
