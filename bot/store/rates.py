"""Slack's budget as all replicas share it, on Redis's clock.

A lane is a method of a workspace, for posts a channel as well. Of each the store keeps GCRA's time stamp (the arrival
time in theory of the next call), when the last call was granted, what the last refusal by Slack left of the rate, and
the most urgent call that waits at each process. So the next call goes to whoever is first of all replicas. What a lane
makes of these times is decided in one place, `bot.slack.lane`; here it is only done in one step.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redis import RedisError
from redis.asyncio import Redis

from bot import log
from bot.store import keys
from bot.store.scripts import Scripts

logger = log.get(__name__)

_TOLD_LIFE_SECONDS = 15.0
"""How long what a process told of itself stands; it tells it again every five."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a lane stands, for all replicas. Times are seconds from now, negative ones are past.

    Attributes:
        arrival: GCRA's theoretical arrival time of the next call.
        last: when the last call was granted.
        closed_until: when Slack's last refusal ends.
        slowed: the part of its rate that was left to the lane then.
    """

    arrival: float
    last: float
    closed_until: float
    slowed: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that a process would make now.

    Attributes:
        gap: seconds that it costs the lane.
        usable: seconds of the burst within its reach.
        step: seconds it keeps from the call before.
        rank: its urgency, 0 goes first.
        waited: seconds its answer has waited; of the same rank who has waited longest goes first.
        waiting: how many calls wait at this process, this one included.
        next_rank: the urgency of the call that is next here once this one is granted, if any is.
        next_waited: seconds its answer has waited.
    """

    gap: float
    usable: float
    step: float
    rank: int
    waited: float
    waiting: int
    next_rank: int = 0
    next_waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of it.

    Attributes:
        granted: it may be made, and is counted.
        after: seconds that another replica's call, which goes first, is given; else 0.
        waiting: how many calls wait at the other replicas.
        standing: how the lane stands now.
    """

    granted: bool
    after: float
    waiting: int
    standing: Standing


class SharedRates:
    """The rates of one workspace, as one process sees them. While Redis is away it has its own pace.

    `clock` replaces Redis's clock: Unix seconds, for those whose time is not the machine's.
    """

    def __init__(self, redis: Redis, team: str, clock: Callable[[], float] | None = None) -> None:
        self._script = Scripts(redis)
        self._team = team
        self._clock = clock
        self._me = secrets.token_hex(4)
        self._is_away = False

    async def ask(self, lane: str, asked: Asked) -> Turn | None:
        """Ask for a call; None when Redis is away."""
        found = await self._do(
            "rate",
            lane,
            [
                self._me,
                *(_ms(seconds) for seconds in (asked.gap, asked.usable, asked.step)),
                int(asked.rank),
                _ms(asked.waited),
                asked.waiting,
                int(asked.next_rank),
                _ms(asked.next_waited),
            ],
        )
        if found is None:
            return None
        granted, after, waiting, *standing = found
        return Turn(bool(granted), after / 1e6, waiting, _standing(standing))

    async def look(self, lane: str) -> Standing | None:
        """How a lane stands; None when Redis is away."""
        found = await self._do("rate_look", lane, [])
        return None if found is None else _standing(found)

    async def close(
        self, lane: str, seconds: float, burst: float, *, slower: float, slowest: float, recovery: float
    ) -> Standing | None:
        """Slack refused: nobody calls before `seconds` have passed, then without the `burst` and more slowly.

        Args:
            lane: which rate.
            seconds: Slack's Retry-After.
            burst: seconds' worth of calls that could be made at once.
            slower: what a refusal leaves of the rate. Refusals of calls that were under way together count once.
            slowest: the least that refusals leave of it.
            recovery: seconds in which the whole rate would come back.
        """
        arguments: list[str | int] = [_ms(seconds), _ms(burst), repr(slower), repr(slowest), _ms(recovery)]
        found = await self._do("rate_close", lane, arguments)
        return None if found is None else _standing(found)

    async def tell(self, counts: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]] | None:
        """Tell how many answers of this process live on a method and expect a call of it.

        Returns the sums of the other processes that live, or None when Redis is away.
        """
        found = await self._do(
            "rate_tell", "", [self._me, json.dumps(counts) if counts else "", _ms(_TOLD_LIFE_SECONDS)]
        )
        if found is None:
            return None
        users: Counter[str] = Counter()
        expected: Counter[str] = Counter()
        for told in found:
            for method, (lives, expects) in json.loads(told).items():
                users[method] += lives
                expected[method] += expects
        return {method: (users[method], expected[method]) for method in users}

    async def _do(self, script: str, lane: str, arguments: list[str | int]) -> Any:
        key = keys.rate(self._team, lane) if lane else keys.rate_told(self._team)
        now = "" if self._clock is None else _ms(self._clock())
        try:
            found = await self._script(script, [key], [now, *arguments])
        except (RedisError, OSError) as error:
            # Every call of Slack asks here: one line tells of them all.
            if not self._is_away:
                reason = f"{type(error).__name__}: {error}"
                logger.warning("shared budget not reached, going on at our own pace", reason=reason)
            self._is_away = True
            return None
        self._is_away = False
        return found


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3f}"


def _standing(microseconds: list[int]) -> Standing:
    """Lua's numbers are cut to whole ones on their way, so they come in millionths."""
    arrival, last, closed_until, slowed = (each / 1e6 for each in microseconds)
    return Standing(arrival, last, closed_until, slowed)
