"""A server that is full, slow, or suddenly a replica."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from redis import RedisError, exceptions
from redis.asyncio import Redis

from bot.model.question import Question, Thread
from bot.model.run import Run, State
from bot.store import connection, keys
from bot.store.connection import connect, reason
from bot.store.rates import Asked, SharedRates
from bot.store.runs import Lease, Runs
from bot.store.sessions import Agent, Sessions
from bot.store.slots import Kind, Slots

if TYPE_CHECKING:
    from tests.fleet import Fleet


@pytest.fixture(params=["redis", "valkey"])
def port(request: pytest.FixtureRequest, make_fleet: Callable[[str], Fleet]) -> int:
    """A server of this test's own, of each dialect."""
    return make_fleet(request.param).start()


@pytest.fixture
async def redis(port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setattr(connection, "_RETRIES", 1)
    client = connect(f"redis://127.0.0.1:{port}")
    yield client
    await client.aclose()


@pytest.fixture
async def runs(redis: Redis) -> Runs:
    runs = Runs(redis, keys.Lives(), "one")
    await runs.prepare()
    return runs


def question(ts: str, thread_ts: str = "1.0") -> Question:
    return Question(Thread("T1", "C1", thread_ts), ts, "U1", "T1", f"question {ts}", "mention")


async def begun(runs: Runs) -> tuple[Lease, Run]:
    [(entry, thread)] = await runs.next_entries(1, 1000)
    lease = await runs.lease(entry, thread)
    assert lease
    run = await runs.get(lease.run_id)
    assert run
    return lease, run


async def test_a_full_server_takes_nothing_in_and_lets_what_it_has_end(runs: Runs, redis: Redis) -> None:
    for ts in ("1.1", "1.2", "1.3"):
        await runs.accept(question(ts))
    lease, run = await begun(runs)
    await redis.config_set("maxmemory", 1)
    with pytest.raises(exceptions.OutOfMemoryError) as caught:
        await runs.accept(question("1.4"), event_id="Ev4")
    assert "Redis is full: no question is accepted until it has memory again" in reason(caught.value)
    # The one under way is asked, shown and ended; so is the one behind it, and one that waits can be stopped.
    waiting = (await runs.beat(lease)).waiting
    sessions, slots, kind = Sessions(redis, keys.Lives()), Slots(redis), Kind("das", 1)
    session = await sessions.session_of(run.question.thread, Agent("das"), named_by_service=False)
    assert await slots.ask(kind, "a") == 0
    assert await slots.ask(kind, "b") == 1
    await slots.free(kind, "a")
    turn = await SharedRates(redis, "T1").ask("chat.update", Asked(1.0, 1.0, 0.0, 0, 0.0, 1))
    assert turn and turn.granted
    run.asked_at, run.state, run.shown = 7.0, State.RUNNING, "x" * 10_000
    run.session_id = session.session_id
    await runs.save(lease, run)
    assert await runs.stop(waiting[1], "U1") == "stopping"
    last = await runs.get(waiting[1])
    assert last
    last.state = State.STOPPED
    await runs.end_waiting(lease, last)
    run.state = State.ANSWERED
    await runs.finish(lease, run)
    lease, run = await begun(runs)
    assert run.id == waiting[0]
    run.state = State.ANSWERED
    await runs.finish(lease, run)
    assert await redis.xlen(keys.THREADS) == 0
    await redis.config_set("maxmemory", 0)
    accepted = await runs.accept(question("1.4"), event_id="Ev4")
    assert (accepted.verdict, accepted.ahead) == ("accepted", 0)


async def test_a_slow_server_accepts_once_however_often_it_is_told(
    port: int, runs: Runs, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SOCKET_SECONDS", 0.05)
    monkeypatch.setattr(connection, "_RETRIES", 0)
    hasty = connect(f"redis://127.0.0.1:{port}")
    intake = Runs(hasty, keys.Lives())
    await redis.client_pause(60_000, all=False)
    for _ in range(2):
        # Slack is refused, and delivers again.
        with pytest.raises(RedisError):
            await intake.accept(question("1.1"), event_id="Ev1")
    await redis.client_unpause()
    # Whether the server still does what it was told by connections that are gone is its own affair.
    again = await intake.accept(question("1.1"), event_id="Ev1")
    assert again.verdict in ("accepted", "duplicate")
    lease, run = await begun(runs)
    assert run.id == again.run_id
    assert (await runs.beat(lease)).waiting == []
    await hasty.aclose()


async def test_a_server_that_became_a_replica_counts_as_away(port: int, runs: Runs, redis: Redis) -> None:
    """As after a failover behind one name: the next connection may reach the new primary."""
    await runs.accept(question("1.1"))
    lease, _ = await begun(runs)
    server: Any = redis
    before = await server.client_id()
    await server.replicaof("127.0.0.1", 1)
    for action in (runs.beat(lease), runs.accept(question("1.2")), runs.first_time("T1", "C1", "9.9")):
        with pytest.raises(exceptions.ConnectionError, match="not the primary now"):
            await action
    await server.replicaof("NO", "ONE")
    assert (await runs.beat(lease)).waiting == []
    assert await server.client_id() != before
