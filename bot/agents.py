"""Who answers: the agents an operator set up, and which of them a new thread asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot.model.question import Question
from bot.settings import Settings
from bot.store.sessions import Agent

Chosen = Callable[[str, str], Awaitable[Agent | None]]
"""The agent people chose for a team and channel, None when nobody did."""


class Agents:
    """The services that can be asked, and the choice among them."""

    def __init__(self, settings: Settings, chosen: Chosen) -> None:
        self._chosen = chosen
        self._own = {"das": settings.das_agent_id, "das-legacy": settings.das_agent_id}
        if settings.has_rds:
            self._own["rds"] = settings.rds_agent_id
        backend, *agent_id = settings.default_agent.split()
        self.default = Agent(backend, agent_id[0]) if agent_id else self.of(backend)

    @property
    def services(self) -> frozenset[str]:
        """The services that are set up, by key."""
        return frozenset(self._own)

    def of(self, backend: str) -> Agent:
        """A service with the agent the settings name for it."""
        return Agent(backend, self._own.get(backend, ""))

    async def choose(self, question: Question) -> Agent:
        """Who answers a question in a thread that is new: what its command names, else the choice of the channel or
        workspace, else the default. A command for DAS or RDS keeps the channel's agent of that service."""
        chosen = await self._chosen(question.thread.team, question.thread.channel)
        if chosen and chosen.backend not in self._own:
            chosen = None  # It was chosen when the service was still set up.
        wanted = question.backend
        if chosen and (not wanted or chosen.backend.split("-")[0] == wanted):
            return chosen
        return self.of(wanted) if wanted else self.default
