"""Reads the parameters of Chat and GetDasAgentSSE and says what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.demo.upstream.refusal import Refused
from bot.demo.upstream.verify import RawRequest

VERSION = "2020-01-16"
CHAT = "Chat"
LEGACY = "GetDasAgentSSE"

LONGEST_QUESTION = 32_000
"""Characters of message text the service accepts."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid request. `session_id` is empty when a new session is wanted.

    `resumed` is the id of the interrupt that `value` answers; both are empty in an ordinary question.
    """

    question: str
    session_id: str
    agent_id: str
    summary: bool
    resumed: str = ""
    value: str = ""


def parameters(request: RawRequest) -> dict[str, str]:
    """All parameters of a request, also those of a form body.

    Raises:
        Refused: when they are not UTF-8.
    """
    try:
        return request.parameters()
    except UnicodeDecodeError as error:
        raise Refused(400, "InvalidParams", "The parameters are not UTF-8.") from error


def read(action: str, params: Mapping[str, str]) -> Ask:
    """The question and its settings.

    Raises:
        Refused: MissingParameter or InvalidParams.
    """
    name = "Message" if action == CHAT else "Query"
    if not params.get(name):
        raise Refused(400, "MissingParameter", f"The parameter {name} is mandatory for this action.")
    question = _text(params["Message"]) if action == CHAT else params["Query"]
    resumed, value = _resume(params.get("Resume", "")) if action == CHAT else ("", "")
    if not question.strip() and not resumed:
        raise Refused(400, "InvalidParams", "The message has no text.")
    if len(question) > LONGEST_QUESTION:
        raise Refused(400, "InvalidParams", f"The message is longer than {LONGEST_QUESTION} characters.")
    session_id = params.get("SessionId", "")
    if session_id and not _UUID.fullmatch(session_id):
        raise Refused(400, "InvalidParams", "SessionId is not a UUID.")
    if params.get("Summary", "false") not in ("true", "false", ""):
        raise Refused(400, "InvalidParams", "Summary is neither true nor false.")
    summary = params.get("Summary") == "true"
    return Ask(question, session_id, params.get("AgentId", ""), summary, resumed, value)


def _text(message: str) -> str:
    invalid = Refused(
        400, "InvalidParams", "Message is not a JSON object with id, role user and content parts."
    )
    try:
        value = json.loads(message)
    except ValueError as error:
        raise invalid from error
    if not isinstance(value, dict) or value.get("role") != "user" or not value.get("id"):
        raise invalid
    parts = value.get("content")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise invalid
    texts = [part.get("text") for part in parts if part.get("type") == "text"]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise invalid
    return "\n".join(str(text) for text in texts)


def _resume(text: str) -> tuple[str, str]:
    """The interrupt answered, and the answer; both are empty when there is none."""
    if not text:
        return "", ""
    try:
        (entry,) = json.loads(text)
        if entry["status"] != "resolved":
            raise ValueError("only resolved interrupts are simulated")
        return str(entry["interruptId"]), str(entry["payload"]["value"])
    except (ValueError, TypeError, KeyError) as error:
        message = "Resume is not a JSON list of one resolved interrupt with a value."
        raise Refused(400, "InvalidParams", message) from error
