"""The three judges together, for one payload or for every call a workspace has on record."""

from collections.abc import Iterable
from typing import Any

from bot.demo.workspace import Call
from tests.judges import limits, schema, sdk

Json = dict[str, Any]

JUDGES = {"schema": schema.judge, "sdk": sdk.judge, "limits": limits.judge}
WRITING = ("chat.", "views.", "files.completeUploadExternal")


def judge(payload: Json) -> list[str]:
    """What any judge finds wrong with the arguments of a call, with the judge's name before it."""
    return [f"{name}: {problem}" for name, one in JUDGES.items() for problem in one(payload)]


def judge_calls(calls: Iterable[Call]) -> list[str]:
    """The same for all calls that write, such as `workspace.calls`, with the method's name before it."""
    written = [call for call in calls if call.method.startswith(WRITING)]
    return [f"{call.method}: {problem}" for call in written for problem in judge(call.args)]
