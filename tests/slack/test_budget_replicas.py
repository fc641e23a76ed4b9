"""Slack's budget of several replicas: one real store, and time that passes only when everybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.slack.budget import Budget, ClosedError, Priority
from bot.slack.lane import PUBLISHED, SHARE, Lane
from bot.store.connection import connect
from bot.store.rates import Asked, SharedRates, Turn
from tests.bench import virtual
from tests.bench.virtual import VirtualRates, now

UPDATE, APPEND, POST, START = "chat.update", "chat.appendStream", "chat.postMessage", "chat.startStream"
RATE = PUBLISHED[UPDATE] * SHARE / 60
"""Calls a second."""


@asynccontextmanager
async def replicas(url: str, count: int = 2) -> AsyncIterator[list[Budget]]:
    """The budgets of so many processes of one workspace."""
    clients = [connect(url) for _ in range(count)]
    budgets = [Budget(clock=now, shared=VirtualRates(client, "T1")) for client in clients]
    try:
        yield budgets
    finally:
        for budget, client in zip(budgets, clients, strict=True):
            await budget.aclose()
            with virtual.outside():
                await client.aclose()


Test = Callable[[list[Budget]], Awaitable[None]]


def play(url: str, test: Test, count: int = 2) -> None:
    async def main() -> None:
        async with replicas(url, count) as budgets:
            await test(budgets)

    virtual.run(main)


@asynccontextmanager
async def asking(
    budget: Budget,
    owner: str,
    taken: list[tuple[float, str]],
    *,
    priority: Priority = Priority.TEXT,
    **more: Any,
) -> AsyncIterator[asyncio.Task[None]]:
    """An answer that always has something to say."""

    async def ask() -> None:
        while True:
            await budget.take(UPDATE, "C", priority, owner, **more)
            taken.append((now(), owner))

    task = asyncio.create_task(ask())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def let(
    budgets: list[Budget], owners: list[tuple[int, str]], seconds: float
) -> list[tuple[float, str]]:
    """What these owners, each at a replica, take in so many seconds."""
    taken: list[tuple[float, str]] = []

    async def one(number: int, owner: str) -> None:
        async with asking(budgets[number], owner, taken):
            await asyncio.sleep(seconds)

    await asyncio.gather(*(one(number, owner) for number, owner in owners))
    return taken


def test_together_they_keep_to_one_rate(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        taken = await let(budgets, [(n, f"o{n}") for n in range(3)], 300)
        assert 0.98 * 300 * RATE <= len(taken) <= (300 + Lane.of(UPDATE).burst) * RATE + 1
        times = [at for at, _ in taken]
        for length in (1, 10, 60):
            most = max(sum(begin <= at < begin + length for at in times) for begin in times)
            assert most <= (length + Lane.of(UPDATE).burst) * RATE + 1

    play(redis_url, test, 3)


def test_answers_share_equally_wherever_they_run(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        owners = [(0, f"a{n}") for n in range(9)] + [(1, "b")]
        taken = await let(budgets, owners, 600)
        late = [owner for at, owner in taken if at > taken[0][0] + 60]
        counts = [late.count(owner) for _, owner in owners]
        assert max(counts) - min(counts) <= 2 and min(counts) > 40

    play(redis_url, test)


@pytest.mark.parametrize("urgent", [Priority.FINAL, Priority.FIRST_WORDS, Priority.TOOL])
def test_the_more_urgent_of_one_replica_goes_before_the_text_of_another(
    urgent: Priority, redis_url: str
) -> None:
    async def test(budgets: list[Budget]) -> None:
        taken: list[tuple[float, str]] = []
        async with asking(budgets[0], "text", taken):
            await asyncio.sleep(120)
            for _ in range(10):
                before = len(taken)
                await budgets[1].take(UPDATE, "C", urgent, "urgent")
                assert len(taken) == before
                await asyncio.sleep(3.3)

    play(redis_url, test)


def test_a_final_state_does_not_wait_while_others_write(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        taken: list[tuple[float, str]] = []
        async with asking(budgets[0], "busy", taken):
            await asyncio.sleep(120)
            asked = now()
            await budgets[1].take(UPDATE, "C", Priority.FINAL, "other")
            assert now() - asked < 0.05

    play(redis_url, test)


def test_priorities_hold_in_any_order_of_asking(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        await budgets[0].refused(UPDATE, "C", 20)
        order: list[Priority] = []

        async def ask(number: int, priority: Priority) -> None:
            await budgets[number].take(UPDATE, "C", priority, priority.name)
            order.append(priority)

        tasks = []
        for number, priority in enumerate(reversed(Priority)):
            tasks.append(asyncio.create_task(ask(number % 2, priority)))
            await asyncio.sleep(0.1)
        await asyncio.gather(*tasks)
        # Text that has waited for twenty seconds is as urgent as a tool.
        assert order[:2] == [Priority.FINAL, Priority.FIRST_WORDS]

    play(redis_url, test)


def test_a_call_is_kept_for_the_end_of_an_answer_at_another_replica(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        for number in range(10):
            budgets[1].expect(UPDATE, f"o{number}")
        budgets[0].join(UPDATE, "text")
        taken: list[tuple[float, str]] = []
        async with asking(budgets[0], "text", taken):
            await asyncio.sleep(120)
            asked = now()
            ends = [budgets[1].take(UPDATE, "C", Priority.FINAL, f"o{number}") for number in range(10)]
            await asyncio.gather(*ends)
            assert now() - asked < 0.5

    play(redis_url, test)


def test_a_refusal_is_obeyed_by_all_for_that_method_only_and_slows_all_down(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        owners = [(0, "a"), (1, "b")]
        await let(budgets, owners, 120)
        full = len(await let(budgets, owners, 60))
        refused_at = now()
        await asyncio.gather(
            *(budget.refused(UPDATE, "C", 30) for budget in budgets)
        )  # both had a call under way
        assert budgets[1].is_free(APPEND, "C")
        await asyncio.wait_for(budgets[1].take(APPEND, "C", Priority.TEXT, "b"), 0.1)
        closed = await let(budgets, owners, 29.5)
        assert closed == [] and now() < refused_at + 30
        await asyncio.sleep(0.5)
        slow = [await let(budgets, [(number, "x")], 60) for number in (0, 1)]
        for number, taken in enumerate(slow):
            assert 0.6 * full < len(taken) < 0.9 * full, f"replica {number}"
        await asyncio.sleep(200)
        await let(budgets, owners, 60)
        for number in (0, 1):
            assert len(await let(budgets, [(number, "x")], 60)) >= 0.95 * full

    play(redis_url, test)


def test_only_the_replica_that_was_refused_knew_and_the_other_slows_down_too(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        await budgets[0].refused(UPDATE, "C", 10)
        await asyncio.sleep(11)
        taken = await let(budgets, [(1, "b")], 60)
        assert 0.6 * 60 * RATE < len(taken) < 0.85 * 60 * RATE
        assert len(await let(budgets, [(0, "a")], 60)) < 0.95 * 60 * RATE

    play(redis_url, test)


def test_a_refusal_that_the_store_lost_is_obeyed_all_the_same(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        here, elsewhere = budgets
        here.join(UPDATE, "b")
        elsewhere.join(UPDATE, "a")
        await asyncio.sleep(10)  # They have heard of each other.
        began = now()
        await here.refused(UPDATE, "C", 30)
        with virtual.outside():
            client = connect(redis_url)
            await client.flushall()
            await client.aclose()
        await elsewhere.take(UPDATE, "C", Priority.FINAL, "a")
        assert now() - began < 1
        await here.take(UPDATE, "C", Priority.FINAL, "b")
        assert now() - began >= 30

    play(redis_url, test)


def test_another_workspace_is_not_slowed_down(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        await budgets[0].refused(UPDATE, "C", 30)
        client = connect(redis_url)
        other = Budget(clock=now, shared=VirtualRates(client, "T2"))
        await asyncio.wait_for(other.take(UPDATE, "C", Priority.TEXT, "o"), 0.1)
        await other.aclose()
        with virtual.outside():
            await client.aclose()

    play(redis_url, test)


def test_a_refusal_lets_those_leave_who_wait_at_another_replica(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        taken: list[tuple[float, str]] = []
        async with asking(budgets[0], "a", taken), asking(budgets[1], "b", taken, may_leave=True) as leaves:
            await asyncio.sleep(60)
            await budgets[0].refused(UPDATE, "C", 60)
            with pytest.raises(ClosedError):
                await asyncio.wait_for(asyncio.shield(leaves), 5)

    play(redis_url, test)


def test_who_waits_at_a_replica_that_died_is_not_waited_for(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        await budgets[0].refused(UPDATE, "C", 1)
        budgets[1].expect(UPDATE, "dead")
        dead = asyncio.create_task(budgets[1].take(UPDATE, "C", Priority.FINAL, "dead"))
        await asyncio.sleep(0.5)
        await budgets[1].aclose()
        dead.cancel()
        await asyncio.gather(dead, return_exceptions=True)
        taken = await let(budgets, [(0, "a")], 60)
        assert taken[0][0] - now() + 60 < 5
        assert len(taken) > 0.6 * 60 * RATE
        assert budgets[0]._tally.expected(UPDATE) == 0

    play(redis_url, test)


def test_how_many_live_on_a_method_counts_everywhere(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        alone = budgets[0].turn(APPEND, more=1)
        for number in range(3):
            budgets[1].join(APPEND, f"o{number}")
        await asyncio.sleep(0)
        await budgets[0].look(START)
        assert budgets[0].turn(APPEND, more=1) == pytest.approx(4 * alone)
        for number in range(3):
            budgets[1].forget(f"o{number}")
        await asyncio.sleep(6)
        await budgets[0].look(START)
        assert budgets[0].turn(APPEND, more=1) == pytest.approx(alone)

    play(redis_url, test)


def test_a_look_tells_what_other_replicas_have_taken(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        while budgets[0].is_free(START, "C", Priority.FIRST_WORDS):
            await budgets[0].take(START, "C", Priority.FIRST_WORDS, "o")
        assert budgets[1].is_free(START, "C", Priority.FIRST_WORDS)
        await budgets[1].look(START)
        assert not budgets[1].is_free(START, "C", Priority.FIRST_WORDS)

    play(redis_url, test)


def test_alone_each_call_costs_one_script(redis_url: str) -> None:
    async def test(budgets: list[Budget]) -> None:
        shared = budgets[0].shared
        assert isinstance(shared, VirtualRates)
        taken = await let(budgets, [(0, "a"), (0, "b")], 120)
        assert len(taken) <= shared.scripts <= 1.1 * len(taken) + 5
        # Two that contend for it: who comes second is told to wait, and asks again.
        before = shared.scripts
        taken = await let(budgets, [(0, "a"), (1, "b")], 120)
        assert shared.scripts - before <= 2.5 * len(taken) / 2 + 5

    play(redis_url, test)


async def test_a_fault_of_the_shared_rate_leaves_nobody_waiting() -> None:
    class Broken(SharedRates):
        def __init__(self) -> None:
            pass

        async def ask(self, lane: str, asked: Asked) -> Turn | None:
            raise RuntimeError("a bug")

    budget = Budget(shared=Broken())
    calls = (budget.take(UPDATE, "C", Priority.FINAL, "o") for _ in range(3))
    await asyncio.gather(*calls)


def test_while_the_store_is_away_each_process_keeps_the_pace() -> None:
    class Away(SharedRates):
        def __init__(self) -> None:
            self._team, self._me = "T1", "me"

        async def _do(self, script: str, lane: str, arguments: list[str | int]) -> None:
            pass

    async def test() -> None:
        budget = Budget(clock=now, shared=Away())
        budget._tally.join(UPDATE, "a")
        taken = await let([budget], [(0, "a")], 120)
        assert 120 * RATE < len(taken) <= (120 + Lane.of(UPDATE).burst) * RATE + 1
        await budget.refused(UPDATE, "C", 20)
        await budget.look(UPDATE)
        assert not budget.is_free(UPDATE, "C")
        await budget.aclose()

    virtual.run(test)
