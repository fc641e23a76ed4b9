"""Slack's budget in Redis: processes draw on one rate in one order, a refusal holds for all, nothing stays for ever."""

from __future__ import annotations

import pytest
import redis as sync_redis
import structlog
from redis.exceptions import ConnectionError as RedisConnectionError

from bot.store import connection
from bot.store.connection import connect
from bot.store.rates import Asked, SharedRates

HOUR = 3600.0
"""The interval of these lanes: no second token comes while a test runs, however slow the machine."""


def asked(burst: float = 0.0, *, rank: int = 3, waited: float = 0.0, waiting: int = 1) -> Asked:
    """A call of a lane of one an hour, `burst` of them at once beside it."""
    return Asked(HOUR, burst * HOUR, 0.0, rank, waited, waiting)


class Clock:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


async def granted(rates: SharedRates, call: Asked, lane: str = "chat.update") -> bool:
    turn = await rates.ask(lane, call)
    assert turn is not None
    return turn.granted


async def test_two_processes_draw_on_one_burst_and_one_rate(redis_url: str) -> None:
    async with connect(redis_url) as one, connect(redis_url) as two:
        rates = [SharedRates(one, "T1"), SharedRates(two, "T1")]
        assert [await granted(rates[n % 2], asked(4)) for n in range(8)] == [True] * 5 + [False] * 3
        standing = await rates[0].look("chat.update")
        assert standing and 4.9 * HOUR < standing.arrival <= 5 * HOUR and -60 < standing.last <= 0
        assert standing.slowed == 1.0 and standing.closed_until < 0
        assert await granted(SharedRates(two, "T2"), asked())


async def test_what_is_kept_for_urgent_calls_is_left_to_them(redis_url: str) -> None:
    async with connect(redis_url) as client:
        rates = SharedRates(client, "T1")
        assert [await granted(rates, asked(1)) for _ in range(4)] == [True, True, False, False]
        assert await granted(rates, asked(4, rank=0))


async def test_a_step_is_kept_from_the_call_before(redis_url: str) -> None:
    async with connect(redis_url) as client:
        clock = Clock()
        rates = SharedRates(client, "T1", clock)
        call = Asked(1.0, 100.0, 0.5, 3, 0.0, 1)
        assert await granted(rates, call) and not await granted(rates, call)
        clock.now += 0.5
        assert await granted(rates, call)


async def test_the_urgent_go_first_and_then_who_has_waited_longest(redis_url: str) -> None:
    async with connect(redis_url) as client:
        clock = Clock()
        rates = [SharedRates(client, "T1", clock) for _ in range(4)]
        calls = [asked(waited=10), asked(waited=20), asked(rank=2), asked(rank=0)]
        assert await granted(rates[0], asked())
        for each, call in zip(rates, calls, strict=True):
            assert not await granted(each, call)
        served: list[int] = []
        for _ in calls:
            clock.now += HOUR
            # In this order they are quick to ask; who is told to wait asks again.
            for _ in range(2):
                waiting = [number for number in range(4) if number not in served]
                served += [number for number in waiting if await granted(rates[number], calls[number])]
                clock.now += 0.05
        assert served == [3, 2, 1, 0]


async def test_who_does_not_come_when_it_is_due_is_not_waited_for(redis_url: str) -> None:
    async with connect(redis_url) as client:
        clock = Clock()
        quick, gone = (SharedRates(client, "T1", clock) for _ in range(2))
        assert await granted(quick, asked()) and not await granted(gone, asked(rank=0, waiting=3))
        clock.now += HOUR
        turn = await quick.ask("chat.update", asked())
        assert turn and not turn.granted and 0.2 < turn.after <= 0.25 and turn.waiting == 3
        clock.now += turn.after + 0.001
        assert await granted(quick, asked())
        clock.now += HOUR
        turn = await quick.ask("chat.update", asked())
        assert turn and turn.granted and turn.waiting == 0


async def test_a_refusal_closes_the_lane_for_everybody_and_only_that_lane(redis_url: str) -> None:
    rules = {"slower": 0.5, "slowest": 0.2, "recovery": 600.0}
    async with connect(redis_url) as one, connect(redis_url) as two:
        clock = Clock()
        rates, other = SharedRates(one, "T1", clock), SharedRates(two, "T1", clock)
        standing = await rates.close("chat.update", 1800, 10, **rules)
        assert standing and standing.closed_until == pytest.approx(1800, abs=0.01) and standing.slowed == 0.5
        again = await other.close("chat.update", 5, 10, **rules)
        assert again == standing, "a shorter one does not open it earlier, and what came together counts once"
        assert standing.arrival == pytest.approx(1810, abs=0.01)
        turn = await other.ask("chat.update", Asked(1, 10, 0, 0, 0, 1))
        assert turn and not turn.granted and turn.standing.slowed == 0.5
        assert await granted(other, Asked(1, 10, 0, 0, 0, 1), "chat.postMessage:C1")
        clock.now += 1800
        assert await granted(other, Asked(1, 10, 0, 0, 0, 1))
        clock.now += 120  # A fifth of the recovery.
        later = await other.close("chat.update", 5, 10, **rules)
        assert later and later.slowed == pytest.approx(0.35)
        store = sync_redis.Redis.from_url(redis_url, decode_responses=True)
        names = [str(name) for name in store.scan_iter()]
        assert names and all(int(store.pttl(name)) > 0 for name in names)
        assert all(name.startswith("{das-bot}:rate:T1:") for name in names)


async def test_what_processes_tell_is_summed_and_forgotten_when_they_are_gone(redis_url: str) -> None:
    async with connect(redis_url) as client:
        clock = Clock()
        one, two, three = (SharedRates(client, "T1", clock) for _ in range(3))
        assert await one.tell({"chat.update": (1, 2)}) == {}
        await two.tell({"chat.update": (3, 4), "chat.appendStream": (1, 0)})
        assert await three.tell({}) == {"chat.update": (4, 6), "chat.appendStream": (1, 0)}
        assert await two.tell({}) == {"chat.update": (1, 2)}
        clock.now += 16
        assert await three.tell({}) == {}
        assert not await client.hlen("{das-bot}:rate:T1:told")


async def test_while_redis_is_away_there_is_no_answer(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_RETRIES", 0)
    async with connect(f"unix://{tmp_path}/nobody.sock") as client:
        rates = SharedRates(client, "T1")
        assert await rates.ask("chat.update", asked()) is None
        assert await rates.close("chat.update", 60, 10, slower=0.7, slowest=0.2, recovery=600) is None
        assert await rates.look("chat.update") is None and await rates.tell({}) is None


async def test_each_outage_is_told_of_once(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise RedisConnectionError("gone")

    async with connect(redis_url) as client:
        rates = SharedRates(client, "T1")
        with structlog.testing.capture_logs() as logs:
            for told in (1, 2):
                with monkeypatch.context() as outage:
                    outage.setattr(rates, "_script", away)
                    assert await rates.look("chat.update") is None and await rates.tell({}) is None
                    assert await rates.ask("chat.update", asked()) is None
                assert await rates.look("chat.update")
                assert len(logs) == told
