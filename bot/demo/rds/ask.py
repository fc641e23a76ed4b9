"""Reads the parameters of RDS Copilot's actions and says what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from bot.demo.upstream.refusal import Refused
from bot.demo.upstream.verify import RawRequest

VERSION = "2025-05-07"

LONGEST_QUERY = 8_000
"""Characters of a question the service accepts."""

LARGEST_PAGE = 100
"""Entries of a page of messages or conversations."""

INPUTS = frozenset({
    "CustomAgentId", "EnableThinking", "Language", "ModelId", "RegionId", "ResumeCallId", "ThinkEffort", "Timezone",
    "ToolApprovalMode", "WorkspaceId",
})  # fmt: skip

Approval = Literal["read_only", "manual", "auto"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid ChatMessages request. Empty texts were not given."""

    question: str
    conversation_id: str
    parent_message_id: str
    inputs: Mapping[str, str]

    @property
    def resume_call_id(self) -> str:
        return self.inputs.get("ResumeCallId", "")

    @property
    def approval(self) -> Approval | None:
        """The mode to go on with, when the request names one."""
        return cast(Approval, self.inputs["ToolApprovalMode"]) if "ToolApprovalMode" in self.inputs else None


def parameters(request: RawRequest, *, forms: bool) -> dict[str, str]:
    """All parameters of a request, those of a form body only with `forms`.

    Raises:
        Refused: when they are not UTF-8.
    """
    try:
        return request.parameters(forms=forms)
    except UnicodeDecodeError as error:
        raise invalid("The parameters are not UTF-8.") from error


def read(params: Mapping[str, str]) -> Ask:
    """The question and its settings.

    Raises:
        Refused: MissingParameter or InvalidParameter.
    """
    inputs = _inputs(params.get("Inputs", ""))
    question = params.get("Query", "")
    if not question.strip() and not inputs.get("ResumeCallId"):
        raise Refused(400, "MissingParameter", "The parameter Query is mandatory for this action.")
    if len(question) > LONGEST_QUERY:
        raise invalid(f"Query is longer than {LONGEST_QUERY} characters.")
    if params.get("EventMode") != "separate":
        raise invalid("EventMode is not separate; the inline markup is not documented and not simulated.")
    if "Files" in params:
        raise invalid("Files are not simulated: no public interface gives an upload id.")
    ask = Ask(question, params.get("ConversationId", ""), params.get("ParentMessageId", ""), inputs)
    if not ask.conversation_id and (ask.parent_message_id or ask.resume_call_id):
        raise invalid("ParentMessageId and ResumeCallId need a ConversationId.")
    return ask


def page(params: Mapping[str, str]) -> int:
    """The number of entries wanted.

    Raises:
        Refused: InvalidParameter.
    """
    limit = params.get("Limit") or str(LARGEST_PAGE)
    if not limit.isdecimal() or not 1 <= int(limit) <= LARGEST_PAGE:
        raise invalid(f"Limit is not a number from 1 to {LARGEST_PAGE}.")
    return int(limit)


def needed(params: Mapping[str, str], name: str) -> str:
    """A parameter that must be there.

    Raises:
        Refused: MissingParameter.
    """
    if not params.get(name):
        raise Refused(400, "MissingParameter", f"The parameter {name} is mandatory for this action.")
    return params[name]


def invalid(message: str) -> Refused:
    """The refusal of a wrong parameter."""
    return Refused(400, "InvalidParameter", message)


def _inputs(text: str) -> dict[str, str]:
    try:
        inputs = json.loads(text) if text else {}
    except ValueError as error:
        raise invalid("Inputs is not JSON.") from error
    if not isinstance(inputs, dict) or not all(isinstance(value, str) for value in inputs.values()):
        raise invalid("Inputs is not a JSON object of texts.")
    if unknown := set(inputs) - INPUTS:
        raise invalid(f"Inputs has no {', '.join(sorted(unknown))}.")
    if inputs.get("ToolApprovalMode", "auto") not in ("read_only", "manual", "auto"):
        raise invalid("ToolApprovalMode is neither read_only nor manual nor auto.")
    return inputs
