"""The three judges together, for one payload or for every call a workspace has on record."""

from collections.abc import Iterable
from typing import Any

from bot.demo.workspace import Call
from tests.judges import limits, schema, sdk

Json = dict[str, Any]

WRITING = ("chat.", "views.", "files.completeUploadExternal")


def judge(payload: Json) -> list[str]:
    """What any judge finds wrong with the arguments of a call, with the judge's name before it."""
    problems = [f"schema: {problem}" for problem in schema.judge(payload)]
    misshapen = bool(problems)
    problems += [f"sdk: {problem}" for problem in sdk.judge(payload)]
    if not misshapen:  # The table reads only what has its shape.
        problems += [f"limits: {problem}" for problem in limits.judge(payload)]
    return problems


def judge_calls(calls: Iterable[Call]) -> list[str]:
    """The same for all calls that write, such as `workspace.calls`, with the method's name before it."""
    written = [call for call in calls if call.method.startswith(WRITING)]
    return [f"{call.method}: {problem}" for call in written for problem in judge(call.args)]
