"""Connections that bring no request are let go, and there are only so many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web

from bot.slack.listener import FIRST_SECONDS, NEXT_SECONDS, Listener

HEAD = b"GET / HTTP/1.1\r\nHost: bot\r\n"


class Hand:
    """A clock moved by hand. Whoever sleeps is woken at every move."""

    def __init__(self) -> None:
        self.now = 0.0
        self._moved = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await self._moved.wait()
        self._moved.clear()

    def move(self, seconds: float) -> None:
        self.now += seconds
        self._moved.set()


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def pending() -> asyncio.Event:
    """Set while /slow is being answered; cleared, it ends."""
    return asyncio.Event()


@pytest.fixture
def most() -> int:
    return 100


@pytest.fixture
async def port(hand: Hand, pending: asyncio.Event, most: int) -> AsyncIterator[int]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    async def slow(_: web.Request) -> web.Response:
        pending.set()
        while pending.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        return web.Response(text="here")

    application = web.Application()
    application.router.add_get("/", answer)
    application.router.add_get("/slow", slow)
    listener = Listener(application, most, hand.clock, hand.sleep)
    yield await listener.start("127.0.0.1", 0)
    await listener.aclose()


async def connect(port: int, head: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    await writer.drain()
    return reader, writer


async def answered(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(10):
        return (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")


async def is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(10):
        return await reader.read() == b""


@pytest.mark.parametrize("head", [b"", HEAD + b"X-Slow: "])
async def test_who_does_not_ask_is_let_go(port: int, hand: Hand, head: bytes) -> None:
    silent, writer = await connect(port, head)
    # Connections come in one by one: when this one is answered, the silent one is there.
    asking, keeps = await connect(port, HEAD + b"\r\n")
    assert await answered(asking)
    hand.move(FIRST_SECONDS + 1)
    assert await is_closed(silent)
    # Who has asked may take longer for the next request, and is let go in the end.
    keeps.write(HEAD + b"\r\n")
    assert await answered(asking)
    hand.move(NEXT_SECONDS + 1)
    assert await is_closed(asking)
    writer.close()


@pytest.mark.parametrize("most", [2])
async def test_one_too_many_takes_the_place_of_who_has_been_idle_longest(port: int) -> None:
    first, *held = await connect(port, HEAD + b"\r\n")
    assert await answered(first)
    second, *kept = await connect(port)
    third, *came = await connect(port, HEAD + b"\r\n")
    assert await answered(third) and await is_closed(first)
    kept[0].write(HEAD + b"\r\n")
    assert await answered(second)
    # A writer that nobody holds closes its connection.
    del held, came


@pytest.mark.parametrize("most", [1])
async def test_while_all_are_being_answered_nobody_else_comes_in(port: int, pending: asyncio.Event) -> None:
    first, *held = await connect(port, b"GET /slow HTTP/1.1\r\nHost: bot\r\n\r\n")
    await pending.wait()
    second, *gone = await connect(port, HEAD + b"\r\n")
    with suppress(ConnectionResetError):
        assert await is_closed(second)
    pending.clear()
    assert await answered(first)
    del held, gone
