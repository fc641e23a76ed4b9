"""DAS Agent's Chat as a backend."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

from bot.model.event import Event
from bot.upstream.backend import Ask, Resume
from bot.upstream.credentials import CredentialsSource
from bot.upstream.das_frames import DasFrames
from bot.upstream.errors import check_length
from bot.upstream.wire import Options, Service, Wire

ENDPOINT = "https://das.cn-shanghai.aliyuncs.com"
"""The service is central: this endpoint serves instances of every region."""

SERVICE = Service(product="hdm", version="2020-01-16", form_above=6_000)
"""Gateways refuse long request lines, and Alibaba's own client sends long questions as a form."""

ACTION = "Chat"

QUESTION_LIMIT = 32_000
"""Characters of a question the service takes."""


class DasChat:
    """The backend that asks DAS Agent's Chat. Safe to share between runs.

    Args:
        credentials: asked for every request.
        endpoint: scheme and host, another one for tests and the demo.
        options: see `bot.upstream.wire.Options`.

    Raises:
        ValueError: the endpoint is not one.
    """

    key = "das"
    name = "DAS Agent"
    limit = QUESTION_LIMIT
    names_sessions = False

    def __init__(
        self, credentials: CredentialsSource, *, endpoint: str = ENDPOINT, **options: Unpack[Options]
    ) -> None:
        self._wire = Wire(SERVICE, credentials, endpoint, **options)

    @asynccontextmanager
    async def ask(self, ask: Ask) -> AsyncGenerator[AsyncIterator[Event], None]:
        """Ask, and read what happens; see `bot.upstream.backend.Backend.ask`."""
        check_length(ask.text, QUESTION_LIMIT)
        params = chat_params(ask, message_id=str(uuid.uuid4()))
        async with self._wire.stream(
            ACTION, params, DasFrames(), text=ask.text, pause=ask.pause, leaving=ask.leaving
        ) as events:
            yield events

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()


def chat_params(ask: Ask, *, message_id: str) -> dict[str, str | None]:
    """The parameters of Chat. Without Summary the service names neither the session nor the cost."""
    message = {"id": message_id, "role": "user", "content": [{"type": "text", "text": ask.text}]}
    return {
        "AgentId": ask.agent_id or None,
        "Message": _compact(message),
        "Resume": _compact([_resolved(ask.resume)]) if ask.resume else None,
        "SessionId": ask.session_id or None,
        "Summary": "true",
    }


def _resolved(resume: Resume) -> dict[str, object]:
    return {"interruptId": resume.id, "status": "resolved", "payload": {"value": resume.value}}


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
