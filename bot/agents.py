"""Who answers: the agents an operator set up, and which of them a new thread asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot.model.question import Question, Thread
from bot.settings import Settings
from bot.store.sessions import Agent

Chosen = Callable[[str, str], Awaitable[tuple[Agent | None, Agent | None]]]
"""What people chose for a channel, and for its workspace, by team and channel; None where nobody did."""


class Agents:
    """The services that can be asked, and the choice among them.

    Attributes:
        default: who answers where nobody has chosen.
        named: the agents that the settings name by their ids.
    """

    def __init__(self, settings: Settings, chosen: Chosen) -> None:
        self._chosen = chosen
        self._services = frozenset({"das", "das-legacy"} | ({"rds"} if settings.has_rds else set()))
        backend, *default_id = settings.default_agent.split()
        ids = {"das": settings.das_agent_id, "rds": settings.rds_agent_id}
        self.named = frozenset(Agent(kind, agent_id) for kind, agent_id in ids.items() if agent_id)
        if default_id:
            # However DAS Agent is called, its agents are the same.
            ids[kind_of(backend)] = default_id[0]
            self.named |= {Agent(kind_of(backend), default_id[0])}
        self._ids = ids
        self.default = self.of(backend)

    def of(self, backend: str) -> Agent:
        """A service with the agent the settings name for it, that of the default before any other."""
        return Agent(backend, self._ids.get(kind_of(backend), ""))

    async def choose(self, question: Question) -> Agent:
        """Who answers a question in a thread that is new: the choice of the channel, else of the workspace, else the
        default; for a command the first of these that is of its service."""
        wanted = question.backend
        for agent in (*await self._chosen_in(question.thread), self.default):
            if not wanted or kind_of(agent.backend) == wanted:
                return agent
        return self.of(wanted)

    async def of_service(self, backend: str, thread: Thread) -> Agent:
        """The agent of one service that the thread's channel or workspace chose, else that of the settings."""
        chosen = (agent for agent in await self._chosen_in(thread) if agent.backend == backend)
        return next(chosen, self.of(backend))

    async def _chosen_in(self, thread: Thread) -> list[Agent]:
        """What is chosen for a channel and its workspace. A service may be gone since it was."""
        chosen = await self._chosen(thread.team, thread.channel)
        return [agent for agent in chosen if agent and agent.backend in self._services]


def kind_of(backend: str) -> str:
    """What commands call a service: both interfaces of DAS Agent are "das"."""
    return backend.partition("-")[0]
