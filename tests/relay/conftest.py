"""Workers between a real Valkey and doubles of the protocols: a backend led by hand, a platform of lists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from redis import RedisError
from redis.asyncio import Redis

from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.event import ApprovalAsked, Event, InterruptRaised, RunFinished, TextMessageContent
from bot.model.question import MAX_QUESTION, Asker, Question, Thread
from bot.model.run import Run, State
from bot.relay.parts import Limits, Parts, Sentences
from bot.relay.reply import CannotPostError, Save
from bot.relay.worker import Worker
from bot.store import keys
from bot.store.connection import connect
from bot.store.runs import Lease, Runs
from bot.store.sessions import Agent, Sessions
from bot.store.slots import Slots
from bot.store.usage import Daily, Usage
from bot.upstream.backend import Ask, Others
from bot.upstream.errors import UpstreamError

THREAD = Thread("T1", "C1", "1.0")
_OF_THE_LIVING = (
    "abandoned_entries",
    "beat_all",
    "end_waiting",
    "finish",
    "next_entries",
    "open_thread",
    "save",
)
"""What a killed worker does no more."""


class HandLedBackend:
    """A backend whose answers a test gives piece by piece, by question."""

    key, name, limit, names_sessions = "das", "hand-led", MAX_QUESTION, False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.asks: list[Ask] = []
        self.open = 0
        self.most_open = 0
        self.refuse: dict[str, Exception] = {}
        self.refuse_first: dict[str, list[Exception]] = {}
        self._pieces: dict[str, asyncio.Queue[Event | Exception]] = {}

    def feed(self, question: str, *pieces: Event | Exception) -> None:
        for piece in pieces:
            self._pieces.setdefault(question, asyncio.Queue()).put_nowait(piece)

    def answer(self, question: str, text: str = "because") -> None:
        self.feed(question, TextMessageContent("m", text), RunFinished())

    @asynccontextmanager
    async def ask(self, ask: Ask) -> AsyncIterator[AsyncIterator[Event]]:
        question = ask.text
        await self.connect(question)
        if ask.leaving:
            await ask.leaving()
        self.asked.append(question)
        self.asks.append(ask)
        if question in self.refuse:
            raise self.refuse[question]
        if self.refuse_first.get(question):
            raise self.refuse_first[question].pop(0)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            yield self._read(question)
        finally:
            self.open -= 1

    async def connect(self, question: str) -> None:
        """What comes before the request leaves."""

    async def _read(self, question: str) -> AsyncIterator[Event]:
        queue = self._pieces.setdefault(question, asyncio.Queue())
        while True:
            piece = await queue.get()
            if isinstance(piece, Exception):
                raise piece
            yield piece
            if isinstance(piece, RunFinished | ApprovalAsked | InterruptRaised):
                return

    async def aclose(self) -> None: ...


class FollowedBackend(HandLedBackend):
    """A service whose runs live on: what it still says after a cut is in `history`, by question."""

    key, name, limit, names_sessions = "rds", "followed", 8_000, True

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Event]] = {}
        self.fetched: list[tuple[Ask, str]] = []
        self.others: list[frozenset[str] | None] = []
        """Who asked the same words, as it was told at each fetching without a session."""
        self.stopped: list[str] = []
        self.cannot_stop = False

    async def stop(self, run_id: str) -> None:
        if self.cannot_stop:
            raise UpstreamError("ServiceUnavailable")
        self.stopped.append(run_id)

    async def recover(self, ask: Ask, message_id: str, since: float, others: Others) -> AsyncIterator[Event]:
        self.fetched.append((ask, message_id))
        if not ask.session_id:
            self.others.append(await others())
        if ask.text not in self.history:
            raise UpstreamError("NotFound")
        for event in self.history[ask.text]:
            yield event

    async def rate(self, message_id: str, rating: str, comment: str) -> None: ...


@dataclass
class World:
    """What a person sees of each question: the lines written, in order, by the text of the question."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    posts: dict[str, int] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    break_finish: Exception | None = None
    break_reply: Exception | None = None
    break_writing: Exception | None = None
    cannot_post: bool = False
    refused: str = ""
    """Why nothing can be shown."""
    excuses: list[str] = field(default_factory=list)
    broke: int = 0
    spent: dict[str, int | None] = field(default_factory=dict)
    """The characters each ending told."""
    late: bool = False
    """Whether what is shown arrives late, as that of a process frozen through its lease."""
    hold_open: asyncio.Event | None = None
    hold_root: asyncio.Event | None = None
    look: Callable[[], Awaitable[set[str]]] | None = None
    """What a look for a run's messages finds; it takes its time."""
    hold_finish: asyncio.Event | None = None
    """Keeps replies from coming back once they show the end."""

    def say(self, question: str, line: str) -> None:
        self.lines.setdefault(question, []).append(line)

    def endings(self, question: str) -> list[str]:
        return [line for line in self.lines.get(question, []) if line.startswith("END")]


class WrittenReply:
    """One reply, written into the world; its message is posted once and remembered with the run."""

    def __init__(self, world: World, run: Run, save: Save) -> None:
        self._world, self._run, self._save = world, run, save
        self.wrote_late = False
        self._question = run.question.text
        self._last = ""

    @property
    def refused(self) -> str:
        return self._world.refused

    async def open(self, progress: Progress) -> None:
        if self._world.hold_open:
            await self._world.hold_open.wait()
        await self._post()
        self._world.say(self._question, f"{progress.doing} {progress.place}")

    async def _post(self) -> None:
        if not self._run.reply_ts:
            self._world.posts[self._question] = self._world.posts.get(self._question, 0) + 1
            self._run.reply_ts = [f"ts-{self._question}"]
            await self._save()

    def show(self, answer: Answer, progress: Progress) -> None:
        line = f"{progress.doing} {progress.place} {answer.text}".strip()
        self.wrote_late = self._world.late
        if line != self._last:
            self._last = line
            self._world.say(self._question, line)

    async def keep_writing(self) -> None:
        if self._world.break_writing:
            raise self._world.break_writing
        await asyncio.Event().wait()

    async def finish(self, answer: Answer, ending: Ending) -> None:
        if self._world.break_finish:
            raise self._world.break_finish
        await self._post()
        self._run.shown = str(ending.state)
        with suppress(RedisError):
            await self._save()
        self._world.spent[self._question] = ending.characters
        self._world.say(self._question, f"END {ending.state} {ending.reason}|{answer.text}")
        if self._world.hold_finish:
            await self._world.hold_finish.wait()

    async def ended(self) -> Ending | None:
        return Ending(State(self._run.shown)) if self._run.shown in list(State) else None

    async def restore(self) -> None:
        self._world.say(self._question, "RESTORED")

    async def made_for(self, run_id: str) -> set[str]:
        return await self._world.look() if self._world.look else set()

    async def withdraw(self, messages: Collection[str]) -> None:
        for ts in messages:
            if ts not in self._run.reply_ts:
                self._world.say(self._question, f"WITHDRAWN {ts}")

    async def recover(self, ending: Ending) -> Ending:
        self._world.say(self._question, f"END {ending.state} {ending.reason}|{self._run.shown}")
        return ending


class WrittenPlatform:
    def __init__(self, world: World) -> None:
        self._world = world

    def reply(self, run: Run, save: Save) -> WrittenReply:
        if self._world.break_reply:
            self._world.broke += 1
            raise self._world.break_reply
        return WrittenReply(self._world, run, save)

    async def open_thread(self, run: Run, save: Save) -> str:
        run.posting = True
        await save()
        if self._world.cannot_post:
            raise CannotPostError("not_in_channel")
        self._world.roots.append(run.question.text)
        if self._world.hold_root:
            await self._world.hold_root.wait()
        return "5.0"

    def excuse(self, run: Run, line: str) -> None:
        self._world.excuses.append(line)

    async def withdraw_roots(self, run: Run) -> None:
        self._world.say(run.question.text, f"ROOTS WITHDRAWN BUT {run.question.thread.thread_ts}")


def _say(name: str, language: str, **values: object) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in values.items())])


class Stage:
    """Workers on one store, and what they write."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.world, self.backend, self.followed = World(), HandLedBackend(), FollowedBackend()
        self.counted: list[tuple[str, int, bool]] = []
        self.resumes = False
        self.usage: Usage | None = None
        """Where what was counted is summed up as well."""
        self.daily = Daily()
        self.runs = Runs(redis, keys.Lives(), "intake")
        self.now = 1_000_000.0
        self.limit = 1
        self.agents: dict[str, int] = {}
        """Limits of single agents."""
        self.pauses: list[float] = []
        self.hold_pauses: asyncio.Event | None = None
        self._lives: list[asyncio.Task[None]] = []
        self.workers: list[Worker] = []

    async def ask(self, text: str, thread: Thread = THREAD, *, backend: str = "", resumes: str = "") -> str:
        question = Question(
            thread,
            f"{thread.thread_ts}-{text}{resumes}",
            "U1",
            "T1",
            text,
            "mention",
            backend=backend,
            resumes=resumes,
        )
        return (await self.runs.accept(question)).run_id

    def worker(
        self,
        *,
        max_runs: int = 10,
        max_waiting: int = 500,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> Worker:
        """One more worker, as of another process, at work."""
        sentences = Sentences(lambda error, language: f"explained {error.code}", _say)

        async def choose(question: Question) -> Agent:
            return Agent(question.backend or "das")

        async def asker(run: Run) -> Asker:
            return Asker("zh-CN", "Asia/Shanghai")

        async def count(run: Run) -> None:
            self.counted.append((run.question.text, run.characters, run.estimated))
            if self.usage:
                await self.usage.count(run)

        async def spent(run: Run) -> str:
            assert self.usage
            thread = run.question.thread
            accounts = await self.usage.accounts(thread.team, thread.channel, "U1", self.daily)
            return "spent" if any(account.is_used_up for account in accounts) else ""

        async def no_pause(seconds: float) -> None:
            self.pauses.append(seconds)
            await asyncio.sleep(0)
            if self.hold_pauses:
                await self.hold_pauses.wait()

        parts = Parts(
            {"das": self.backend, "rds": self.followed},
            Sessions(self.redis, keys.Lives()),
            Slots(self.redis),
            sentences,
            choose,
            asker,
            count,
            Limits({"das": self.limit, "rds": self.limit}, self.agents),
            resumes=self.resumes,
            spent=spent if self.daily else None,
            wall=wall,
            clock=clock,
            sleep=no_pause,
            jitter=lambda: 0.5,
        )
        runs = Runs(self.redis, keys.Lives(), f"worker{len(self.workers)}")
        worker = Worker(runs, WrittenPlatform(self.world), parts, max_runs=max_runs, max_waiting=max_waiting)
        self.workers.append(worker)
        self._lives.append(asyncio.create_task(worker.run()))
        return worker

    async def kill(self, number: int) -> None:
        """As kill -9: nothing is cleaned up in Redis, and everybody else finds the worker silent for a minute."""
        worker = self.workers[number]
        self._lives[number].cancel()
        jobs = list(worker._jobs.values())

        async def gone(*_: object) -> None:
            await asyncio.Event().wait()

        for runs_method in _OF_THE_LIVING:
            setattr(worker._runs, runs_method, gone)
        setattr(worker._parts.slots, "free", gone)  # noqa: B010 (mypy takes no assignment to a method)
        tasks = list(worker._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait({asyncio.gather(*tasks, return_exceptions=True)}, timeout=0)
        for job in jobs:
            await self.look_dead(job.lease, worker._runs.consumer)
        for held in await self.redis.keys("*slot*"):
            await self.redis.delete(held)

    async def look_dead(self, lease: Lease, owner: str) -> None:
        await self.redis.delete(keys.lease(lease.thread.key))
        await self.redis.xclaim(keys.THREADS, keys.GROUP, owner, 0, [lease.entry], idle=60_000, justid=True)

    async def state(self, run_id: str) -> str:
        run = await self.runs.get(run_id)
        return run.state if run else ""

    # Polled: what is waited for happens in Redis as often as in this process.

    async def until(self, predicate: Callable[[], object]) -> None:
        async with asyncio.timeout(40):
            while not predicate():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def until_state(self, run_id: str, *states: str) -> None:
        async with asyncio.timeout(40):
            while await self.state(run_id) not in states:  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def until_saved(self, run_id: str, predicate: Callable[[Run], bool]) -> None:
        async with asyncio.timeout(40):
            while not ((run := await self.runs.get(run_id)) and predicate(run)):  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def end(self) -> None:
        for worker in self.workers:
            await worker.drain(0)
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)


@pytest.fixture
async def stage(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A stage without workers; its intervals are short, its leases as long as ever."""
    for name in ("BEAT_SECONDS", "RECLAIM_SECONDS", "AWAY_SECONDS"):
        monkeypatch.setattr(f"bot.relay.worker.{name}", 0.005)
    monkeypatch.setattr("bot.relay.worker.READ_MS", 20)
    monkeypatch.setattr("bot.relay.worker.LAST_WORDS_SECONDS", 0.3)
    monkeypatch.setattr("bot.relay.slot.LOOK_SECONDS", 0.005)
    redis = connect(valkey_url)
    stage = Stage(redis)
    await stage.runs.prepare()
    yield stage
    await stage.end()
    await redis.aclose()
