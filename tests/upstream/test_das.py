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
from bot.upstream.backend import Ask, Backend
from bot.upstream.credentials import StaticCredentials
from bot.upstream.das import QUESTION_LIMIT, DasChat
from bot.upstream.errors import UpstreamError
from bot.upstream.sse import Limits
from bot.upstream.wire import Timeouts

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
    try:
        async with das.ask(Ask(question, SESSION, **options)) as events:
            return [event async for event in events]
    finally:
        await das.aclose()


async def fails(das: Backend, question: str = "hello") -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await ask(das, question)
    return raised.value


async def test_what_is_sent(start_server: Any) -> None:
    server = await start_server(says(ANSWERED))
    assert await ask(backend(server.endpoint), "慢 SQL?", agent_id="ag-1") == [
        RunStarted("r"),
        RunFinished("r"),
        Usage(3),
    ]
    sent = server.requests[0]
    params = parse_qs(urlsplit(sent.target).query)
    message = json.loads(params.pop("Message")[0])
    assert params == {"AgentId": ["ag-1"], "SessionId": [SESSION], "Summary": ["true"]}
    assert message.pop("id").count("-") == 4
    assert message == {"role": "user", "content": [{"type": "text", "text": "慢 SQL?"}]}
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["content-length"] == "0"
    assert "content-type" not in sent.headers


async def test_no_agent_is_no_parameter(start_server: Any) -> None:
    server = await start_server(says(ANSWERED))
    await ask(backend(server.endpoint))
    assert "AgentId" not in server.requests[0].target


async def test_a_long_question_goes_as_a_form(start_server: Any) -> None:
    server = await start_server(says(ANSWERED))
    question = "数据库" * 1000
    await ask(backend(server.endpoint), question)
    sent = server.requests[0]
    assert sent.target == "/"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    message = json.loads(parse_qs(sent.body.decode())["Message"][0])
    assert message["content"][0]["text"] == question


async def test_a_question_too_long_is_not_sent(start_server: Any) -> None:
    server = await start_server(says(ANSWERED))
    assert (await fails(backend(server.endpoint), "x" * (QUESTION_LIMIT + 1))).code == "QuestionTooLong"
    assert server.requests == []
    assert await ask(backend(server.endpoint), "x" * QUESTION_LIMIT)


@pytest.mark.parametrize(
    "refusal",
    [
        refuses(429, "TooManyRequests"),
        refuses(400, "Throttling.User"),
        refuses(503, "ServiceUnavailable"),
        says(b"<html><title>Bad Gateway</title></html>", status=502, content_type="text/html"),
    ],
    ids=["429", "throttling", "503", "gateway"],
)
async def test_asks_again_before_anything_began(start_server: Any, refusal: Any) -> None:
    server, pauses = await start_server(refusal, refusal, says(ANSWERED)), Pauses()
    assert len(await ask(backend(server.endpoint, sleep=pauses))) == 3
    assert pauses.seconds == [0.75, 3.0]
    nonces = {request.headers["x-acs-signature-nonce"] for request in server.requests}
    assert len(nonces) == 3
    messages = {parse_qs(urlsplit(request.target).query)["Message"][0] for request in server.requests}
    assert len(messages) == 1


async def test_gives_up_after_three_tries(start_server: Any) -> None:
    server = await start_server(refuses(429, "TooManyRequests"))
    error = await fails(backend(server.endpoint))
    assert (error.code, error.status, error.request_id, error.begun) == ("TooManyRequests", 429, "R1", False)
    assert len(server.requests) == 3


async def test_whoever_asks_waits_between_the_tries_and_may_end_them(start_server: Any) -> None:
    server = await start_server(refuses(429, "TooManyRequests"))
    das, waited = backend(server.endpoint), list[float]()

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        async with das.ask(Ask("hello", SESSION, pause=pause)):
            pass
    await das.aclose()
    assert waited == [0.75, 3.0]
    assert len(server.requests) == 2


async def test_retry_after_is_obeyed_within_the_time_for_tries(start_server: Any) -> None:
    server, pauses = (
        await start_server(refuses(429, "Throttling", "retry-after: 7\r\n"), says(ANSWERED)),
        Pauses(),
    )
    await ask(backend(server.endpoint, sleep=pauses))
    assert pauses.seconds == [7.0]
    late = await start_server(refuses(429, "Throttling", "retry-after: 20\r\n"))
    assert (await fails(backend(late.endpoint))).code == "Throttling"
    assert len(late.requests) == 1


@pytest.mark.parametrize(
    ("script", "code", "begun"),
    [
        (refuses(400, "InvalidParams"), "InvalidParams", False),
        (refuses(403, "NoPermission"), "NoPermission", False),
        (refuses(404, "InstanceNotFound"), "InstanceNotFound", False),
        (refuses(500, "Timeout"), "Timeout", False),
        (refuses(200, "Throttling.User"), "Throttling.User", False),
        (says(b"late", status=504, content_type="text/html"), "HTTP504", False),
        (says(status=302, more="location: http://127.0.0.1:9/\r\n"), "HTTP302", False),
        (says(b"<html>hi</html>", content_type="text/html"), "BadStream", False),
        (says(b'{"code":"Throttling.Api"}'), "Throttling.Api", False),
        (says(), "Cut", True),
        (says(STARTED), "Cut", True),
        (says(STARTED + b"data:?\n\n" * 20), "BadStream", True),
        (resets(head(), STARTED), "Cut", True),
        (says(b"5\r\n: hi\n\r\nff\r\ndata", more="transfer-encoding: chunked\r\n"), "Cut", True),
        (resets(), "Cut", False),
    ],
    ids=[
        "400", "403", "404", "500", "200-json", "504", "redirect", "200-html", "200-json-as-stream", "empty", "fin",
        "malformed", "rst", "half-a-chunk", "rst-before-the-head",
    ],
)  # fmt: skip
async def test_never_asks_again(start_server: Any, script: Any, code: str, begun: bool) -> None:
    server = await start_server(script)
    error = await fails(backend(server.endpoint))
    assert (error.code, error.begun) == (code, begun)
    assert len(server.requests) == 1


async def test_events_before_a_cut_arrive(start_server: Any) -> None:
    server = await start_server(says(STARTED))
    das = backend(server.endpoint)
    async with das.ask(Ask("hello", SESSION)) as events:
        assert await anext(events) == RunStarted("r")
        with pytest.raises(UpstreamError):
            await anext(events)
    await das.aclose()


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        pauses = Pauses()
        error = await fails(backend(f"http://127.0.0.1:{taken.getsockname()[1]}", sleep=pauses))
    assert (error.code, error.begun, len(pauses.seconds)) == ("Connect", False, 2)


@pytest.mark.parametrize("sent", [(), (head(),), (head(), STARTED)], ids=["nothing", "head", "event"])
@pytest.mark.parametrize("code", ["Silence", "Deadline"])
async def test_silence_and_deadline(start_server: Any, sent: tuple[bytes, ...], code: str) -> None:
    """The server never says more, so however slow the machine, only the limit that is set can end it."""
    server = await start_server(hangs(*sent))
    limit = Timeouts(silence=0.3) if code == "Silence" else Timeouts(run=0.3)
    das, entered = backend(server.endpoint, timeouts=limit), False

    async def read() -> None:
        nonlocal entered
        async with das.ask(Ask("hello", SESSION)) as events:
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
    async with das.ask(Ask("hello", SESSION)) as events:
        assert await anext(events) == RunStarted("r")
    await closed.wait()
    await das.aclose()


async def test_cancelling_a_reader_closes_the_connection(start_server: Any) -> None:
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await hangs(head(), STARTED)(request, writer)
        closed.set()

    async def read(das: DasChat) -> None:
        async with das.ask(Ask("hello", SESSION)) as events:
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
