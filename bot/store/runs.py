"""Runs in Redis: accepted once, worked on one per thread, ended exactly once.

A thread with work has one entry in a stream; workers read it through a consumer group, lease the thread, and do the
run at the head of the thread's queue. Ending a run and putting the thread back for its next one is one atomic step, so
a question can never wait behind a thread that nobody works on. An entry whose worker died is claimed by another.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis import exceptions
from redis.asyncio import Redis

from bot import metrics
from bot.model.question import Language, Question, Thread
from bot.model.run import Run, State
from bot.store import keys
from bot.store.scripts import Scripts

MOST_WAITING = 20
"""Runs of one thread, the current one included; more are refused with a line that says so."""
_MOST_OF_ALL = 500
"""The default of `Runs.most_of_all`."""
_DONE = 1
"""The answer of a fenced script that did what it was asked for."""
_WORKER_GONE = keys.DAY
"""Milliseconds after which a worker that left nothing behind is forgotten."""


class LeaseLostError(Exception):
    """Another worker has taken the thread over; whoever gets this stops writing at once."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a question: "accepted", "duplicate", "full" (its thread is), "crowded" (its workspace is), or
    "decided": somebody has let the run go on before.

    Attributes:
        run_id: of the run that comes of it, or that came of it earlier.
        ahead: how many runs of the thread go first.
        waiting: how many other runs of the workspace have yet to be asked.
        by: who has decided.
        answers: the paused run that the question answers; "" for none, and when it was refused.
    """

    verdict: str
    run_id: str = ""
    ahead: int = 0
    waiting: int = 0
    by: str = ""
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a thread. `token` fences off whoever had it before."""

    thread: Thread
    entry: str
    token: int
    run_id: str


@dataclass(frozen=True, slots=True)
class Beat:
    """What a renewal of the lease learned: who wants the run stopped, and the runs waiting behind it."""

    stop_by: str
    waiting: list[str]


class Runs:
    """The runs of a deployment, as one worker process named `consumer` sees them.

    `most_of_all` runs of a workspace may wait to be asked; more are refused.

    All methods raise `redis.RedisError` when the server is away or refuses; nothing is half done then.
    """

    def __init__(
        self, redis: Redis, lives: keys.Lives, consumer: str = "", *, most_of_all: int = _MOST_OF_ALL
    ) -> None:
        self._redis = redis
        self._script = Scripts(redis)
        self._lives = lives
        self._most_of_all = most_of_all
        self.consumer = consumer or f"worker-{secrets.token_hex(4)}"
        self._claim_from = "0-0"
        # On the server's clock, in milliseconds; 0: never.
        self._looked_at = self._not_before = 0
        self.looked_through = True
        """Whether the last look for threads of dead workers came to the end of all threads."""

    async def prepare(self) -> None:
        """Make the consumer group, if nobody has."""
        try:
            await self._redis.xgroup_create(keys.THREADS, keys.GROUP, id="0", mkstream=True)
            await self._redis.pexpire(keys.THREADS, self._lives.run)
        except exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        await self._script("forget_workers", [keys.THREADS], [keys.GROUP, _WORKER_GONE])

    # -- intake ----------------------------------------------------------------------------------------

    async def accept(self, question: Question, *, event_id: str = "", decided_by: str = "") -> Accepted:
        """Take a question in exactly once, durably.

        Args:
            question: what was asked.
            event_id: Slack's id of the delivery; the message itself is remembered as well.
            decided_by: who lets the run go on that the question resumes; kept with that run, which goes on once.
        """
        run_id = new_id()
        thread = question.thread
        if thread.thread_ts == "":
            thread = Thread(thread.team, thread.channel, f"new-{run_id}")
        message = keys.seen_message(thread.team, thread.channel, question.ts)
        record = {
            "state": State.QUEUED,
            "accepted_at": f"{time.time():.3f}",
            "team": thread.team,
            "channel": thread.channel,
            "thread_ts": thread.thread_ts,
            "ts": question.ts,
            "user": question.user,
            "user_team": question.user_team,
            "text": question.text,
            "surface": question.surface,
            "response_url": question.response_url,
            "backend": question.backend,
            "resumes": question.resumes,
            "resumed_by": question.resumed_by,
            "answers": question.answers,
            "answer_in": question.answer_in,
        }
        verdict, earlier, ahead, waiting, answers = await self._script(
            "accept",
            [
                keys.seen_event(event_id) if event_id else message,
                message,
                keys.run(run_id),
                keys.queue(thread.key),
                keys.thread(thread.key),
                keys.THREADS,
                keys.run(question.resumes),
                keys.waiting(thread.team),
            ],
            [
                run_id,
                keys.SEEN_LIFE,
                self._lives.run,
                0 if thread.is_new else self._lives.session,
                thread.key,
                MOST_WAITING,
                self._most_of_all,
                decided_by,
                *_flat(record),
            ],
        )
        metrics.QUESTIONS.labels(question.surface, verdict).inc()
        if verdict == "decided":
            return Accepted(verdict, by=earlier)
        return Accepted(verdict, earlier, int(ahead), int(waiting), answers=answers)

    async def first_time(self, team: str, channel: str, ts: str) -> bool:
        """Claim a message that will not be a run (a refusal), so that its twin and redeliveries stay silent.

        In place of a message's `ts` it may be anything else that shall be said once a day.
        """
        key = keys.seen_message(team, channel, ts)
        return bool(await self._redis.set(key, "refused", nx=True, px=keys.SEEN_LIFE))

    async def stop(self, run_id: str, user: str) -> str:
        """Ask for a run to stop: "stopping", or the final state it already has, or "" if it is unknown."""
        return str(await self._script("stop", [keys.run(run_id)], [user]))

    async def current(self, thread: Thread) -> str:
        """The id of the run at the head of a thread's queue, "" when it rests."""
        return str(await self._redis.lindex(keys.queue(thread.key), 0) or "")

    async def get(self, run_id: str) -> Run | None:
        """A run's record, or None when it has expired."""
        record: Any = await self._redis.hgetall(keys.run(run_id))
        return _run(run_id, record) if record.get("state") else None

    # -- workers ---------------------------------------------------------------------------------------

    async def next_entries(self, count: int, block_ms: int) -> list[tuple[str, Thread]]:
        """Threads with work that nobody has, at most `count`, waiting up to `block_ms` for the first."""
        try:
            found = await self._redis.xreadgroup(
                keys.GROUP, self.consumer, {keys.THREADS: ">"}, count=count, block=block_ms
            )
        except exceptions.ResponseError as error:
            # Redis 7.0 says UNBLOCKED when the stream runs out while we wait for it.
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self.prepare()
            return []
        # A dict under RESP3, a list of pairs under RESP2.
        streams: Any = found.values() if isinstance(found, dict) else [entries for _, entries in found or []]
        return [pair for entries in streams for pair in _entries(entries)]

    async def abandoned_entries(self, count: int) -> list[tuple[str, Thread]]:
        """Threads whose worker died: taken over by this one, at most `count`.

        To be called several times in a lease's life. While the server was away nobody could renew a lease, so when the
        last call was longer ago there are none for as long as it takes a living worker to be heard again.
        """
        numbers: list[str | int] = [count, self._looked_at, self._not_before]
        try:
            answer: Any = await self._script(
                "claim",
                [keys.THREADS],
                [keys.GROUP, self.consumer, keys.LEASE_LIFE, self._claim_from, *numbers],
            )
        except exceptions.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self.prepare()
            self.looked_through = True
            return []
        self._looked_at, self._not_before, self._claim_from, flat = answer
        self.looked_through = self._claim_from == "0-0" or self._looked_at < self._not_before
        return _entries((entry, dict(zip(fields[::2], fields[1::2], strict=True))) for entry, fields in flat)

    async def lease(self, entry: str, thread: Thread) -> Lease | None:
        """Lease a thread and learn its current run; None when another worker still holds it."""
        token, run_id = await self._script(
            "take",
            [keys.lease(thread.key), keys.FENCE, keys.queue(thread.key)],
            [keys.LEASE_LIFE, keys.FENCE_LIFE],
        )
        return Lease(thread, entry, int(token), run_id) if token else None

    async def beat(self, lease: Lease) -> Beat:
        """Renew a lease.

        Raises:
            LeaseLostError: when another worker has the thread.
        """
        (beat,) = await self.beat_all([lease])
        if beat is None:
            raise LeaseLostError(lease.thread.key)
        return beat

    async def beat_all(self, leases: Sequence[Lease]) -> list[Beat | None]:
        """Renew leases, all in one round trip; None for each that another worker has."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for lease in leases:
                key = lease.thread.key
                names = [keys.lease(key), keys.THREADS, keys.run(lease.run_id), keys.queue(key)]
                arguments: list[str | int] = [
                    lease.token,
                    keys.LEASE_LIFE,
                    keys.GROUP,
                    self.consumer,
                    lease.entry,
                ]
                await self._script("beat", names, arguments, pipe)
            with metrics.redis_call("beat"):
                answers = await pipe.execute()
        return [Beat(stop_by, list(waiting)) if held else None for held, stop_by, waiting in answers]

    async def save(self, lease: Lease, run: Run) -> None:
        """Write what a worker knows of a run: this lease's own, or one waiting behind it. Renews the lease.

        Raises:
            LeaseLostError: when another worker has the thread; nothing is written then.
        """
        fields, carried = _flat(_worker_fields(run)), run.carried
        names = [keys.lease(lease.thread.key), keys.run(run.id)]
        if run.state is not State.QUEUED:
            names.append(keys.waiting(lease.thread.team))
        numbers: list[str | int] = [lease.token, run.id, self._lives.run, keys.LEASE_LIFE]
        await self._fenced(lease, "save", names, [*numbers, *fields])
        run.carried_kept = carried

    async def wrote_late(self, run_id: str) -> bool:
        """A reply was written after its lease was lost. True when the run is over and its end has to be written there
        once more; else its present holder is told to do so at its end."""
        return bool(await self._script("wrote_late", [keys.run(run_id)], []))

    async def going_on(self, run_id: str) -> str:
        """The id of the run that lets a paused one go on, in the same reply; "" while none does."""
        return str(await self._redis.hget(keys.run(run_id), "decided_run") or "")

    async def end_waiting(self, lease: Lease, run: Run) -> bool:
        """Give a run that waits behind the lease's own its final state; it leaves the queue.

        False when nothing was done because somebody wrote to the reply late: write the end again, then call again.

        Raises:
            LeaseLostError: when another worker has the thread; nothing is written then.
        """
        thread = lease.thread
        names = [keys.lease(thread.key), keys.queue(thread.key), keys.run(run.id), keys.waiting(thread.team)]
        fields = _flat(_worker_fields(run))
        done = await self._fenced(
            lease, "end_waiting", names, [lease.token, run.id, self._lives.run, *fields]
        )
        return done == _DONE

    async def finish(self, lease: Lease, run: Run | None) -> bool:
        """Give a run its final state and the thread its next one.

        With None the run keeps its place for another worker; when its record has run out, the thread goes on without.
        False when nothing was done because somebody wrote to the reply late: write the end again, then call again.

        Raises:
            LeaseLostError: when another worker has the thread.
        """
        done = await self._fenced(
            lease,
            "finish",
            [
                keys.lease(lease.thread.key),
                keys.queue(lease.thread.key),
                keys.run(lease.run_id),
                keys.THREADS,
                keys.waiting(lease.thread.team),
            ],
            [
                lease.token,
                keys.GROUP,
                lease.entry,
                lease.thread.key,
                lease.run_id,
                self._lives.run,
                keys.run(""),
                *(_flat(_worker_fields(run)) if run else ()),
            ],
        )
        return done == _DONE

    async def open_thread(self, lease: Lease, thread_ts: str) -> None:
        """Move a command's run into the thread its root message opened, where a worker then finds it.

        Raises:
            LeaseLostError: when another worker has the thread.
        """
        old = lease.thread
        new = Thread(old.team, old.channel, thread_ts)
        await self._fenced(
            lease,
            "open_thread",
            [
                keys.lease(old.key),
                keys.queue(old.key),
                keys.run(lease.run_id),
                keys.THREADS,
                keys.queue(new.key),
                keys.thread(new.key),
                keys.seen_message(new.team, new.channel, thread_ts),
            ],
            [
                lease.token,
                keys.GROUP,
                lease.entry,
                new.key,
                lease.run_id,
                thread_ts,
                self._lives.run,
                self._lives.session,
                keys.SEEN_LIFE,
            ],
        )

    async def _fenced(self, lease: Lease, name: str, names: list[str], args: list[str | int]) -> int:
        """Run a script that only the lease's holder may run; its answer, never 0.

        The lease may have run out while Redis was away and nobody took it: a beat renews it then.
        """
        if not (done := await self._script(name, names, args)):
            await self.beat(lease)
            if not (done := await self._script(name, names, args)):
                raise LeaseLostError(lease.thread.key)
        return int(done)


def new_id() -> str:
    """A run's id: 16 hex digits, random."""
    return secrets.token_hex(8)


def _flat(fields: dict[str, str]) -> list[str | int]:
    return [part for pair in fields.items() for part in pair]


def _entries(entries: Any) -> list[tuple[str, Thread]]:
    return [(entry, Thread.from_key(fields["thread"])) for entry, fields in entries if fields]


def _worker_fields(run: Run) -> dict[str, str]:
    """What a worker writes. State and times only ever advance: a save that was held up on its way can never undo
    that the question was asked."""
    advanced = {}
    if run.state is not State.QUEUED:
        advanced["state"] = str(run.state)
    if run.asked_at:
        advanced |= {"asked_at": f"{run.asked_at:.3f}", "asks": str(run.asks)}
    if run.backend:
        advanced["asked_of"] = run.backend
    if run.waits_since:
        advanced["waits_since"] = f"{run.waits_since:.6f}"
    if run.moves:
        advanced["moves"] = str(run.moves)
    if run.parent_id:
        advanced["parent_id"] = run.parent_id
    if run.refusals:
        advanced["refusals"] = str(run.refusals)
    if run.task_id or run.message_id:
        advanced |= {"task_id": run.task_id, "message_id": run.message_id}
    if run.carried:
        options = json.dumps(run.options, ensure_ascii=False)
        advanced |= {"pending": run.pending, "options": options}
    if run.carried != run.carried_kept:
        advanced["carried"] = run.carried
    if run.came:
        advanced["came"] = str(run.came)
    if run.characters:
        advanced |= {"characters": str(run.characters), "estimated": str(int(run.estimated))}
    if run.seconds_before:
        advanced["seconds_before"] = f"{run.seconds_before:.3f}"
    if run.spent_before:
        before = {"spent_before": str(run.spent_before), "estimated_before": str(int(run.estimated_before))}
        advanced |= before
    if run.ended_at:
        advanced["ended_at"] = f"{run.ended_at:.3f}"
    return {
        **advanced,
        "reply_ts": json.dumps(run.reply_ts),
        "posting": str(int(run.posting)),
        "session_id": run.session_id,
        "agent_id": run.agent_id,
        "shown": run.shown,
    }


def _language(written: str | None) -> Language | Literal[""]:
    return "zh" if written == "zh" else "en" if written == "en" else ""


def _run(run_id: str, record: dict[str, str]) -> Run:
    thread = Thread(record["team"], record["channel"], record["thread_ts"])
    return Run(
        id=run_id,
        question=Question(
            thread=thread,
            ts=record["ts"],
            user=record["user"],
            user_team=record["user_team"],
            text=record["text"],
            surface=record["surface"],
            response_url=record["response_url"],
            backend=record.get("backend", ""),
            resumes=record.get("resumes", ""),
            resumed_by=record.get("resumed_by", ""),
            answers=record.get("answers", ""),
            answer_in=_language(record.get("answer_in")),
        ),
        state=State(record["state"]),
        accepted_at=float(record["accepted_at"]),
        asked_at=float(record.get("asked_at") or 0),
        ended_at=float(record.get("ended_at") or 0),
        reply_ts=json.loads(record.get("reply_ts") or "[]"),
        posting=record.get("posting") == "1",
        waits_since=float(record.get("waits_since") or 0),
        after=record.get("after", ""),
        moves=int(record.get("moves") or 0),
        stop_by=record.get("stop_by", ""),
        backend=record.get("asked_of", ""),
        agent_id=record.get("agent_id", ""),
        session_id=record.get("session_id", ""),
        parent_id=record.get("parent_id", ""),
        message_id=record.get("message_id", ""),
        task_id=record.get("task_id", ""),
        asks=int(record.get("asks") or 0),
        refusals=int(record.get("refusals") or 0),
        came=int(record.get("came") or 0),
        characters=int(record.get("characters") or 0),
        estimated=record.get("estimated") == "1",
        spent_before=int(record.get("spent_before") or 0),
        estimated_before=record.get("estimated_before") == "1",
        seconds_before=float(record.get("seconds_before") or 0),
        carried=record.get("carried", ""),
        carried_kept=record.get("carried", ""),
        pending=record.get("pending", ""),
        options=tuple(json.loads(record.get("options") or "[]")),
        shown=record.get("shown", ""),
    )
