"""The vocabulary that scripted diagnoses are written in: what the agent does, and what it can be asked next.

Scripts are data. Strings may hold `{instance}`, the instance id in question, `{clock-38}`, the wall time 38
minutes ago, and `{moment-38}`, the same with its date in UTC. Text for people comes in English and Chinese;
what tools return is the same for both.
"""

from __future__ import annotations

import enum
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple

BEIJING = timezone(timedelta(hours=8))
"""The services' own wall clock."""

WRITING_SPEED = 240.0
"""Characters of English a second: about sixty tokens, the speed of a mid-sized model."""

_TIME = re.compile(r"\{(clock|moment)-(\d+)\}")


class Text(NamedTuple):
    """The same words in both languages of the service."""

    en: str
    zh: str

    def tell(self, chinese: bool) -> str:
        return self.zh if chinese else self.en


@dataclass(frozen=True, slots=True)
class Think:
    """Silence with heartbeats, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """A message of the agent, written at `speed` characters a second."""

    text: Text
    speed: float = WRITING_SPEED


@dataclass(frozen=True, slots=True)
class Tool:
    """A call of a DAS interface. `result` is JSON or text; with `error` the call failed and says so."""

    api: str
    params: Mapping[str, Any]
    result: Any
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """A sub-agent with a task. `outcome` is what it hands back to whoever called it."""

    name: str
    label: Text
    task: Text
    actions: tuple[Action, ...]
    outcome: Text
    status: str = "completed"


@dataclass(frozen=True, slots=True)
class Together:
    """Sub-agents that work at the same time; the caller waits for all of them."""

    agents: tuple[Agent, ...]


Action = Think | Say | Tool | Together


class Intent(enum.Enum):
    """What a person asks after a diagnosis."""

    WHY = "why"
    SAFE = "is it safe"
    DURATION = "how long"
    SQL = "show me the statement"
    OTHER = "anything else"


@dataclass(frozen=True, slots=True)
class Topic:
    """A problem the agent can diagnose.

    `keywords` are lower-case and matched as substrings (Latin ones from the start of a word). `kinds` are the
    prefixes of instance ids it fits. `stand_in` is the instance it picks when the question names none, and
    `finding` the phrase a later answer uses for what was found.
    """

    name: str
    keywords: tuple[str, ...]
    finding: Text
    actions: tuple[Action, ...]
    replies: Mapping[Intent, Text] = field(default_factory=dict)
    recheck: Tool | None = None
    kinds: tuple[str, ...] = ("rm", "pc")
    stand_in: str = ""


def fill(text: str, instance: str, moment: float, zone: tzinfo = BEIJING) -> str:
    """`text` with the instance id and the wall times put in, seen at `moment` (Unix time in seconds)."""

    def wall(found: re.Match[str]) -> str:
        seconds = moment - 60 * int(found[2])
        if found[1] == "clock":
            return datetime.fromtimestamp(seconds, zone).strftime("%H:%M")
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")

    return _TIME.sub(wall, text.replace("{instance}", instance))


def pieces(text: str, dice: random.Random, least: int, most: int) -> Iterator[str]:
    """`text` as a model writes it: in pieces of `least` to `most` characters."""
    while text:
        size = dice.randint(least, most)
        yield text[:size]
        text = text[size:]


def compact(value: Any) -> str:
    """JSON as the services write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
