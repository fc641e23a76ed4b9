"""Real servers of every kind: Sentinels and a Cluster whose primary is killed, and a user with few rights."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import RedisError
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from bot.settings import SettingsError
from bot.store import connection, keys
from bot.store.address import parse
from bot.store.connection import connect
from bot.store.primary import SLOT, Primary
from bot.store.runs import Runs
from tests.store.whole import everything, one_run, opened, outlive_the_primary, question

if TYPE_CHECKING:
    from tests.fleet import Fleet, Replicated

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sentinels", "cluster"])
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Replicated:
    monkeypatch.setattr(connection, "SOCKET_SECONDS", 1)
    replicated: Replicated = request.getfixturevalue(request.param)
    return replicated


@pytest.fixture
async def redis(servers: Replicated) -> AsyncIterator[Redis]:
    client = connect(servers.url)
    yield client
    await client.aclose()


async def test_everything_works_and_a_killed_primary_is_followed(redis: Redis, servers: Replicated) -> None:
    await everything(redis)
    if servers.url.startswith("redis+cluster"):
        # The node named there does not serve our slot.
        with pytest.raises(SettingsError, match=r"node of a Cluster; write redis\+cluster://"):
            await opened(servers.url.replace("+cluster", ""))
    await outlive_the_primary(redis, servers)


async def test_a_slot_that_moves_to_another_node_is_followed(cluster: Replicated) -> None:
    client = connect(cluster.url)
    runs = Runs(client, keys.Lives(), "one")
    await runs.prepare()
    accepted = await runs.accept(question("1.1"))
    new = int(cluster.url.rpartition(":")[2])
    old_node, new_node = (cluster.fleet.client(port) for port in (cluster.primary, new))
    old_id, new_id = (node.execute_command("CLUSTER", "MYID") for node in (old_node, new_node))
    new_node.execute_command("CLUSTER", "SETSLOT", SLOT, "IMPORTING", old_id)
    old_node.execute_command("CLUSTER", "SETSLOT", SLOT, "MIGRATING", new_id)
    for key in old_node.execute_command("CLUSTER", "GETKEYSINSLOT", SLOT, 100):
        old_node.migrate("127.0.0.1", new, key, 0, 1000)
    # Between the two nobody serves what takes several keys; it is the same as away.
    with pytest.raises(RedisConnectionError, match="not the primary now"):
        await runs.accept(question("1.2"))
    for node in (new_node, old_node):
        node.execute_command("CLUSTER", "SETSLOT", SLOT, "NODE", new_id)
    assert (await runs.accept(question("1.2"))).ahead == 1
    assert await one_run(runs) == accepted.run_id
    await client.aclose()


async def test_a_hundred_connections_that_break_at_once_ask_once(sentinels: Replicated) -> None:
    now = 0.0
    primary = Primary(parse(sentinels.url), lambda: now)
    sentinel = sentinels.fleet.client(sentinels.sentinel)

    def asked() -> int:
        return int(sentinel.info("stats")["total_connections_received"])

    before = asked()
    assert set(await asyncio.gather(*(primary.find() for _ in range(100)))) == {
        ("127.0.0.1", sentinels.primary)
    }
    assert asked() == before + 1
    now = 10.0
    await primary.find()
    assert asked() == before + 2


async def test_one_that_is_cut_off_from_the_rest_does_not_decide_for_ever(sentinels: Replicated) -> None:
    fleet = sentinels.fleet
    stale = fleet.sentinel(sentinels.primary)
    client = fleet.client(stale)
    client.sentinel_remove("main")
    client.sentinel_monitor("main", "127.0.0.1", sentinels.replica, 1)
    url = f"redis+sentinel://127.0.0.1:{stale},127.0.0.1:{sentinels.sentinel}/main"
    primary = Primary(parse(url), clock=itertools.count(0, 10).__next__)
    found = [(await primary.find())[1] for _ in range(3)]
    assert found == [sentinels.replica, sentinels.primary, sentinels.replica]


async def test_what_the_sentinels_cannot_tell_is_said(sentinels: Replicated) -> None:
    url = f"redis+sentinel://127.0.0.1:{sentinels.sentinel}/unknown"
    with pytest.raises(RedisConnectionError, match="it knows no service named 'unknown'"):
        await Primary(parse(url)).find()


# -- a user with few rights ------------------------------------------------------------------------------


def rights() -> list[str]:
    """The ACL rule we give to operators, without the name."""
    user, name, *rule = (ROOT / "deploy/redis/users.acl").read_text().split()
    assert (user, name) == ("user", "das-bot")
    return rule


@pytest.mark.parametrize("kind", ["fleet", "sentinels", "cluster"])
async def test_the_rights_we_ask_for_are_enough(kind: str, request: pytest.FixtureRequest) -> None:
    place: Any = request.getfixturevalue(kind)
    fleet: Fleet = getattr(place, "fleet", place)
    url = getattr(place, "url", "") or f"redis://127.0.0.1:{fleet.start()}"
    for port in set(fleet.servers) - {getattr(place, "sentinel", 0)}:
        fleet.client(port).execute_command("ACL", "SETUSER", "das-bot", *rights())
    redis = await opened(url.replace("://", "://das-bot:CHANGE-ME@"))
    await everything(redis)
    with pytest.raises(RedisError, match=r"access (one of the|a) key"):
        await redis.get("somebody-elses")
    with pytest.raises(RedisError, match="no permissions to run the 'flushall'"):
        await redis.flushall()
    await redis.aclose()


async def test_a_user_with_too_few_rights_is_told_where_the_rule_is(fleet: Fleet) -> None:
    port = fleet.start()
    fleet.client(port).acl_setuser("few", enabled=True, passwords=["+pw"], keys=["*"], commands=["+ping"])
    with pytest.raises(SettingsError, match="the README has the ACL rule"):
        await opened(f"redis://few:pw@127.0.0.1:{port}")


# -- the wrong URL for the server ------------------------------------------------------------------------


async def test_a_server_of_another_kind_is_named(sentinels: Replicated) -> None:
    server, sentinel = sentinels.primary, sentinels.sentinel
    for url, words in (
        (f"redis://127.0.0.1:{sentinel}", "this is a Sentinel; write redis+sentinel://"),
        (f"redis+sentinel://127.0.0.1:{server}/main", "it is no Sentinel; write redis://host:port"),
        (f"redis+cluster://127.0.0.1:{server}", "it is no Cluster; write redis://host:port"),
    ):
        with pytest.raises(SettingsError) as caught:
            await opened(url)
        assert words in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_what_is_no_redis_is_told_so(scheme: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        words = "is no Redis" if scheme == "redis" else "does not speak TLS"
        with pytest.raises(SettingsError, match=words):
            await opened(f"{scheme}://127.0.0.1:{port}")


async def test_protected_mode_is_explained() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What Valkey and Redis write to a client of another machine, before they hang up.
        writer.write(
            b"-DENIED Running in protected mode because protected mode is enabled and no password\r\n"
        )
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SettingsError, match=r"has no password \(protected mode\); set one there"):
            await opened(f"redis://127.0.0.1:{port}")
