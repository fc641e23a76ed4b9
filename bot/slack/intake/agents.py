"""Which agents there are: how people name them, and how we name them to people. Pure but for what is chosen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.model.question import Language
from bot.slack.words import say
from bot.store.choices import Choices
from bot.store.sessions import Agent

_IDS = {
    "das": re.compile(r"ag-[A-Za-z0-9-]{1,62}"),
    "das-legacy": re.compile(r"ag-[A-Za-z0-9-]{1,62}"),
    # How RDS Copilot's custom agents are named is not documented.
    "rds": re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"),
}
"""The services, and the shape of their agents' ids."""


class BadAgentError(Exception):
    """What somebody wrote names no agent; `sentence` tells them, and what to write."""

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
        choices: what was chosen.
    """

    names: Mapping[str, str]
    default: Agent
    of: Callable[[str], Agent]
    choices: Choices

    def title(self, agent: Agent) -> str:
        """An agent's name, in mrkdwn."""
        name = self.names.get(agent.backend, agent.backend)
        return f"{name} `{agent.agent_id}`" if agent.agent_id else name

    def parse(self, written: str, language: Language) -> Agent:
        """The agent that somebody names: "rds", "das ag-abc".

        Raises:
            BadAgentError: when there is none of that name.
        """
        service, *rest = written.split() or [""]
        service = service.lower()
        if service not in _IDS:
            known = ", ".join(f"`{key}`" for key in self.names)
            raise BadAgentError(say("agent_unknown", language, known=known))
        if service not in self.names:
            raise BadAgentError(say("agent_absent", language, service=service))
        if len(rest) > 1 or (rest and not _IDS[service].fullmatch(rest[0])):
            example = f"{service} ag-abc123" if service != "rds" else "rds my-agent"
            raise BadAgentError(say("agent_malformed", language, example=example))
        return Agent(service, rest[0]) if rest else self.of(service)
