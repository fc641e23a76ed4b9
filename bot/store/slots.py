"""Slots: at most N runs open per agent over all replicas, first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass

from redis import RedisError
from redis.asyncio import Redis

from bot import log, metrics
from bot.store import keys
from bot.store.scripts import Scripts

logger = log.get(__name__)

RENEW_SECONDS = 4.0
"""How often held slots are renewed; three renewals fit into their life."""
_AT_ONCE = 100
"""Slots renewed in one round trip: some milliseconds of this process, in which it does nothing else."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is scarce: runs of one agent, or of a whole account, `limit` of them open upstream at once.

    Of an account's, those of `agent` may take `own` at most, if that is not 0. While they do, who waits behind the next
    one of them goes first.
    """

    name: str
    limit: int
    agent: str = ""
    own: int = 0

    @property
    def most(self) -> int:
        """How many of these runs may be open at once."""
        return min(self.limit, self.own or self.limit)

    def member(self, holder: str) -> str:
        """How a holder is written down; the script reads the limit of its agent there."""
        return f"{holder}|{self.own}|{self.agent}" if self.own else holder


class Slots:
    """The slots of every agent."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = Scripts(redis)
        self.known: set[str] = set()
        """The names of what was asked for here."""
        self._kept: dict[str, Kind] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._renewing = asyncio.Lock()
        self._is_away = False

    async def ask(self, kind: Kind, holder: str, *, since: float = 0.0, seize: bool = False) -> int:
        """Take a slot, keep one that is held, or keep one's place in the queue: 0 means held, 1 means next.

        `holder` names one try of one run: a late `free` of a try that lost its thread must not free the next one's.
        `since` is when its turn in its thread came, in Unix seconds on the store's clock; 0 is now.
        With `seize` a slot is taken even when none is free: the run is open upstream already, its worker died.
        Must be called again within `keys.SLOT_LIFE`, or the slot or place goes to others. Raises
        `redis.RedisError` when the server is away.
        """
        self.known.add(kind.name)
        return int(await self._script("slot", self._keys(kind), _asking(kind, holder, since, seize)))

    @asynccontextmanager
    async def kept(self, kind: Kind, holder: str) -> AsyncIterator[None]:
        """Renew a slot that is held as long as the context lasts, together with all others held here."""
        self._kept[holder] = kind
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep(), context=Context())
        try:
            yield
        finally:
            del self._kept[holder]
            # A renewal that is under way would take the slot again after it was given back.
            async with self._renewing:
                pass

    async def _keep(self) -> None:
        while self._kept:
            await asyncio.sleep(RENEW_SECONDS)
            held = list(self._kept.items())
            for start in range(0, len(held), _AT_ONCE):
                async with self._renewing:
                    await self._renew(
                        [each for each in held[start : start + _AT_ONCE] if each[0] in self._kept]
                    )

    async def _renew(self, held: Sequence[tuple[str, Kind]]) -> None:
        """Renew slots in one round trip. One that was lost while the store was away is taken back: its run is open
        upstream whatever the store says."""
        if not held:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for holder, kind in held:
                    await self._script("slot", self._keys(kind), _asking(kind, holder, 0.0, seize=True), pipe)
                with metrics.redis_call("slot"):
                    await pipe.execute()
        except (RedisError, OSError) as error:
            if not self._is_away:
                logger.warning("slots not renewed", count=len(held), reason=str(error))
            self._is_away = True
        except Exception:
            # The others' slots depend on the next round.
            logger.exception("slots not renewed", count=len(held))
        else:
            self._is_away = False

    async def free(self, kind: Kind, holder: str) -> None:
        """Give back a slot or a place. Doing so twice does no harm."""
        # No transaction: a server that is full refuses those, even ones that only take away.
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in self._keys(kind):
                pipe.zrem(key, kind.member(holder))
            await pipe.execute()

    @staticmethod
    def _keys(kind: Kind) -> list[str]:
        return [keys.slot(kind.name, part) for part in ("held", "waiting", "alive", "shares")]


def _asking(kind: Kind, holder: str, since: float, seize: bool) -> list[str | int]:
    """The arguments of the script."""
    return [kind.member(holder), kind.limit, keys.SLOT_LIFE, int(seize), round(since * 1e6)]
