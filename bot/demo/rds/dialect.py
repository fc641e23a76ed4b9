"""How RDS Copilot spells its stream, and what goes wrong in it."""

from __future__ import annotations

from bot.demo.upstream.wire import Dialect, Frame

ENDS = frozenset({"workflow_finished", "finish", "message_end"})
"""Events any of which may say that a run has ended."""


def event(name: str, answer: str = "", **fields: object) -> Frame:
    """A frame; the ids are put in when the run is known."""
    return {"Event": name, "Answer": answer, **fields}


def _error(code: int | str | None) -> Frame:
    return event("error", status=500, code=str(code or "InternalError"), message="The workflow failed.")


RDS = Dialect(
    prefix="data: ",
    done=False,
    heartbeat=event("ping"),
    unknown=event("agent_log", '{"level":"debug"}'),
    huge=lambda characters: event("ping", "x" * characters),
    error=_error,
    exception=event("MysqlIOException"),
    ends=lambda frame: frame.get("Event") in ENDS,
)
