"""Translates the frames of RDS Copilot's ChatMessages into events; pure.

A frame is a flat object with an `Event` and its `Answer`, asked for in the mode that gives tool calls, documents
and sub-tasks events of their own. Most names are inferred, so reading is tolerant of spelling, and text is never
lost: what an unknown event says is shown.
"""

from __future__ import annotations

import re
from typing import Any

from bot.model.event import (
    ApprovalAsked,
    Event,
    Reasoning,
    RunError,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TextMessageContent,
    TextMessageReplaced,
    ToolCallResult,
    ToolCallStart,
    Unknown,
)
from bot.upstream.rds_parts import ToolCalls, sources
from bot.upstream.values import Frame, document, first, folded, mapping, parsed, string, text_of

MESSAGES = ("message", "agentmessage", "")
ENDS = ("workflowfinished", "finish", "messageend")
SILENT = ("ping", "workflowstarted")
THINKING = ("thinking", "reasoning", "agentthought")
DOCUMENTS = ("doc", "docs", "document", "documents")
EXCEPTION = re.compile(r"[\w$.]*(?:Exception|Error)")
SUB_TASK = re.compile(r"sub_?(?:task|node|agent)|^(?:node|step|task)(?:_|$)", re.IGNORECASE)
BEGUN = re.compile(r"start|begin|begun|running|pending|doing|process", re.IGNORECASE)
REFUSED = ("rejected", "denied", "refused", "canceled", "cancelled", "expired", "timeout")
APPROVED = ("approved", "allowed", "passed", "executed", "done", "finished", "success")


class RdsFrames:
    """The frames of one stream, or of one recorded answer."""

    def __init__(self) -> None:
        self._names = RunStarted()
        self._calls = ToolCalls()
        self._text: list[str] = []
        self._text_id = ""
        self._steps: dict[str, bool] = {}
        self._approvals: dict[str, ApprovalAsked] = {}

    def read(self, frame: Frame) -> list[Event]:
        """The events of one frame. Never raises; what cannot be understood is `Unknown`."""
        try:
            fields = folded(frame)
            return [*self._named(fields), *self._read(fields)]
        except RecursionError:
            return [Unknown(string(frame.get("Event")))]

    def rest(self) -> list[Event]:
        """What is known only at the stream's end: the decision it waits for."""
        waiting, self._approvals = list(self._approvals.values()), {}
        return [_together(waiting)] if waiting else []

    def _named(self, fields: Frame) -> list[Event]:
        """The service's names for the run, told when the first is known and again when one changes."""
        names = RunStarted(
            string(fields.get("taskid")) or self._names.run_id,
            string(fields.get("conversationid")) or self._names.session_id,
            string(fields.get("messageid")) or self._names.message_id or string(fields.get("id")),
        )
        if names == self._names:
            return []
        self._names = names
        return [names]

    def _read(self, fields: Frame) -> list[Event]:
        kind = string(fields.get("event"))
        name = kind.replace("_", "").lower()
        answer = text_of(fields.get("answer"))
        if name == "error" or (not kind and not answer and first(fields, "code")):
            return [_error(fields, answer)]
        if _is_approval(name, fields):
            # What stands in Answer beside a request for approval is not known to be part of the answer.
            return [*self._said(answer if name in MESSAGES else ""), *self._approval(fields)]
        if name in MESSAGES:
            return self._said(answer)
        if name == "messagereplace":
            self._text = [answer]
            return [TextMessageReplaced(self._message(), answer)]
        if name in ENDS:
            is_new = answer.strip() not in "".join(self._text) and isinstance(parsed(answer), str)
            return [*self._said(answer if is_new else ""), *self.rest(), RunFinished(self._names.run_id)]
        if name in SILENT:
            return []
        return self._aside(kind, name, answer, fields)

    def _aside(self, kind: str, name: str, answer: str, fields: Frame) -> list[Event]:
        """What happens beside the text."""
        aside: list[Event] = [Unknown(kind), Reasoning(answer)]
        if name == "toolcall":
            called = self._calls.read(fields)
            return aside if called is None else called
        if name in DOCUMENTS:
            return list(sources(fields.get("answer"))) or [Unknown(kind)]
        if name in THINKING:
            return [Reasoning(answer)]
        if SUB_TASK.search(kind):
            step = self._step(kind, answer)
            return aside if step is None else step
        if EXCEPTION.fullmatch(kind) and not answer:
            return [RunError(kind, string(first(fields, "message", "description")))]
        if not answer or not isinstance(parsed(answer), str):
            return [Unknown(kind)]
        return [Unknown(kind), *self._said(answer)]

    def _said(self, answer: str) -> list[Event]:
        if not answer:
            return []
        self._text.append(answer)
        return [TextMessageContent(self._message(), answer)]

    def _message(self) -> str:
        """One id for all the text of a stream: pieces under several would be paragraphs of their own."""
        self._text_id = self._text_id or self._names.message_id or "answer"
        return self._text_id

    def _step(self, kind: str, answer: str) -> list[Event] | None:
        inside = folded(mapping(answer))
        title = string(first(inside, "title", "name", "taskname", "subtaskname", "nodename", "label"))
        if not title:
            return None
        status = string(first(inside, "status", "state")) or kind.rsplit("_", 1)[-1]
        step = string(first(inside, "id", "taskid", "subtaskid", "nodeid")) or title
        # What is known of it: True while it is at work, False when it has ended, None when it is new.
        at_work = self._steps.get(step)
        self._steps[step] = bool(BEGUN.search(status))
        begun: list[Event] = [StepStarted(step, title)]
        if self._steps[step]:
            return [] if at_work else begun
        return [] if at_work is False else [*(begun if at_work is None else []), StepFinished(step, status)]

    def _approval(self, fields: Frame) -> list[Event]:
        """A request is told at the end, because it may be decided while the stream goes on."""
        status, call_id = string(fields.get("approvalstatus")).lower(), string(fields.get("callid"))
        tool = string(fields.get("toolname"))
        if status in APPROVED or status in REFUSED:
            self._approvals.pop(call_id, None)
            if status in APPROVED or not call_id:
                return []
            return [ToolCallStart(call_id, tool), ToolCallResult(call_id, error=status)]
        arguments = document(fields.get("toolarguments"))
        self._approvals[call_id] = ApprovalAsked(
            call_id, string(fields.get("roundid")), tool, arguments, string(fields.get("description"))
        )
        return self._calls.waits(call_id, arguments)


def _together(asked: list[ApprovalAsked]) -> ApprovalAsked:
    """Requests of one round as one: they are decided on together, and any of their ids lets the run go on."""
    if len(asked) == 1:
        return asked[0]
    arguments = [{"tool": one.tool, "arguments": parsed(one.arguments)} for one in asked]
    return ApprovalAsked(
        asked[0].call_id,
        asked[0].round_id,
        ", ".join(dict.fromkeys(one.tool for one in asked)),
        document(arguments),
        "\n".join(one.description for one in asked if one.description),
    )


def _is_approval(name: str, fields: Frame) -> bool:
    if fields.get("approvalstatus"):
        return True
    return name != "toolcall" and bool(fields.get("callid") and fields.get("roundid"))


def _error(fields: Frame, answer: str) -> RunError:
    inside = {**fields, **folded(mapping(fields.get("answer")))}
    code: Any = first(inside, "code", "errorcode")
    if code is None and (status := string(inside.get("status"))):
        code = f"HTTP{status}" if status.isdigit() else status
    said = string(first(inside, "message", "errormessage", "description"))
    return RunError(string(code), said or (answer if isinstance(parsed(answer), str) else ""))
