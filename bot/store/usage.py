"""What answers cost: characters per day, summed for the workspace, its channels, its people and the agents asked.

One hash per workspace and day. Its fields are as many as channels, people and agents were active that day, twice:
what the services did not say but we estimated is counted a second time under a name of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from redis.asyncio import Redis

from bot.model.run import Run
from bot.store import keys
from bot.store.scripts import Scripts

_TOTAL, _RUNS = "total", "runs"
_ESTIMATED = "~"
"""Begins the name of the part of a sum that is estimated."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Characters, and how many of them are estimated."""

    characters: int = 0
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """What one day cost: all of it, the runs it was, and its parts by agent ("rds ag-x"), channel and person."""

    total: Spent = Spent()
    runs: int = 0
    agents: dict[str, Spent] = field(default_factory=dict)
    channels: dict[str, Spent] = field(default_factory=dict)
    people: dict[str, Spent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Daily:
    """Characters that may be spent a day; 0 is no limit."""

    workspace: int = 0
    channel: int = 0
    person: int = 0

    def __bool__(self) -> bool:
        return bool(self.workspace or self.channel or self.person)


@dataclass(frozen=True, slots=True)
class Account:
    """One daily budget: whose ("person", "channel" or "workspace"), what of it is spent, and its limit (0: none)."""

    whose: str
    spent: int
    limit: int

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return 0 < self.limit <= self.spent


class Usage:
    """What was spent when. All methods raise `redis.RedisError` when the server is away.

    Args:
        redis: the client.
        zone: where a day begins at midnight.
        wall: Unix seconds.
    """

    def __init__(self, redis: Redis, zone: tzinfo, wall: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._script = Scripts(redis)
        self.zone = zone
        self._wall = wall

    @property
    def today(self) -> date:
        """The day it is."""
        return datetime.fromtimestamp(self._wall(), self.zone).date()

    @property
    def renewal(self) -> datetime:
        """When the next day begins."""
        tomorrow = self.today + timedelta(days=1)
        return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=self.zone)

    async def count(self, run: Run) -> None:
        """Add what a run has cost so far to the sums of today.

        Doing so again counts only what has come on top, so that nobody has to know whether it was done: not a worker
        that takes over from a dead one, and not one that learns the true cost after an estimate.
        """
        question = run.question
        agent = f"{run.backend} {run.agent_id}".strip()
        parts = [
            _TOTAL,
            f"person:{question.user}",
            f"channel:{question.thread.channel}",
            *([f"agent:{agent}"] if agent else []),
        ]
        await self._script(
            "count_usage",
            [keys.run(run.id), keys.usage(question.thread.team, self.today.isoformat())],
            [run.characters, run.characters if run.estimated else 0, keys.USAGE_LIFE, *parts],
        )

    async def days(self, team: str, count: int) -> list[tuple[date, Day]]:
        """Today and the days before it, `count` in all, newest first."""
        dates = [self.today - timedelta(days=back) for back in range(count)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for each in dates:
                pipe.hgetall(keys.usage(team, each.isoformat()))
            found = await pipe.execute()
        return [(each, _day(fields)) for each, fields in zip(dates, found, strict=True)]

    async def accounts(self, team: str, channel: str, user: str, daily: Daily) -> list[Account]:
        """How somebody's budgets stand today, the narrowest first."""
        names = [f"person:{user}", f"channel:{channel}", _TOTAL]
        found = await self._redis.hmget(keys.usage(team, self.today.isoformat()), names)
        limits = (("person", daily.person), ("channel", daily.channel), ("workspace", daily.workspace))
        return [
            Account(whose, int(value or 0), limit)
            for (whose, limit), value in zip(limits, found, strict=True)
        ]


def _day(fields: dict[str, str]) -> Day:
    def spent(name: str) -> Spent:
        return Spent(int(fields.get(name, 0)), int(fields.get(_ESTIMATED + name, 0)))

    def parts(kind: str) -> dict[str, Spent]:
        return {name.removeprefix(kind): spent(name) for name in fields if name.startswith(kind)}

    return Day(spent(_TOTAL), int(fields.get(_RUNS, 0)), parts("agent:"), parts("channel:"), parts("person:"))
