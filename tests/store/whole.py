"""All that the bot does with a store, for servers of any kind."""

from __future__ import annotations

import asyncio

from redis import RedisError
from redis.asyncio import Redis

from bot.model.question import Question, Thread
from bot.model.run import State
from bot.settings import Settings
from bot.store import keys
from bot.store.connection import open_store
from bot.store.rates import Asked, SharedRates
from bot.store.runs import Runs
from bot.store.sessions import Agent, Sessions
from bot.store.slots import Kind, Slots
from tests.fleet import Replicated


async def opened(url: str) -> Redis:
    """The store at a URL, as the bot opens it when it starts."""
    return await open_store(Settings.model_validate({"redis_url": url}))


def question(ts: str) -> Question:
    return Question(Thread("T1", "C1", "1.0"), ts, "U1", "T1", f"question {ts}", "mention")


async def one_run(runs: Runs) -> str:
    """Take the next run, do it, and end it."""
    [(entry, thread)] = await runs.next_entries(1, 1000)
    lease = await runs.lease(entry, thread)
    assert lease
    run = await runs.get(lease.run_id)
    assert run
    await runs.beat(lease)
    run.asked_at, run.state = 7.0, State.RUNNING
    await runs.save(lease, run)
    run.state = State.ANSWERED
    await runs.finish(lease, run)
    return lease.run_id


async def everything(redis: Redis) -> None:
    """Each kind of command the bot sends: scripts of many keys, blocking reads, pipelines."""
    runs = Runs(redis, keys.Lives(), "one")
    await runs.prepare()
    first = await runs.accept(question("1.1"), event_id="Ev1")
    assert (await runs.accept(question("1.1"), event_id="Ev1")).verdict == "duplicate"
    assert await one_run(runs) == first.run_id
    assert await runs.next_entries(1, 10) == []
    assert await runs.abandoned_entries(1) == []
    ended = await runs.get(first.run_id)
    assert ended and ended.state is State.ANSWERED
    sessions, slots, kind = Sessions(redis, keys.Lives()), Slots(redis), Kind("das", 1)
    agent = Agent("das")
    thread = Thread("T1", "C1", "1.0")
    session = await sessions.session_of(thread, agent, named_by_service=False)
    assert await sessions.session_of(thread, agent, named_by_service=False) == session
    assert await slots.ask(kind, "a") == 0
    assert await slots.ask(kind, "b") == 1
    await slots.free(kind, "a")
    assert await slots.ask(kind, "b") == 0
    turn = await SharedRates(redis, "T1").ask("chat.update", Asked(1.0, 1.0, 0.0, 0, 0.0, 1))
    assert turn and turn.granted


async def outlive_the_primary(redis: Redis, servers: Replicated) -> None:
    """What was accepted before the primary is killed is done with the one after it."""
    runs = Runs(redis, keys.Lives(), "two")
    accepted = [(await runs.accept(question(f"2.{n}"))).run_id for n in range(3)]
    [(entry, thread)] = await runs.next_entries(1, 1000)
    lease = await runs.lease(entry, thread)
    assert lease
    await asyncio.to_thread(servers.wait_until_replicated)
    await asyncio.to_thread(servers.kill_primary)
    # What was accepted and replicated is all there; whoever holds a lease goes on with it.
    async with asyncio.timeout(30):
        while True:
            try:
                beat = await runs.beat(lease)
                break
            except (RedisError, OSError):
                await asyncio.sleep(0.02)
    assert beat.waiting == accepted[1:]
    run = await runs.get(accepted[0])
    assert run
    run.state = State.ANSWERED
    await runs.finish(lease, run)
    assert [await one_run(runs), await one_run(runs)] == accepted[1:]
    assert (await runs.accept(question("2.1"))).verdict == "duplicate"
    assert (await runs.accept(question("3.1"))).verdict == "accepted"
