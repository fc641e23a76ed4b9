"""Which agent answers where: what a workspace and its channels have chosen."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.store import keys
from bot.store.sessions import Agent

WORKSPACE = "workspace"
"""Stands for the whole workspace where a channel's id could stand."""


class Choices:
    """The chosen agents. All methods raise `redis.RedisError` when the server is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def both(self, team: str, channel: str) -> tuple[Agent | None, Agent | None]:
        """What is chosen for a channel, and for its workspace; None where nobody has chosen.

        Looking renews the life: a choice is forgotten only where nobody has asked for so long.
        """
        # No transaction: a full Redis 7.0 refuses even to read inside one.
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.choices(team), [channel, WORKSPACE])
            pipe.pexpire(keys.choices(team), keys.CHOICES_LIFE)
            (of_channel, of_workspace), _ = await pipe.execute()
        return _agent(of_channel), _agent(of_workspace)

    async def anywhere(self, team: str) -> frozenset[Agent]:
        """All that is chosen in a workspace, wherever."""
        chosen = await self._redis.hvals(keys.choices(team))
        return frozenset(agent for agent in map(_agent, chosen) if agent)

    async def set(self, team: str, place: str, agent: Agent) -> None:
        """Choose an agent for a channel, or for the `WORKSPACE`."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.choices(team), place, f"{agent.backend} {agent.agent_id}".strip())
            pipe.pexpire(keys.choices(team), keys.CHOICES_LIFE)
            await pipe.execute()

    async def unset(self, team: str, place: str) -> None:
        """Take a choice back."""
        await self._redis.hdel(keys.choices(team), place)


def _agent(written: object) -> Agent | None:
    return Agent(*str(written).split(" ", 1)) if written else None
