"""What comes right before a call leaves, and what a finished one leaves behind in the process: nothing."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.upstream.acs3 import Credentials
from bot.upstream.backend import Ask
from bot.upstream.credentials import StaticCredentials
from bot.upstream.das import DasChat
from bot.upstream.das_legacy import DasLegacy
from bot.upstream.errors import UpstreamError
from bot.upstream.rds import RdsCopilot

STREAM = b'data:{"Type":"RUN_STARTED"}\n\ndata:{"Type":"RUN_FINISHED"}\n\ndata:[DONE]\n\n'


@pytest.fixture
def responses(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[httpx.Response]]:
    """Every response there was, as far as it is still there."""
    seen: list[weakref.ref[httpx.Response]] = []
    send = httpx.AsyncClient.send

    async def watched(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        response = await send(self, request, **more)
        seen.append(weakref.ref(response))
        return response

    monkeypatch.setattr(httpx.AsyncClient, "send", watched)
    return seen


@pytest.fixture
async def das(start_server: Any, request: pytest.FixtureRequest) -> AsyncIterator[DasChat]:
    async def script(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(request.param)

    server = await start_server(script)
    backend = DasChat(StaticCredentials(Credentials("id", "secret")), endpoint=server.endpoint)
    yield backend
    await backend.aclose()


def _answer(status: str, kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "das",
    [
        pytest.param(_answer("200 OK", "text/event-stream", STREAM), id="answered"),
        pytest.param(_answer("200 OK", "text/event-stream", STREAM[:30]), id="cut"),
        pytest.param(
            _answer("400 Bad Request", "application/json", b'{"Code":"InvalidParams"}'), id="refused"
        ),
    ],
    indirect=True,
)
async def test_a_connection_does_not_wait_for_the_garbage_collector(
    das: DasChat, responses: list[weakref.ref[httpx.Response]]
) -> None:
    gc.disable()
    try:
        try:
            async with das.ask(Ask("why?")) as events:
                async for _ in events:
                    pass
        except UpstreamError:
            pass
        # The event loop ends httpx's generators in tasks of their own, one inside the other.
        for _ in range(20):
            await asyncio.sleep(0)
        assert [response() for response in responses] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", [DasChat, DasLegacy, RdsCopilot])
async def test_who_asks_has_the_last_word_before_the_request_leaves(start_server: Any, kind: Any) -> None:
    async def script(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(_answer("200 OK", "text/event-stream", STREAM))

    server, calls = await start_server(script), list[int]()

    async def leaving() -> None:
        calls.append(len(server.requests))
        if len(calls) == 1:
            raise KeyError("not ours")

    backend = kind(StaticCredentials(Credentials("id", "secret")), endpoint=server.endpoint)
    question = Ask("why?", "s-1", leaving=leaving)
    with pytest.raises(KeyError, match="not ours"):
        async with backend.ask(question):
            pass
    assert server.requests == []
    async with backend.ask(question):
        pass
    await backend.aclose()
    assert calls == [0, 0] and len(server.requests) == 1
