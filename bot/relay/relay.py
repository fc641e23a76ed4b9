"""One run from question to final state. Read top to bottom, this tells where a question is at any moment.

thread leased -> reply opened -> agent and session bound -> slot taken -> asked upstream -> events folded and shown
-> final state written. A run whose worker died after asking is recovered, or ends as interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field

from redis import RedisError

from bot import log
from bot.model import record
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.event import Event, RunStarted
from bot.model.question import Asker
from bot.model.run import Run, State
from bot.relay import endings
from bot.relay.parts import Parts
from bot.relay.reply import Reply, Save
from bot.relay.slot import held
from bot.store.runs import LeaseLostError
from bot.store.sessions import Agent, MovedError, Session
from bot.upstream.backend import Ask, Backend, Followed, Resume
from bot.upstream.errors import UpstreamError

logger = log.get(__name__)

BUSY_SECONDS, BUSY_MOST = 4.0, 60.0
"""Pause before a busy service is asked again, doubled each time up to the most."""
STOP_SECONDS = 15.0
"""Longest wait for a service to end a run somebody stopped: for its id to be told, and for the call."""
RECOVERABLE = frozenset({"Cut", "Silence", "Deadline", "BadStream", "TooLarge"})
"""What can be wrong with a stream while its run goes on."""


class _StaleError(Exception):
    """The question waited too long; it was not asked."""


class _LostError(Exception):
    """The answer a dead worker had asked for is not to be had."""


class HandOver(Exception):
    """The process ends, and another worker can do better: it asks what was not asked, and fetches what goes on."""


@dataclass(slots=True)
class Control:
    """How the outside reaches a run under way: somebody stops it, or the process has to end."""

    stopped_by: str = ""
    ending_process: bool = False
    signal: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, user: str) -> None:
        """Somebody wants it to stop; the first one counts."""
        self.stopped_by = self.stopped_by or user
        self.signal.set()

    def shut_down(self) -> None:
        """The process has to end now."""
        self.ending_process = True
        self.signal.set()


async def relay(run: Run, reply: Reply, save: Save, control: Control, parts: Parts) -> Ending:
    """Bring a run to its final state and show it. The caller holds the thread's lease and writes the state down.

    Raises:
        HandOver: when the process ends and another worker shall go on.
        LeaseLostError: when another worker took the thread over; nothing more was written.
    """
    work = _Work(run, reply, save, control, parts)
    if run.may_have_begun:
        # A worker died after asking, and perhaps after it had shown the end.
        if ending := await reply.ended():
            return ending
        if not work.can_recover:
            # Whether the service ran it is unknown, so it is not asked again.
            return await reply.recover(endings.interrupted(run, parts))
        ending = await work.do(work.recover())
        if ending.state is State.INTERRUPTED and not work.answer.has_text:
            return await reply.recover(ending)
    else:
        if run.reply_ts:
            # Its message stands; when Slack's budget is short the question does not wait for that as well.
            reply.show(work.answer, Progress("starting"))
        else:
            await reply.open(Progress("starting"))
        if run.stop_by:
            ending = endings.stopped(run, parts, run.stop_by, for_good=False)
        elif endings.is_stale(run, parts):
            ending = endings.stale(run, parts)
        else:
            ending = await work.do(work.ask())
    if ending.state is State.PAUSED:
        run.carried = record.dump(work.answer, parts.clock())
        run.pending = work.waits_for
    ending = endings.with_cost(ending, work.answer, run, work.carried)
    await reply.finish(work.answer, ending)
    return ending


class _Work:
    """The asking of one question: what has come so far, and how it goes on."""

    def __init__(self, run: Run, reply: Reply, save: Save, control: Control, parts: Parts) -> None:
        self.run, self._reply, self._save, self._control, self._parts = run, reply, save, control, parts
        self.answer = self._so_far()
        self.carried = len(self.answer.text)
        self._session: Session | None = None
        self._forgotten = False
        """Whether the service had forgotten the conversation, and the question was asked in a new one."""

    def _so_far(self) -> Answer:
        """What the paused run had said that this one continues; else nothing."""
        return record.load(self.run.carried if self.run.question.resumes else "", self._parts.clock())

    @property
    def can_recover(self) -> bool:
        """Whether the service can be asked for an answer whose stream was lost."""
        backend = self._parts.backends.get(self.run.backend)
        return isinstance(backend, Followed) and bool(self.run.session_id)

    @property
    def waits_for(self) -> str:
        """The id of what a paused answer waits for."""
        if self.answer.approval:
            return self.answer.approval.call_id
        return self.answer.interrupt.interrupt_id if self.answer.interrupt else ""

    # -- until it ends, is stopped, or the process has to end --------------------------------------------

    async def do(self, asking: Coroutine[None, None, None]) -> Ending:
        """Let the asking go on until it ends by itself, or until somebody stops it or the process has to end."""
        writing = asyncio.create_task(self._keep_writing())
        work = asyncio.create_task(asking)
        told = asyncio.create_task(self._control.signal.wait())
        for_good = False
        try:
            await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
            was_told = not work.done()
            if was_told and self._control.stopped_by:
                for_good = await self._stop_upstream(work)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        finally:
            for task in (work, told, writing):
                task.cancel()
            await asyncio.gather(work, told, writing, return_exceptions=True)
        self.answer.close(self._parts.clock())
        return self._ending(work, was_told=was_told, for_good=for_good)

    def _ending(self, work: asyncio.Task[None], *, was_told: bool, for_good: bool) -> Ending:
        run, parts, answer = self.run, self._parts, self.answer
        # Told too late, a complete answer is one all the same, unless it ended because it was stopped.
        if was_told and (for_good or not (answer.finished or answer.error)):
            return self._told(for_good=for_good)
        if work.cancelled():
            if was_told:
                return endings.told(answer, run, parts, forgotten=self._forgotten)
            raise RuntimeError("the asking was cancelled from inside")
        error = work.exception()
        if error is None:
            return endings.told(answer, run, parts, forgotten=self._forgotten)
        if isinstance(error, UpstreamError):
            return endings.failed(error, run, parts)
        if isinstance(error, _StaleError):
            return endings.stale(run, parts)
        if isinstance(error, _LostError):
            return endings.interrupted(run, parts)
        raise error

    def _told(self, *, for_good: bool) -> Ending:
        run, parts, control = self.run, self._parts, self._control
        if control.stopped_by:
            return endings.stopped(run, parts, control.stopped_by, for_good=for_good)
        if not run.may_have_begun or self.can_recover:
            raise HandOver
        return endings.interrupted(run, parts)

    async def _keep_writing(self) -> None:
        try:
            await self._reply.keep_writing()
        except LeaseLostError:
            pass  # The next beat tells the worker, which cancels the run.
        except Exception:
            # The run goes on; its end is written all the same, or fails where somebody sees it.
            logger.exception("the reply stopped growing", run=self.run.reference)

    async def _stop_upstream(self, work: asyncio.Task[None]) -> bool:
        """End the run in the service, where that can be done; whether it was. Its id may not have been told yet."""
        backend = self._parts.backends.get(self.run.backend)
        if not (self.run.may_have_begun and isinstance(backend, Followed)):
            return False
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while not self.run.task_id:
                    if work.done():
                        return False
                    await self._parts.sleep(0.1)
                await backend.stop(self.run.task_id)
                return True
        except TimeoutError:
            reason = "no answer"
        except UpstreamError as error:
            reason = str(error)
        logger.warning("not stopped upstream", run=self.run.reference, reason=reason)
        return False

    # -- asking ------------------------------------------------------------------------------------------

    async def ask(self) -> None:
        """Wait for a slot, ask, and fold what comes into the answer, showing it."""
        run, parts = self.run, self._parts
        session = self._session = await self._bind()
        backend = parts.backends.get(session.agent.backend)
        if backend is None:
            raise UpstreamError("NoBackend", session.agent.backend)
        if len(run.question.text) > backend.limit:
            raise UpstreamError(
                "QuestionTooLong", f"{len(run.question.text)} characters, {backend.limit} allowed"
            )
        run.backend, run.agent_id = session.agent.backend, session.agent.agent_id
        run.session_id = session.session_id
        kind = parts.limits.kind(session.agent)

        def waiting(place: int) -> None:
            if endings.is_stale(run, parts):
                raise _StaleError
            self._reply.show(self.answer, Progress("waiting_slot", place, kind.limit))

        async with held(parts.slots, kind, run, waiting):
            try:
                await self._ask_until_begun(backend)
            except UpstreamError as error:
                if not (error.code in RECOVERABLE and self.can_recover):
                    raise
                await self._fetch(error)
        await self._adopt()

    async def _bind(self) -> Session:
        """The agent and the session of the thread; a new thread gets the agent chosen for it."""
        run, parts, thread = self.run, self._parts, self.run.question.thread
        while True:
            agent = await parts.sessions.agent_of(thread) or await parts.choose(run.question)
            backend = parts.backends.get(agent.backend)
            named = backend is not None and backend.names_sessions
            try:
                return await parts.sessions.session_of(thread, agent, named_by_service=named)
            except MovedError:
                continue  # Somebody moved the thread just now.

    async def _ask_until_begun(self, backend: Backend) -> None:
        """Ask; when the service is busy, keep the slot, which is the front of the queue, and ask again later."""
        run, parts = self.run, self._parts
        question = await self._question()
        while True:
            # Written down before the request leaves: after a crash nobody asks again.
            run.asks += 1
            run.asked_at = parts.wall()
            run.state = State.RUNNING
            await self._save()
            logger.info(
                "asked",
                run=run.reference,
                backend=run.backend,
                agent=run.agent_id or "default",
                session=run.session_id,
            )
            self._reply.show(self.answer, Progress("working"))
            try:
                async with backend.ask(question) as events:
                    async for event in events:
                        await self._take(event)
                return
            except UpstreamError as error:
                if error.begun or error.code in RECOVERABLE:
                    raise  # It may have begun, though nothing of it came.
                run.refusals += 1
                if error.is_gone_session and run.session_id and not self._forgotten and not question.resume:
                    question = await self._begin_anew()
                    continue
                if not error.is_busy or endings.is_stale(run, parts):
                    raise
                pause = error.retry_after or min(BUSY_SECONDS * 2 ** (run.refusals - 1), BUSY_MOST)
                pause *= 0.8 + 0.4 * parts.jitter()
                logger.info("service busy", run=run.reference, code=error.code, seconds=round(pause, 1))
            await self._save()
            self._reply.show(self.answer, Progress("waiting_service", seconds=pause))
            await parts.sleep(pause)

    async def _begin_anew(self) -> Ask:
        """The service has forgotten the conversation: the question is asked in a new one, and the reply says so."""
        run, parts = self.run, self._parts
        logger.warning("session gone, asking in a new one", run=run.reference, session=run.session_id)
        self._forgotten = True
        await parts.sessions.forget(run.question.thread)
        self._session = await self._bind()
        run.session_id = self._session.session_id
        return await self._question()

    async def _question(self) -> Ask:
        run, parts, session = self.run, self._parts, self._session
        followed = isinstance(parts.backends[run.backend], Followed)
        # DAS has no place for who asks; what it takes for an answer to its own question is a guess.
        asker = await parts.asker(run) if followed else Asker()
        resumes = bool(run.question.resumes and run.pending) and (followed or parts.resumes)
        return Ask(
            run.question.text,
            run.session_id,
            session.parent_id if session else "",
            run.agent_id,
            run.question.language,
            asker.locale,
            asker.timezone,
            Resume(run.pending, run.question.text) if resumes else None,
        )

    async def _take(self, event: Event) -> None:
        self.answer.apply(event, self._parts.clock())
        self._reply.show(self.answer, Progress("working"))
        if isinstance(event, RunStarted):
            await self._keep_names()

    async def _keep_names(self) -> None:
        """The service's own names are kept at once: by them its run is stopped, and fetched after a crash."""
        run, answer = self.run, self.answer
        named = (answer.session_id or run.session_id, answer.message_id, answer.run_id)
        if named == (run.session_id, run.message_id, run.task_id):
            return
        session_before = run.session_id
        run.session_id, run.message_id, run.task_id = named
        try:
            await self._save()
            if run.session_id != session_before:
                await self._adopt()
        except (RedisError, OSError) as error:
            logger.warning("the service's names are not kept", run=run.reference, reason=str(error))

    async def _adopt(self) -> None:
        """The service may answer in a session of its own, and wants to know what the next question follows."""
        run, session, answer = self.run, self._session, self.answer
        if session is None:
            return
        named = (answer.usage.session_id if answer.usage else "") or run.session_id
        run.session_id = named
        parent_id = answer.message_id if answer.finished else session.parent_id
        if (named, parent_id) == (session.session_id, session.parent_id):
            return
        try:
            await self._parts.sessions.adopt(run.question.thread, session, named, parent_id)
            self._session = Session(session.agent, named, parent_id)
        except (RedisError, OSError) as error:
            logger.warning(
                "session not kept, the next question begins anew", run=run.reference, reason=str(error)
            )

    # -- recovering --------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """A worker died after asking: fetch the answer, whose run went on without it."""
        run, parts = self.run, self._parts
        agent = Agent(run.backend, run.agent_id)
        self._session = Session(agent, run.session_id)
        self._reply.show(self.answer, Progress("working"))
        logger.info("fetching the answer of a dead worker", run=run.reference, session=run.session_id)
        async with held(parts.slots, parts.limits.kind(agent), run, lambda place: None, seize=True):
            await self._fetch(_LostError())
        await self._adopt()

    async def _fetch(self, lost: Exception) -> None:
        """Read the answer from the service's history until its generation has ended.

        Raises `lost` when there is nothing to fetch: what had come stays.
        """
        run, parts = self.run, self._parts
        backend = parts.backends[run.backend]
        assert isinstance(backend, Followed)
        fetched = self._so_far()
        try:
            async for event in backend.recover(await self._question(), run.message_id, run.asked_at):
                fetched.apply(event, parts.clock())
                if len(fetched.text) >= len(self.answer.text):
                    # What is shown never shrinks while it is fetched.
                    self.answer = fetched
                self._reply.show(self.answer, Progress("working"))
        except UpstreamError as error:
            logger.warning("answer not fetched", run=run.reference, code=error.code, reason=error.message)
            raise lost from None
        self.answer = fetched
        logger.info("answer fetched", run=run.reference, characters=len(fetched.text))
