"""DAS Agent's older GetDasAgentSSE as a backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

from bot.model.event import Event
from bot.upstream.backend import Ask
from bot.upstream.credentials import CredentialsSource
from bot.upstream.das import ENDPOINT, QUESTION_LIMIT, SERVICE
from bot.upstream.das_legacy_frames import LegacyFrames
from bot.upstream.errors import check_length
from bot.upstream.wire import Options, Wire

ACTION = "GetDasAgentSSE"


class DasLegacy:
    """The backend that asks GetDasAgentSSE: text and tool names only, and a session named by the service.

    Args:
        credentials: asked for every request.
        endpoint: scheme and host, another one for tests and the demo.
        options: see `bot.upstream.wire.Options`.

    Raises:
        ValueError: the endpoint is not one.
    """

    key = "das-legacy"
    name = "DAS Agent (legacy)"
    limit = QUESTION_LIMIT
    names_sessions = True

    def __init__(
        self, credentials: CredentialsSource, *, endpoint: str = ENDPOINT, **options: Unpack[Options]
    ) -> None:
        self._wire = Wire(SERVICE, credentials, endpoint, **options)

    @asynccontextmanager
    async def ask(self, ask: Ask) -> AsyncGenerator[AsyncIterator[Event], None]:
        """Ask, and read what happens; see `bot.upstream.backend.Backend.ask`. It cannot resume."""
        check_length(ask.text, QUESTION_LIMIT)
        async with self._wire.stream(
            ACTION, legacy_params(ask), LegacyFrames(), text=ask.text, pause=ask.pause, leaving=ask.leaving
        ) as events:
            yield events

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()


def legacy_params(ask: Ask) -> dict[str, str | None]:
    """The parameters of GetDasAgentSSE. Its InstanceId is deprecated: the question names the instance."""
    return {"AgentId": ask.agent_id or None, "Query": ask.text, "SessionId": ask.session_id or None}
