"""Which agents there are: how people name them, and how we name them to people. Pure but for what is chosen."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bot.model.question import Language, Thread
from bot.slack.words import say
from bot.store.choices import Choices
from bot.store.sessions import Agent

_IDS = {
    "das": re.compile(r"ag-[A-Za-z0-9-]{1,62}"),
    "das-legacy": re.compile(r"ag-[A-Za-z0-9-]{1,62}"),
    # How RDS Copilot's custom agents are named is not documented. A digit tells an id from a word: "rds please".
    "rds": re.compile(r"(?=.*\d)[A-Za-z0-9][A-Za-z0-9_-]{0,63}"),
}
"""The services, and the shape of their agents' ids."""
_TITLES = re.compile(r"\b(?:(das)[\s_-]*agent\b(?:\s*\((legacy)\))?|(rds)[\s_-]*copilot\b)", re.I | re.A)
"""The services' names as replies and `/das-agent` show them."""
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
"""What stands around a name in Chinese; names have none of it."""


class BadAgentError(Exception):
    """What somebody wrote chooses no agent; `sentence` tells them why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The agents people can choose.

    Attributes:
        names: of the services that are set up, by key ("das": "DAS Agent").
        default: who answers where nobody has chosen.
        of: the agent of a service when nobody says which.
        of_service: the same in a thread: what its channel or workspace has chosen goes first.
        named: the agents that the settings name by their ids.
        choices: what was chosen.
    """

    names: Mapping[str, str]
    default: Agent
    of: Callable[[str], Agent]
    of_service: Callable[[str, Thread], Awaitable[Agent]]
    named: frozenset[Agent]
    choices: Choices

    def title(self, agent: Agent) -> str:
        """An agent's name, in mrkdwn."""
        name = self.names.get(agent.backend, agent.backend)
        return f"{name} `{agent.agent_id}`" if agent.agent_id else name

    def parse(self, written: str, language: Language) -> tuple[str, str]:
        """The service that somebody names, and its agent's id, "" for none: "rds", "RDS Copilot", "das ag-abc".

        Raises:
            BadAgentError: when there is none of that name.
        """
        written = _FOREIGN.sub(" ", written)
        written = _TITLES.sub(lambda title: "-".join(filter(None, title.groups())), written, count=1)
        service, *rest = written.split() or [""]
        service = service.lower()
        if service not in _IDS:
            known = ", ".join(f"`{key}`" for key in self.names)
            raise BadAgentError(say("agent_unknown", language, known=known))
        if service not in self.names:
            raise BadAgentError(say("agent_absent", language, service=service))
        if len(rest) > 1 or (rest and not self._is_id(service, rest[0])):
            example = f"{service} ag-abc123" if service != "rds" else "rds my-agent-1"
            raise BadAgentError(say("agent_malformed", language, example=example))
        return service, rest[0] if rest else ""

    def _is_id(self, service: str, written: str) -> bool:
        return bool(_IDS[service].fullmatch(written)) or Agent(service, written) in self.named

    async def is_in_use(self, team: str, agent_id: str) -> bool:
        """Whether an agent is one that an admin chose somewhere in the workspace, or that the settings name."""
        agents = self.named | await self.choices.anywhere(team)
        return agent_id in {agent.agent_id for agent in agents}
