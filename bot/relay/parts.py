"""What a relay works with, from outside: services, stores, sentences, clocks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bot.model.question import Asker, Language, Question
from bot.model.run import Run
from bot.store.sessions import Agent, Sessions
from bot.store.slots import Kind, Slots
from bot.upstream.backend import Backend
from bot.upstream.errors import UpstreamError

DEADLINE = 1800.0
"""Seconds a whole run may take, where nothing else is set."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """What the relay says to people: it knows neither words nor languages itself.

    `explain` turns an upstream error into a sentence; `say` gives a sentence by name.
    """

    explain: Callable[[UpstreamError, Language], str]
    say: Callable[..., str]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs may be open upstream at once: by agent id, and by service for the rest."""

    services: Mapping[str, int] = field(default_factory=dict)
    agents: Mapping[str, int] = field(default_factory=dict)

    def kind(self, agent: Agent) -> Kind:
        """The slots an agent's runs take. RDS Copilot counts the account's runs, and one of its agents may have a
        limit of its own among them; DAS counts those of each agent, however it is called."""
        if agent.backend == "rds":
            own = self.agents.get(agent.agent_id, 0)
            return Kind("rds", self.services.get("rds", 1), agent.agent_id if own else "", own)
        limit = self.agents.get(agent.agent_id, self.services.get("das", 1))
        return Kind(agent.agent_id or "default", limit)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a relay works with.

    Attributes:
        backends: the services by key.
        choose: who answers a question in a thread that is new.
        asker: what the platform knows of who asked a run's question.
        count: adds what a run has cost so far to what people used; what was added before is not added again.
        spent: the sentence for a daily budget that has nothing left for a run, "" while it has; None without budgets.
        deadlines: seconds a whole run of a service may take, by its key.
        max_age: seconds after which a question that was never asked is closed instead.
        resumes: whether the answer to an interrupt is sent as such; else it is a question like any other.
        clock, wall: for durations and for dates, both in seconds. sleep, jitter: to wait, and a number in [0, 1).
    """

    backends: Mapping[str, Backend]
    sessions: Sessions
    slots: Slots
    sentences: Sentences
    choose: Callable[[Question], Awaitable[Agent]]
    asker: Callable[[Run], Awaitable[Asker]]
    count: Callable[[Run], Awaitable[None]]
    limits: Limits = field(default_factory=Limits)
    deadlines: Mapping[str, float] = field(default_factory=dict)
    max_age: float = 3600.0
    resumes: bool = False
    spent: Callable[[Run], Awaitable[str]] | None = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
