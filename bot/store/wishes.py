"""What people want of runs that are there: that they stop, go on, are rated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from bot.model.question import Thread
from bot.store import keys
from bot.store.scripts import Scripts

Rank = Literal["unknown", "admin", "other"]
"""Of somebody who wants to stop what they did not ask themselves; to be found out only when that matters."""

_LOOK = 500
"""Threads at work that are read at once."""
_LOOKS = 3
"""How often they are read again when one of them was opened meanwhile."""


@dataclass(frozen=True, slots=True)
class StopTarget:
    """Which run a message that says "stop" means.

    Attributes:
        run_id: "" for none.
        owner: who asked the current run, when the author may not stop it as far as is known; else "".
        is_news: whether it was not answered before; its twin and redeliveries stay silent.
    """

    run_id: str
    owner: str
    is_news: bool


class Wishes:
    """People's wishes in the store. All methods raise `redis.RedisError` when the server is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = Scripts(redis)

    async def stop_target(
        self, thread: Thread, ts: str, user: str, rank: Rank, *, addressed: bool
    ) -> StopTarget:
        """Which run somebody's "stop" means: the thread's current one if they asked it or are an admin, else the
        newest one they have waiting there.

        Args:
            thread: where it was said.
            ts: the message's own; its twin and redeliveries mean the same run, never the next one.
            user: who said it.
            rank: with "unknown" the current run is found only if they asked it; otherwise its owner is told and
                nothing remembered.
            addressed: whether it is for the bot for sure; else it counts only in a thread the bot answers in.
        """
        run_id, owner, is_news = await self._script(
            "stop_target",
            [
                keys.seen_message(thread.team, thread.channel, ts),
                keys.queue(thread.key),
                keys.thread(thread.key),
            ],
            [keys.SEEN_LIFE, int(addressed), user, rank, keys.run("")],
        )
        return StopTarget(str(run_id), str(owner), bool(is_news))

    async def newest_at_work(self, team: str, channel: str, user: str) -> str:
        """Of the current runs of a channel's threads that are somebody's own and not stopped yet, the id of the one in
        the thread of the newest question; "" for none.

        Looks through all threads at work, in the order in which they got it: for what people do seldom.
        """
        for _ in range(_LOOKS):
            names = await self._at_work(Thread(team, channel, "").key)
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.lindex(keys.queue(name), 0)
                    pipe.lindex(keys.queue(name), -1)
                runs = await pipe.execute()
            async with self._redis.pipeline(transaction=False) as pipe:
                for run_id in runs:
                    pipe.hmget(keys.run(run_id or ""), ["user", "stop_by", "accepted_at"])
                records = await pipe.execute()
            own = [
                (float(last[2] or 0), run_id)
                for run_id, current, last in zip(runs[::2], records[::2], records[1::2], strict=True)
                if current[0] == user and not current[1]
            ]
            opened = any(
                run_id is None and Thread.from_key(name).is_new
                for name, run_id in zip(names, runs[::2], strict=True)
            )
            # A command's run has moved to the thread it opened while this looked; its entry there is new.
            if own or not opened:
                return max(own)[1] if own else ""
        return ""

    async def _at_work(self, prefix: str) -> list[str]:
        """The names of the threads at work that begin like this."""
        names: list[str] = []
        after = "-"
        while True:
            entries: Any = await self._redis.xrange(keys.THREADS, after, "+", _LOOK)
            names += [fields["thread"] for _, fields in entries]
            if len(entries) < _LOOK:
                return [name for name in dict.fromkeys(names) if name.startswith(prefix)]
            after = f"({entries[-1][0]}"

    async def mean(self, thread: Thread, ts: str, run_id: str) -> StopTarget:
        """Remember that a message means this run, "" for none; its redeliveries mean the same, whatever they find."""
        key = keys.seen_message(thread.team, thread.channel, ts)
        earlier: Any = await self._redis.set(key, run_id, nx=True, get=True, px=keys.SEEN_LIFE)
        return StopTarget(run_id if earlier is None else str(earlier), "", earlier is None)

    async def answer(self, run_id: str, user: str) -> bool:
        """A paused run is answered with a question of its own, so that nobody decides it any more. False: somebody
        has decided it already."""
        return bool(await self._script("answer", [keys.run(run_id)], [user]))

    async def paused_in(self, thread: Thread) -> tuple[bool, str]:
        """Whether the bot answers in a thread, and the id of its last run if that is paused, else ""."""
        known, run_id = await self._script("paused_in", [keys.thread(thread.key)], [keys.run("")])
        return bool(known), str(run_id)

    async def rate(self, run_id: str, user: str, rating: str) -> None:
        """Keep what somebody thinks of an answer ("like" or "dislike") with its run; the last word counts."""
        await self._script("keep_opinion", [keys.run(run_id)], [f"rating:{user}", rating])

    async def comment(self, run_id: str, user: str, text: str) -> None:
        """Keep what somebody wrote about an answer with its run; the last word counts."""
        await self._script("keep_opinion", [keys.run(run_id)], [f"comment:{user}", text])
