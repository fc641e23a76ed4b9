"""Which agent and session a thread is bound to. Only the holder of the thread's lease binds; anybody may unbind."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field

from redis.asyncio import Redis

from bot.model.question import Thread
from bot.model.run import Run
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
    answer's message id, for services that want to know what a question follows; `moves` how often the thread had been
    moved when it was looked up, which is no part of the session."""

    agent: Agent
    session_id: str
    parent_id: str = ""
    moves: int = field(default=0, compare=False)


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
        backend, agent_id, session_id, parent_id, moves = await self._script(
            "bind",
            [keys.thread(thread.key)],
            [agent.backend, agent.agent_id, fresh, self._lives.session],
        )
        if session_id is None:
            raise MovedError(thread.key)
        return Session(Agent(backend, agent_id), session_id, parent_id, int(moves))

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

    async def lose(self, thread: Thread, session: Session) -> None:
        """The service no longer knows a session: it is forgotten, unless the thread has another by now."""
        await self._script("lose", [keys.thread(thread.key)], [session.agent.backend, session.session_id])

    async def moves(self, thread: Thread) -> int:
        """How often the thread was moved to another agent."""
        return int(await self._redis.hget(keys.thread(thread.key), "moves") or 0)

    async def move(self, thread: Thread, agent: Agent, ts: str) -> bool:
        """What is asked in the thread from now on goes to another agent, in a new session there.

        `ts` is that of the message that says so; it counts once. Returns whether this was the first time.
        """
        moved = await self._script(
            "move",
            [keys.thread(thread.key), keys.seen_message(thread.team, thread.channel, ts)],
            [agent.backend, agent.agent_id, self._lives.session, keys.SEEN_LIFE],
        )
        return bool(moved)

    async def note_words(self, run: Run) -> None:
        """A run is about to ask in a session that the service will name. Should its stream be lost before that, the
        session is looked for by the words, and must not be taken for that of somebody who asked the same."""
        words = [keys.same_words(_digest(run))]
        await self._script("note_words", words, [run.id, repr(run.asked_at), self._lives.run])

    async def of_same_words(self, run: Run, seconds: float) -> frozenset[str] | None:
        """The sessions of other runs that asked the same words in a new session, at most so many seconds apart.

        None when one of them may have a session that is not known.
        """
        earliest, latest = run.asked_at - seconds, run.asked_at + seconds
        noted = await self._redis.zrangebyscore(keys.same_words(_digest(run)), earliest, latest)
        async with self._redis.pipeline(transaction=False) as pipe:
            for other in map(str, noted):
                if other != run.id:
                    pipe.hmget(keys.run(other), ["asks", "refusals", "session_id"])
            others = await pipe.execute()
        # Whoever was refused each time has none.
        begun = [str(session_id or "") for asks, refusals, session_id in others if asks != refusals]
        return None if "" in begun else frozenset(begun)


def _digest(run: Run) -> str:
    """Of the words of a question; whole they would be a long key, and be readable."""
    words = f"{run.backend}\n{run.question.text.strip()}"
    return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()[:32]
