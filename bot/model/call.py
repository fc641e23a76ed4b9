"""One tool call of an answer, as far as its events have told. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from bot.model import event as ev
from bot.model.held import Held


class CallState(IntEnum):
    """How far a tool call has come; only ever grows."""

    ARGUMENTS = 1
    """Its arguments are still arriving."""
    RUNNING = 2
    """The tool is at work."""
    UNFINISHED = 3
    """The run ended before the tool did."""
    DONE = 4
    FAILED = 5


@dataclass(slots=True)
class ToolCall:
    """One tool call. Times are seconds on the clock of whoever feeds the fold, None while unknown.

    `arguments` is the JSON text of the arguments as far as it has come; `result` the whole one when it came, else the
    pieces so far. Of what is too long the beginning is kept.
    """

    id: str
    arguments_held: Held
    result_held: Held
    name: str = ""
    agent_id: str = ""
    state: CallState = CallState.ARGUMENTS
    error: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    revision: int = 0
    is_asked: bool = False
    """Whether all that is asked of it came in an earlier part of the answer."""
    is_whole: bool = False
    """Whether the whole result came."""

    @property
    def arguments(self) -> str:
        """The JSON text of the arguments, as far as it has come."""
        return self.arguments_held.text

    @property
    def result(self) -> str:
        """The result, as far as it has come."""
        return self.result_held.text

    @property
    def is_open(self) -> bool:
        """Whether its result may still come."""
        return self.state < CallState.UNFINISHED

    def finish(self, result: str) -> None:
        """Take its whole result, once."""
        if result and not self.is_whole:
            self.is_whole = True
            self.result_held.replace(result)

    def advance(self, state: CallState, at: float) -> None:
        """Come as far as `state`, never back."""
        if state > self.state:
            self.state = state
        if state >= CallState.UNFINISHED and self.ended_at is None:
            self.ended_at = at


def events_of(call: ToolCall) -> list[tuple[float, ev.Event]]:
    """A call's own events; one the run's end left unfinished is at work again."""
    begun, ended = call.started_at or 0.0, call.ended_at or call.started_at or 0.0
    found: list[tuple[float, ev.Event]] = [(begun, ev.ToolCallStart(call.id, call.name, call.agent_id))]
    if call.arguments:
        found.append((begun, ev.ToolCallArgs(call.id, call.arguments, call.agent_id)))
    if call.state > CallState.ARGUMENTS:
        found.append((begun, ev.ToolCallEnd(call.id, call.agent_id)))
    if call.state in (CallState.DONE, CallState.FAILED):
        found.append((ended, ev.ToolCallResult(call.id, call.result, call.agent_id, call.error)))
    elif call.result:
        found.append((begun, ev.ToolCallChunk(call.id, call.result, call.agent_id)))
    return found
