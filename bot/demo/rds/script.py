"""What RDS Copilot's scripts hold besides text and tools: reasoning, sources, replaced text, tools that write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.demo.upstream import script
from bot.demo.upstream.script import Text


@dataclass(frozen=True, slots=True)
class Reason:
    """What the model thinks before it speaks, shown on request."""

    text: Text


@dataclass(frozen=True, slots=True)
class Docs:
    """Sources of an answer: title and address of each."""

    sources: tuple[tuple[Text, str], ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """Takes back everything said so far and puts this text in its place."""

    text: Text


@dataclass(frozen=True, slots=True)
class Write:
    """A tool that changes something, and what is said when it ran and when it was rejected."""

    tool: str
    description: Text
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]
    done: Text
    rejected: Text


@dataclass(frozen=True, slots=True)
class Round:
    """Writes that are decided on together. `forbidden` is said when the conversation may only read."""

    writes: tuple[Write, ...]
    forbidden: Text


Action = script.Action | script.Agent | Reason | Docs | Replace | Round
