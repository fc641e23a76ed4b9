"""What is said and done behind the ack. Every such task has an owner here until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from bot import log
from bot.slack.budget import Priority
from bot.slack.client import SlackClient, SlackError

logger = log.get(__name__)

_DRAIN_SECONDS = 5.0
_TRIES = 4
"""Of what may be said twice without harm. Nobody says it later: a message that was refused is not taken in again."""
_MOST_LINES = 200
"""Private lines that may wait to be shown: two minutes' worth of Slack's rate. What comes later says nothing true any
more, and in a flood of questions there would be no end of them."""


class Notices:
    """Says things without making anybody wait for them. What cannot be said is logged.

    `sleep` waits so many seconds between tries.
    """

    def __init__(
        self, client: SlackClient, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: set[asyncio.Task[None]] = set()
        """Those of them that show a private line."""
        self._is_full = False

    def tell(
        self,
        channel: str,
        user: str,
        text: str,
        thread_ts: str = "",
        blocks: list[dict[str, Any]] | None = None,
    ) -> None:
        """Show `text` (mrkdwn) to one person in a channel, in a thread if given; `blocks` show it, if given.

        While too many such lines wait, it is not shown; the log says so, once for many.
        """
        place = {"thread_ts": thread_ts} if thread_ts else {}
        shown = {"blocks": blocks} if blocks else {}
        self._line("chat.postEphemeral", channel, user, {"user": user, "text": text, **place, **shown})

    def write_to(self, user: str, text: str) -> None:
        """Write `text` (mrkdwn) to one person in their direct messages with the bot, as `tell` does in a channel."""
        self._line("chat.postMessage", user, user, {"text": text}, tries=1)

    def _line(
        self, method: str, channel: str, user: str, arguments: dict[str, Any], tries: int = _TRIES
    ) -> None:
        was_full, self._is_full = self._is_full, len(self._lines) >= _MOST_LINES
        if self._is_full:
            if not was_full:
                logger.warning("private lines are not said, too many wait", waiting=len(self._lines))
            return
        line = self.behind(self._call(method, channel, user, arguments, tries))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    def say(self, channel: str, thread_ts: str, text: str) -> None:
        """Post `text` (mrkdwn) into a thread for everybody."""
        arguments = {"thread_ts": thread_ts, "text": text, "unfurl_links": False, "unfurl_media": False}
        self.behind(self._call("chat.postMessage", channel, thread_ts, arguments, tries=1))

    def rewrite(self, channel: str, ts: str, blocks: list[dict[str, Any]], text: str) -> None:
        """Change a message of ours that nothing else writes any more."""
        self.behind(self._call("chat.update", channel, ts, {"ts": ts, "blocks": blocks, "text": text}))

    def open_view(self, user: str, trigger_id: str, view: str) -> None:
        """Open a modal (a view as JSON). The trigger lives for 3 s."""
        self.behind(self._call("views.open", "", user, {"trigger_id": trigger_id, "view": view}, 1))

    def settle(self, channel: str, thread_ts: str) -> None:
        """Tell Slack that nothing is at work in a thread: after its own Stop "processing" would stay for an hour."""
        arguments = {"thread_ts": thread_ts, "status": "active"}
        self.behind(self._call("agents.sessions.setStatus", channel, thread_ts, arguments))

    async def respond(self, response_url: str, text: str) -> None:
        """Answer a slash command privately where the bot itself may not post. Failures are logged."""
        web = self._client.web
        assert web.session is not None
        body = {"response_type": "ephemeral", "text": text}
        try:
            async with web.session.post(response_url, json=body, proxy=web.proxy) as response:
                if response.status >= 400:
                    logger.warning("response_url refused", status=response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("response_url did not answer", reason=type(error).__name__)

    def behind(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Do `work` without making anybody wait for it. What it raises is logged."""
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Give what is under way a moment, then let go."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(
        self, method: str, channel: str, owner: str, arguments: dict[str, Any], tries: int = _TRIES
    ) -> None:
        try:
            await self._client.insist(
                method, channel, Priority.TOOL, owner, lambda: arguments, tries=tries, sleep=self._sleep
            )
        except SlackError as error:
            logger.warning("not said", method=method, channel=channel, reason=str(error))


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception:
        logger.exception("what was to be done behind an ack failed")
