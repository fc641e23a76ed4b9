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

    async def of(self, team: str, channel: str) -> Agent | None:
        """The agent of a channel, else that of its workspace; None when nobody has chosen."""
        chosen = await self._read(team, [channel, WORKSPACE])
        return next((agent for agent in chosen if agent), None)

    async def both(self, team: str, channel: str) -> tuple[Agent | None, Agent | None]:
        """What the channel has chosen, and what its workspace has."""
        of_channel, of_workspace = await self._read(team, [channel, WORKSPACE])
        return of_channel, of_workspace

    async def set(self, team: str, place: str, agent: Agent) -> None:
        """Choose an agent for a channel, or for the `WORKSPACE`."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.choices(team), place, f"{agent.backend} {agent.agent_id}".strip())
            pipe.pexpire(keys.choices(team), keys.CHOICES_LIFE)
            await pipe.execute()

    async def unset(self, team: str, place: str) -> None:
        """Take a choice back."""
        await self._redis.hdel(keys.choices(team), place)

    async def _read(self, team: str, places: list[str]) -> list[Agent | None]:
        # Looking renews the life: a choice is forgotten only where nobody has asked for so long.
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hmget(keys.choices(team), places)
            pipe.pexpire(keys.choices(team), keys.CHOICES_LIFE)
            found, _ = await pipe.execute()
        return [Agent(*str(value).split(" ", 1)) if value else None for value in found]
