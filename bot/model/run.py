"""A run: one question on its way to an answer, as the store remembers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bot.model.question import Question


class State(StrEnum):
    """Where a run is. All but the first two are final, and the thread shows which.

    A paused run waits for a person's decision: it leaves the queue, so that nobody waits for it, and a run of its own
    continues it in the same reply.
    """

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    PAUSED = "paused"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self not in (State.QUEUED, State.RUNNING)


def reference(run_id: str) -> str:
    """The short id of a run that people quote and operators find in the log."""
    return f"{run_id[:4]}-{run_id[4:8]}"


@dataclass(slots=True)
class Run:
    """The record of one run. Times are Unix seconds, 0 while unknown.

    Attributes:
        asked_at: when the question was last handed to the backend.
        asks, refusals: how often it was handed over, and how often the service certainly refused to begin. While it
            may have begun it is never sent again: a crash then ends as recovered or interrupted.
        reply_ts: the ts of the reply's messages, first one first.
        posting: a post of the reply was under way; with no `reply_ts` it may or may not have arrived.
        waits_since: when it came to the head of its thread, which is its place among those who wait for a slot; told by
            the store's clock.
        after: id of the run before it in its thread when it was accepted, "" when the thread was at rest.
        moves: how often the thread had been moved to another agent then, or when it got the thread's session.
        stays: whether it is asked in a session that is not its thread's any more; not kept.
        stop_by: who asked for the run to stop.
        backend, agent_id: the service and agent it was asked of.
        session_id, message_id, task_id: the service's names of the conversation, the answer and the run there.
        parent_id: of the answer it follows in the conversation, for services that want to know.
        came: characters of its answer that had come, as far as it was saved.
        characters: what it cost; `estimated` when the service did not say.
        spent_before, estimated_before: the same of the paused runs it continues, whose cost is counted already.
        seconds_before: how long those were at work.
        carried, pending: a paused run's answer so far (`bot.model.record`) and the id of what it waits for, for the
            run that continues it.
        options: the answers it offers to choose from.
        carried_kept: what of `carried` the record has already: it can be megabytes, and a run is saved often.
    """

    id: str
    question: Question
    state: State = State.QUEUED
    accepted_at: float = 0.0
    asked_at: float = 0.0
    ended_at: float = 0.0
    reply_ts: list[str] = field(default_factory=list)
    posting: bool = False
    waits_since: float = 0.0
    after: str = ""
    moves: int = 0
    stays: bool = False
    stop_by: str = ""
    backend: str = ""
    agent_id: str = ""
    session_id: str = ""
    parent_id: str = ""
    message_id: str = ""
    task_id: str = ""
    asks: int = 0
    refusals: int = 0
    came: int = 0
    characters: int = 0
    estimated: bool = False
    spent_before: int = 0
    estimated_before: bool = False
    seconds_before: float = 0.0
    carried: str = ""
    pending: str = ""
    options: tuple[str, ...] = ()
    shown: str = ""
    carried_kept: str = field(default="", repr=False)

    @property
    def may_have_begun(self) -> bool:
        """Whether the service may have it: then nobody asks again."""
        return self.asks > self.refusals

    @property
    def reference(self) -> str:
        """The short id people quote and operators find in the log."""
        return reference(self.id)
