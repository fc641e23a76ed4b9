"""How a run under way and the worker that has it tell each other what the other cannot see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Control:
    """The worker says that somebody stops the run, or that the process has to end; the run, that it only waits.

    Attributes:
        stopped_by: who stopped it.
        ending_process: whether the process has to end now.
        signal: set when either is the case.
        waits_for_slot: whether the run waits for one of its agent's slots, and costs next to nothing.
    """

    stopped_by: str = ""
    ending_process: bool = False
    signal: asyncio.Event = field(default_factory=asyncio.Event)
    waits_for_slot: bool = False

    def stop(self, user: str) -> None:
        """Somebody wants it to stop; the first one counts."""
        self.stopped_by = self.stopped_by or user
        self.signal.set()

    def shut_down(self) -> None:
        """The process has to end now."""
        self.ending_process = True
        self.signal.set()
