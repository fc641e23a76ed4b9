"""Turns a script into frames of the DAS Chat protocol, each with the second at which it is due. Pure."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from bot.demo.das.interrupt import Interrupt, Step
from bot.demo.upstream.script import Agent, Say, Think, Together, Tool, compact, fill, pieces
from bot.demo.upstream.wire import Frame, Timed

HEARTBEAT = 2.0
"""Seconds between two heartbeats while the agent thinks or a tool runs."""

ARGUMENT_PACE = 0.03
"""Seconds between two pieces of a call's arguments."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: the root agent, or a sub-agent below `parent`. Ids are empty where nobody else speaks."""

    agent: str = ""
    parent: str = ""

    def sign(self, frame: Frame) -> Frame:
        if self.agent:
            frame["AgentId"] = self.agent
        if self.parent:
            frame["ParentAgentId"] = self.parent
        return frame


@dataclass(slots=True)
class Run:
    """One answer as it is composed.

    `interrupt_id` names the question an `Interrupt` puts to the person. `started` is Unix time in seconds,
    `scale` stretches scripted seconds into time stamps. `said` gathers the text of all assistant messages, the
    part of the bill that is output.
    """

    question: str
    actions: tuple[Step, ...]
    instance: str
    chinese: bool
    session_id: str
    request_id: str
    summary: bool
    interrupt_id: str
    started: float
    dice: random.Random
    scale: float = 1.0
    said: list[str] = field(default_factory=list)

    def compose(self) -> list[Timed]:
        """All frames of the run in the order of sending, from RUN_STARTED to RUN_FINISHED."""
        run_id = str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
        together = any(isinstance(action, Together) for action in self.actions)
        root = Voice(self._id("agent-")) if together else Voice()
        opening: Frame = {"Type": "RUN_STARTED", "RunId": run_id, "ThreadId": self.session_id}
        frames = [Timed(0.0, root.sign(opening))]
        frames += self._echo()
        frames += self._play(self.actions, 0.05, root)
        end = frames[-1].at + 0.1
        if self.summary:
            frames.append(Timed(end, self._summary(end)))
        frames.append(Timed(end, {"Type": "RUN_FINISHED", "RunId": run_id, "ThreadId": self.session_id}))
        stamped = ("RUN_STARTED", "RUN_FINISHED", "ACTIVITY_DELTA", "TOOL_CALL_START", "TOOL_CALL_RESULT")
        for at, frame in frames:
            if frame["Type"] in stamped or frame["Type"].startswith("STEP_"):
                frame["Timestamp"] = self._stamp(at)
        return frames

    def _play(self, actions: tuple[Step, ...], at: float, voice: Voice) -> list[Timed]:
        frames: list[Timed] = []
        message = ""
        for action in actions:
            match action:
                case Think():
                    frames += self._wait(at, action.seconds, "waiting_for_agent_thinking", voice)
                    at += action.seconds
                case Say():
                    message = self._id("am-")
                    frames += self._say(action, at, message, voice)
                case Tool():
                    frames += self._call(action, at, message, voice)
                case Together():
                    frames += self._together(action, at, message, voice)
                case Interrupt():
                    frames.append(Timed(at, voice.sign(self._interrupt(action))))
            at = max(at, frames[-1].at if frames else at)
        return frames

    def _echo(self) -> list[Timed]:
        message = self._id("um-")
        return [
            Timed(0.05, {"Type": "TEXT_MESSAGE_START", "Role": "user", "MessageId": message}),
            Timed(0.05, {"Type": "TEXT_MESSAGE_CONTENT", "MessageId": message, "Delta": self.question}),
            Timed(0.05, {"Type": "TEXT_MESSAGE_END", "MessageId": message}),
        ]

    def _wait(self, at: float, seconds: float, activity: str, voice: Voice) -> list[Timed]:
        beats: list[Timed] = []
        message, elapsed = self._id("act-"), 0.0
        while elapsed < seconds:
            patch = [{"op": "replace" if elapsed else "add", "path": "/elapsed", "value": int(elapsed)}]
            frame = {"Type": "ACTIVITY_DELTA", "ActivityType": activity, "MessageId": message, "Patch": patch}
            beats.append(Timed(at + elapsed, voice.sign(frame)))
            elapsed += HEARTBEAT
        return beats

    def _say(self, action: Say, at: float, message: str, voice: Voice) -> list[Timed]:
        text = self.fill(action.text.tell(self.chinese))
        self.said.append(text)
        # A Chinese character says about twice as much as a Latin letter, so it takes twice as long to write.
        speed = action.speed / (2 if self.chinese else 1)
        start = {"Type": "TEXT_MESSAGE_START", "Role": "assistant", "MessageId": message}
        frames = [Timed(at, voice.sign(start))]
        # Faster speech comes in larger pieces, as from a service that batches its tokens.
        for piece in pieces(text, self.dice, 3, max(24, int(action.speed / 10))):
            at += len(piece) / speed
            content = {"Type": "TEXT_MESSAGE_CONTENT", "MessageId": message, "Delta": piece}
            frames.append(Timed(at, voice.sign(content)))
        frames.append(Timed(at, voice.sign({"Type": "TEXT_MESSAGE_END", "MessageId": message})))
        return frames

    def _call(self, action: Tool, at: float, message: str, voice: Voice) -> list[Timed]:
        arguments = {"command": "execute", "api": action.api, "params": dict(action.params)}
        call = self._id("call_")
        frames = self._request("das_api", arguments, call, at, message, voice)
        at = frames[-1].at
        if action.seconds > HEARTBEAT:
            frames += self._wait(at, action.seconds, "waiting_for_tool_result", voice)
        frames.append(Timed(at + action.seconds, self._result(call, action.result, action.error, voice)))
        return frames

    def _request(
        self, name: str, arguments: Frame, call: str, at: float, message: str, voice: Voice
    ) -> list[Timed]:
        start: Frame = {"Type": "TOOL_CALL_START", "ToolCallId": call, "ToolCallName": name}
        if message:
            start["ParentMessageId"] = message
        frames = [Timed(at, voice.sign(start))]
        for piece in pieces(self.fill(compact(arguments)), self.dice, 3, 24):
            at += ARGUMENT_PACE
            piece_frame = {"Type": "TOOL_CALL_ARGS", "ToolCallId": call, "Delta": piece}
            frames.append(Timed(at, voice.sign(piece_frame)))
        frames.append(Timed(at, voice.sign({"Type": "TOOL_CALL_END", "ToolCallId": call})))
        return frames

    def _result(self, call: str, result: Any, error: str, voice: Voice) -> Frame:
        text = result if isinstance(result, str) else compact(result)
        frame: Frame = {"Type": "TOOL_CALL_RESULT", "ToolCallId": call, "MessageId": self._id("tm-")}
        frame |= {"Role": "tool", "Content": self.fill(text)}
        if error:
            frame["ToolCallError"] = self.fill(error)
        return voice.sign(frame)

    def _together(self, action: Together, at: float, message: str, voice: Voice) -> list[Timed]:
        frames = [timed for agent in action.agents for timed in self._agent(agent, at, message, voice)]
        # sorted() is stable: frames of one agent keep their order, those of different agents interleave.
        return sorted(frames, key=lambda timed: timed.at)

    def _agent(self, agent: Agent, at: float, message: str, voice: Voice) -> list[Timed]:
        call, child = self._id("call_"), Voice(self._id("agent-"), voice.agent)
        task = {"agent": agent.name, "task": agent.task.tell(self.chinese)}
        frames = self._request("task", task, call, at, message, voice)
        step = {"StepName": agent.name, "Kind": "task", "Label": agent.label.tell(self.chinese)}
        origin = {"OriginatingToolCallId": call}
        frames.append(Timed(frames[-1].at, child.sign({"Type": "STEP_STARTED", **step, **origin})))
        frames += self._play(agent.actions, frames[-1].at, child)
        end = frames[-1].at
        finished = {"Type": "STEP_FINISHED", **step, "StepStatus": agent.status}
        frames.append(Timed(end, child.sign(finished)))
        frames.append(Timed(end, self._result(call, agent.outcome.tell(self.chinese), "", voice)))
        return frames

    def _interrupt(self, action: Interrupt) -> Frame:
        # The service documents how an interrupt is answered, not its frame; this one holds what an answer needs.
        request = {"message": action.message.tell(self.chinese), "options": list(action.options)}
        return {"Type": "INTERRUPT", "Value": {"interruptId": self.interrupt_id, "request": request}}

    def _summary(self, at: float) -> Frame:
        value = {
            "CharCount": len(self.question) + sum(len(text) for text in self.said),
            "Start": self._stamp(0.0),
            "End": self._stamp(at),
            "RequestId": self.request_id,
            "SessionId": self.session_id,
        }
        return {"Type": "CUSTOM", "Name": "summary", "Value": value}

    def fill(self, text: str) -> str:
        """`text` with the instance id and the wall times put in."""
        return fill(text, self.instance, self.started)

    def _stamp(self, at: float) -> int:
        return round((self.started + at * self.scale) * 1000)

    def _id(self, prefix: str) -> str:
        return f"{prefix}{self.dice.getrandbits(64):016x}"
