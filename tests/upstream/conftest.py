"""Servers the client side is tested against: one that records raw bytes, and scripted answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest


@dataclass
class Recorded:
    """One request as it arrived, byte for byte."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    """What else the client sends: nothing, until it closes."""


Script = Callable[[Recorded, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """Records each request and answers with the scripts in turn; the last one serves all that follow."""

    scripts: list[Script]
    requests: list[Recorded] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
            method, target, _ = head[0].split(" ")
            pairs = (line.partition(": ") for line in head[1:])
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Recorded(method, target, headers, body, reader))
            script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
            await script(self.requests[-1], writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


StartServer = Callable[..., Awaitable[RawServer]]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Start a server with these scripts; all servers end with the test."""
    servers: list[asyncio.Server] = []

    async def start(*scripts: Script) -> RawServer:
        recorder = RawServer(list(scripts))
        server = await asyncio.start_server(recorder.handle, "127.0.0.1", 0, limit=2**20)
        recorder.port = server.sockets[0].getsockname()[1]
        servers.append(server)
        return recorder

    yield start
    for server in servers:
        server.close()
