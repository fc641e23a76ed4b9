"""RDS Copilot as a backend: ChatMessages, and the calls that stop, fetch and rate its answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, Unpack

from bot.model.event import Event
from bot.upstream.backend import Ask, Others
from bot.upstream.credentials import CredentialsSource
from bot.upstream.errors import UpstreamError, check_length
from bot.upstream.rds_frames import RdsFrames
from bot.upstream.rds_records import Record, has_more, listed, name_of
from bot.upstream.rds_recovery import Recovery
from bot.upstream.values import folded, string
from bot.upstream.wire import DEFAULT_TIMEOUTS, Options, Service, Wire

CENTRAL_REGIONS = frozenset(
    {"cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-guangzhou", "cn-wulanchabu"}
)
"""Regions served by the central endpoint, from the official SDK's table."""

SERVICE = Service(product="rdsai", version="2025-05-07", form_above=None)
"""Parameters stay in the query, where the official SDK puts them whatever their length: up to 72 KB for a question
of 8,000 Chinese characters. Whether RDS Copilot reads a form body is unproven, so a question goes in one only when a
gateway has refused its request line as too long (414, 431: nothing has begun then): unproven is better than refused."""

QUESTION_LIMIT = 8_000
"""Characters of a question the service takes."""

TIMEZONE = "Asia/Shanghai"
"""The service's own default, sent when the asker's is unknown."""

GO_ON = {"en": "continue", "zh": "继续"}
"""Query is required, also where a paused run goes on and nothing is asked."""

PAGE = 20
"""Messages fetched at once. A thread asks one at a time, so the one looked for is among the newest."""
CONVERSATIONS = 100
"""Conversations fetched at once, the most the service gives."""
PAGES = 20
"""Pages of conversations looked through, so that a service that never runs out of them is not read for ever."""

NOT_STOPPED = ("fail", "failed", "failure", "error", "false")

Approval = Literal["read_only", "manual", "auto"]


def rds_endpoint(region: str) -> str:
    """The endpoint that serves a region's instances."""
    return f"https://rdsai{'' if region in CENTRAL_REGIONS or not region else f'.{region}'}.aliyuncs.com"


class RdsCopilot:
    """The backend that asks RDS Copilot. Safe to share between runs. It is `Followed` too.

    Args:
        credentials: asked for every request.
        region: whose instances are asked about; empty leaves it to the service.
        endpoint: scheme and host; empty is the region's.
        approval: what tools that write may do: nothing, after a decision in the console, or as the service decides.
        clock: seconds on any one clock, for how long a lost answer is waited for.
        options: see `bot.upstream.wire.Options`.

    Raises:
        ValueError: the endpoint is not one.
    """

    key = "rds"
    name = "RDS Copilot"
    limit = QUESTION_LIMIT
    names_sessions = True

    def __init__(
        self,
        credentials: CredentialsSource,
        *,
        region: str = "",
        endpoint: str = "",
        approval: Approval = "read_only",
        clock: Callable[[], float] = time.monotonic,
        **options: Unpack[Options],
    ) -> None:
        self._wire = Wire(SERVICE, credentials, endpoint or rds_endpoint(region), **options)
        self._region = region
        self._approval = approval
        self._clock = clock
        self._sleep = options.get("sleep", asyncio.sleep)
        self._within = options.get("timeouts", DEFAULT_TIMEOUTS).run

    @asynccontextmanager
    async def ask(self, ask: Ask) -> AsyncGenerator[AsyncIterator[Event], None]:
        """Ask, and read what happens; see `bot.upstream.backend.Backend.ask`."""
        check_length(ask.text, QUESTION_LIMIT)
        params = chat_params(ask, self._region, self._approval)
        async with self._wire.stream(
            "ChatMessages", params, RdsFrames(), text=ask.text, pause=ask.pause, leaving=ask.leaving
        ) as events:
            yield events

    async def stop(self, run_id: str) -> None:
        """End a run for good; see `bot.upstream.backend.Followed.stop`."""
        answer = folded(await self._wire.call("ChatMessagesTaskStop", {"TaskId": run_id}))
        result = string(answer.get("result"))
        if result.lower() in NOT_STOPPED:
            raise UpstreamError("NotStopped", f"the service answered {result}")

    def recover(self, ask: Ask, message_id: str, since: float, others: Others) -> AsyncIterator[Event]:
        """Fetch a lost answer; see `bot.upstream.backend.Followed.recover`."""
        recovery = Recovery(
            self._conversations,
            self._messages,
            self.status,
            sleep=self._sleep,
            clock=self._clock,
            within=self._within,
        )
        return recovery.events(ask.session_id, query_of(ask), message_id, since, others)

    async def rate(self, message_id: str, rating: str, comment: str) -> None:
        """Tell what somebody thinks of an answer; see `bot.upstream.backend.Followed.rate`."""
        params = {"Content": comment or None, "MessageId": message_id, "Rating": rating}
        await self._wire.call("ModifyMessagesFeedbacks", params, text=comment)

    async def status(self, session_id: str) -> str:
        """What the service says of a conversation: "idle", "running", "pending_approval"; "" when it has none.

        Raises:
            UpstreamError: when the service refuses or does not answer.
        """
        async for conversation in self._conversations():
            if name_of(conversation) == session_id:
                return string(conversation.get("status")).lower()
        return ""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def _messages(self, session_id: str) -> list[Record]:
        params = {"ConversationId": session_id, "EventMode": "separate", "Limit": str(PAGE)}
        return listed(await self._wire.call("GetMessages", params))

    async def _conversations(self) -> AsyncGenerator[Record, None]:
        """All conversations, those that changed last first, page by page as they are wanted."""
        last = ""
        for _ in range(PAGES):
            params = {"LastId": last or None, "Limit": str(CONVERSATIONS), "SortBy": "-updated_at"}
            answer = await self._wire.call("GetConversations", params)
            page = listed(answer)
            for conversation in page:
                yield conversation
            if not (page and has_more(answer)):
                return
            last = name_of(page[-1])
        raise UpstreamError("NotFound", f"not among the {PAGES * CONVERSATIONS} newest conversations")


def query_of(ask: Ask) -> str:
    """What is sent as the question."""
    return ask.text or GO_ON[ask.language]


def chat_params(ask: Ask, region: str, approval: Approval) -> dict[str, str | None]:
    """The parameters of ChatMessages. EventMode is separate: how events look inside the text is undocumented."""
    inputs = {
        "CustomAgentId": ask.agent_id or None,
        "Language": ask.locale.replace("_", "-") or ("zh-CN" if ask.language == "zh" else "en-US"),
        "RegionId": region or None,
        "ResumeCallId": ask.resume.id if ask.resume else None,
        "Timezone": ask.timezone or TIMEZONE,
        "ToolApprovalMode": approval,
    }
    given = {name: value for name, value in inputs.items() if value is not None}
    return {
        "ConversationId": ask.session_id or None,
        "EventMode": "separate",
        "Inputs": json.dumps(given, ensure_ascii=False, separators=(",", ":"), sort_keys=True),
        "ParentMessageId": ask.parent_id or None,
        "Query": query_of(ask),
    }
