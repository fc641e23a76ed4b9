"""What a reply shows, written down with its run; and whether the thread is still ours to write in."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from redis import RedisError

from bot import log
from bot.model.run import Run, State
from bot.relay.reply import Save
from bot.slack.reply.layout import Payload
from bot.store import keys

logger = log.get(__name__)

PAUSE_SECONDS = 2.0
"""Pause after a write that failed, before the next try."""
_FENCED_SECONDS = 4.0
"""How long after a save the next one can wait, as far as the lease is concerned."""


@dataclass(frozen=True, slots=True)
class Last:
    """What the record says the last message shows.

    Attributes:
        payload: its text and blocks; empty while nothing was written.
        ended: the final state it shows, None while it shows none.
        leaving: the update that shows it may never have left.
    """

    payload: Payload
    ended: State | None = None
    leaving: bool = False


class Record:
    """The record of one run. `clock` gives seconds; `sleep` waits that many.

    Attributes:
        wrote_late: a write was carried out when the lease may have run out.
        surplus: the ts of messages that were the reply's and are to be taken away; noted with the next `keep`.
    """

    def __init__(
        self,
        run: Run,
        save: Save,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.wrote_late = False
        self.surplus: list[str] = json.loads(run.shown or "{}").get("surplus", [])
        self._run = run
        self._save = save
        self._clock = clock
        self._sleep = sleep
        self._saved_at = float("-inf")

    def last(self) -> Last:
        """What was kept last."""
        payload = json.loads(self._run.shown or "{}")
        ended, leaving = payload.pop("ended", ""), payload.pop("leaving", False)
        for note in ("filed", "surplus"):
            payload.pop(note, None)
        return Last(payload, State(ended) if ended else None, leaving)

    async def keep(self, payload: Payload, ended: State | None = None, *, leaving: bool = False) -> bool:
        """Keep what the last message shows, for whoever has to finish it after a crash.

        Args:
            payload: its text and blocks.
            ended: the final state it shows.
            leaving: the update that shows it is yet to be made.

        Returns:
            False when the store did not answer.
        """
        notes: dict[str, Any] = {}
        if ended:
            notes = {"ended": ended} | ({"leaving": True} if leaving else {})
        if self.surplus:
            notes["surplus"] = self.surplus
        self._run.shown = json.dumps({**payload, **notes}, ensure_ascii=False)
        return await self._write_down()

    async def cleared(self) -> None:
        """Note that the surplus is gone. Should that fail, it is looked for once more, and not found."""
        self.surplus = []
        shown = json.loads(self._run.shown or "{}")
        shown.pop("surplus", None)
        self._run.shown = json.dumps(shown, ensure_ascii=False)
        await self._write_down()

    async def file(self) -> bool:
        """Note that the run's files are about to be uploaded; False when they were already, or nobody can know."""
        shown = json.loads(self._run.shown or "{}")
        if shown.get("filed"):
            return False
        self._run.shown = json.dumps({**shown, "filed": True}, ensure_ascii=False)
        return await self._write_down()

    async def fence(self) -> None:
        """Before a write to Slack: whoever slept through the lease must not write over what came after.

        Saving raises LeaseLostError then. While the store does not answer, nothing is written once the lease may have
        run out: somebody may have taken the thread before the store went away.
        """
        if self._clock() - self._saved_at <= _FENCED_SECONDS:
            return
        await self._write_down()
        while self._clock() - self._saved_at > keys.SURE_SECONDS:
            await self._sleep(PAUSE_SECONDS)
            await self._write_down()

    def written(self) -> None:
        """A write to Slack has ended. A process can be frozen between the fence and the wire."""
        self.wrote_late = self.wrote_late or self._clock() - self._saved_at > keys.SURE_SECONDS

    async def _write_down(self) -> bool:
        # When it left: a process can be frozen before it hears the answer.
        began = self._clock()
        try:
            await self._save()
        except (RedisError, OSError) as error:
            logger.warning("run not saved", run=self._run.reference, reason=str(error))
            return False
        self._saved_at = began
        return True
