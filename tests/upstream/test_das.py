"""DasChat against a real local server: what it sends, when it asks again, and how each way of failing ends."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.model.event import Event, RunError, RunFinished, RunStarted, TextMessageContent, Usage
from bot.upstream.acs3 import Credentials
from bot.upstream.backend import Backend
from bot.upstream.credentials import StaticCredentials
from bot.upstream.das import QUESTION_LIMIT, RETRY_WITHIN, DasChat, Timeouts
from bot.upstream.errors import UpstreamError
from bot.upstream.sse import Limits

KEY = StaticCredentials(Credentials("test-key-id", "test-key-secret", provider="static_ak"))
SESSION = "123e4567-e89b-42d3-a456-000000000001"
STARTED = b'data:{"Type":"RUN_STARTED","RunId":"r"}\n\n'
FINISHED = b'data:{"Type":"RUN_FINISHED","RunId":"r"}\n\n'
SUMMARY = b'data:{"Type":"CUSTOM","Name":"summary","Value":{"CharCount":3}}\n\n'
ANSWERED = STARTED + FINISHED + SUMMARY


def head(status: int = 200, content_type: str = "text/event-stream", more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n{more}connection: close\r\n\r\n".encode()


def says(*pieces: bytes, status: int = 200, content_type: str = "text/event-stream", more: str = "") -> Any:
    """Send this and close."""

    async def script(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, content_type, more))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


def refuses(status: int, code: str, more: str = "") -> Any:
    body = json.dumps({"Code": code, "Message": "no", "RequestId": "R1"}).encode()
    return says(body, status=status, content_type="application/json", more=more)


def hangs(*pieces: bytes) -> Any:
    """Send this and then nothing for as long as the client listens."""

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.writelines(pieces)
        await writer.drain()
        await request.reader.read()

    return script


def resets(*pieces: bytes) -> Any:
    async def script(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.writelines(pieces)
        await writer.drain()
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return script


class Pauses:
    """Instead of sleeping, remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def backend(endpoint: str, **options: Any) -> DasChat:
    return DasChat(KEY, endpoint=endpoint, **{"sleep": Pauses(), "jitter": lambda: 0.5, **options})


async def ask(das: Backend, question: str = "hello", **options: Any) -> list[Event]:

    async def read() -> None:
        nonlocal entered
        async with das.ask("hello", session_id=SESSION) as events:
            entered = True
            async for _ in events:
                pass

    with pytest.raises(UpstreamError) as raised:
        await read()
    assert (raised.value.code, raised.value.begun) == (code, entered)
    await das.aclose()
    assert len(server.requests) <= 1
    assert sent or not entered


@pytest.mark.parametrize(
    ("sent", "events"),
    [
        (FINISHED, [RunFinished("r")]),
        (b'data:{"Type":"RUN_ERROR","Code":"X","Message":"m"}\n\n', [RunError("X", "m")]),
    ],
)
async def test_waits_only_a_little_after_the_end(start_server: Any, sent: bytes, events: list[Event]) -> None:
    server = await start_server(hangs(head(), sent))
    assert await ask(backend(server.endpoint, timeouts=Timeouts(after_end=0.05))) == events


@pytest.mark.parametrize("last", [SUMMARY, b"data:[DONE]\n\n"])
async def test_ends_at_once_when_all_is_there(start_server: Any, last: bytes) -> None:
    server = await start_server(hangs(head(), FINISHED, last))
    never = Timeouts(after_end=3600)
    assert (await ask(backend(server.endpoint, timeouts=never)))[0] == RunFinished("r")


async def test_a_broken_line_after_the_end_is_an_end(start_server: Any) -> None:
    async def script(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.writelines(
            [head(more="transfer-encoding: chunked\r\n"), b"%x\r\n" % len(FINISHED), FINISHED, b"\r\n"]
        )
        await writer.drain()

    server = await start_server(script)
    assert await ask(backend(server.endpoint)) == [RunFinished("r")]


async def test_leaving_closes_the_connection(start_server: Any) -> None:
    closed = asyncio.Event()

    async def script(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + STARTED)
        await writer.drain()
        try:
            while True:
                writer.write(b": beat\n\n")
                await writer.drain()
                await asyncio.sleep(0)
        finally:
            closed.set()

    server = await start_server(script)
    das = backend(server.endpoint)
    async with das.ask("hello", session_id=SESSION) as events:
        assert await anext(events) == RunStarted("r")
    await closed.wait()
    await das.aclose()


async def test_cancelling_a_reader_closes_the_connection(start_server: Any) -> None:
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await hangs(head(), STARTED)(request, writer)
        closed.set()

    async def read(das: DasChat) -> None:
        async with das.ask("hello", session_id=SESSION) as events:
            async for _ in events:
                arrived.set()

    server = await start_server(script)
    das = backend(server.endpoint)
    task = asyncio.create_task(read(das))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await closed.wait()
    await das.aclose()


async def test_caps_hold_over_the_wire(start_server: Any) -> None:
    big = json.dumps({"Type": "TEXT_MESSAGE_CONTENT", "MessageId": "m", "Delta": "x" * 1_000_000}).encode()
    server = await start_server(says(b"data:" + big + b"\n\n" + ANSWERED))
    events = await ask(backend(server.endpoint))
    assert isinstance(events[0], TextMessageContent)
    assert len(events[0].delta) == 1_000_000
    error = await fails(backend(server.endpoint, limits=Limits(frame=1000)))
    assert (error.code, error.begun) == ("TooLarge", True)


async def test_the_question_is_in_no_log_and_no_error(
    start_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "httpcore.http11"):
        caplog.set_level(logging.DEBUG, logger=name)
    question = "why is customer 4711 so slow"

    async def echoes(request: Any, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(
            {"Code": "InvalidParams", "Message": f"bad: {question} in {request.target}"}
        ).encode()
        await says(body, status=400, content_type="application/json")(request, writer)

    server = await start_server(echoes)
    error = await fails(backend(server.endpoint), question)
    assert "customer" in server.requests[0].target
    assert "customer" not in f"{error!r} {error}"
    assert "customer" not in caplog.text


async def test_a_broken_token_does_not_show_in_the_error(start_server: Any) -> None:
    server = await start_server(says(ANSWERED))
    key = StaticCredentials(Credentials("id", "secret", "hush\nhush"))
    error = await fails(DasChat(key, endpoint=server.endpoint))
    assert error.code == "Credentials"
    assert "hush" not in repr(error)


class Rotating:
    """Other credentials for every request."""

    count = 0

    async def get(self) -> Credentials:
        self.count += 1
        return Credentials(f"key-{self.count}", "secret", "token")


async def test_credentials_are_asked_for_every_try(start_server: Any) -> None:
    server = await start_server(refuses(429, "Throttling"), says(ANSWERED))
    await ask(DasChat(Rotating(), endpoint=server.endpoint, sleep=Pauses()))
    sent = [request.headers["x-acs-accesskey-id"] for request in server.requests]
    assert sent == ["key-1", "key-2"]


def test_an_endpoint_is_checked_at_once() -> None:
    with pytest.raises(ValueError):
        DasChat(KEY, endpoint="das.example.com")


def test_the_limits_are_the_documented_ones() -> None:
    times = Timeouts()
    assert (times.connect, times.silence, times.run, times.after_end) == (10, 300, 1800, 2)


def _is_a_backend(das: DasChat) -> tuple[Backend, AsyncIterator[Event] | None]:
    """Checked by mypy: DasChat keeps the contract."""
    return das, None
