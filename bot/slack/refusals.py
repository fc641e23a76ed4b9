"""What a workspace was found not to know, remembered for a while so that it is not asked again by every answer.

How long depends on why: a scope that is missing stays so until somebody installs the app anew; of a code nobody knows
nothing can be said. What concerns one question alone, and what passes, is not remembered at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

_LONG_SECONDS = 6 * 3_600.0
"""For what only an administrator changes. They see the effect of that the same day."""
_SHORT_SECONDS = 600.0
"""For codes we cannot class."""
_BLOCKS_SECONDS = 3_600.0
"""For kinds of blocks: Slack rolls them out over weeks, and one look an hour costs nothing."""

_FOR_LONG = frozenset(
    {
        "missing_scope",
        "not_allowed_token_type",
        "unknown_method",
        "method_deprecated",
        "deprecated_endpoint",
        "feature_not_enabled",
        "streaming_not_enabled",
        "no_permission",
        "access_denied",
        "ekm_access_denied",
        "team_access_not_granted",
    }
)
_OF_THE_QUESTION = frozenset(
    {
        "channel_not_found",
        "channel_type_not_supported",
        "method_not_supported_for_channel_type",
        "is_archived",
        "not_in_channel",
        "cannot_reply_to_message",
        "thread_not_found",
        "message_not_found",
        "missing_recipient_team_id",
        "missing_recipient_user_id",
        "user_not_found",
        "team_not_found",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "msg_too_long",
        "msg_blocks_too_long",
        "msg_blocks_too_many",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "ratelimited",
        "rate_limited",
        "message_limit_exceeded",
    }
)
"""Codes that speak of one channel, person or content, or that every other method answers as well."""
_OF_ITS_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_chunks"})
"""Codes that may mean the buttons in a stream: whether Slack takes them everywhere is not documented."""
_STREAMS, _BUTTONS, _BLOCKS = "streams", "buttons", "blocks"


class Memory(Protocol):
    """Where refusals are kept; see `bot.store.refusals`. It raises nothing."""

    async def put(self, name: str, value: str, seconds: float) -> None:
        """Keep a value for so long."""
        ...

    async def get(self, name: str) -> str:
        """The value, "" when there is none."""
        ...


class OwnMemory:
    """Refusals of this process alone. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}

    async def put(self, name: str, value: str, seconds: float) -> None:
        """Keep a value for so long."""
        self._kept[name] = (value, self._clock() + seconds)

    async def get(self, name: str) -> str:
        """The value, "" when there is none."""
        value, until = self._kept.get(name, ("", 0.0))
        return value if self._clock() < until else ""


class Refusals:
    """The refusals of one workspace. `memory` may be replaced by one that all replicas share."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory: Memory = memory or OwnMemory()

    async def stream(self, code: str, *, had_buttons: bool = False) -> None:
        """Slack refused to open a stream, one with buttons in it or without."""
        if code in _OF_ITS_BLOCKS and had_buttons:
            await self.memory.put(_BUTTONS, code, _BLOCKS_SECONDS)
        elif code not in _OF_THE_QUESTION:
            await self.memory.put(_STREAMS, code, _LONG_SECONDS if code in _FOR_LONG else _SHORT_SECONDS)

    async def streams(self) -> bool:
        """Whether streams are refused here."""
        return bool(await self.memory.get(_STREAMS))

    async def buttons(self) -> bool:
        """Whether buttons are refused in streams here."""
        return bool(await self.memory.get(_BUTTONS))

    async def blocks(self, detail: str, rung: int) -> None:
        """Slack refused blocks, and simpler ones have to do: `rung` says how simple they are.

        Remembered only where its words name a kind of block. Else the fault may be ours, and of one message alone.
        """
        if "unsupported type" in detail or "unsupported block" in detail:
            await self.memory.put(_BLOCKS, str(rung), _BLOCKS_SECONDS)

    async def rung(self) -> int:
        """How simple blocks have to be, 0 when nothing was refused."""
        kept = await self.memory.get(_BLOCKS)
        return int(kept) if kept.isdigit() else 0
