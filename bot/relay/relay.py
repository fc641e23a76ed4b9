"""One run from question to final state. Read top to bottom, this tells where a question is at any moment.

thread leased -> reply opened -> slot taken -> asked upstream -> events folded and shown -> final state written
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from redis import RedisError

from bot import log
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import MAX_QUESTION, Language
from bot.model.run import Run, State
from bot.relay.reply import Reply, Save
from bot.store.runs import LeaseLostError
from bot.store.sessions import Sessions
from bot.store.slots import Slots
from bot.upstream.backend import Backend
from bot.upstream.errors import UpstreamError

logger = log.get(__name__)

SLOT_SECONDS = 1.0
"""How often a waiting run asks for its slot: the longest a free slot stays unused."""
RENEW_SECONDS = 4.0
"""How often a held slot is renewed; three renewals fit into its life."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """What the relay says to people, from outside: it knows neither words nor languages itself.

    `explain` turns an upstream error into a sentence; `say` gives a sentence by name.
    """

    explain: Callable[[UpstreamError, Language], str]
    say: Callable[..., str]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a relay works with. `clock` is for durations, `wall` for dates; both in seconds."""

    backend: Backend
    sessions: Sessions
    slots: Slots
    sentences: Sentences
    agent_id: str = ""
    max_age: float = 3600.0
    """Seconds after which a question that was never asked is closed instead."""
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class _StaleError(Exception):
    """The question waited too long; it was not asked."""


class HandOver(Exception):
    """The process ends before the question was asked: another worker shall take it."""


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
        HandOver: when the process ends before the question was asked.
        LeaseLostError: when another worker took the thread over; nothing more was written.
    """
    say, language = parts.sentences.say, run.question.language
    if run.asked_at:
        # A worker died after asking. Whether the service ran it is unknown, so it is not asked again.
        return await reply.recover(Ending(State.INTERRUPTED, say("interrupted", language)))
    answer = Answer()
    if run.reply_ts:
        # It waited and its message stands; when Slack's budget is short the question does not wait for that as well.
        reply.show(answer, Progress("starting"))
    else:
        await reply.open(Progress("starting"))
    if run.stop_by:
        ending = stopped_early(run, parts)
    elif _is_stale(run, parts):
        ending = _stale(run, parts)
    else:
        writing = asyncio.create_task(_keep_writing(run, reply))
        try:
            ending = await _until_told(_ask(run, reply, save, answer, parts), answer, run, control, parts)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
    await reply.finish(answer, ending)
    return ending


async def _keep_writing(run: Run, reply: Reply) -> None:
    try:
        await reply.keep_writing()
    except LeaseLostError:
        pass  # The next beat tells the worker, which cancels the run.
    except Exception:
        # The run goes on; its end is written all the same, or fails where somebody sees it.
        logger.exception("the reply stopped growing", run=run.reference)


async def _until_told(
    asking: Coroutine[None, None, None], answer: Answer, run: Run, control: Control, parts: Parts
) -> Ending:
    """Let the asking go on until it ends by itself, or until somebody stops it or the process has to end."""
    work = asyncio.create_task(asking)
    told = asyncio.create_task(control.signal.wait())
    try:
        await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
        was_told = not work.done()
        if was_told:
            work.cancel()
            await asyncio.wait({work})
    finally:
        for task in (work, told):
            task.cancel()
        await asyncio.gather(work, told, return_exceptions=True)
    answer.close(parts.clock())
    if was_told and not (answer.finished or answer.error):
        return _told(run, control, parts)
    if work.cancelled():
        if was_told:
            return _ending(answer, run, parts)  # Told too late: the answer was complete.
        raise RuntimeError("the asking was cancelled from inside")
    error = work.exception()
    if error is None:
        return _ending(answer, run, parts)
    if isinstance(error, UpstreamError):
        return _failure(error, run, parts)
    if isinstance(error, _StaleError):
        return _stale(run, parts)
    raise error


async def _ask(run: Run, reply: Reply, save: Save, answer: Answer, parts: Parts) -> None:
    """Wait for a slot, ask, and fold what comes into `answer`, showing it."""
    question = run.question
    if len(question.text) > MAX_QUESTION:
        raise UpstreamError("QuestionTooLong", f"{len(question.text)} characters")
    session_id = run.session_id = await parts.sessions.session_of(question.thread)
    run.agent_id = parts.agent_id
    async with _slot(run, reply, answer, parts):
        progress = Progress("working")
        reply.show(answer, progress)
        # Written down before the request leaves: after a crash nobody asks again.
        run.asked_at = parts.wall()
        run.state = State.RUNNING
        await save()
        logger.info("asked", run=run.reference, agent=run.agent_id or "default", session=session_id)
        asking = parts.backend.ask(question.text, session_id=session_id, agent_id=parts.agent_id)
        async with asking as events:
            async for event in events:
                answer.apply(event, parts.clock())
                reply.show(answer, progress)
    await _adopt_session(run, answer, parts)


async def _adopt_session(run: Run, answer: Answer, parts: Parts) -> None:
    """The service may answer in a session of its own; the thread goes on in that one."""
    named = answer.usage.session_id if answer.usage else ""
    if not named or named == run.session_id:
        return
    asked_in, run.session_id = run.session_id, named
    try:
        await parts.sessions.adopt(run.question.thread, asked_in, named)
    except RedisError as error:
        logger.warning(
            "session not kept, the next question begins anew", run=run.reference, reason=str(error)
        )


@asynccontextmanager
async def _slot(run: Run, reply: Reply, answer: Answer, parts: Parts) -> AsyncIterator[None]:
    """Hold one of the agent's slots; while it waits, the reply shows the place in the queue."""
    slots = parts.slots
    # Of this try alone: should another worker take the run over, our late `free` must not free its slot.
    holder = f"{run.id}:{secrets.token_hex(4)}"

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await slots.ask(parts.agent_id, holder)
            except RedisError as error:
                logger.warning("slot not renewed", run=run.reference, reason=str(error))

    try:
        while place := await slots.ask(parts.agent_id, holder):
            if _is_stale(run, parts):
                raise _StaleError
            reply.show(answer, Progress("waiting_slot", place, slots.limit))
            await asyncio.sleep(SLOT_SECONDS)
        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
    finally:
        try:
            await slots.free(parts.agent_id, holder)
        except RedisError as error:
            logger.warning("slot not given back, it runs out by itself", run=run.reference, reason=str(error))


def stopped_early(run: Run, parts: Parts) -> Ending:
    """The ending of a run that was stopped while it waited behind another."""
    words = parts.sentences.say("stopped_early", run.question.language, by=run.stop_by)
    return Ending(State.STOPPED, words, run.stop_by)


def _is_stale(run: Run, parts: Parts) -> bool:
    return parts.wall() - run.accepted_at > parts.max_age


def _stale(run: Run, parts: Parts) -> Ending:
    minutes = round(parts.max_age / 60)
    return Ending(State.FAILED, parts.sentences.say("stale", run.question.language, minutes=minutes))


def _told(run: Run, control: Control, parts: Parts) -> Ending:
    say, language = parts.sentences.say, run.question.language
    if control.stopped_by:
        words = "stopped" if run.asked_at else "stopped_early"
        return Ending(State.STOPPED, say(words, language, by=control.stopped_by), control.stopped_by)
    if not run.asked_at:
        raise HandOver
    return Ending(State.INTERRUPTED, say("interrupted", language))


def _ending(answer: Answer, run: Run, parts: Parts) -> Ending:
    """The stream ended by itself: what it said."""
    if answer.error:
        return _failure(UpstreamError(answer.error.code, answer.error.message, begun=True), run, parts)
    nothing = "" if answer.has_text else parts.sentences.say("nothing", run.question.language)
    return Ending(State.ANSWERED, nothing)


def _failure(error: UpstreamError, run: Run, parts: Parts) -> Ending:
    logger.warning(
        "upstream failed",
        run=run.reference,
        code=error.code,
        reason=error.message,
        request_id=error.request_id,
        status=error.status,
        begun=error.begun,
    )
    return Ending(State.FAILED, parts.sentences.explain(error, run.question.language))
