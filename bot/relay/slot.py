"""Holding one of an agent's slots while a run is open upstream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis import RedisError

from bot import log, metrics, traces
from bot.model.run import Run
from bot.store.slots import Kind, Slots

logger = log.get(__name__)

LOOK_SECONDS = 1.0
"""How often a waiting run asks for its slot: the longest a free slot stays unused."""


@asynccontextmanager
async def held(
    slots: Slots, kind: Kind, run: Run, waiting: Callable[[int], Awaitable[None]], *, seize: bool = False
) -> AsyncIterator[None]:
    """Hold a slot inside the context.

    Args:
        slots, kind, run: whose, which and for what.
        waiting: told the place in the queue at every look; what it raises ends the wait.
        seize: take one whether one is free or not: the run is open upstream already.
    """
    # Of this try alone: should another worker take the run over, our late `free` must not free its slot.
    holder = f"{run.id}:{secrets.token_hex(4)}"
    try:
        with (
            metrics.WAITING.labels("slot").track_inprogress(),
            metrics.SLOT_WAIT_SECONDS.time(),
            traces.span("slot wait"),
        ):
            while place := await slots.ask(kind, holder, since=run.waits_since, seize=seize):
                await waiting(place)
                await asyncio.sleep(LOOK_SECONDS)
        async with slots.kept(kind, holder):
            yield
    finally:
        try:
            await slots.free(kind, holder)
        except (RedisError, OSError) as error:
            logger.warning("slot not given back, it runs out by itself", run=run.reference, reason=str(error))
