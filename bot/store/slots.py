"""Slots: at most N runs open per agent over all replicas, first come, first served."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from bot.store import keys
from bot.store.scripts import Scripts


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

    async def ask(self, kind: Kind, holder: str, *, since: float = 0.0, seize: bool = False) -> int:
        """Take a slot, keep one that is held, or keep one's place in the queue: 0 means held, 1 means next.

        `holder` names one try of one run: a late `free` of a try that lost its thread must not free the next one's.
        `since` is when its turn in its thread came, in Unix seconds on the store's clock; 0 is now.
        With `seize` a slot is taken even when none is free: the run is open upstream already, its worker died.
        Must be called again within `keys.SLOT_LIFE`, or the slot or place goes to others. Raises
        `redis.RedisError` when the server is away.
        """
        self.known.add(kind.name)
        arguments: list[str | int] = [
            kind.member(holder),
            kind.limit,
            keys.SLOT_LIFE,
            int(seize),
            round(since * 1e6),
        ]
        return int(await self._script("slot", self._keys(kind), arguments))

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
