"""Private lines to one person, sent behind the ack. Every one has an owner here until it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp

from bot import log
from bot.slack.budget import Priority
from bot.slack.client import SlackClient, SlackError

logger = log.get(__name__)

_DRAIN_SECONDS = 5.0


class Notices:
    """Sends private lines without making anybody wait for them."""

    def __init__(self, client: SlackClient) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, channel: str, user: str, text: str, thread_ts: str = "") -> None:
        """Show `text` (mrkdwn) to one person in a channel, in a thread if given."""
        self._own(self._tell(channel, user, text, thread_ts))

    async def respond(self, response_url: str, text: str) -> None:
        """Answer a slash command privately where the bot itself may not post. Failures are logged."""
        session = self._client.web.session
        assert session is not None
        body = {"response_type": "ephemeral", "text": text}
        try:
            async with session.post(response_url, json=body) as response:
                if response.status >= 400:
                    logger.warning("response_url refused", status=response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("response_url did not answer", reason=type(error).__name__)

    async def aclose(self) -> None:
        """Give what is under way a moment, then let go."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, channel: str, user: str, text: str, thread_ts: str) -> None:
        place = {"thread_ts": thread_ts} if thread_ts else {}
        try:
            await self._client.call(
                "chat.postEphemeral",
                channel,
                Priority.TOOL,
                user,
                lambda: {"user": user, "text": text, **place},
            )
        except SlackError as error:
            logger.warning("private line not sent", channel=channel, reason=str(error))
