"""Asking a service one question: the slot, the session, the stream, and what to do when the stream is lost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

from redis import RedisError

from bot import log, metrics, traces
from bot.model import record
from bot.model.answer import Answer
from bot.model.ending import Progress
from bot.model.event import Event, RunStarted
from bot.model.question import Asker
from bot.model.run import Run, State
from bot.relay import endings
from bot.relay.control import Control
from bot.relay.parts import Parts
from bot.relay.reply import Reply, Save
from bot.relay.slot import held
from bot.store import keys
from bot.store.runs import LeaseLostError
from bot.store.sessions import Agent, MovedError, Session
from bot.store.slots import Kind
from bot.upstream.backend import SAME_TIME, Ask, Backend, Followed, Resume
from bot.upstream.errors import LOST, UpstreamError

logger = log.get(__name__)

BUSY_SECONDS, BUSY_MOST = 4.0, 60.0
"""Pause before a busy service is asked again, doubled each time up to the most."""


class StaleError(Exception):
    """The question waited too long; it was not asked."""


class SpentError(Exception):
    """A daily budget was used up while the question waited; it was not asked. Its text is the sentence that says so."""


class UnshownError(Exception):
    """Nothing of an answer can be shown where the question was asked; it was not asked."""


class UnsentError(Exception):
    """It was stopped, or the process has to end, in the moment before the request would have left."""


class LostError(Exception):
    """The answer a dead worker had asked for is not to be had."""


class Asking:
    """One question on its way through a service.

    Attributes:
        answer: what has come so far.
        carried: characters of it that an earlier, paused run had said.
        forgotten: whether the service had forgotten the conversation, and the question was asked in a new one.
        is_unsent: whether it is noted as asked while the request has yet to leave.
        is_fetching: whether its stream is lost and the answer is looked for in the service's history.
    """

    def __init__(self, run: Run, reply: Reply, save: Save, control: Control, parts: Parts) -> None:
        self.run, self._reply, self._save, self._control, self._parts = run, reply, save, control, parts
        self.answer = self._so_far()
        self.carried = len(self.answer.text)
        self._carried_calls = len(self.answer.calls)
        _, self._counted, _ = self.answer.text_after((0, 0))
        self.forgotten = self.is_fetching = self.is_unsent = False
        self._session: Session | None = None
        self._noted_at = 0.0

    def _so_far(self) -> Answer:
        """What the paused run had said that this one continues; else nothing."""
        return record.load(self.run.carried if self.run.question.resumes else "", self._parts.clock())

    @property
    def can_recover(self) -> bool:
        """Whether the service can be asked for an answer whose stream was lost."""
        return isinstance(self._parts.backends.get(self.run.backend), Followed)

    @property
    def is_told(self) -> bool:
        """Whether the service has said how it ended."""
        return self.answer.finished or self.answer.error is not None

    @property
    def knows_nothing(self) -> bool:
        """Whether nothing has come beyond what an earlier, paused run had said."""
        return len(self.answer.text) <= self.carried and len(self.answer.calls) <= self._carried_calls

    @property
    def waits_for(self) -> str:
        """The id of what a paused answer waits for."""
        if self.answer.approval:
            return self.answer.approval.call_id
        return self.answer.interrupt.interrupt_id if self.answer.interrupt else ""

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
        run.session_id, run.parent_id = session.session_id, session.parent_id
        kind = parts.limits.kind(session.agent)
        is_kept = False

        async def waiting(place: int) -> None:
            nonlocal is_kept
            if endings.is_stale(run, parts):
                raise StaleError
            self._control.waits_for_slot = True
            self._reply.show(self.answer, Progress("waiting_slot", place, kind.most))
            if not is_kept:
                # Should this worker die, and the thread be moved, the next one still asks the same agent.
                is_kept = True
                await self._save()

        try:
            async with self._slot(kind, waiting):
                self._control.waits_for_slot = False
                try:
                    await self._ask_until_begun(backend)
                except UpstreamError as error:
                    if not (error.code in LOST and self.can_recover):
                        raise
                    await self._fetch(error)
        finally:
            # Also when it was stopped while it waited: its end is work.
            self._control.waits_for_slot = False
        if self.answer.error and UpstreamError(self.answer.error.code).is_gone_session:
            # It said so only in its stream, which nobody asks for again: the next question begins a new one.
            await parts.sessions.lose(run.question.thread, self._session)
        await self._adopt()

    @asynccontextmanager
    async def _slot(
        self, kind: Kind, waiting: Callable[[int], Awaitable[None]], *, seize: bool = False
    ) -> AsyncIterator[None]:
        """Hold a slot; see `held`. Where there are budgets the cost is summed up before the next run gets the slot."""
        async with held(self._parts.slots, kind, self.run, waiting, seize=seize):
            try:
                yield
            finally:
                if self._parts.spent and self.run.may_have_begun and not self.is_unsent:
                    await self._count()

    async def _count(self) -> None:
        run = self.run
        endings.note_cost(self.answer, run, self.carried)
        try:
            await self._save()  # Nothing is counted for a run that another worker has by now.
            await self._parts.count(run)
        except (RedisError, OSError, LeaseLostError) as error:
            logger.warning("cost not summed up before the run's end", run=run.reference, reason=str(error))

    async def _bind(self) -> Session:
        """The agent and the session to ask: the thread's, and a new thread gets the agent chosen for it.

        What was paused goes on where it was paused, also when the thread has been moved or begins anew since; and what
        was asked before a move where it was asked.
        """
        run = self.run
        if run.stays:
            return Session(Agent(run.backend, run.agent_id), run.session_id, run.parent_id)
        session = await self._session_of_thread()
        own = Session(Agent(run.backend, run.agent_id), run.session_id)
        if run.question.resumes and run.session_id and replace(session, parent_id="") != own:
            return own
        run.moves = session.moves
        return session

    async def _session_of_thread(self) -> Session:
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
        for turn in count():
            if self._reply.refused:
                raise UnshownError
            # Others may have used up what was left when the question came in. What is decided already goes on.
            if parts.spent and not run.question.resumes and (sentence := await parts.spent(run)):
                raise SpentError(sentence)
            await self._note_asked()
            logger.info(
                "asked",
                run=run.reference,
                backend=run.backend,
                agent=run.agent_id or "default",
                session=run.session_id,
            )
            self._reply.show(self.answer, Progress("working"))
            self._leave()
            try:
                with metrics.RUNNING.labels(run.backend).track_inprogress(), traces.span("ask"):
                    async with backend.ask(question) as events:
                        async for event in events:
                            await self._take(event)
                return
            except UpstreamError as error:
                if error.begun or error.code in LOST:
                    raise  # It may have begun, though nothing of it came.
                run.refusals += 1
                if error.is_gone_session and run.session_id and not (self.forgotten or run.question.resumes):
                    question = await self._begin_anew()
                    continue
                pause = error.retry_after or min(BUSY_SECONDS * 2 ** min(turn, 9), BUSY_MOST)
                pause *= 0.8 + 0.4 * parts.jitter()
                if not error.is_busy or endings.is_stale(run, parts, after=pause):
                    raise
                logger.info("service busy", run=run.reference, code=error.code, seconds=round(pause, 1))
            await self._save()
            self._reply.show(self.answer, Progress("waiting_service", seconds=pause))
            await parts.sleep(pause)

    async def _note_asked(self) -> None:
        """Written down before the request leaves: after a crash nobody asks again."""
        run = self.run
        self.is_unsent = True
        run.asks += 1
        run.asked_at = self._parts.wall()
        run.state = State.RUNNING
        if self.can_recover and not run.session_id:
            await self._parts.sessions.note_words(run)
        self._noted_at = self._parts.clock()
        await self._save()

    def _leave(self) -> None:
        """The request leaves now, unless it was stopped in this moment."""
        if self._control.signal.is_set():
            raise UnsentError
        self.is_unsent = False

    async def _still_ours(self) -> None:
        """The connection stands. Whoever slept while it was made may have lost the thread, where the question was told
        to be interrupted and the next one is asked: saving raises LeaseLostError then."""
        while self._parts.clock() - self._noted_at > keys.SURE_SECONDS:
            self.is_unsent = True
            self._noted_at = self._parts.clock()
            await self._save()
            self._leave()

    async def _pause(self, seconds: float) -> None:
        """Between two tries of a request: who stops it now, or takes it over, knows that nothing has begun."""
        self.run.refusals += 1
        await self._save()
        await self._parts.sleep(seconds)
        await self._note_asked()
        self._leave()

    async def take_back(self) -> None:
        """What was noted as asked and has not left counts as refused: it may be asked by another worker. That a
        refusal is noted may have been cut off."""
        if self.is_unsent:
            self.is_unsent = False
            self.run.refusals += 1
        if self.run.asks and not self.run.may_have_begun:
            await self._save()

    async def _begin_anew(self) -> Ask:
        """The service has forgotten the conversation: the question is asked in a new one, and the reply says so."""
        run, parts = self.run, self._parts
        logger.warning("session gone, asking in a new one", run=run.reference, session=run.session_id)
        self.forgotten = True
        own = Agent(run.backend, run.agent_id)
        if self._session:
            await parts.sessions.lose(run.question.thread, self._session)
        session = None if run.stays else await self._session_of_thread()
        if session is None or session.agent != own:
            # The thread was moved while this question waited: its session is another service's.
            run.stays = True
            named = parts.backends[run.backend].names_sessions
            session = Session(own, "" if named else str(uuid.uuid4()))
        self._session = session
        run.session_id, run.parent_id = session.session_id, session.parent_id
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
            self._pause,
            self._still_ours,
        )

    async def _take(self, event: Event) -> None:
        had_words = self.answer.has_text
        self.answer.apply(event, self._parts.clock())
        new, self._counted, is_anew = self.answer.text_after(self._counted)
        self.run.came = len(new) - self.carried if is_anew else self.run.came + len(new)
        self._reply.show(self.answer, Progress("working"))
        if self.answer.has_text and not had_words:
            waited = self._parts.wall() - self.run.asked_at
            metrics.UPSTREAM_FIRST_WORDS_SECONDS.labels(self.run.backend).observe(max(0.0, waited))
            traces.record("first words", since=self.run.asked_at)
        if isinstance(event, RunStarted):
            await self._keep_names(event)

    async def _keep_names(self, event: RunStarted) -> None:
        """The service's own names are kept at once: by them its run is stopped, and fetched after a crash."""
        run = self.run
        named = (
            event.session_id or run.session_id,
            event.message_id or run.message_id,
            event.run_id or run.task_id,
        )
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
        if run.stays or (named, parent_id) == (session.session_id, session.parent_id):
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
        self.is_fetching = True
        self._reply.show(self.answer, Progress("working"))
        logger.info("fetching the answer of a dead worker", run=run.reference, session=run.session_id)
        async with self._slot(parts.limits.kind(agent), _seized, seize=True):
            await self._fetch(LostError())
        await self._adopt()

    async def _fetch(self, lost: Exception) -> None:
        """Read the answer from the service's history until its generation has ended.

        Raises `lost` when there is nothing to fetch: what had come stays.
        """
        self.is_fetching = True
        run, parts = self.run, self._parts
        backend = parts.backends[run.backend]
        assert isinstance(backend, Followed)
        fetched = self._so_far()
        paused_in = fetched.message_id
        try:
            question = await self._question()
            async for event in backend.recover(question, run.message_id, run.asked_at, self._others):
                if isinstance(event, RunStarted) and event.message_id and event.message_id == paused_in:
                    # The paused message itself went on: its record holds what it had said before, too.
                    fetched = Answer()
                fetched.apply(event, parts.clock())
                if len(fetched.text) >= len(self.answer.text):
                    # What is shown never shrinks while it is fetched.
                    self.answer = fetched
                self._reply.show(self.answer, Progress("working"))
                if isinstance(event, RunStarted):
                    # The next question goes on here, and by its name the answer is rated.
                    await self._keep_names(event)
        except UpstreamError as error:
            logger.warning("answer not fetched", run=run.reference, code=error.code, reason=error.message)
            raise lost from None
        self.answer = fetched
        logger.info("answer fetched", run=run.reference, characters=len(fetched.text))

    async def _others(self) -> frozenset[str] | None:
        """Who else asked the same words just then; see `bot.upstream.backend.Others`."""
        try:
            return await self._parts.sessions.of_same_words(self.run, SAME_TIME)
        except (RedisError, OSError) as error:
            logger.warning("not known who asked the same", run=self.run.reference, reason=str(error))
            return None


async def _seized(place: int) -> None:
    """A slot that is seized is never waited for."""
