"""Slots are scarce and fair; a thread has one session."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.model.question import Question, Thread
from bot.model.run import Run
from bot.relay import slot
from bot.store import keys
from bot.store import slots as slots_module
from bot.store.connection import connect
from bot.store.scripts import sources
from bot.store.sessions import Agent, MovedError, Session, Sessions
from bot.store.slots import Kind, Slots

THREAD = Thread("T1", "C1", "1.0")
DAS, RDS = Agent("das"), Agent("rds", "custom-1")


async def test_places_are_right_and_first_come_is_first_served(redis: Redis) -> None:
    slots, kind = Slots(redis), Kind("ag", 2)
    names = ["z", "y", "x", "b", "a"]
    assert [await slots.ask(kind, name) for name in names] == [0, 0, 1, 2, 3]
    assert [await slots.ask(kind, name) for name in reversed(names)] == [3, 2, 1, 0, 0]
    await slots.free(kind, "z")
    assert [await slots.ask(kind, name) for name in ("a", "b", "x")] == [2, 1, 0]
    assert [await slots.ask(kind, name) for name in ("a", "b")] == [2, 1]
    assert await slots.ask(Kind("other", 1), "q") == 0


async def test_who_gives_up_waiting_frees_the_place(redis: Redis) -> None:
    slots, kind = Slots(redis), Kind("ag", 1)
    for name in "abc":
        await slots.ask(kind, name)
    await slots.free(kind, "b")
    await slots.free(kind, "b")
    assert await slots.ask(kind, "c") == 1
    await slots.free(kind, "a")
    assert await slots.ask(kind, "c") == 0


async def test_the_slot_and_the_place_of_the_dead_go_to_the_next(redis: Redis) -> None:
    slots, kind = Slots(redis), Kind("ag", 1)
    for name in ("dead holder", "dead waiter", "alive"):
        await slots.ask(kind, name)
    assert await slots.ask(kind, "alive") == 2
    # Their lives are over: both were last heard of long ago.
    await redis.zadd(keys.slot("ag", "held"), {"dead holder": 1})
    await redis.zadd(keys.slot("ag", "alive"), {"dead waiter": 1})
    assert await slots.ask(kind, "alive") == 0


async def test_the_slot_and_the_place_of_the_dead_are_free_within_half_a_minute(redis: Redis) -> None:
    slots, kind = Slots(redis), Kind("ag", 1)
    for name in ("dead holder", "dead waiter"):
        await slots.ask(kind, name)
    seconds, _ = await redis.time()
    for part, name in (("held", "dead holder"), ("alive", "dead waiter")):
        until = await redis.zscore(keys.slot("ag", part), name)
        assert until is not None
        # Who waits looks again this soon; and who lives must have the time to say so more than once.
        assert until / 1000 + slot.LOOK_SECONDS <= seconds + 30
        assert until / 1000 - seconds > 2 * slots_module.RENEW_SECONDS


async def test_a_renewed_slot_lives_on(redis: Redis) -> None:
    slots, kind = Slots(redis), Kind("ag", 1)
    await slots.ask(kind, "a")
    await redis.zadd(keys.slot("ag", "held"), {"a": 10**15}, xx=True)
    await slots.ask(kind, "a")
    expiry = await redis.zscore(keys.slot("ag", "held"), "a")
    assert expiry is not None and expiry < 10**15
    assert await slots.ask(kind, "b") == 1


async def test_held_slots_are_renewed_together_and_taken_back_where_they_were_lost(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module, "RENEW_SECONDS", 0.0)
    slots, kind, other = Slots(redis), Kind("ag", 1), Kind("other", 1)
    held, late = keys.slot("ag", "held"), 10**15
    await slots.ask(kind, "a")
    await slots.ask(other, "b")
    async with slots.kept(other, "b"):
        async with slots.kept(kind, "a"):
            await redis.zadd(held, {"a": late}, xx=True)
            while await redis.zscore(held, "a") == late:  # noqa: ASYNC110 (a server does not tell)
                await asyncio.sleep(0)
            await redis.delete(held)
            while not await redis.exists(held):  # noqa: ASYNC110
                await asyncio.sleep(0)
        await slots.free(kind, "a")
        for _ in range(50):
            await redis.zadd(keys.slot("other", "held"), {"b": late}, xx=True)
            while await redis.zscore(keys.slot("other", "held"), "b") == late:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not await redis.exists(held), "what was given back is not renewed"
    await slots.free(other, "b")
    assert await redis.keys("*slot*") == []


async def test_many_at_once_never_hold_more_than_there_are(redis: Redis) -> None:
    slots, kind = Slots(redis), Kind("ag", 3)
    holding, most, served = 0, 0, []

    async def one(name: str) -> None:
        nonlocal holding, most
        while await slots.ask(kind, name):  # noqa: ASYNC110 (a slot is asked for, not announced)
            await asyncio.sleep(0)
        holding += 1
        most = max(most, holding)
        served.append(name)
        await asyncio.sleep(0)
        holding -= 1
        await slots.free(kind, name)

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
    slots, kind, held, queue = Slots(client), Kind("ag", limit), set[str](), list[str]()
    try:
        for verb, name in steps:
            if verb == "free":
                await slots.free(kind, name)
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
            assert await slots.ask(kind, name) == place
            assert len(held) <= limit
    finally:
        await client.aclose()


async def test_a_run_open_upstream_seizes_a_slot_and_the_others_wait_for_it(redis: Redis) -> None:
    slots, kind = Slots(redis), Kind("ag", 1)
    assert await slots.ask(kind, "a") == 0
    assert await slots.ask(kind, "taken over", seize=True) == 0
    assert await slots.ask(kind, "next") == 2
    await slots.free(kind, "a")
    assert await slots.ask(kind, "next") == 1
    await slots.free(kind, "taken over")
    assert await slots.ask(kind, "next") == 0


async def session_of(sessions: Sessions, thread: Thread = THREAD) -> Session:
    return await sessions.session_of(thread, DAS, named_by_service=False)


async def test_two_who_ask_get_one_session(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    found = await asyncio.gather(*(session_of(sessions) for _ in range(20)))
    assert len(set(found)) == 1 and found[0].agent == DAS
    assert (await session_of(sessions, Thread("T1", "C1", "2.0"))).session_id != found[0].session_id


async def test_a_session_is_forgotten_or_replaced(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    first = await session_of(sessions)
    await sessions.adopt(THREAD, first, "theirs", "m1")
    assert await session_of(sessions) == Session(DAS, "theirs", "m1")
    await sessions.forget(THREAD)
    anew = await session_of(sessions)
    assert anew.session_id not in (first.session_id, "theirs") and anew.parent_id == ""


async def test_a_session_forgotten_while_it_was_asked_stays_forgotten(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    first = await session_of(sessions)
    await sessions.forget(THREAD)
    await sessions.adopt(THREAD, first, "theirs", "m1")
    assert (await session_of(sessions)).session_id not in (first.session_id, "theirs")


async def test_a_service_that_names_its_sessions_is_asked_without_one_first(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    first = await sessions.session_of(THREAD, RDS, named_by_service=True)
    assert first == Session(RDS, "")
    await sessions.adopt(THREAD, first, "conv-1", "")
    # The same run says at its end which message it was.
    await sessions.adopt(THREAD, first, "conv-1", "m1")
    assert await sessions.session_of(THREAD, RDS, named_by_service=True) == Session(RDS, "conv-1", "m1")


async def test_a_thread_stays_with_the_agent_that_began_it_until_it_is_moved(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    assert await sessions.agent_of(THREAD) is None
    first = await session_of(sessions)
    assert await sessions.session_of(THREAD, RDS, named_by_service=True) == first
    await sessions.move(THREAD, RDS, "2.0")
    assert await sessions.agent_of(THREAD) == RDS
    # What the old agent still says about its session does not reach the new one.
    await sessions.adopt(THREAD, first, "theirs", "m1")
    with pytest.raises(MovedError):
        await session_of(sessions)
    assert await sessions.session_of(THREAD, RDS, named_by_service=True) == Session(RDS, "")


async def test_forgetting_at_the_same_moment_never_yields_a_session_called_none(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())

    async def one(number: int) -> int:
        if number % 2:
            return len((await session_of(sessions)).session_id)
        await sessions.forget(THREAD)
        return 36

    assert set(await asyncio.gather(*(one(number) for number in range(400)))) == {36}


async def asked(
    redis: Redis,
    run_id: str,
    at: float,
    words: str = "why?",
    *,
    asks: int = 1,
    refusals: int = 0,
    named: str = "",
) -> Run:
    """A run that asked at that time, and its record."""
    run = Run(run_id, Question(THREAD, "1.0", "U1", "T1", words, "mention"), backend="rds", asked_at=at)
    record: dict[Any, Any] = {"asks": asks, "session_id": named}
    if refusals:
        record["refusals"] = refusals
    await redis.hset(keys.run(run_id), mapping=record)
    await Sessions(redis, keys.Lives()).note_words(run)
    return run


async def test_who_asked_the_same_words_at_the_same_time_is_known_with_their_sessions(redis: Redis) -> None:
    sessions = Sessions(redis, keys.Lives())
    mine = await asked(redis, "mine", 1000.5)
    assert await sessions.of_same_words(mine, 90) == frozenset()
    await asked(redis, "other words", 1000, "why not?")
    await asked(redis, "long before", 900)
    await asked(redis, "long after", 1100)
    await asked(redis, "refused each time", 1000, asks=2, refusals=2)
    await asked(redis, "named", 1080, " why?\n", named="conv-1")
    assert await sessions.of_same_words(mine, 90) == frozenset({"conv-1"})
    await asked(redis, "without a name", 950)
    assert await sessions.of_same_words(mine, 90) is None
    await redis.hset(keys.run("without a name"), "session_id", "conv-2")
    assert await sessions.of_same_words(mine, 90) == frozenset({"conv-1", "conv-2"})
    # Its record has run out, and what is known of the words would have with it.
    await redis.delete(keys.run("named"))
    assert await sessions.of_same_words(mine, 90) == frozenset({"conv-2"})


async def test_who_asked_which_words_is_kept_as_long_as_a_run_and_cannot_be_read(redis: Redis) -> None:
    await asked(redis, "before", 1000)
    await asked(redis, "after", 1000 + keys.Lives().run / 1000 + 1)
    [key] = await redis.keys("*same*")
    assert "why" not in str(key)
    assert await redis.zrange(key, 0, -1) == ["after"]
    assert 0 < await redis.pttl(key) <= keys.Lives().run


def test_every_script_has_a_name_of_its_own() -> None:
    names = re.findall(
        r"^-- name: (\w+)$", files("bot.store").joinpath("scripts.lua").read_text("utf-8"), re.M
    )
    assert sorted(names) == sorted(sources())
