"""How a run ended, and what it does while it has not. Values the relay hands to a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.model.run import State


@dataclass(frozen=True, slots=True)
class Ending:
    """A run's final state; `reason` is a plain sentence for people, `by` who stopped it.

    `characters` is what it cost, `estimated` when the service did not say; None when nothing ran.
    """

    state: State
    reason: str = ""
    by: str = ""
    characters: int | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run without an ending does.

    `place` is its place in the queue it waits in (1 is next); `limit` how many run at once there; `seconds` how long
    until a busy service is asked again.
    """

    doing: Literal["starting", "waiting_thread", "waiting_slot", "waiting_service", "working"]
    place: int = 0
    limit: int = 0
    seconds: float = 0.0
