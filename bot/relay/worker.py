"""A worker: takes threads with work, holds their leases, lets a relay do each run, and drains when it has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from redis import RedisError
from structlog.contextvars import bind_contextvars, bound_contextvars

from bot import log, metrics, traces
from bot.model import record
from bot.model.ending import Ending, Progress
from bot.model.question import Thread
from bot.model.run import Run, State, reference
from bot.relay import endings
from bot.relay.control import Control
from bot.relay.mending import Mending
from bot.relay.parts import Parts
from bot.relay.relay import HandOver, relay
from bot.relay.reply import CannotPostError, Platform, Reply, Save
from bot.relay.staying import stay
from bot.store import connection
from bot.store.runs import Beat, Lease, LeaseLostError, Runs

logger = log.get(__name__)

BEAT_SECONDS = 1.0
"""How often a lease is renewed. A stop, and a question that joins the queue, is seen this soon."""
_BEAT_TOGETHER = 20
"""Leases renewed in one round trip: it takes this process some milliseconds, in which it does nothing else."""
_NAMED = 5
"""Runs named in a line of the log about many."""
READ_MS = 1_000
"""Longest wait for new work, in milliseconds."""
RECLAIM_SECONDS = 5.0
"""How often threads of dead workers are looked for."""
_RECLAIM_MOST, _RECLAIM_FULL = 50, 10
"""Threads taken over in one look, and in one of a worker that has no room: those come on top of the most it takes."""
_RECLAIM_FULL_SECONDS = 1.0
"""Pause between two looks of a worker that has no room, while there is more to take over."""
AWAY_SECONDS = 1.0
"""Pause after Redis did not answer."""
STRAY_SECONDS = 30.0
"""After the end of a run whose dead worker was posting its reply: by then a post that was on its way has come."""
LAST_WORDS_SECONDS = 10.0
"""Time for the final states of answers that a shutdown broke off."""


@dataclass(slots=True)
class _Job:
    lease: Lease
    run: Run
    control: Control
    task: asyncio.Task[Any]
    """Does the run; cancelled when the lease is lost."""
    waiting: list[str] = field(default_factory=list)
    """The runs that wait in the same thread, in order."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False
    """Whether another worker has the thread now."""
    over: bool = False
    """Whether this worker gives the thread back itself, or has done so."""
    late: dict[str, list[str]] = field(default_factory=dict)
    """Runs whose replies were written when the lease may have been another's, and the messages of each."""


class Worker:
    """Works on at most `max_runs` threads at once. `run` is its life; `drain` ends it.

    Those of dead workers come on top, and so do those whose runs only wait for one of their agent's slots, of which it
    holds `max_waiting` at most: else a busy agent's would keep out those whose agent is free.
    """

    def __init__(
        self, runs: Runs, platform: Platform, parts: Parts, *, max_runs: int, max_waiting: int = 500
    ) -> None:
        self._runs = runs
        self._platform = platform
        self._parts = parts
        self._mending = Mending(runs, platform, parts.sleep)
        self._max = max_runs
        self._max_waiting = max_waiting
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: dict[str, _Job] = {}
        self._entries: set[str] = set()
        self._draining = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self.redis_ok = False
        """Whether the last look for work reached Redis."""
        metrics.WAITING.labels("thread").set_function(
            lambda: sum(len(job.waiting) for job in self._jobs.values())
        )
        metrics.WORKING.set_function(lambda: self._occupied)

    @property
    def busy(self) -> int:
        """How many threads are being worked on."""
        return len(self._tasks)

    @property
    def is_full(self) -> bool:
        """Whether it takes no more threads at the moment."""
        return self._room <= 0

    @property
    def _occupied(self) -> int:
        """How many threads count towards the most: those that only wait for a slot do not."""
        return len(self._tasks) - sum(job.control.waits_for_slot for job in self._jobs.values())

    @property
    def _room(self) -> int:
        """How many more threads may be taken."""
        return min(self._max - self._occupied, self._max + self._max_waiting - len(self._tasks))

    def stop_run(self, run_id: str, user: str) -> None:
        """Stop a run at once if this worker has it; otherwise its worker sees the stop with its next beat."""
        if job := self._jobs.get(run_id):
            job.control.stop(user)

    async def run(self) -> None:
        """Take work until drained. Never raises for a Redis that is away: it looks again."""
        self._reading = asyncio.create_task(self._read())
        reclaiming = asyncio.create_task(self._reclaim())
        try:
            await self._draining.wait()
            await self._last_read()
        finally:
            await _end(reclaiming)
            await _end(self._reading)

    async def _last_read(self) -> None:
        """Let the read under way end: work that is being delivered to us would lie idle until our lease ran out."""
        if self._reading:
            await asyncio.wait({self._reading}, timeout=2 * READ_MS / 1000)

    async def drain(self, grace: float) -> None:
        """Take nothing new and hand over what was not asked yet; let running answers go on for `grace` seconds.

        What has not ended by then is left to another worker where its answer can be fetched, and is shown as
        interrupted where it cannot. Cancelled, it leaves all of it to other workers at once.
        """
        self._draining.set()
        try:
            await self._last_read()
            for job in list(self._jobs.values()):
                if not job.run.may_have_begun:
                    job.control.shut_down()
            if self._tasks:
                logger.info("draining", runs=len(self._tasks), seconds=grace)
                await asyncio.wait(self._tasks, timeout=grace)
            for job in list(self._jobs.values()):
                job.control.shut_down()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS)
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._beating:
                await _end(self._beating)

    # -- taking work -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        while not self._draining.is_set():
            room = self._room
            if room <= 0:
                await asyncio.wait(self._tasks, timeout=READ_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                entries = await self._runs.next_entries(min(room, 50), READ_MS)
                self.redis_ok = True
                self._start(entries)
            except (RedisError, OSError) as error:
                await self._away(error)
            except Exception:
                # Deaf would be worse than noisy.
                logger.exception("looking for work failed")
                await asyncio.sleep(AWAY_SECONDS)

    async def _reclaim(self) -> None:
        """Take over threads of dead workers, also when full: an answer of theirs stands as running until then."""
        while True:
            pause = RECLAIM_SECONDS
            try:
                if not await self._take_over():
                    # There may be thousands: a look every few seconds would leave the last ones for minutes.
                    pause = 0.0 if self._room > 0 else min(_RECLAIM_FULL_SECONDS, RECLAIM_SECONDS)
            except (RedisError, OSError) as error:
                await self._away(error)
            except Exception:
                logger.exception("looking for threads of dead workers failed")
            await asyncio.sleep(pause)

    async def _take_over(self) -> bool:
        """One look for threads of dead workers. Whether all were looked at."""
        found = await self._runs.abandoned_entries(min(max(self._room, _RECLAIM_FULL), _RECLAIM_MOST))
        # One of our own comes back here after Redis was away for long: its run goes on as it is.
        if entries := [pair for pair in found if pair[0] not in self._entries]:
            logger.info("took over threads of a dead worker", threads=len(entries))
            metrics.TAKEOVERS.inc(len(entries))
        self._start(entries)
        return self._runs.looked_through

    async def _away(self, error: Exception) -> None:
        if self.redis_ok:
            logger.error("redis does not answer", reason=connection.reason(error))
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
        self._entries.add(entry)
        # Whatever is logged for it, wherever, says so.
        bind_contextvars(thread=thread.key)
        try:
            lease = await self._runs.lease(entry, thread)
            if lease is None:
                return  # Somebody holds it; should they be dead, the entry is claimed again later.
            bind_contextvars(run=reference(lease.run_id))
            run = await self._runs.get(lease.run_id) if lease.run_id else None
            if run is None or (self._draining.is_set() and not run.may_have_begun):
                await self._runs.finish(lease, None)
            else:
                with traces.of_run(run):
                    await self._work(lease, run)
        except LeaseLostError:
            metrics.LEASES_LOST.inc()
            logger.warning("lease lost, another worker goes on", thread=thread.key)
        except (RedisError, OSError) as error:
            logger.error("redis failed a run, it is taken up again", thread=thread.key, reason=str(error))
        except Exception:
            logger.exception("a run failed unexpectedly, it is taken up again", thread=thread.key)
        finally:
            self._entries.discard(entry)

    async def _work(self, lease: Lease, run: Run) -> None:
        """Do a run under its lease, which is renewed meanwhile."""
        this = asyncio.current_task()
        assert this is not None
        job = self._jobs[run.id] = _Job(lease, run, Control(), this)
        if self._beating is None or self._beating.done():
            # It outlives this run and is for all.
            self._beating = asyncio.create_task(self._beat(), context=Context())
        try:
            if run.question.thread.is_new:
                await self._open_thread(job)
            else:
                await self._answer(job)
        except LeaseLostError:
            self._mend(job)
            raise
        except asyncio.CancelledError:
            if not job.lost:
                raise
            self._mend(job)
            raise LeaseLostError(lease.thread.key) from None
        finally:
            self._jobs.pop(run.id, None)

    def _mend(self, job: _Job) -> None:
        """Put right what this worker wrote after it had slept through its lease."""
        if job.run.question.thread.is_new:
            self._own(self._mending.root(job.run.id))
        elif job.late:
            self._own(self._mending.replies(job.late))

    async def _open_thread(self, job: _Job) -> None:
        """A command's run: post its root message, then let it wait in the thread that opened."""
        run = job.run
        try:
            thread_ts = await self._platform.open_thread(run, self._saver(job.lease, run))
        except CannotPostError as error:
            logger.info("cannot open a thread", run=run.reference, reason=str(error))
            await self._close(job, Ending(State.FAILED))
            return
        job.over = True
        await self._runs.open_thread(job.lease, thread_ts)

    async def _answer(self, job: _Job) -> None:
        """Relay the run, and keep those informed that wait behind it."""
        was_posting = job.run.posting
        await self._continue(job.run)
        await stay(job.run, self._runs, self._parts.sessions)
        save = self._saver(job.lease, job.run)
        reply = self._platform.reply(job.run, save)
        informing = asyncio.create_task(self._inform(job))
        try:
            ending = await self._relay(job, reply, save)
        except HandOver:
            ending = None
        finally:
            # Before the thread is given away: its next worker writes the replies of those that wait now.
            await _end(informing)
            if reply.wrote_late:
                job.late[job.run.id] = list(job.run.reply_ts)
        if ending is None:
            job.over = True
            await self._runs.finish(job.lease, None)
        else:
            await self._close(job, ending, reply)
            if was_posting:
                asyncio.get_running_loop().call_later(STRAY_SECONDS, self._look_for_strays, job.run.id)

    def _look_for_strays(self, run_id: str) -> None:
        """A dead worker was posting a message of this run that nobody found then: it may have come after all."""
        if not self._draining.is_set():
            self._own(self._mending.replies({run_id: []}))

    async def _continue(self, run: Run) -> None:
        """A run that lets a paused one go on is answered in that one's reply, by the same agent."""
        if not run.question.resumes or run.carried:
            return
        if paused := await self._runs.get(run.question.resumes):
            run.reply_ts, run.carried, run.pending = list(paused.reply_ts), paused.carried, paused.pending
            run.backend, run.agent_id, run.session_id = paused.backend, paused.agent_id, paused.session_id
            run.spent_before = paused.spent_before + paused.characters
            run.estimated_before = paused.estimated or paused.estimated_before
            run.seconds_before = paused.seconds_before + max(0.0, paused.ended_at - paused.asked_at)

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
            return await reply.recover(ending)
        except Exception:
            logger.exception("its end could not be shown", run=run.reference)
        return ending

    async def _close(self, job: _Job, ending: Ending, reply: Reply | None = None) -> None:
        """Write the final state down; while Redis is away, keep trying as long as the lease may still be ours."""
        run = job.run
        run.state, run.ended_at = ending.state, self._parts.wall()
        job.over = True
        while True:
            try:
                if run.characters:
                    await self._parts.count(run)
                if await self._runs.finish(job.lease, run):
                    break
                if reply:
                    await reply.restore()
            except (RedisError, OSError) as error:
                await self._away(error)
        seconds = round(run.ended_at - run.accepted_at, 1)
        shown = run.state.value
        if reply and reply.refused:
            shown = "unshown"
            logger.error("its end could not be shown", run=run.reference, reason=reply.refused)
            self._platform.excuse(run, endings.unshown(run, self._parts).reason)
        logger.info("run ended", run=run.reference, state=run.state.value, seconds=seconds)
        metrics.run_ended(run.backend, shown, seconds)

    async def _beat(self) -> None:
        """Renew the leases of all jobs while there are any: together, since each by itself costs more than the rest of
        the waiting for an answer."""
        while self._jobs:
            jobs = list(self._jobs.values())
            some = [jobs[at : at + _BEAT_TOGETHER] for at in range(0, len(jobs), _BEAT_TOGETHER)]
            async with asyncio.TaskGroup() as group:
                for each in some:
                    group.create_task(self._beat_some(each))
                    # Spread over the time there is: all at once would stop everything else for a moment.
                    await asyncio.sleep(BEAT_SECONDS / len(some))

    async def _beat_some(self, jobs: list[_Job]) -> None:
        try:
            beats = await self._runs.beat_all([job.lease for job in jobs])
        except (RedisError, OSError) as error:
            some = [job.run.reference for job in jobs[:_NAMED]]
            logger.warning("leases not renewed", count=len(jobs), runs=some, reason=str(error))
            return
        except Exception:
            logger.exception("leases not renewed", count=len(jobs))
            return
        for job, beat in zip(jobs, beats, strict=True):
            self._heard(job, beat)

    def _heard(self, job: _Job, beat: Beat | None) -> None:
        """Pass on what a beat learned: a stop, and who waits. When the lease is lost, the work is cancelled."""
        if beat is None:
            if not (job.over or job.lost):
                job.lost = True
                job.task.cancel()
            return
        if beat.stop_by:
            job.control.stop(beat.stop_by)
        job.waiting = beat.waiting
        job.news.set()

    async def _inform(self, job: _Job) -> None:
        """Give each question that waits behind this one its reply, and its place when that changed."""
        shown: dict[str, int] = {}
        while True:
            await job.news.wait()
            job.news.clear()
            for place, run_id in enumerate(list(job.waiting), start=1):
                try:
                    with bound_contextvars(run=reference(run_id)):
                        await self._inform_one(job, run_id, place, shown)
                except LeaseLostError:
                    return
                except (RedisError, OSError) as error:
                    logger.warning("waiting question not informed", run=reference(run_id), reason=str(error))
                except Exception:
                    logger.exception("waiting question not informed", run=reference(run_id))

    async def _inform_one(self, job: _Job, run_id: str, place: int, shown: dict[str, int]) -> None:
        run = await self._runs.get(run_id)
        if run is None or run.state.is_final:
            return  # The list is as old as the last beat.
        await self._continue(run)
        reply = self._platform.reply(run, self._saver(job.lease, run))
        try:
            if run.stop_by:
                await self._stop_waiting(job, run, reply)
            elif shown.get(run_id) != place and not run.question.resumes:
                shown[run_id] = place
                await reply.open(Progress("waiting_thread", place))
        finally:
            if reply.wrote_late:
                job.late[run_id] = list(run.reply_ts)

    async def _stop_waiting(self, job: _Job, run: Run, reply: Reply) -> None:
        ending = endings.stopped(run, self._parts, run.stop_by, for_good=False)
        answer = record.load(run.carried, 0.0)
        ending = endings.with_cost(ending, answer, run, len(answer.text))
        await reply.finish(answer, ending)
        run.state, run.ended_at = ending.state, self._parts.wall()
        while not await self._runs.end_waiting(job.lease, run):
            await reply.restore()
        metrics.run_ended(run.backend, run.state.value, run.ended_at - run.accepted_at)

    def _saver(self, lease: Lease, run: Run) -> Save:
        """Saves of one run, one after another: two connections could bring them to Redis in the wrong order."""
        lock = asyncio.Lock()

        async def save() -> None:
            async with lock:
                await self._runs.save(lease, run)

        return save


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
