"""The composition root: what ends it at once, what it waits for, and what /readyz tells."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from bot import app
from bot.demo.workspace import NO_LIMITS, Workspace
from bot.relay import worker
from bot.settings import Settings, SettingsError
from bot.slack.listener import MOST, MOST_PROBES, Listener
from bot.upstream.acs3 import Credentials
from bot.upstream.credentials import StaticCredentials


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace(rates=NO_LIMITS)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def given(workspace: Workspace, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(worker, "READ_MS", 20)
    return {
        "slack_bot_token": workspace.bot_token,
        "slack_app_token": workspace.app_token,
        "slack_api_url": workspace.api_url,
        "redis_url": valkey_url,
        "host": "127.0.0.1",
        "port": 0,
        "drain_seconds": 0,
    }


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"slack_bot_token": "xoxb-wrong"}, "SLACK_BOT_TOKEN: Slack refuses it (invalid_auth)"),
        ({"slack_app_token": "xapp-wrong"}, "SLACK_APP_TOKEN: Slack refuses it (invalid_auth)"),
    ],
)
async def test_a_wrong_token_ends_it(given: dict[str, Any], wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        async with app.started(Settings(**(given | wrong))):
            pass
    assert caught.value.problems == [problem]
    assert "wrong" not in str(caught.value)


async def test_a_taken_port_ends_it(given: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"HOST, PORT: cannot listen on 127.0.0.1:{port}"):
            async with app.started(Settings(**(given | {"port": port}))):
                pass


async def test_slack_away_at_start_is_waited_for(
    workspace: Workspace, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_FIRST_PAUSE_SECONDS", 0.0)
    workspace.fail_next("auth.test", status=503)
    workspace.fail_next("auth.test", error="internal_error")
    workspace.fail_next("auth.test", retry_after=1)
    workspace.fail_next("auth.test", reset=True)
    async with app.started(Settings(**given)) as running:
        assert running.team == "T0DEMO00001"
    assert len(workspace.calls_of("auth.test")) == 5


async def test_health_tells_the_truth(workspace: Workspace, given: dict[str, Any]) -> None:
    async with (
        app.started(Settings(**given), StaticCredentials(Credentials("id", "secret"))) as running,
        aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session,
    ):

        async def ready() -> tuple[int, Any]:
            async with session.get("/readyz") as response:
                return response.status, await response.json()

        assert await ready() == (200, {"ok": True, "redis": True, "slack": True, "credentials": True})
        workspace.drop_sockets()
        async with asyncio.timeout(2):
            while (await ready())[1]["slack"]:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert (await ready())[0] == 503
        async with session.get("/healthz") as response:
            assert response.status == 200
        async with session.get("/metrics") as response:
            assert 'das_bot_ready{part="slack"} 0.0' in await response.text()


async def test_metrics_have_a_port_of_their_own_where_one_is_given(given: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(**(given | {"metrics_port": port}))
    async with app.started(settings) as running, aiohttp.ClientSession() as session:
        for at, status in ((running.port, 404), (port, 200)):
            async with session.get(f"http://127.0.0.1:{at}/metrics") as response:
                assert response.status == status
        async with session.post(f"http://127.0.0.1:{port}/slack/events") as response:
            assert response.status == 404


@pytest.mark.parametrize("mode", ["Socket Mode", "HTTP"])
async def test_only_a_port_that_slack_calls_has_many_connections(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    bounds = []

    class Noting(Listener):
        def __init__(self, site: Any, most: int) -> None:
            bounds.append(most)
            super().__init__(site, most)

    monkeypatch.setattr(app, "Listener", Noting)
    if mode == "HTTP":
        given |= {"slack_app_token": "", "slack_signing_secret": "d0" * 16}
    with socket.create_server(("127.0.0.1", 0)) as free:
        given["metrics_port"] = free.getsockname()[1]
    async with app.started(Settings(**given)):
        assert bounds == [MOST if mode == "HTTP" else MOST_PROBES, MOST_PROBES]


async def test_metrics_can_be_switched_off(given: dict[str, Any]) -> None:
    settings = Settings(**(given | {"metrics_port": "off"}))
    async with (
        app.started(settings) as running,
        aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session,
        session.get("/metrics") as response,
    ):
        assert response.status == 404


async def test_a_redis_that_is_full_at_start_is_no_reason_not_to_start(
    given: dict[str, Any], make_fleet: Any
) -> None:
    fleet = make_fleet("redis")
    port = fleet.start()
    fleet.client(port).config_set("maxmemory", 1)
    async with app.started(Settings(**(given | {"redis_url": f"redis://127.0.0.1:{port}"}))):
        pass


async def test_a_redis_that_refuses_a_right_ends_it(given: dict[str, Any], make_fleet: Any) -> None:
    fleet = make_fleet("redis")
    port = fleet.start()
    rights = ["+info", "+exists", "+ping"]
    fleet.client(port).acl_setuser("few", enabled=True, passwords=["+pw"], keys=["*"], commands=rights)
    settings = Settings(**(given | {"redis_url": f"redis://few:pw@127.0.0.1:{port}"}))
    with pytest.raises(
        SettingsError, match=r"REDIS_URL: the server refuses us.* the README has the ACL rule"
    ):
        async with app.started(settings):
            pass


async def test_health_is_served_while_redis_is_away(given: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(**(given | {"port": port, "redis_url": "unix:///nowhere/redis.sock"}))

    async def start() -> None:
        async with app.started(settings):
            pass

    starting = asyncio.create_task(start())
    try:
        async with asyncio.timeout(5), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                        assert response.status == 503
                        parts = {"ok": False, "redis": False, "slack": False, "credentials": False}
                        assert await response.json() == parts
                        break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.01)
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


@pytest.mark.parametrize(("busy", "is_tidied"), [(0, True), (20, True), (21, False), (1_000, False)])
async def test_garbage_is_looked_for_only_where_that_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, busy: int, is_tidied: bool
) -> None:
    looks = []
    monkeypatch.setattr(app, "_TIDY_SECONDS", 0.0)
    monkeypatch.setattr(gc, "collect", lambda: looks.append(busy))
    given: Any = SimpleNamespace(busy=busy)
    tidying = asyncio.create_task(app._tidy(given))
    for _ in range(5):
        await asyncio.sleep(0)
    tidying.cancel()
    assert bool(looks) == is_tidied
