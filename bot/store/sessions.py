"""Which agent and session a thread is bound to. Only the holder of the thread's lease binds; anybody may unbind."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from redis.asyncio import Redis

from bot.model.question import Thread
from bot.store import keys
from bot.store.scripts import Scripts


@dataclass(frozen=True, slots=True)
class Agent:
    """Who answers: a service ("das", "das-legacy", "rds") and one of its agents, "" for the account's default."""

    backend: str
    agent_id: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A thread's conversation upstream. `session_id` is empty until the service has named it; `parent_id` is the last
    answer's message id, for services that want to know what a question follows."""

    agent: Agent
    session_id: str
    parent_id: str = ""


class MovedError(Exception):
    """The thread is bound to another service than was asked for."""


class Sessions:
    """Threads, their agents and sessions. All methods raise `redis.RedisError` when the server is away."""

    def __init__(self, redis: Redis, lives: keys.Lives) -> None:
        self._redis = redis
        self._script = Scripts(redis)
        self._lives = lives

    async def agent_of(self, thread: Thread) -> Agent | None:
        """The agent a thread is bound to, None when it has not asked any yet."""
        known = await self._redis.hmget(keys.thread(thread.key), ["backend", "agent_id"])
        backend, agent_id = (str(value or "") for value in known)
        return Agent(backend, agent_id) if backend else None

    async def session_of(self, thread: Thread, agent: Agent, *, named_by_service: bool) -> Session:
        """The thread's session. A thread that is bound to no agent yet is bound to this one.

        Args:
            thread: the conversation.
            agent: who answers in a thread that is new.
            named_by_service: whether the service makes the ids: then a new session has none; else a new UUIDv4.

        Raises:
            MovedError: when the thread has no session and is bound to another service; ask with that one.
        """
        fresh = "" if named_by_service else str(uuid.uuid4())
        backend, agent_id, session_id, parent_id = await self._script(
            "bind",
            [keys.thread(thread.key)],
            [agent.backend, agent.agent_id, fresh, self._lives.session],
        )
        if session_id is None:
            raise MovedError(thread.key)
        return Session(Agent(backend, agent_id), session_id, parent_id)

    async def adopt(self, thread: Thread, session: Session, named: str, parent_id: str) -> None:
        """The service says the session goes on as `named`, after `parent_id`: remembered, unless the session was
        forgotten or moved meanwhile."""
        await self._script(
            "adopt",
            [keys.thread(thread.key)],
            [session.agent.backend, session.session_id, named, parent_id, self._lives.session],
        )

    async def forget(self, thread: Thread) -> None:
        """Begin a new session with the thread's next question."""
        await self._redis.hdel(keys.thread(thread.key), "session_id", "parent_id")

    async def move(self, thread: Thread, agent: Agent, ts: str) -> bool:
        """From its next question on the thread asks another agent, in a new session there.

        `ts` is that of the message that says so; it counts once. Returns whether this was the first time.
        """
        moved = await self._script(
            "move",
            [keys.thread(thread.key), keys.seen_message(thread.team, thread.channel, ts)],
            [agent.backend, agent.agent_id, self._lives.session, keys.SEEN_LIFE],
        )
        return bool(moved)
