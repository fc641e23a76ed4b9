"""A worker: takes threads with work, holds their leases, lets a relay do each run, and drains when it has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from redis import RedisError

from bot import log
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Thread
from bot.model.run import Run, State
from bot.relay.relay import Control, HandOver, Parts, relay, stopped_early
from bot.relay.reply import CannotPostError, Platform, Reply, Save
from bot.store.runs import Lease, LeaseLostError, Runs

logger = log.get(__name__)

BEAT_SECONDS = 1.0
"""How often a lease is renewed. A stop, and a question that joins the queue, is seen this soon."""
READ_MS = 1_000
"""Longest wait for new work, in milliseconds."""
RECLAIM_SECONDS = 5.0
"""How often threads of dead workers are looked for."""
AWAY_SECONDS = 1.0
"""Pause after Redis did not answer."""
_LAST_WORDS_SECONDS = 10.0
"""Time for the final states of answers that a shutdown broke off."""
_STOPPED = -1
"""Stands for a place in the queue: stopped while waiting."""


@dataclass(slots=True)
class _Job:
    lease: Lease
    run: Run
    control: Control
    waiting: list[str] = field(default_factory=list)
    """The runs that wait in the same thread, in order."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False
    """Whether another worker has the thread now."""


class Worker:
    """Works on at most `max_runs` threads at once. `run` is its life; `drain` ends it."""

    def __init__(self, runs: Runs, platform: Platform, parts: Parts, *, max_runs: int) -> None:
        self._runs = runs
        self._platform = platform
        self._parts = parts
        self._max = max_runs
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: dict[str, _Job] = {}
        self._draining = asyncio.Event()
        self.redis_ok = False
        """Whether the last look for work reached Redis."""

    @property
    def busy(self) -> int:
        """How many threads are being worked on."""
        return len(self._tasks)

    def stop_run(self, run_id: str, user: str) -> None:
        """Stop a run at once if this worker has it; otherwise its worker sees the stop with its next beat."""
        if job := self._jobs.get(run_id):
            job.control.stop(user)

    async def run(self) -> None:
        """Take work until drained. Never raises for a Redis that is away: it looks again."""
        loops = [asyncio.create_task(self._read()), asyncio.create_task(self._reclaim())]
        try:
            await self._draining.wait()
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def drain(self, grace: float) -> None:
        """Take nothing new; let running answers go on for `grace` seconds, then end or hand over the rest."""
        self._draining.set()
        if self._tasks:
            logger.info("draining", runs=len(self._tasks), seconds=grace)
            await asyncio.wait(self._tasks, timeout=grace)
        for job in list(self._jobs.values()):
            job.control.shut_down()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- taking work -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            room = self._max - len(self._tasks)
            if room <= 0:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                entries = await self._runs.next_entries(min(room, 50), READ_MS)
                self.redis_ok = True
            except (RedisError, OSError) as error:
                await self._away(error)
                continue
            self._start(entries)

    async def _reclaim(self) -> None:
        while True:
            room = self._max - len(self._tasks)
            if room > 0:
                try:
                    entries = await self._runs.abandoned_entries(min(room, 50))
                    if entries:
                        logger.info("took over threads of a dead worker", threads=len(entries))
                    self._start(entries)
                except (RedisError, OSError) as error:
                    await self._away(error)
            await asyncio.sleep(RECLAIM_SECONDS)

    async def _away(self, error: Exception) -> None:
        if self.redis_ok:
            logger.error("redis does not answer", reason=f"{type(error).__name__}: {error}")
        self.redis_ok = False
        await asyncio.sleep(AWAY_SECONDS)

    def _start(self, entries: list[tuple[str, Thread]]) -> None:
        for entry, thread in entries:
            self._own(self._thread(entry, thread))

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- one thread ------------------------------------------------------------------------------------

    async def _thread(self, entry: str, thread: Thread) -> None:
        """One turn of a thread: its current run, to the end. Failures are logged; the entry is then found again."""
        try:
            lease = await self._runs.lease(entry, thread)
            if lease is None:
                return  # Somebody holds it; should they be dead, the entry is claimed again later.
            run = await self._runs.get(lease.run_id) if lease.run_id else None
            if run is None:
                await self._runs.finish(lease, None)
            elif run.question.thread.is_new:
                await self._open_thread(lease, run)
            else:
                await self._work(lease, run)
        except LeaseLostError:
            logger.warning("lease lost, another worker goes on", thread=thread.key)
        except (RedisError, OSError) as error:
            logger.error("redis failed a run, it is taken up again", thread=thread.key, reason=str(error))
        except Exception:
            logger.exception("a run failed unexpectedly, it is taken up again", thread=thread.key)

    async def _open_thread(self, lease: Lease, run: Run) -> None:
        """A command's run: post its root message, then let it wait in the thread that opened."""
        try:
            thread_ts = await self._platform.open_thread(run, self._saver(lease, run))
        except CannotPostError as error:
            logger.info("cannot open a thread", run=run.reference, reason=str(error))
            run.state, run.ended_at = State.FAILED, self._parts.wall()
            await self._runs.finish(lease, run)
            return
        await self._runs.open_thread(lease, thread_ts)

    async def _work(self, lease: Lease, run: Run) -> None:
        job = self._jobs[run.id] = _Job(lease, run, Control())
        this = asyncio.current_task()
        assert this is not None
        keeping = [asyncio.create_task(self._beat(job, this)), asyncio.create_task(self._inform(job))]
        save = self._saver(lease, run)
        reply = self._platform.reply(run, save)
        try:
            ending = await self._relay(job, reply, save)
            await self._close(job, ending)
        except HandOver:
            await self._runs.finish(lease, None)
        except asyncio.CancelledError:
            if job.lost:
                raise LeaseLostError(lease.thread.key) from None
            raise
        finally:
            self._jobs.pop(run.id, None)
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)

    async def _relay(self, job: _Job, reply: Reply, save: Save) -> Ending:
        """The relay, and a last resort: a fault of our own ends the run too, or it would be taken up for ever."""
        run = job.run
        try:
            return await relay(run, reply, save, job.control, self._parts)
        except (HandOver, LeaseLostError, RedisError, OSError):
            raise
        except Exception:
            logger.exception("a run failed unexpectedly", run=run.reference)
        say = self._parts.sentences.say
        ending = Ending(State.FAILED, say("wrong", run.question.language, reference="").strip())
        try:
            await reply.recover(ending)
        except Exception:
            logger.exception("its end could not be shown", run=run.reference)
        return ending

    async def _close(self, job: _Job, ending: Ending) -> None:
        """Write the final state down; while Redis is away, keep trying as long as the lease may still be ours."""
        run = job.run
        run.state, run.ended_at = ending.state, self._parts.wall()
        while True:
            try:
                await self._runs.finish(job.lease, run)
                break
            except (RedisError, OSError) as error:
                await self._away(error)
        seconds = round(run.ended_at - run.accepted_at, 1)
        logger.info("run ended", run=run.reference, state=run.state.value, seconds=seconds)

    async def _beat(self, job: _Job, work: asyncio.Task[None]) -> None:
        """Renew the lease and pass a stop on. When the lease is lost, the work is cancelled."""
        while True:
            try:
                beat = await self._runs.beat(job.lease)
                if beat.stop_by:
                    job.control.stop(beat.stop_by)
                job.waiting = beat.waiting
                job.news.set()
            except LeaseLostError:
                job.lost = True
                work.cancel()
                return
            except (RedisError, OSError) as error:
                logger.warning("lease not renewed", run=job.run.reference, reason=str(error))
            await asyncio.sleep(BEAT_SECONDS)

    async def _inform(self, job: _Job) -> None:
        """Give each question that waits behind this one its reply, and its place when that changed."""
        shown: dict[str, int] = {}
        while True:
            await job.news.wait()
            job.news.clear()
            for place, run_id in enumerate(list(job.waiting), start=1):
                try:
                    await self._inform_one(job, run_id, place, shown)
                except LeaseLostError:
                    return
                except (RedisError, OSError) as error:
                    logger.warning("waiting question not informed", run=run_id, reason=str(error))

    async def _inform_one(self, job: _Job, run_id: str, place: int, shown: dict[str, int]) -> None:
        run = await self._runs.get(run_id)
        if run is None:
            return
        place = _STOPPED if run.stop_by else place
        if shown.get(run_id) == place:
            return
        shown[run_id] = place
        reply = self._platform.reply(run, self._saver(job.lease, run))
        if place == _STOPPED:
            # Its turn will come and end it; people see it stopped now.
            await reply.finish(Answer(), stopped_early(run, self._parts))
        else:
            await reply.open(Progress("waiting_thread", place))

    def _saver(self, lease: Lease, run: Run) -> Save:
        async def save() -> None:
            await self._runs.save(lease, run)

        return save
