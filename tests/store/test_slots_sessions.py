"""Slots are scarce and fair; a thread has one session."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.model.question import Thread
from bot.store import keys
from bot.store.connection import connect
from bot.store.scripts import sources
from bot.store.sessions import Sessions
from bot.store.slots import Slots

THREAD = Thread("T1", "C1", "1.0")


async def test_places_are_right_and_first_come_is_first_served(redis: Redis) -> None:
    slots = Slots(redis, 2)
    names = ["z", "y", "x", "b", "a"]
    assert [await slots.ask("ag", name) for name in names] == [0, 0, 1, 2, 3]
    assert [await slots.ask("ag", name) for name in reversed(names)] == [3, 2, 1, 0, 0]
    await slots.free("ag", "z")
    assert [await slots.ask("ag", name) for name in ("a", "b", "x")] == [2, 1, 0]
    assert [await slots.ask("ag", name) for name in ("a", "b")] == [2, 1]
    assert await slots.ask("other", "q") == 0


async def test_who_gives_up_waiting_frees_the_place(redis: Redis) -> None:
    slots = Slots(redis, 1)
    for name in "abc":
        await slots.ask("", name)
    await slots.free("", "b")
    await slots.free("", "b")
    assert await slots.ask("", "c") == 1
    await slots.free("", "a")
    assert await slots.ask("", "c") == 0


async def test_the_slot_and_the_place_of_the_dead_go_to_the_next(redis: Redis) -> None:
    slots = Slots(redis, 1)
    for name in ("dead holder", "dead waiter", "alive"):
        await slots.ask("", name)
    assert await slots.ask("", "alive") == 2
    # Their lives are over: both were last heard of long ago.
    await redis.zadd(keys.slot("default", "held"), {"dead holder": 1})
    await redis.zadd(keys.slot("default", "alive"), {"dead waiter": 1})
    assert await slots.ask("", "alive") == 0


async def test_a_renewed_slot_lives_on(redis: Redis) -> None:
    slots = Slots(redis, 1)
    await slots.ask("", "a")
    await redis.zadd(keys.slot("default", "held"), {"a": 10**15}, xx=True)
    await slots.ask("", "a")
    expiry = await redis.zscore(keys.slot("default", "held"), "a")
    assert expiry is not None and expiry < 10**15
    assert await slots.ask("", "b") == 1


async def test_many_at_once_never_hold_more_than_there_are(redis: Redis) -> None:
    slots = Slots(redis, 3)
    holding, most, served = 0, 0, []

    async def one(name: str) -> None:
        nonlocal holding, most
        while await slots.ask("", name):  # noqa: ASYNC110 (a slot is asked for, not announced)
            await asyncio.sleep(0)
        holding += 1
        most = max(most, holding)
        served.append(name)
        await asyncio.sleep(0)
        holding -= 1
        await slots.free("", name)

    await asyncio.gather(*(one(f"r{n}") for n in range(30)))
    assert most == 3 and len(served) == 30
    assert await redis.keys("*slot*") == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from(["ask", "free"]), st.sampled_from("abcdef")), max_size=40),
)
async def test_slots_follow_their_model(redis_url: str, limit: int, steps: list[tuple[str, str]]) -> None:
    """The model: a set of holders and a queue in order of arrival."""
    client = connect(redis_url)
    await client.flushall()
    slots, held, queue = Slots(client, limit), set[str](), list[str]()
    try:
        for verb, name in steps:
            if verb == "free":
                await slots.free("", name)
                held.discard(name)
                queue = [other for other in queue if other != name]
                continue
            if name not in held and name not in queue:
                queue.append(name)
            place = 0
            if name in queue:
                place = max(0, queue.index(name) + 1 - (limit - len(held)))
            if place == 0:
                held.add(name)
                queue = [other for other in queue if other != name]
            assert await slots.ask("", name) == place
            assert len(held) <= limit
    finally:
        await client.aclose()


async def test_two_who_ask_get_one_session(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    ids = await asyncio.gather(*(sessions.session_of(THREAD) for _ in range(20)))
    assert len(set(ids)) == 1
    assert await sessions.session_of(Thread("T1", "C1", "2.0")) != ids[0]


async def test_a_session_is_forgotten_or_replaced(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    first = await sessions.session_of(THREAD)
    await sessions.adopt(THREAD, first, "theirs")
    assert await sessions.session_of(THREAD) == "theirs"
    await sessions.forget(THREAD)
    assert await sessions.session_of(THREAD) not in (first, "theirs")


async def test_a_session_forgotten_while_it_was_asked_stays_forgotten(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    first = await sessions.session_of(THREAD)
    await sessions.forget(THREAD)
    await sessions.adopt(THREAD, first, "theirs")
    assert await sessions.session_of(THREAD) not in (first, "theirs")


async def test_forgetting_at_the_same_moment_never_yields_a_session_called_none(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())

    async def forget() -> str:
        await sessions.forget(THREAD)
        return "x" * 36

    tasks = [sessions.session_of(THREAD) if n % 2 else forget() for n in range(400)]
    assert {len(session) for session in await asyncio.gather(*tasks)} == {36}


def test_every_script_has_a_name_of_its_own() -> None:
    names = re.findall(
        r"^-- name: (\w+)$", files("bot.store").joinpath("scripts.lua").read_text("utf-8"), re.M
    )
    assert sorted(names) == sorted(sources())
