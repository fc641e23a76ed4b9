"""Turns a script into frames of ChatMessages, each with the second at which it is due. Pure."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from bot.demo.rds.ask import Approval
from bot.demo.rds.conversations import AskedRound, Call
from bot.demo.rds.dialect import event
from bot.demo.rds.script import Action, Docs, Reason, Replace, Round
from bot.demo.upstream.script import WRITING_SPEED, Agent, Say, Think, Together, Tool, compact, fill, pieces
from bot.demo.upstream.wire import Frame, Timed

HEARTBEAT = 2.0
"""Seconds between two pings while the model thinks or a tool runs."""

ARGUMENT_PACE = 0.3
"""Seconds between a call's announcement and its arguments."""


@dataclass(slots=True)
class Run:
    """One answer as it is composed. `started` is Unix time in seconds, `zone` the asker's.

    `asked` is the round of approval this run asks for, with one call for each write of the script's round.
    """

    actions: Sequence[Action]
    instance: str
    region: str
    chinese: bool
    thinking: bool
    approval: Approval
    started: float
    zone: tzinfo
    dice: random.Random
    ends: Sequence[str]
    asked: AskedRound | None = None

    def compose(self) -> list[Timed]:
        """All frames of the run in the order of sending, without their ids."""
        frames = [Timed(0.0, event("workflow_started"))]
        for action in self.actions:
            frames += self._play(action, frames[-1].at)
        return [*frames, *(Timed(frames[-1].at + 0.1, event(name)) for name in self.ends)]

    def resume(self, asked: AskedRound) -> list[Timed]:
        """The run that follows the decisions on `asked`; without all decisions it only asks again."""
        frames = [Timed(0.0, event("workflow_started"))]
        if not asked.decided:
            frames += [Timed(0.1, self._approval(asked.id, call, "pending")) for call in asked.calls]
        else:
            for call in asked.calls:
                frames += self._decided(asked.id, call, frames[-1].at + 0.2)
        return [*frames, *(Timed(frames[-1].at + 0.1, event(name)) for name in self.ends)]

    def _play(self, action: Action, at: float) -> list[Timed]:
        match action:
            case Think():
                return [*self._wait(at, action.seconds), Timed(at + action.seconds, event("ping"))]
            case Reason():
                return self._write("thinking", action.text.tell(self.chinese), at) if self.thinking else []
            case Say():
                return self._write("message", action.text.tell(self.chinese), at, action.speed)
            case Replace():
                text = self._fill(action.text.tell(self.chinese))
                return [Timed(at + 0.5, event("message_replace", text))]
            case Docs():
                sources = [
                    {"title": title.tell(self.chinese), "url": address} for title, address in action.sources
                ]
                return [Timed(at + 0.3, event("doc", compact(sources), title="Documents"))]
            case Tool():
                return self._call(action, at)
            case Together():
                frames = [timed for agent in action.agents for timed in self._sub_task(agent, at)]
                return sorted(frames, key=lambda timed: timed.at)
            case Agent():
                return self._sub_task(action, at)
            case Round():
                return self._round(action, at)

    def _wait(self, at: float, seconds: float) -> list[Timed]:
        """Pings within so many seconds, not at their end."""
        count = math.ceil(seconds / HEARTBEAT)
        return [Timed(at + beat * HEARTBEAT, event("ping")) for beat in range(1, count)]

    def _write(self, name: str, text: str, at: float, speed: float = WRITING_SPEED) -> list[Timed]:
        # A Chinese character says about twice as much as a Latin letter, so it takes twice as long to write.
        speed /= 2 if self.chinese else 1
        frames = []
        for piece in pieces(self._fill(text), self.dice, 3, max(24, int(speed / 10))):
            at += len(piece) / speed
            frames.append(Timed(at, event(name, piece)))
        return frames

    def _call(self, action: Tool, at: float) -> list[Timed]:
        call = {"tool_call_name": action.api, "tool_call_id": self._id("call-")}
        result = (
            action.result
            if isinstance(action.result, str)
            else json.loads(self._fill(compact(action.result)))
        )
        end = (
            {"status": "error", "response": action.error}
            if action.error
            else {"status": "end", "response": result}
        )
        asked = at + ARGUMENT_PACE
        arguments = json.loads(self._fill(compact(dict(action.params))))
        return [
            Timed(at, self._tool({**call, "status": "start"})),
            Timed(asked, self._tool({**call, "status": "pending", "arguments": arguments})),
            *self._wait(asked, action.seconds),
            Timed(asked + action.seconds, self._tool({**call, **end})),
        ]

    def _sub_task(self, agent: Agent, at: float) -> list[Timed]:
        task = {"title": agent.label.tell(self.chinese), "task_id": self._id("sub-")}
        frames = [Timed(at, event("sub_task", compact({**task, "status": "start"})))]
        for action in agent.actions:
            frames += self._play(action, frames[-1].at)
        end = {**task, "status": "end", "response": self._fill(agent.outcome.tell(self.chinese))}
        return [*frames, Timed(frames[-1].at, event("sub_task", compact(end)))]

    def _round(self, action: Round, at: float) -> list[Timed]:
        if self.approval == "read_only" or self.asked is None:
            return self._write("message", action.forbidden.tell(self.chinese), at)
        frames: list[Timed] = []
        for call in self.asked.calls:
            at += ARGUMENT_PACE
            frames.append(Timed(at, self._tool(self._started(call))))
            if self.approval == "manual":
                frames.append(Timed(at, self._approval(self.asked.id, call, "pending")))
            else:
                frames += self._decided(self.asked.id, call, at)
                at = frames[-1].at
        return frames

    def _decided(self, round_id: str, call: Call, at: float) -> list[Timed]:
        verdict = "approved" if call.approved else "rejected"
        frames = [Timed(at, self._approval(round_id, call, verdict))]
        if call.approved:
            result = json.loads(self._fill(compact(dict(call.write.result))))
            end = {
                "tool_call_name": call.write.tool,
                "status": "end",
                "tool_call_id": call.id,
                "response": result,
            }
            frames += [*self._wait(at, 1.2), Timed(at + 1.2, self._tool(end))]
        said = call.write.done if call.approved else call.write.rejected
        return frames + self._write("message", said.tell(self.chinese), frames[-1].at)

    def _started(self, call: Call) -> dict[str, str]:
        return {"tool_call_name": call.write.tool, "status": "start", "tool_call_id": call.id}

    def _approval(self, round_id: str, call: Call, status: str) -> Frame:
        frame = event("tool_approval", ApprovalStatus=status, CallId=call.id, RoundId=round_id)
        frame["ToolName"] = call.write.tool
        if status == "pending":
            frame["Description"] = self._fill(call.write.description.tell(self.chinese))
            frame["ToolArguments"] = json.loads(self._fill(compact(dict(call.write.arguments))))
        return frame

    def _tool(self, value: dict[str, Any]) -> Frame:
        return event("tool_call", compact(value))

    def _fill(self, text: str) -> str:
        text = text.replace("{region}", self.region)
        return fill(text, self.instance, self.started, self.zone)

    def _id(self, prefix: str) -> str:
        return f"{prefix}{self.dice.getrandbits(48):012x}"
