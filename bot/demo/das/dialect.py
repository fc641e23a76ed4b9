"""How Chat and GetDasAgentSSE spell their streams, and what goes wrong in them."""

from __future__ import annotations

from bot.demo.upstream.wire import Dialect, Frame

UNBOUND = -1810006
"""The code when the agent is bound to no instance."""

_UNBOUND = "The agent is not bound to any database instance. Bind one in the DAS console."
_FAILED = "agent run aborted by the service"


def _error(code: int | str | None) -> tuple[int | str, str]:
    if code is None or code == UNBOUND:
        return UNBOUND, _UNBOUND
    return code, _FAILED


def _custom_error(code: int | str | None) -> Frame:
    number, words = _error(code)
    return {"Type": "CUSTOM", "Name": "error", "Value": {"Code": number, "Message": words}}


def _huge(characters: int) -> Frame:
    return {"Type": "ACTIVITY_SNAPSHOT", "ActivityType": "plan", "Content": {"note": "x" * characters}}


CHAT = Dialect(
    prefix="data:",
    done=True,
    heartbeat={"Type": "ACTIVITY_DELTA", "ActivityType": "waiting_for_agent_thinking"},
    unknown={"Type": "STATE_DELTA", "Delta": [{"op": "add", "path": "/phase", "value": "unknown"}]},
    huge=_huge,
    error=_custom_error,
    exception={"Type": "RUN_ERROR", "Code": "-1810001", "Message": _FAILED},
    ends=lambda frame: frame.get("Type") == "RUN_FINISHED",
)


def message(answer: str, event: str = "agent_message", **metadata: object) -> Frame:
    """A frame of the older interface; its `Id` is put in when the run is known."""
    return {"Answer": answer, "Metadata": metadata, "Event": event}


def _legacy_error(code: int | str | None) -> Frame:
    number, words = _error(code)
    return message(words, "error", Code=str(number))


LEGACY = Dialect(
    prefix="data:",
    done=False,
    heartbeat=message(""),
    unknown=message("", "agent_plan", Steps=3),
    huge=lambda characters: message("", Trace="x" * characters),
    error=_legacy_error,
    exception=message(_FAILED, "error", Code="AgentRunAborted"),
    ends=lambda frame: frame.get("Event") == "summary",
)
