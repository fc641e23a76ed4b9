"""`/das-agent`: which agent answers here, and why; and to choose another, for the channel or the workspace."""

from __future__ import annotations

from typing import Any

from bot import log
from bot.model.question import Language
from bot.slack.access import Visit
from bot.slack.intake.agents import BadAgentError
from bot.slack.intake.desk import Desk
from bot.slack.words import say
from bot.store.choices import WORKSPACE
from bot.store.sessions import Agent

logger = log.get(__name__)


async def answer(command: dict[str, Any], desk: Desk) -> str:
    """The private line that answers the command.

    Raises:
        redis.RedisError: when the store is away.
    """
    channel, user = str(command["channel_id"]), str(command["user_id"])
    language = await desk.people.language(user)
    # The command names the workspace it came through, not the home of who typed it.
    if key := await desk.people.refusal(Visit(user, "", channel)):
        return say(key, language)
    place, *words = [channel, *str(command.get("text") or "").split()]
    if words and words[0].lower() == WORKSPACE:
        place, *words = words
        place = WORKSPACE
    if not words:
        return await _shown(channel, language, desk)
    if not await desk.people.is_admin(user):
        return say("not_admin", language)
    return await _chosen(place, " ".join(words), user, language, desk)


async def _shown(channel: str, language: Language, desk: Desk) -> str:
    """What answers here, and why."""
    agents = desk.agents
    of_channel, of_workspace = await agents.choices.both(desk.team, channel)
    chosen = [("why_channel", of_channel), ("why_workspace", of_workspace), ("why_default", agents.default)]
    gone = [agent.backend for _, agent in chosen if agent and agent.backend not in agents.names]
    why, agent = next((why, agent) for why, agent in chosen if agent and agent.backend in agents.names)
    lines = [say("agent_here", language, agent=agents.title(agent), why=say(why, language))]
    lines += [say("agent_absent", language, service=service) for service in dict.fromkeys(gone)]
    return "\n".join([*lines, say("agent_how", language)])


async def _chosen(place: str, written: str, user: str, language: Language, desk: Desk) -> str:
    """Carry a choice out; says what holds now."""
    agents, team = desk.agents, desk.team
    where = say("where_workspace" if place == WORKSPACE else "where_channel", language)
    if written.lower() == "default":
        await agents.choices.unset(team, place)
        logger.info("agent chosen", place=place, agent="default", by=user)
        return say("agent_unset", language, where=where)
    try:
        service, agent_id = agents.parse(written, language)
    except BadAgentError as error:
        return error.sentence
    agent = Agent(service, agent_id) if agent_id else agents.of(service)
    await agents.choices.set(team, place, agent)
    logger.info("agent chosen", place=place, agent=f"{agent.backend} {agent.agent_id}".strip(), by=user)
    return say("agent_set", language, where=where, agent=agents.title(agent))
