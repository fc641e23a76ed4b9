"""GetMessages and GetConversations: what is kept, in pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.demo.rds.ask import invalid
from bot.demo.rds.conversations import Conversation, Message
from bot.demo.upstream.wire import Frame

_APPROVAL_FIELDS = ("ApprovalStatus", "CallId", "RoundId", "Description", "ToolArguments", "ToolName")
_IN_ANSWER = frozenset({"message", "message_replace", "ping"})


def messages(conversation: Conversation, first_id: str, limit: int) -> Frame:
    """The latest `limit` messages before the one with `first_id`, the oldest first.

    Raises:
        Refused: when the conversation has no such message.
    """
    ids = [message.id for message in conversation.messages]
    if first_id and first_id not in ids:
        raise invalid("FirstId is that of no message of the conversation.")
    earlier = conversation.messages[: ids.index(first_id) if first_id else None]
    return {
        "Data": [_message(message) for message in earlier[-limit:]],
        "HasMore": len(earlier) > limit,
        "Limit": limit,
    }


def conversations(found: Sequence[Conversation], last_id: str, limit: int) -> Frame:
    """The first `limit` conversations after the one with `last_id`.

    Raises:
        Refused: when there is no such conversation.
    """
    ids = [conversation.id for conversation in found]
    if last_id and last_id not in ids:
        raise invalid("LastId is that of no conversation.")
    later = found[ids.index(last_id) + 1 if last_id else 0 :]
    return {
        "Data": [_conversation(conversation) for conversation in later[:limit]],
        "HasMore": len(later) > limit,
        "Limit": limit,
    }


def _message(message: Message) -> dict[str, Any]:
    entry = {
        "Id": message.id,
        "ConversationId": message.conversation_id,
        "Query": message.question,
        "Answer": message.answer,
        "CreatedAt": _time(message.started),
        "GenerationStatus": message.status,
        "GenerationStartedAt": _time(message.started),
        "Events": [_event(frame) for frame in message.frames if frame["Event"] not in _IN_ANSWER],
        "MessageFiles": [],
        "RetrieverResources": [],
    }
    if message.finished:
        entry["GenerationFinishedAt"] = _time(message.finished)
    return entry


def _event(frame: Frame) -> Frame:
    entry = {"event": frame["Event"], "answer": frame["Answer"]}
    entry |= {name: frame[name] for name in ("ConversationId", "MessageId")}
    return entry | {name: frame[name] for name in _APPROVAL_FIELDS if name in frame}


def _conversation(conversation: Conversation) -> dict[str, Any]:
    return {
        "Id": conversation.id,
        "Name": conversation.name,
        "Introduction": "",
        "Status": conversation.status,
        "IsRunning": conversation.status == "running",
        "CreatedAt": _time(conversation.created),
        "UpdatedAt": _time(conversation.updated),
    }


def _time(seconds: float) -> str:
    """Times are texts in these interfaces."""
    return str(int(seconds))
