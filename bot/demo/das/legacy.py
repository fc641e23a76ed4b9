"""A run of Chat told as GetDasAgentSSE tells it: one kind of frame, no sub-agents, no results of tools. Pure."""

from __future__ import annotations

import json
from typing import Any

from bot.demo.das.dialect import message
from bot.demo.upstream.wire import Frame, Timed


def retell(frames: list[Timed], request_id: str, *, cumulative: bool) -> list[Timed]:
    """The run's frames in the older shape, without `Id`.

    Text of sub-agents is left out, their tools are not. With `cumulative` every Answer repeats the whole text
    so far.
    """
    opening = message("", RequestId=request_id)
    told = [Timed(0.0, opening)]
    voices: dict[str, bool] = {}
    arguments: dict[str, str] = {}
    said, calls = "", 0
    for at, frame in frames:
        match frame["Type"]:
            case "TEXT_MESSAGE_START":
                voices[frame["MessageId"]] = frame["Role"] == "assistant" and "ParentAgentId" not in frame
            case "TEXT_MESSAGE_CONTENT" if voices[frame["MessageId"]]:
                said += frame["Delta"]
                told.append(Timed(at, message(said if cumulative else frame["Delta"])))
            case "TOOL_CALL_ARGS":
                call = frame["ToolCallId"]
                arguments[call] = arguments.get(call, "") + frame["Delta"]
            case "TOOL_CALL_END":
                calls += 1
                tool = _tool(json.loads(arguments[frame["ToolCallId"]]), nested=calls % 2 == 0)
                told.append(Timed(at, message("", **tool, RequestId=request_id)))
            case "ACTIVITY_DELTA":
                told.append(Timed(at, message("")))
            case _:
                pass
    summary = message("", "summary", CharCount=len(said), RequestId=request_id)
    return [*told, Timed(frames[-1].at, summary)]


def _tool(arguments: dict[str, Any], *, nested: bool) -> Frame:
    """Name and parameters of a call. `nested` packs the list into one string, as the service sometimes does."""
    if "api" in arguments:
        name, given = arguments["api"], arguments["params"]
    else:
        name, given = arguments["agent"], {"task": arguments["task"]}
    words = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
    return {"ToolName": name, "ToolParams": [json.dumps(words, ensure_ascii=False)] if nested else words}
