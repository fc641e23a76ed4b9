"""Socket Mode: it comes back after whatever happens to the connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

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


@dataclass
class Line:
    """A way to a server that can be made to lie dead: open, and nothing gets through."""

    to: int
    dead: bool = False
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self) -> asyncio.Server:
        return await asyncio.start_server(self._through, "127.0.0.1", 0)

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        self._writers += [writer, back]
        was_dead = self.dead
        await asyncio.gather(*(self._copy(*pair, was_dead) for pair in ((reader, back), (there, writer))))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, was_dead: bool) -> None:
        while data := await reader.read(65_536):
            # Those that were there when it died stay dead; new ones get through.
            if self.dead == was_dead:
                writer.write(data)
        writer.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


async def test_a_connection_that_lies_dead_is_left(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte comes and none is refused, as behind a firewall that forgot the connection."""
    monkeypatch.setattr(socket_module, "PING_SECONDS", 0.1)
    api_url, port = workspace.api_url, urlsplit(workspace.url).port
    assert port
    line = Line(port)
    server = await line.open()
    # Where Slack says its socket is.
    workspace.state.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    web = AsyncWebClient("xoxb-1", base_url=api_url)
    socket = Socket(AsyncApp(client=web, signing_secret="x"), workspace.app_token)
    running = asyncio.create_task(socket.run())
    try:
        await asyncio.wait_for(socket.stood.wait(), 10)
        (first,) = workspace.sockets.connections
        line.dead = True
        await workspace.until(lambda: any(other is not first for other in workspace.sockets.connections))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        line.close()
        server.close()


@pytest.mark.parametrize(
    ("error", "is_short"),
    [(ConnectionResetError("gone"), True), (SlackApiError("x", {}), True), (KeyError("bug"), False)],
)
async def test_only_faults_of_our_own_are_logged_with_all_frames(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, error: Exception, is_short: bool
) -> None:
    made = app(workspace)

    @made.event("app_mention")
    async def heard(event: dict[str, Any]) -> None: ...

    socket = Socket(made, workspace.app_token)
    running = asyncio.create_task(socket.run())
    await asyncio.wait_for(socket.stood.wait(), 10)

    async def broken(message: str) -> None:
        raise error

    socket._client.send_message = broken  # type: ignore[method-assign]
    workspace.say(ANA, OPS, "@das why?")
    async with asyncio.timeout(10):
        while not (told := [r for r in caplog.records if "request listener" in r.getMessage()]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert all((record.exc_info is None) == is_short for record in told)


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
