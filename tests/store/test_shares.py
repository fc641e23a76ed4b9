"""An account's slots, of which an agent may have a share: both limits hold, and who came first goes first."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.relay.parts import Limits
from bot.store import keys
from bot.store.connection import connect
from bot.store.sessions import Agent
from bot.store.slots import Kind, Slots


def shares(limit: int, own: int) -> tuple[Kind, Kind]:
    """An account's slots, for those of its agent x, which may have so many of them, and for those of the others."""
    return Kind("rds", limit, "x|1", own), Kind("rds", limit)


def test_whose_limit_is_whose() -> None:
    limits = Limits({"das": 2, "rds": 3}, {"ag-1": 5, "x": 1})
    assert limits.kind(Agent("rds", "x")) == Kind("rds", 3, "x", 1)
    assert limits.kind(Agent("rds", "y")) == limits.kind(Agent("rds")) == Kind("rds", 3)
    assert limits.kind(Agent("das", "ag-1")) == limits.kind(Agent("das-legacy", "ag-1")) == Kind("ag-1", 5)
    assert limits.kind(Agent("das")) == Kind("default", 2)


async def test_an_agent_has_no_more_than_its_share_and_who_waits_behind_it_goes_first(redis: Redis) -> None:
    slots, (x, other) = Slots(redis), shares(3, 1)
    assert await slots.ask(x, "x1") == 0
    assert [await slots.ask(x, name) for name in ("x2", "x3")] == [1, 2]
    assert [await slots.ask(other, name) for name in ("a", "b", "c")] == [0, 0, 1]
    # The account is full, so both limits have to give way; x2 came before c.
    await slots.free(x, "x1")
    assert [await slots.ask(other, "c"), await slots.ask(x, "x3"), await slots.ask(x, "x2")] == [1, 1, 0]
    await slots.free(other, "a")
    assert [await slots.ask(x, "x3"), await slots.ask(other, "c")] == [1, 0]
    await slots.free(x, "x2")
    assert await slots.ask(x, "x3") == 0


async def test_the_account_s_limit_holds_over_all_agents_also_where_a_share_is_larger(redis: Redis) -> None:
    slots, (x, other) = Slots(redis), shares(2, 9)
    assert [await slots.ask(x, "x1"), await slots.ask(other, "a"), await slots.ask(x, "x2")] == [0, 0, 1]
    assert (x.most, shares(9, 2)[0].most, other.most) == (2, 2, 2)
    # One that is open upstream already is counted wherever it leads.
    assert await slots.ask(x, "x0", seize=True) == 0
    assert await slots.ask(x, "x2") == 2
    for kind, name in ((x, "x0"), (x, "x1")):
        await slots.free(kind, name)
    assert await slots.ask(x, "x2") == 0


async def test_the_share_of_the_dead_goes_to_the_next(redis: Redis) -> None:
    slots, (x, _) = Slots(redis), shares(2, 1)
    assert [await slots.ask(x, "dead"), await slots.ask(x, "alive")] == [0, 1]
    await redis.zadd(keys.slot("rds", "held"), {x.member("dead"): 1})
    assert await slots.ask(x, "alive") == 0


X = frozenset("xyz")
"""Runs of the agent that has a share; those of others are called a, b and c."""


class Model:
    """A slot goes to whoever came first among those whose agent has not got its share."""

    def __init__(self, limit: int, own: int) -> None:
        self.limit, self.own = limit, own
        self.held: set[str] = set()
        self.queue: list[str] = []

    def ask(self, name: str) -> bool:
        if name in self.held:
            return True
        if name not in self.queue:
            self.queue.append(name)
        free, share = self.limit - len(self.held), self.own - len(self.held & X)
        for one in self.queue:
            fits = one not in X or share > 0
            if one == name:
                break
            free -= fits
            share -= one in X
        if fits and free > 0:
            self.queue.remove(name)
            self.held.add(name)
        return name in self.held

    def free(self, name: str) -> None:
        self.held.discard(name)
        self.queue = [one for one in self.queue if one != name]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 4),
    own=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(["ask", "ask", "free"]), st.sampled_from("xyzabc")), max_size=40
    ),
)
async def test_shares_follow_their_model_and_nobody_waits_for_ever(
    redis_url: str, limit: int, own: int, steps: list[tuple[str, str]]
) -> None:
    client = connect(redis_url)
    await client.flushall()
    slots, (x, other), model = Slots(client), shares(limit, own), Model(limit, own)

    async def ask(name: str) -> None:
        place = await slots.ask(x if name in X else other, name)
        assert (place == 0) == model.ask(name)
        assert place <= len(model.held) + len(model.queue)
        assert len(model.held) <= limit and len(model.held & X) <= own

    async def free(name: str) -> None:
        await slots.free(x if name in X else other, name)
        model.free(name)

    try:
        for verb, name in steps:
            await (ask(name) if verb == "ask" else free(name))
        while model.queue:
            waiting = list(model.queue)
            for name in waiting:
                await ask(name)
            if model.queue == waiting:
                await free(min(model.held))
    finally:
        await client.aclose()


async def test_two_processes_contend_and_neither_limit_is_broken(redis_url: str) -> None:
    """Each with a connection of its own; of five slots two are the agent's at most."""
    clients = [connect(redis_url), connect(redis_url)]
    await clients[0].flushall()
    x, other = shares(5, 2)
    holding, most, served = {"x": 0, "all": 0}, {"x": 0, "all": 0}, []

    async def one(slots: Slots, kind: Kind, name: str) -> None:
        while await slots.ask(kind, name):  # noqa: ASYNC110 (a slot is asked for, not announced)
            await asyncio.sleep(0)
        counted = ("x", "all") if kind is x else ("all",)
        for each in counted:
            holding[each] += 1
            most[each] = max(most[each], holding[each])
        served.append(name)
        await asyncio.sleep(0)
        for each in counted:
            holding[each] -= 1
        await slots.free(kind, name)

    try:
        both = [Slots(client) for client in clients]
        await asyncio.gather(
            *(one(both[n % 2], x if n % 3 else other, f"{'x' if n % 3 else 'a'}{n}") for n in range(30))
        )
    finally:
        for client in clients:
            await client.aclose()
    assert most["x"] == 2 and most["all"] <= 5 and len(served) == 30
