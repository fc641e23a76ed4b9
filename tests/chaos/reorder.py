"""Deliveries that overtake each other: Slack keeps no order."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.demo.workspace import Workspace
from bot.demo.workspace.delivery import Delivery

TWINS, THREADS = "twins", "threads"
"""A mention and the message it came as; questions of different threads."""
_LONGEST_SECONDS = 5.0
"""How long one is held back when none comes that may overtake it."""


@dataclass(slots=True, eq=False)
class _Swap:
    """One swap. `ts` is the message that is held back, "" while none is."""

    what: str
    ts: str = ""
    overtaken: bool = False
    over: bool = False
    since: int = 0
    """How many deliveries there had been."""


class Reorder:
    """Holds back the next question of a kind until a later delivery was acked."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._swaps: list[_Swap] = []
        workspace.before_deliveries(self._hold)

    async def swap(self, what: str, patience: float) -> bool:
        """Swap the next two deliveries; False when none came within `patience` seconds."""
        swap = _Swap(what)
        self._swaps.append(swap)
        with suppress(TimeoutError):
            await self._workspace.until(lambda: swap.over, patience)
        self._swaps.remove(swap)
        return swap.overtaken

    async def _hold(self, delivery: Delivery) -> None:
        if not is_question(delivery.payload):
            return
        event = delivery.payload["event"]
        for swap in self._swaps:
            if not swap.ts and (swap.what == THREADS or event["type"] == "app_mention"):
                swap.ts, swap.since = event["ts"], len(self._workspace.deliveries)
            if swap.ts == event["ts"] and (swap.what == THREADS or event["type"] == "app_mention"):
                await self._overtaken(swap, event)
                return

    async def _overtaken(self, swap: _Swap, event: dict[str, Any]) -> None:
        def overtaken() -> bool:
            later = self._workspace.deliveries[swap.since :]
            return any(one.acked and _may_overtake(swap, event, one.payload) for one in later)

        with suppress(TimeoutError):
            await self._workspace.until(overtaken, _LONGEST_SECONDS)
            swap.overtaken = True
        swap.over = True
        self._workspace.state.bell.ring()


def is_question(payload: dict[str, Any]) -> bool:
    """Whether a delivery brings somebody's question."""
    event = payload.get("event")
    return isinstance(event, dict) and "rm-chaos" in str(event.get("text", "")) and not event.get("bot_id")


def _may_overtake(swap: _Swap, event: dict[str, Any], payload: dict[str, Any]) -> bool:
    other = payload.get("event")
    if not isinstance(other, dict) or not is_question(payload):
        return False
    if swap.what == TWINS:
        return bool(other["ts"] == event["ts"] and other["type"] == "message")
    return _thread(other) != _thread(event)


def _thread(event: dict[str, Any]) -> tuple[str, str]:
    return str(event["channel"]), str(event.get("thread_ts") or event["ts"])
