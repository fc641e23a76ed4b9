"""Socket Mode: the connection to Slack, and a watchdog over it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import aiohttp
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot import log

logger = log.get(__name__)

PING_SECONDS = 3.0
"""How often the SDK looks at the connection, and so the longest a lost one goes unnoticed; without a pong for four
times as long it counts as lost. The SDK's own 10 s would cost a question both of Slack's first deliveries."""
CHECK_SECONDS = 5.0
DEAD_SECONDS = 60.0
"""Without a connection for this long, the ticket is thrown away: the SDK may try one dead ticket for ever."""
_PASSING = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    }
)
"""Errors that Slack answers with HTTP 200 and that pass by themselves."""


class Socket:
    """Keeps one Socket Mode connection. `run` is its life. `clock` gives seconds, `sleep` waits that many."""

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client: SocketModeClient = AsyncSocketModeHandler(
            app, app_token, ping_interval=PING_SECONDS
        ).client
        self._client.logger.addFilter(_without_trace)
        self._clock = clock
        self._sleep = sleep
        self.stood = asyncio.Event()
        """Set once the first connection stands."""

    async def is_connected(self) -> bool:
        """Whether the connection stands now."""
        return self.stood.is_set() and await self._client.is_connected()

    async def run(self) -> None:
        """Connect, and stay connected until cancelled. A Slack that is away is tried again.

        Raises:
            SlackApiError: when Slack refuses the app token.
        """
        try:
            await self._connect()
            self.stood.set()
            await self._watch()
        finally:
            await self._client.close()

    async def _connect(self) -> None:
        wait = 0.5
        while True:
            try:
                await self._client.connect_to_new_endpoint(force=True)
                return
            except SlackApiError as error:
                if refusal(error):
                    raise
                reason = str(error)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = type(error).__name__
            logger.warning("socket not connected, trying again", reason=reason, seconds=wait)
            await self._sleep(wait)
            wait = min(wait * 2, 10)

    async def _watch(self) -> None:
        last_alive = self._clock()
        while True:
            await self._sleep(CHECK_SECONDS)
            if await self._client.is_connected():
                last_alive = self._clock()
            elif self._clock() - last_alive > DEAD_SECONDS:
                logger.warning("no connection to Slack, asking for a new one", seconds=DEAD_SECONDS)
                last_alive = self._clock()
                self._client.wss_uri = None


def _without_trace(record: logging.LogRecord) -> bool:
    """The SDK logs a connection that breaks (while it acks, say) with all frames, as if it were a fault of ours."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OSError | TimeoutError | aiohttp.ClientError | SlackApiError):
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def refusal(error: SlackApiError) -> str:
    """Slack's word for why it refuses for good, or "" when trying again may help."""
    # The body of a proxy's answer may be anything, and then the SDK's response is not even of its own kind.
    data = getattr(error.response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    return "" if code in _PASSING or getattr(error.response, "status_code", 500) >= 500 else code
