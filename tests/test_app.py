"""The composition root: what ends it at once, what it waits for, and what /readyz tells."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot import app
from bot.demo.workspace import NO_LIMITS, Workspace
from bot.relay import worker
from bot.settings import Settings, SettingsError


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
        app.started(Settings(**given)) as running,
        aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session,
    ):

        async def ready() -> tuple[int, Any]:
            async with session.get("/readyz") as response:
                return response.status, await response.json()

        assert await ready() == (200, {"ok": True, "redis": True, "slack": True})
        workspace.drop_sockets()
        async with asyncio.timeout(2):
            while (await ready())[1]["slack"]:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert (await ready())[0] == 503
        async with session.get("/healthz") as response:
            assert response.status == 200


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
                        assert await response.json() == {"ok": False, "redis": False, "slack": False}
                        break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.01)
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
