"""The calls to Slack of one reply: in its channel, on its share of the budget, behind the fence of its lease."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Any

from bot import log
from bot.model.run import Run
from bot.slack.budget import Budget, Priority, Urgency
from bot.slack.client import SlackClient, SlackError, UncertainError
from bot.slack.reply.chunks import marked
from bot.slack.reply.files import File
from bot.slack.reply.record import Record

logger = log.get(__name__)

METADATA_TYPE = "das_bot_reply"
CLOCKS_APART = 600.0
"""Seconds our clock may be ahead of Slack's for a message to be found again: its age is told by Slack's."""
_TS = re.compile(r"[0-9]+\.[0-9]+")
"""What Slack gave; a question without a message of its own has an id in its place."""


class Line:
    """Calls for one run's reply. `sleep` waits so many seconds between tries."""

    def __init__(
        self, client: SlackClient, run: Run, record: Record, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.refusals = client.refusals
        self._client = client
        self._run = run
        self._record = record
        self._sleep = sleep

    @property
    def budget(self) -> Budget:
        """What paces the calls."""
        return self._client.budget

    @property
    def closed(self) -> str:
        """Slack's word for why the bot may write nothing there, as it was last told; "" while it may."""
        return "token_revoked" if self._client.is_shut_out else self._client.closed.get(self.channel, "")

    @property
    def channel(self) -> str:
        """Where the reply is."""
        return self._run.question.thread.channel

    async def write(
        self,
        method: str,
        priority: Urgency,
        make: Callable[[], dict[str, Any]],
        *,
        on_answer: Callable[[dict[str, Any]], None] | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """One write that is not repeated; see `SlackClient.call`."""
        try:
            return await self._client.call(
                method, self.channel, priority, self._run.id, make, on_answer, self._record.fence, once=once
            )
        finally:
            self._record.written()

    async def insist(
        self, method: str, priority: Urgency, make: Callable[[], dict[str, Any]], *, tries: int
    ) -> dict[str, Any]:
        """A write that may be repeated without harm."""
        try:
            return await self._client.insist(
                method,
                self.channel,
                priority,
                self._run.id,
                make,
                tries=tries,
                sleep=self._sleep,
                before=self._record.fence,
            )
        finally:
            self._record.written()

    def new_message(self, number: int) -> dict[str, Any]:
        """Arguments of chat.postMessage beside the payload; by the metadata the message is found again."""
        return {
            "thread_ts": self._run.question.thread.thread_ts,
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": self._metadata(message=number),
        }

    def no_message(self) -> dict[str, Any]:
        """Arguments of chat.update for what is the reply's no more: what is not given Slack keeps, and it would be
        found again."""
        return {"metadata": self._metadata()}

    def _metadata(self, **known: int) -> dict[str, Any]:
        return {"event_type": METADATA_TYPE, "event_payload": {"run": self._run.id, **known}}

    @property
    def _asked_ts(self) -> str:
        """A ts no younger than the reply, by Slack's clock, from which ours may differ."""
        question = self._run.question
        if _TS.fullmatch(question.ts):
            return question.ts
        return f"{max(float(question.thread.thread_ts), self._run.accepted_at - CLOCKS_APART):.6f}"

    async def find(self, number: int, but: Collection[str] = ()) -> str:
        """The ts of message `number`, whose post or start has an unknown fate; "" when it is not in the thread.

        `but` are messages that it is not: they bore that number before.

        Raises:
            SlackError: when Slack does not tell. Not known is not "not there".
        """
        async with aclosing(self.written_for(self._run.id)) as written:
            async for ts, each in written:
                if each == number and ts not in but:
                    return ts
        return ""

    async def written_for(self, run_id: str) -> AsyncGenerator[tuple[str, int], None]:
        """The ts and number of each message in the thread that was made for the reply to a run.

        A message that began as a stream is told by what it was opened with, as long as it shows that.

        Raises:
            SlackError: when Slack does not tell.
        """
        messages = self._client.messages(
            "conversations.replies",
            self.channel,
            self._run.id,
            {
                "ts": self._run.question.thread.thread_ts,
                "oldest": self._asked_ts,
                "include_all_metadata": True,
            },
            sleep=self._sleep,
        )
        async with aclosing(messages) as listed:
            async for message in listed:
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                if payload.get("run") == run_id and "message" in payload:
                    yield str(message["ts"]), int(payload["message"])
                elif (number := marked(run_id, message.get("blocks") or [])) is not None:
                    yield str(message["ts"]), number

    async def upload(self, files: list[File]) -> bool:
        """Put files into the thread, all in one message, once. False: they are not there, and the log says why."""
        may_be_there = False
        try:
            sent = [{"id": await self._send(file), "title": file.title} for file in files]
            may_be_there = True
            await self.write(
                "files.completeUploadExternal",
                Priority.TOOL,
                lambda: {"files": json.dumps(sent), "thread_ts": self._run.question.thread.thread_ts},
            )
        except SlackError as error:
            logger.error("files not attached", run=self._run.reference, reason=str(error))
            return may_be_there and isinstance(error, UncertainError)
        return True

    async def _send(self, file: File) -> str:
        content = file.text.encode()
        answer = await self.insist(
            "files.getUploadURLExternal",
            Priority.TOOL,
            lambda: {"filename": file.name, "length": len(content)},
            tries=3,
        )
        await self._client.upload(str(answer["upload_url"]), content)
        return str(answer["file_id"])
