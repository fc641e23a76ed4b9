"""Socket Mode: it comes back after whatever happens to the connection."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import NO_LIMITS, Workspace
from bot.slack import socket as socket_module
from bot.slack.socket import Socket, refusal

ANA, OPS = "U0ANA00001", "C0DBOPS001"


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    """Lets other tasks go on until `holds`."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0)


@pytest.fixture
async def workspace() -> Any:
    made = Workspace(rates=NO_LIMITS)
    await made.start()
    yield made
    await made.stop()


def app(workspace: Workspace) -> AsyncApp:
    return AsyncApp(client=AsyncWebClient("xoxb-1", base_url=workspace.api_url), signing_secret="x")


async def test_after_a_drop_questions_come_in_again(make_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The SDK looks at its connection by a clock of its own.
    monkeypatch.setattr(socket_module, "PING_SECONDS", 0.1)
    house = await make_house()
    await house.start()
    house.workspace.drop_sockets()
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    await house.taken(1)


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_after_an_announced_end_too(house: Any, reason: str) -> None:
    await house.workspace.disconnect_sockets(reason)
    await house.workspace.connected()
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    await house.taken(1)


async def test_slack_away_at_first_is_waited_for(workspace: Workspace) -> None:
    clock = Clock()
    workspace.fail_next("apps.connections.open", status=503)
    workspace.fail_next("apps.connections.open", error="internal_error")
    workspace.fail_next("apps.connections.open", error="fatal_error")
    socket = Socket(app(workspace), workspace.app_token, clock=clock, sleep=clock.sleep)
    assert not await socket.is_connected()
    running = asyncio.create_task(socket.run())
    await asyncio.wait_for(socket.stood.wait(), 10)
    assert clock.slept[:3] == [0.5, 1, 2]
    assert await socket.is_connected()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not await socket.is_connected()


async def test_a_wrong_token_ends_it(workspace: Workspace) -> None:
    with pytest.raises(SlackApiError, match="invalid_auth"):
        await Socket(app(workspace), "xapp-wrong").run()


async def test_a_dead_ticket_is_thrown_away(workspace: Workspace) -> None:
    clock = Clock()
    socket = Socket(app(workspace), workspace.app_token, clock=clock, sleep=clock.sleep)
    client = socket._client
    thrown: list[float] = []
    connected = True

    async def is_connected() -> bool:
        return connected

    async def connect(force: bool = False) -> None:
        client.wss_uri = "ws://dead"

    client.is_connected = is_connected  # type: ignore[method-assign]
    client.connect_to_new_endpoint = connect  # type: ignore[method-assign]
    running = asyncio.create_task(socket.run())
    await until(lambda: clock.now >= 300)
    assert client.wss_uri == "ws://dead"
    connected, began = False, clock.now
    await until(lambda: client.wss_uri is None)
    thrown.append(clock.now - began)
    # The next one gets its own minute.
    client.wss_uri, began = "ws://dead too", clock.now
    await until(lambda: client.wss_uri is None)
    thrown.append(clock.now - began)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    slack = 2 * socket_module.CHECK_SECONDS
    assert all(
        socket_module.DEAD_SECONDS - slack <= wait <= socket_module.DEAD_SECONDS + slack for wait in thrown
    )


class _Response:
    def __init__(self, data: Any, status: int = 200) -> None:
        self.data, self.status_code = data, status


@pytest.mark.parametrize(
    ("response", "word"),
    [
        (_Response({"ok": False, "error": "invalid_auth"}), "invalid_auth"),
        (_Response({"ok": False, "error": "account_inactive"}, 403), "account_inactive"),
        (_Response({"ok": False, "error": "internal_error"}), ""),
        (_Response({"ok": False, "error": "ratelimited"}, 429), ""),
        (_Response({"ok": False, "error": "invalid_auth"}, 503), ""),
        (_Response("<html>"), ""),
        (_Response({}), ""),
        (object(), ""),
    ],
)
def test_refusal(response: Any, word: str) -> None:
    error: Any = SlackApiError
    assert refusal(error("x", response)) == word
