"""Socket Mode: the connection to Slack, and a watchdog over it."""

from __future__ import annotations

import asyncio
import time

import aiohttp
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from bot import log

logger = log.get(__name__)

CHECK_SECONDS = 5.0
DEAD_SECONDS = 60.0
"""Without a connection for this long, the ticket is thrown away: the SDK may try one dead ticket for ever."""


class Socket:
    """Keeps one Socket Mode connection. `run` is its life."""

    def __init__(self, app: AsyncApp, app_token: str) -> None:
        self._handler = AsyncSocketModeHandler(app, app_token)
        self.connected = False
        """Whether the connection stood at the last check."""

    async def run(self) -> None:
        """Connect, and stay connected until cancelled. A Slack that is away is tried again.

        Raises:
            SlackApiError: when Slack refuses the app token.
        """
        client = self._handler.client
        last_alive = time.monotonic()
        try:
            await self._connect()
            while True:
                self.connected = await client.is_connected()
                if self.connected:
                    last_alive = time.monotonic()
                elif time.monotonic() - last_alive > DEAD_SECONDS:
                    logger.warning("no connection to Slack, asking for a new one", seconds=DEAD_SECONDS)
                    last_alive = time.monotonic()
                    client.wss_uri = None
                await asyncio.sleep(CHECK_SECONDS if self.connected else 0.2)
        finally:
            self.connected = False
            await self._handler.client.close()  # type: ignore[no-untyped-call]

    async def _connect(self) -> None:
        wait = 0.5
        while True:
            try:
                await self._handler.client.connect_to_new_endpoint(force=True)
                return
            except SlackApiError as error:
                if error.response.status_code < 500 and error.response.status_code != 429:
                    raise
                reason = f"HTTP {error.response.status_code}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = type(error).__name__
            logger.warning("socket not connected, trying again", reason=reason, seconds=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 10)
