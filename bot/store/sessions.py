"""Which upstream session a thread is bound to. Only the holder of the thread's lease binds one; anybody may unbind."""

from __future__ import annotations

import uuid

from redis.asyncio import Redis

from bot.model.question import Thread
from bot.store import keys
from bot.store.scripts import Scripts


class Sessions:
    """Threads and their sessions. All methods raise `redis.RedisError` when the server is away."""

    def __init__(self, redis: Redis, lives: keys.Lives) -> None:
        self._redis = redis
        self._script = Scripts(redis)
        self._lives = lives

    async def session_of(self, thread: Thread) -> str:
        """The thread's session id, a new UUIDv4 when it has none yet. Two askers get the same one."""
        key = keys.thread(thread.key)
        # One step: somebody may forget the session between two, and a key made by half of it would never run out.
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hsetnx(key, "session_id", str(uuid.uuid4()))
            pipe.pexpire(key, self._lives.session)
            pipe.hget(key, "session_id")
            *_, session_id = await pipe.execute()
        return str(session_id)

    async def adopt(self, thread: Thread, session_id: str, named: str) -> None:
        """The service says `session_id` goes on as `named`: use that from now on, unless it was forgotten meanwhile."""
        await self._script("adopt", [keys.thread(thread.key)], [session_id, named, self._lives.session])

    async def forget(self, thread: Thread) -> None:
        """Begin a new session with the thread's next question."""
        await self._redis.hdel(keys.thread(thread.key), "session_id")
