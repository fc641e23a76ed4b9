"""Puts right what a process wrote after it had slept through its lease: what counts is in the runs' records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from redis import RedisError

from bot import log
from bot.model.run import Run, reference
from bot.relay.reply import Platform
from bot.store.runs import Runs

logger = log.get(__name__)

_LOOK_SECONDS = 1.0
_MOST_LOOKS = 90
"""Looks at a record until it says which message counts: as long as an answer may be on its way through a worker."""


class Mending:
    """`sleep` waits so many seconds between two looks at a record."""

    def __init__(self, runs: Runs, platform: Platform, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._runs = runs
        self._platform = platform
        self._sleep = sleep

    async def replies(self, late: Mapping[str, list[str]]) -> None:
        """Runs whose replies were written late, with the messages each has as far as the late writer knows."""
        for run_id, messages in late.items():
            await self._try(self._reply(run_id, run_id, messages), run_id)

    async def root(self, run_id: str) -> None:
        """A command's run whose root message may have been posted late."""
        await self._try(self._root(run_id), run_id)

    async def _try(self, work: Awaitable[None], run_id: str) -> None:
        try:
            await work
        except (RedisError, OSError) as error:
            logger.error("a late write may stand", run=reference(run_id), reason=str(error))
        except Exception:
            logger.exception("a late write may stand", run=reference(run_id))

    async def _reply(self, run_id: str, late: str, messages: list[str]) -> None:
        if going_on := await self._runs.going_on(run_id):
            # A paused run's reply is that of the run that let it go on.
            await self._reply(going_on, late, messages)
            return
        if await self._runs.wrote_late(run_id) and (run := await self._runs.get(run_id)):
            logger.warning("a late write is taken back", run=run.reference)
            await self._platform.reply(run, _unfenced).restore()
        made = {*messages}
        if run := await self._runs.get(run_id):
            # Also what the late writer never heard of. Before the record is read: what the thread's worker posts
            # meanwhile is no stray.
            made |= await self._platform.reply(run, _unfenced).made_for(late)
        # What was written to is known to the record; what was posted late may have been posted by another as well. A
        # run that goes on with another's reply knows of it only when it has begun.
        least = max(1, len(messages))
        if run := await self._settled(run_id, lambda run: len(run.reply_ts) >= least):
            await self._platform.reply(run, _unfenced).withdraw(made)

    async def _root(self, run_id: str) -> None:
        if run := await self._settled(run_id, lambda run: not run.question.thread.is_new):
            await self._platform.withdraw_roots(run)

    async def _settled(self, run_id: str, knows: Callable[[Run], bool]) -> Run | None:
        """A run whose record says which message counts; None when there is none, or it never says."""
        for _ in range(_MOST_LOOKS):
            run = await self._runs.get(run_id)
            if run is None or run.state.is_final or (knows(run) and not run.posting):
                return run
            await self._sleep(_LOOK_SECONDS)
        logger.error("a late write may stand", run=reference(run_id), reason="its record did not settle")
        return None


async def _unfenced() -> None:
    """The save of a reply that is only written again, as its record has it: there is nothing to write down."""
