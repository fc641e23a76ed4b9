"""One run from question to final state. Read top to bottom, this tells where a question is at any moment.

thread leased -> reply opened -> agent and session bound -> slot taken -> asked upstream -> events folded and shown
-> final state written. A run whose worker died after asking is recovered, or ends as interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from bot import log, metrics
from bot.model import record
from bot.model.ending import Ending, Progress
from bot.model.run import Run, State
from bot.relay import endings
from bot.relay.asking import Asking, LostError, SpentError, StaleError, UnsentError, UnshownError
from bot.relay.control import Control
from bot.relay.parts import Parts
from bot.relay.reply import Reply, Save
from bot.store.runs import LeaseLostError
from bot.upstream.backend import Followed
from bot.upstream.errors import UpstreamError

logger = log.get(__name__)

STOP_SECONDS = 15.0
"""Longest wait for a service to end a run somebody stopped: for its id to be told, and for the call."""
_LOOK_SECONDS = 0.1
"""How often to look whether the id was told."""
_REST_SECONDS = 3.0
"""Longest wait for what comes behind a complete answer: its cost, and keeping what the next question follows."""


class HandOver(Exception):
    """The process ends, and another worker can do better: it asks what was not asked, and fetches what goes on."""


async def relay(run: Run, reply: Reply, save: Save, control: Control, parts: Parts) -> Ending:
    """Bring a run to its final state and show it. The caller holds the thread's lease and writes the state down.

    Raises:
        HandOver: when the process ends and another worker shall go on.
        LeaseLostError: when another worker took the thread over; nothing more was written.
    """
    work = Asking(run, reply, save, control, parts)
    # A worker may have died after it had shown the end, whether the service had taken the question or refused it.
    if shown := await reply.ended():
        return shown
    if run.may_have_begun:
        metrics.RECOVERIES.inc()
        if endings.is_outdated(run, parts):
            ending = endings.outdated(run, parts)
        elif work.can_recover:
            ending = await _until_told(work, work.recover(), reply, control, parts)
        elif run.stop_by:
            ending = endings.stopped(run, parts, run.stop_by, for_good=False)
        else:
            # Whether the service ran it is unknown, so it is not asked again.
            ending = endings.interrupted(run, parts)
        if run.shown and work.knows_nothing and ending.state not in (State.ANSWERED, State.PAUSED):
            # What the dead worker left says more than we know.
            return await reply.recover(endings.with_cost(ending, work.answer, run, work.carried))
    else:
        if run.reply_ts and not reply.refused:
            # Its message stands; when Slack's budget is short the question does not wait for that as well.
            reply.show(work.answer, Progress("starting"))
        else:
            await reply.open(Progress("starting"))
        if run.stop_by:
            ending = endings.stopped(run, parts, run.stop_by, for_good=False)
        elif endings.is_stale(run, parts):
            ending = endings.stale(run, parts)
        elif reply.refused:
            ending = endings.unshown(run, parts)
        else:
            ending = await _until_told(work, work.ask(), reply, control, parts)
    if ending.state is State.PAUSED:
        run.carried = record.dump(work.answer, parts.clock())
        run.pending = work.waits_for
        run.options = work.answer.interrupt.options if work.answer.interrupt else ()
    ending = endings.with_cost(ending, work.answer, run, work.carried)
    await reply.finish(work.answer, ending)
    return ending


async def _until_told(
    work: Asking, asking: Coroutine[None, None, None], reply: Reply, control: Control, parts: Parts
) -> Ending:
    """Let the asking go on until it ends by itself, or until somebody stops it or the process has to end."""
    writing = asyncio.create_task(_keep_writing(work.run, reply))
    task = asyncio.create_task(asking)
    told = asyncio.create_task(control.signal.wait())
    for_good = False
    try:
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        was_told = not task.done()
        if was_told and work.is_told:
            await asyncio.wait({task}, timeout=_REST_SECONDS)
        elif was_told and control.stopped_by:
            for_good = await _stop_upstream(work, task, parts)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    finally:
        for each in (task, told, writing):
            each.cancel()
        await asyncio.gather(task, told, writing, return_exceptions=True)
    await work.take_back()
    work.answer.close(parts.clock())
    # Told too late, a complete answer is one all the same, unless it ended because it was stopped.
    if was_told and (for_good or not work.is_told):
        return _told(work, control, parts, for_good=for_good)
    error = None if task.cancelled() else task.exception()
    if isinstance(error, UnsentError):
        return _told(work, control, parts, for_good=False)
    if task.cancelled() and not was_told:
        raise RuntimeError("the asking was cancelled from inside")
    return _ending(work, error, parts)


def _told(work: Asking, control: Control, parts: Parts, *, for_good: bool) -> Ending:
    """Somebody stopped it, or the process has to end.

    Raises:
        HandOver: when another worker can go on with it.
    """
    if control.stopped_by:
        return endings.stopped(work.run, parts, control.stopped_by, for_good=for_good)
    if not work.run.may_have_begun or work.can_recover:
        raise HandOver
    return endings.interrupted(work.run, parts)


def _ending(work: Asking, error: BaseException | None, parts: Parts) -> Ending:
    """The asking ended by itself."""
    match error:
        case None:
            return endings.told(work.answer, work.run, parts, forgotten=work.forgotten)
        case UpstreamError():
            return endings.failed(error, work.run, parts)
        case StaleError():
            return endings.stale(work.run, parts)
        case SpentError():
            return endings.spent(str(error))
        case UnshownError():
            return endings.unshown(work.run, parts)
        case LostError():
            return endings.interrupted(work.run, parts)
    raise error


async def _keep_writing(run: Run, reply: Reply) -> None:
    try:
        await reply.keep_writing()
    except LeaseLostError:
        pass  # The next beat tells the worker, which cancels the run.
    except Exception:
        # The run goes on; its end is written all the same, or fails where somebody sees it.
        logger.exception("the reply stopped growing", run=run.reference)


async def _stop_upstream(work: Asking, asking: asyncio.Task[None], parts: Parts) -> bool:
    """End the run in the service, where that can be done; whether it was. Its id may not have been told yet."""
    run = work.run
    backend = parts.backends.get(run.backend)
    if not (run.may_have_begun and isinstance(backend, Followed)):
        return False
    try:
        async with asyncio.timeout(STOP_SECONDS):
            while not run.task_id:
                if asking.done() or work.is_unsent or not run.may_have_begun:
                    return False  # The service has refused it; it would only be asked again.
                if work.is_fetching:
                    return False  # Only its stream tells the id; the history does not.
                await parts.sleep(_LOOK_SECONDS)
            await backend.stop(run.task_id)
            return True
    except TimeoutError:
        reason = "no answer"
    except UpstreamError as error:
        reason = str(error)
    logger.warning("not stopped upstream", run=run.reference, reason=reason)
    return False
