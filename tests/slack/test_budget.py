"""Slack's budget with a clock moved by hand: rates, shares, priorities, refusals, and no leaks."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

import pytest

from bot.demo.workspace.rates import Rates
from bot.slack.budget import Budget, ClosedError, Priority
from bot.slack.lane import PUBLISHED, SHARE, Lane

UPDATE, POST = "chat.update", "chat.postMessage"


class Time:
    """Seconds that pass only when everybody waits, up to the next who wakes."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), future))
        await future

    async def pass_(self, seconds: float) -> None:
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not future.done():
                future.set_result(None)
            await settle()
        self.now = end


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def budget(time: Time) -> Budget:
    return Budget(clock=time.clock, sleep=time.sleep)


async def _exhaust(budget: Budget, method: str = UPDATE, channel: str = "C") -> None:
    while budget._queue(method, channel).lane.wait(budget._clock()) <= 0:
        await budget.take(method, channel, Priority.FINAL, "before")


async def test_no_window_of_time_sees_more_calls_than_rate_and_burst_allow(
    time: Time, budget: Budget
) -> None:
    taken: list[float] = []

    async def ask(owner: str) -> None:
        while True:
            await budget.take(UPDATE, "C", Priority.TEXT, owner)
            taken.append(time.now)

    tasks = [asyncio.create_task(ask(f"o{n}")) for n in range(5)]
    await time.pass_(300)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    interval = 60 / (PUBLISHED[UPDATE] * SHARE)
    for length in (1, 10, 60, 120):
        most = max(sum(begin <= at < begin + length for at in taken) for begin in taken)
        assert most <= (length + Lane.of(UPDATE).burst) / interval + 1
    assert len(taken) >= 300 / interval
    await budget.aclose()


async def test_ten_owners_have_equal_shares(time: Time, budget: Budget) -> None:
    counts = dict.fromkeys((f"o{n}" for n in range(10)), 0)

    async def ask(owner: str) -> None:
        while True:
            await budget.take(UPDATE, "C", Priority.TEXT, owner)
            counts[owner] += 1

    # One of them asks thrice at once; it gets no more for it.
    tasks = [asyncio.create_task(ask(owner)) for owner in [*counts, "o0", "o0"]]
    await time.pass_(600)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert max(counts.values()) - min(counts.values()) <= 9  # the burst before anybody waited
    assert min(counts.values()) >= 40
    await budget.aclose()


async def test_the_more_urgent_goes_first_though_it_came_last(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    order: list[Priority] = []

    async def ask(priority: Priority) -> None:
        await budget.take(UPDATE, "C", priority, priority.name)
        order.append(priority)

    tasks = []
    for priority in reversed(Priority):
        tasks.append(asyncio.create_task(ask(priority)))
        await settle()
    await time.pass_(10)
    await asyncio.gather(*tasks)
    assert order[:2] == [Priority.FINAL, Priority.FIRST_WORDS]


async def test_a_tool_goes_before_text_that_came_just_before_it(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    order: list[Priority] = []

    async def ask(priority: Priority) -> None:
        await budget.take(UPDATE, "C", priority, priority.name)
        order.append(priority)

    tasks = [asyncio.create_task(ask(priority)) for priority in (Priority.TEXT, Priority.TOOL)]
    while not order:
        await time.pass_(0.1)
        (queue,) = budget._queues.values()
        queue.lane.arrival -= 1.0  # the rate is not what is tested
    assert order[0] is Priority.TOOL
    await time.pass_(10)
    await asyncio.gather(*tasks)


async def test_a_call_is_kept_for_first_words_that_are_yet_to_come(time: Time, budget: Budget) -> None:
    for number in range(10):
        budget.expect(UPDATE, f"o{number}")
    asks = [asyncio.create_task(budget.take(UPDATE, "C", Priority.TEXT, f"t{n}")) for n in range(100)]
    await time.pass_(30)
    firsts = [asyncio.create_task(budget.take(UPDATE, "C", Priority.FIRST_WORDS, f"o{n}")) for n in range(10)]
    await time.pass_(0.5)
    assert all(first.done() for first in firsts)
    for number in range(10):
        budget.met(UPDATE, f"o{number}")
    await time.pass_(200)
    assert all(ask.done() for ask in asks)


async def test_nobody_starves_behind_tools(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    text = asyncio.create_task(budget.take(UPDATE, "C", Priority.TEXT, "patient"))

    async def ask(owner: str) -> None:
        while True:
            await budget.take(UPDATE, "C", Priority.TOOL, owner)

    tasks = [asyncio.create_task(ask(f"o{n}")) for n in range(5)]
    await time.pass_(60)
    assert text.done()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await budget.aclose()


async def test_a_refusal_closes_its_lane_for_as_long_as_slack_says_and_no_other(
    time: Time, budget: Budget
) -> None:
    await budget.refused(UPDATE, "C", 30)
    assert budget.is_free(POST, "C") and not budget.is_free(UPDATE, "D")
    waiting = asyncio.create_task(budget.take(UPDATE, "C", Priority.FINAL, "o"))
    await time.pass_(29.9)
    assert not waiting.done()
    await time.pass_(0.2)
    assert waiting.done()
    # Afterwards there is no burst: Slack has just said that it was too much.
    assert not budget.is_free(UPDATE, "C")


async def test_a_refusal_while_somebody_waits_keeps_them_waiting(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    waiting = asyncio.create_task(budget.take(UPDATE, "C", Priority.FINAL, "o"))
    await settle()
    await budget.refused(UPDATE, "C", 20)
    await time.pass_(19)
    assert not waiting.done()
    await time.pass_(2)
    assert waiting.done()


async def test_posts_are_counted_by_channel_and_updates_are_not(budget: Budget) -> None:
    await _exhaust(budget, POST, "C")
    assert budget.is_free(POST, "D")
    await _exhaust(budget, UPDATE, "C")
    assert not budget.is_free(UPDATE, "D")


async def test_who_gives_up_leaves_no_trace_and_the_rest_goes_on(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    gone = [asyncio.create_task(budget.take(UPDATE, "C", Priority.FINAL, "gone")) for _ in range(5)]
    stays = asyncio.create_task(budget.take(UPDATE, "C", Priority.TEXT, "stays"))
    await settle()
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await time.pass_(9)
    assert stays.done()
    (queue,) = budget._queues.values()
    assert not queue.waiters and queue.pump is None


async def test_the_pump_begins_again_after_a_rest(time: Time, budget: Budget) -> None:
    for _ in range(3):
        await _exhaust(budget)
        waiting = asyncio.create_task(budget.take(UPDATE, "C", Priority.FINAL, "o"))
        await time.pass_(2)
        assert waiting.done()
        (queue,) = budget._queues.values()
        assert queue.pump is None


async def test_who_has_ended_is_forgotten(budget: Budget) -> None:
    await budget.take(UPDATE, "C", Priority.TEXT, "o")
    assert budget._tally.served("o") == budget._clock()
    budget.forget("o")
    assert budget._tally.served("o") < 0


async def test_closing_ends_the_pumps(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    waiting = asyncio.create_task(budget.take(UPDATE, "C", Priority.TEXT, "o"))
    await settle()
    await budget.aclose()
    (queue,) = budget._queues.values()
    assert queue.pump is None
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(
    "method", ["chat.update", "chat.appendStream", "chat.startStream", "chat.postMessage"]
)
async def test_a_workspace_that_counts_strictly_refuses_nothing(
    method: str, time: Time, budget: Budget
) -> None:
    rates = Rates(time.clock)
    refused: list[float] = []

    async def ask(owner: str, priority: Priority) -> None:
        while True:
            await budget.take(method, "C", priority, owner)
            if rates.take(method, "C"):
                refused.append(time.now)

    for _ in range(3):
        tasks = [asyncio.create_task(ask(priority.name, priority)) for priority in Priority]
        await time.pass_(200)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await time.pass_(20)  # part of the burst comes back
    assert not refused
    await budget.aclose()


async def test_text_does_not_spend_a_burst_at_once(time: Time, budget: Budget) -> None:
    taken: list[float] = []

    async def ask() -> None:
        while True:
            await budget.take(UPDATE, "C", Priority.TEXT, "o")
            taken.append(time.now)

    task = asyncio.create_task(ask())
    await time.pass_(120)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gaps = [after - before for before, after in itertools.pairwise(taken)]
    assert gaps[0] > 0.5 * gaps[-1]  # it begins faster than it can go on, but not in a rush
    assert sum(at < 1_060 for at in taken) > 1.15 * sum(at >= 1_060 for at in taken)


async def test_who_waits_to_add_text_goes_first_once_it_has_first_words(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    priority, order = Priority.TEXT, []

    async def ask(name: str, urgency: Priority | Callable[[], Priority]) -> None:
        await budget.take(UPDATE, "C", urgency, name)
        order.append(name)

    tasks = [
        asyncio.create_task(ask("tool", Priority.TOOL)),
        asyncio.create_task(ask("changes", lambda: priority)),
    ]
    await settle()
    priority = Priority.FIRST_WORDS
    await time.pass_(5)
    await asyncio.gather(*tasks)
    assert order == ["changes", "tool"]


async def test_who_may_leave_does_when_slack_refuses(time: Time, budget: Budget) -> None:
    await _exhaust(budget)
    leaves = asyncio.create_task(budget.take(UPDATE, "C", Priority.TEXT, "a", may_leave=True))
    stays = asyncio.create_task(budget.take(UPDATE, "C", Priority.TEXT, "b"))
    await settle()
    await budget.refused(UPDATE, "C", 5)
    with pytest.raises(ClosedError):
        await leaves
    await time.pass_(40)
    assert stays.done()


async def test_refusals_slow_a_lane_down_and_it_recovers_slowly(time: Time, budget: Budget) -> None:
    async def calls(seconds: float) -> int:
        count = 0

        async def ask() -> None:
            nonlocal count
            while True:
                await budget.take(UPDATE, "C", Priority.TEXT, "o")
                count += 1

        task = asyncio.create_task(ask())
        await time.pass_(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return count

    await calls(120)
    full = await calls(60)
    await budget.refused(UPDATE, "C", 1)
    await budget.refused(UPDATE, "C", 1)  # under way when the first came back: it counts once
    await time.pass_(1)
    slowed = await calls(60)
    await calls(240)
    assert 0.6 * full < slowed < 0.85 * full
    assert await calls(60) >= full - 1
    await budget.aclose()


def test_owners_of_a_method_take_turns(budget: Budget) -> None:
    alone = budget.turn(UPDATE, more=1)
    for owner in ("a", "b", "b"):
        budget.join(UPDATE, owner)
    assert budget.turn(UPDATE) == 2 * alone
    budget.leave(UPDATE, "a")
    budget.forget("b")
    assert budget.turn(UPDATE) == 0


async def test_an_answer_that_says_no_goodbye_is_forgotten(time: Time, budget: Budget) -> None:
    budget.join(UPDATE, "gone")
    budget.join(UPDATE, "stays")
    budget.expect(UPDATE, "gone")
    time.now += 400
    await budget.take(UPDATE, "C", Priority.FINAL, "stays")
    time.now += 400
    assert budget.turn(UPDATE) == budget.turn("chat.delete", more=1)  # of the same rate
    assert budget._kept(budget._queue(UPDATE, "C"), Priority.TOOL) < 2


async def test_channels_and_people_of_long_ago_take_no_memory(time: Time, budget: Budget) -> None:
    for number in range(5_000):
        await budget.take(POST, f"C{number}", Priority.TOOL, f"U{number}")
        time.now += 1
    assert len(budget._queues) <= 500 and len(budget._tally._served) <= 1_001


async def test_a_lane_that_matters_is_not_dropped(time: Time, budget: Budget) -> None:
    await budget.refused(POST, "closed", 60)
    for number in range(1_000):
        await budget.take(POST, f"C{number}", Priority.TOOL, "o")
    time.now += 59
    assert not budget.is_free(POST, "closed")
