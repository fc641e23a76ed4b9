"""Listening for HTTP: who connects and does not ask is let go, the sooner the more others come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger
from aiohttp.web_protocol import RequestHandler

from bot import log

logger = log.get(__name__)

FIRST_SECONDS = 10.0
"""Longest wait for the head of a connection's first request. Slack sends it at once."""
NEXT_SECONDS = 75.0
"""Longest wait for the head of the next request: load balancers keep a connection for 60 s and expect us not to hang
up first."""
LOOK_SECONDS = 1.0
"""How often it is looked who waits too long."""
MOST = 400
"""Connections at once on a port that Slack calls. It opens a few dozen at most."""
MOST_PROBES = 20
"""Connections at once on a port that only probes and Prometheus call."""
CLOSE_SECONDS = 5.0
"""Longest wait for requests under way at the end."""


class Listener:
    """Serves an application on a port.

    aiohttp itself waits for ever for the head of a request, so a handful of silent connections would be kept, and in
    the end all the files a process may open.

    Args:
        application: what answers.
        most: connections at once.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        application: web.Application,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        application.middlewares.append(self._note)
        server_logger.addFilter(_without_its_words)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=CLOSE_SECONDS)
        self._most = most
        self._clock = clock
        self._sleep = sleep
        # Until when each connection without a request under way may stay; those that have had none for longest first.
        self._until: dict[RequestHandler, float] = {}
        self._server: asyncio.Server | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_full = False

    async def start(self, host: str, port: int) -> int:
        """Start listening; returns the port.

        Raises:
            OSError: when the port is taken.
        """
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(self._connect, host, port)
        except OSError:
            await self._runner.cleanup()
            raise
        self._looking = asyncio.create_task(self._look())
        return int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Stop listening, and give what is under way a moment."""
        if self._server is not None:
            self._server.close()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._runner.cleanup()

    def _connect(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        was_full, self._is_full = self._is_full, len(server.connections) >= self._most
        if self._is_full:
            if not was_full:
                logger.error(
                    "too many connections, idle ones are closed for new ones", connections=self._most
                )
            idle = next(iter(self._until), None)
            if idle is None:
                return _Refused()
            self._let_go(idle)
        made = server()
        self._until[made] = self._clock() + FIRST_SECONDS
        return made

    @web.middleware
    async def _note(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        protocol: RequestHandler = request.protocol
        # What answers has limits of its own.
        self._until.pop(protocol, None)
        try:
            return await handler(request)
        finally:
            self._until[protocol] = self._clock() + NEXT_SECONDS

    async def _look(self) -> None:
        while True:
            await self._sleep(LOOK_SECONDS)
            server = self._runner.server
            assert server is not None
            now, there = self._clock(), set(server.connections)
            self._until = {each: until for each, until in self._until.items() if each in there}
            for late in [each for each, until in self._until.items() if until < now]:
                self._let_go(late)

    def _let_go(self, idle: RequestHandler) -> None:
        del self._until[idle]
        idle.force_close()


def _without_its_words(record: logging.LogRecord) -> bool:
    """What is no proper HTTP was refused. aiohttp logs it as a fault of ours, with the bytes that it did not like."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | web.RequestPayloadError):
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


class _Refused(asyncio.Protocol):
    """A connection that is closed as soon as it is made: all others are being answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
