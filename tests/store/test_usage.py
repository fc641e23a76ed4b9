"""What answers cost: each character is counted once, on its day, for everybody it concerns."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.model.question import Question, Thread
from bot.model.run import Run
from bot.store import keys
from bot.store.connection import connect
from bot.store.runs import Runs
from bot.store.usage import Account, Daily, Day, Spent, Usage

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = datetime(2026, 11, 21, 23, 59, tzinfo=SHANGHAI).timestamp()


async def ended(runs: Runs, number: int, **known: Any) -> Run:
    """A run that was accepted, and what a worker knows of it in the end."""
    user, channel = known.pop("user", "U1"), known.pop("channel", "C1")
    thread = Thread("T1", channel, f"{number}.0")
    accepted = await runs.accept(Question(thread, f"{number}.0", user, "T1", "why?", "mention"))
    run = await runs.get(accepted.run_id)
    assert run is not None
    for name, value in ({"backend": "das"} | known).items():
        setattr(run, name, value)
    return run


async def test_sums_of_a_day(redis: Redis, runs: Runs) -> None:
    usage = Usage(redis, SHANGHAI, lambda: NIGHT)
    await usage.count(await ended(runs, 1, characters=1_000))
    await usage.count(await ended(runs, 2, characters=200, estimated=True, user="U2"))
    await usage.count(await ended(runs, 3, characters=30, backend="rds", agent_id="x 1", channel="C2"))
    await usage.count(await ended(runs, 4, characters=0, backend=""))
    ((day, sums),) = await usage.days("T1", 1)
    assert day == date(2026, 11, 21)
    assert sums == Day(
        total=Spent(1_230, 200),
        runs=4,
        agents={"das": Spent(1_200, 200), "rds x 1": Spent(30)},
        channels={"C1": Spent(1_200, 200), "C2": Spent(30)},
        people={"U1": Spent(1_030), "U2": Spent(200, 200)},
    )
    assert await usage.days("T2", 1) == [(day, Day())]


async def test_counting_again_adds_only_what_came_on_top(redis: Redis, runs: Runs) -> None:
    usage = Usage(redis, SHANGHAI, lambda: NIGHT)
    run = await ended(runs, 1, characters=900, estimated=True)
    await asyncio.gather(*(usage.count(run) for _ in range(20)))
    run.characters, run.estimated = 1_000, False
    await usage.count(run)
    ((_, sums),) = await usage.days("T1", 1)
    assert (sums.total, sums.runs) == (Spent(1_000, 0), 1)


async def test_a_run_whose_record_has_run_out_is_not_counted(redis: Redis, runs: Runs) -> None:
    usage = Usage(redis, SHANGHAI, lambda: NIGHT)
    run = await ended(runs, 1, characters=900)
    await redis.delete(keys.run(run.id))
    await usage.count(run)
    assert await usage.days("T1", 1) == [(date(2026, 11, 21), Day())]
    assert not await redis.exists(keys.run(run.id))


async def test_a_day_ends_at_midnight_of_its_zone(redis: Redis, runs: Runs) -> None:
    now = NIGHT
    usage = Usage(redis, SHANGHAI, lambda: now)
    await usage.count(await ended(runs, 1, characters=10))
    assert usage.renewal.timestamp() == NIGHT + 60
    now += 60
    await usage.count(await ended(runs, 2, characters=5))
    found = [(day.day, sums.total.characters) for day, sums in await usage.days("T1", 3)]
    assert found == [(22, 5), (21, 10), (20, 0)]
    assert await redis.pttl(keys.usage("T1", "2026-11-22")) > keys.USAGE_LIFE - 60_000


@pytest.mark.parametrize(
    ("daily", "used_up"),
    [
        (Daily(), []),
        (Daily(person=1_001, channel=1_001, workspace=1_001), []),
        (Daily(person=1_000), ["person"]),
        (Daily(person=1, channel=1, workspace=1), ["person", "channel", "workspace"]),
    ],
)
async def test_accounts(redis: Redis, runs: Runs, daily: Daily, used_up: list[str]) -> None:
    usage = Usage(redis, SHANGHAI, lambda: NIGHT)
    await usage.count(await ended(runs, 1, characters=1_000))
    accounts = await usage.accounts("T1", "C1", "U1", daily)
    assert [account.whose for account in accounts if account.is_used_up] == used_up
    others = await usage.accounts("T1", "C9", "U9", daily)
    assert [account.spent for account in others] == [0, 0, 1_000]
    assert Account("person", 0, 0).is_used_up is False
    assert bool(daily) == bool(daily.person)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6), st.booleans()), max_size=12))
async def test_the_parts_make_the_whole(redis_url: str, counts: list[tuple[int, int, bool]]) -> None:
    """Whatever is counted in whatever order: the last word of each run counts, and every part sums to the total."""
    client = connect(redis_url)
    await client.flushall()
    try:
        usage = Usage(client, SHANGHAI, lambda: NIGHT)
        runs = Runs(client, keys.Lives())
        known = [await ended(runs, n, user=f"U{n % 2}", channel=f"C{n % 3}") for n in range(4)]
        for number, characters, estimated in counts:
            known[number].characters, known[number].estimated = characters, estimated
            await usage.count(known[number])
        ((_, sums),) = await usage.days("T1", 1)
        exact = sum(run.characters for run in known)
        guessed = sum(run.characters for run in known if run.estimated)
        assert sums.total == Spent(exact, guessed)
        for parts in (sums.agents, sums.channels, sums.people):
            assert sum(part.characters for part in parts.values()) == exact
            assert sum(part.estimated for part in parts.values()) == guessed
    finally:
        await client.aclose()
