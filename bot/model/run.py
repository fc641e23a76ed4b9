"""A run: one question on its way to an answer, as the store remembers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bot.model.question import Question


class State(StrEnum):
    """Where a run is. The last four are final, and the thread shows which."""

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(slots=True)
class Run:
    """The record of one run. Times are Unix seconds, 0 while unknown.

    Attributes:
        asked_at: when the question was handed to the backend. From then on it is never sent again: a crash
            after this moment ends as interrupted.
        reply_ts: the ts of the reply's messages, first one first.
        posting: a post of the reply was under way; with no `reply_ts` it may or may not have arrived.
        stop_by: who asked for the run to stop.
    """

    id: str
    question: Question
    state: State = State.QUEUED
    accepted_at: float = 0.0
    asked_at: float = 0.0
    ended_at: float = 0.0
    reply_ts: list[str] = field(default_factory=list)
    posting: bool = False
    stop_by: str = ""
    session_id: str = ""
    agent_id: str = ""
    shown: str = ""

    @property
    def reference(self) -> str:
        """The short id people quote and operators find in the log."""
        return f"{self.id[:4]}-{self.id[4:8]}"
