"""Acks, deadlines and redelivery over Socket Mode and signed HTTP, on a clock moved by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from bot.demo.workspace import ChallengeFailed, Command, Workspace

CHANNEL, ANA = "C0DBOPS001", "U0ANA00001"
Open = Callable[[Workspace], Awaitable[aiohttp.ClientWebSocketResponse]]


@pytest.fixture
async def open_socket(connect: Any) -> AsyncIterator[Open]:
    """Opens bare Socket Mode connections that ack nothing by themselves; hello is already read."""
    async with aiohttp.ClientSession() as session:

        async def make(workspace: Workspace) -> aiohttp.ClientWebSocketResponse:
            opened = await connect(workspace).apps_connections_open(app_token=workspace.app_token)
            socket = await session.ws_connect(opened["url"])
            assert (await socket.receive_json())["type"] == "hello"
            return socket

        yield make


async def ack(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Reads one envelope and acks it."""
    envelope: dict[str, Any] = await socket.receive_json()
    await socket.send_json({"envelope_id": envelope["envelope_id"]})
    return envelope


async def test_an_unacked_event_comes_again_at_once_after_a_minute_and_after_five(
    make_workspace: Any, fake_time: Any, open_socket: Open
) -> None:
    workspace = await make_workspace(clock=fake_time.clock, sleep=fake_time.sleep)
    socket = await open_socket(workspace)
    workspace.say(ANA, CHANNEL, "x")
    envelopes = [await socket.receive_json()]
    start = fake_time.now
    for wait in (3.0, 63.0, 303.0):
        await fake_time.advance(wait)
        envelopes.append(await socket.receive_json())
    await fake_time.advance(3)
    await workspace.delivered()
    (event,) = workspace.events
    assert [e["retry_attempt"] for e in envelopes] == [0, 1, 2, 3]
    assert [e["retry_reason"] for e in envelopes] == ["", "timeout", "timeout", "timeout"]
    assert len({e["envelope_id"] for e in envelopes}) == 4
    assert len({e["payload"]["event_id"] for e in envelopes}) == 1
    assert [round(attempt.t - start) for attempt in event.attempts] == [0, 3, 66, 369]
    assert not event.acked and event.failure == "timeout" and event.latency is None


async def test_a_late_ack_counts_for_nothing(make_workspace: Any, fake_time: Any, open_socket: Open) -> None:
    workspace = await make_workspace(clock=fake_time.clock, sleep=fake_time.sleep)
    socket = await open_socket(workspace)
    workspace.say(ANA, CHANNEL, "x")
    late = await socket.receive_json()
    await fake_time.advance(3)
    await socket.send_json({"envelope_id": late["envelope_id"]})
    again = await ack(socket)
    await workspace.delivered()
    assert again["retry_attempt"] == 1
    assert workspace.events[0].acked and len(workspace.events[0].attempts) == 2


async def test_the_time_to_the_ack_is_recorded(
    make_workspace: Any, fake_time: Any, open_socket: Open
) -> None:
    workspace = await make_workspace(clock=fake_time.clock, sleep=fake_time.sleep)
    socket = await open_socket(workspace)
    workspace.say(ANA, CHANNEL, "x")
    envelope = await socket.receive_json()
    await fake_time.advance(1.5)
    await socket.send_json({"envelope_id": envelope["envelope_id"]})
    await workspace.delivered()
    assert workspace.events[0].latency == 1.5


async def test_events_go_to_the_connections_in_turn(workspace: Workspace, open_socket: Open) -> None:
    sockets = [await open_socket(workspace), await open_socket(workspace)]
    for number in range(4):
        workspace.say(ANA, CHANNEL, str(number))
    for socket in sockets * 2:
        await ack(socket)
    await workspace.delivered()
    assert all(len(event.attempts) == 1 for event in workspace.events)


async def test_a_dropped_connection_hands_its_events_to_another(
    workspace: Workspace, open_socket: Open
) -> None:
    first = await open_socket(workspace)
    workspace.say(ANA, CHANNEL, "x")
    lost = await first.receive_json()
    workspace.drop_sockets()
    second = await open_socket(workspace)
    again = await ack(second)
    await workspace.delivered()
    assert again["payload"] == lost["payload"]
    assert (again["retry_attempt"], again["retry_reason"]) == (1, "connection_closed")
    assert (await first.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_ticket_is_good_for_one_connection(workspace: Workspace, connect: Any) -> None:
    opened = await connect(workspace).apps_connections_open(app_token=workspace.app_token)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(opened["url"]):
            pass
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(opened["url"])


async def test_the_eleventh_connection_is_turned_away(
    workspace: Workspace, connect: Any, open_socket: Open
) -> None:
    held = [await open_socket(workspace) for _ in range(10)]
    opened = await connect(workspace).apps_connections_open(app_token=workspace.app_token)
    async with aiohttp.ClientSession() as session, session.ws_connect(opened["url"]) as socket:
        assert (await socket.receive_json())["reason"] == "too_many_websockets"
    assert not any(socket.closed for socket in held)


async def test_a_warning_leaves_the_connection_open(workspace: Workspace, open_socket: Open) -> None:
    socket = await open_socket(workspace)
    await workspace.disconnect_sockets("warning")
    assert (await socket.receive_json())["reason"] == "warning"
    workspace.say(ANA, CHANNEL, "x")
    await ack(socket)
    await workspace.disconnect_sockets()
    assert (await socket.receive_json())["reason"] == "refresh_requested"
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_command_nobody_acks_fails_once(
    make_workspace: Any, fake_time: Any, open_socket: Open
) -> None:
    workspace = await make_workspace(
        clock=fake_time.clock, sleep=fake_time.sleep, commands=[Command("/das-ask")]
    )
    socket = await open_socket(workspace)
    using = asyncio.create_task(workspace.command(ANA, CHANNEL, "/das-ask"))
    await socket.receive_json()
    await fake_time.advance(3)
    done = await using
    assert not done.ok and "operation_timeout" in done.error
    assert len(workspace.deliveries[0].attempts) == 1


# Signed HTTP


class AppServer:
    """The app's side: keeps the requests and answers as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.answers_challenge = True
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.requests.append((request.path, dict(request.headers), body))
        if "url_verification" in body:
            return web.Response(text=json.loads(body)["challenge"] if self.answers_challenge else "what?")
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers=self.headers, text="" if status != 200 else "fine")


@pytest.fixture
async def app_server() -> AsyncIterator[AppServer]:
    server = AppServer()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def test_requests_are_signed_as_slack_signs_them(make_workspace: Any, app_server: AppServer) -> None:
    workspace = await make_workspace(
        event_url=f"{app_server.url}/slack/events",
        command_url=f"{app_server.url}/slack/commands",
        commands=[Command("/das-ask")],
    )
    workspace.say(ANA, CHANNEL, "为什么慢？")
    await workspace.delivered()
    done = await workspace.command(ANA, CHANNEL, "/das-ask", "a=b & c")
    assert done.ok and [m.text for m in workspace.ephemerals(ANA, CHANNEL)] == ["fine"]
    verifier = SignatureVerifier(workspace.signing_secret)
    for _, headers, body in app_server.requests:
        assert verifier.is_valid_request(body, headers)
        assert not verifier.is_valid_request(body + " ", headers)
    (_, event_headers, event), (path, headers, command) = app_server.requests
    assert event_headers["Content-Type"] == "application/json"
    assert json.loads(event)["event"]["text"] == "为什么慢？"
    assert (path, headers["Content-Type"]) == ("/slack/commands", "application/x-www-form-urlencoded")
    assert "text=a%3Db+%26+c" in command
    assert "X-Slack-Retry-Num" not in event_headers


async def test_a_failing_app_is_tried_again(
    make_workspace: Any, fake_time: Any, app_server: AppServer
) -> None:
    workspace = await make_workspace(clock=fake_time.clock, sleep=fake_time.sleep, event_url=app_server.url)
    app_server.statuses = [500, 503]
    workspace.say(ANA, CHANNEL, "x")
    await fake_time.asleep_for(60)
    await fake_time.advance(60)
    await workspace.delivered()
    retries = [(h.get("X-Slack-Retry-Num"), h.get("X-Slack-Retry-Reason")) for _, h, _ in app_server.requests]
    assert retries == [(None, None), ("1", "http_error"), ("2", "http_error")]
    assert workspace.events[0].acked


async def test_an_app_may_ask_not_to_be_tried_again(make_workspace: Any, app_server: AppServer) -> None:
    workspace = await make_workspace(event_url=app_server.url)
    app_server.statuses, app_server.headers = [500], {"X-Slack-No-Retry": "1"}
    workspace.say(ANA, CHANNEL, "x")
    await workspace.delivered()
    assert len(app_server.requests) == 1 and not workspace.events[0].acked


async def test_an_app_that_is_away_fails_at_once(make_workspace: Any) -> None:
    workspace = await make_workspace(
        event_url="http://127.0.0.1:9/", redelivery_delays=(), commands=[Command("/das-ask")]
    )
    workspace.say(ANA, CHANNEL, "x")
    await workspace.delivered()
    assert workspace.events[0].failure == "connection_failed"
    done = await workspace.command(ANA, CHANNEL, "/das-ask")
    assert "dispatch_failed" in done.error


async def test_an_address_is_taken_once_it_repeats_the_challenge(
    workspace: Workspace, app_server: AppServer
) -> None:
    app_server.answers_challenge = False
    with pytest.raises(ChallengeFailed):
        await workspace.configure_http(app_server.url)
    app_server.answers_challenge = True
    await workspace.configure_http(app_server.url)
    workspace.say(ANA, CHANNEL, "x")
    await workspace.delivered()
    assert len(app_server.requests) == 3 and workspace.events[0].acked
