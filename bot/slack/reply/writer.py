"""The reply: one Slack message, or as few as it takes, kept in step with one answer by chat.update.

It knows neither backends nor runs' order: it is given the newest answer (`show`), decides from the budget when to
write, and lays out only then, so that what is written is always the newest. Final states are written whatever it
takes; a post whose fate is unknown is looked for before it is repeated.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redis import RedisError

from bot import log
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import Run, State
from bot.relay.reply import Save
from bot.slack.budget import Priority
from bot.slack.client import (
    GoneError,
    RefusedBlocksError,
    SlackClient,
    SlackError,
    TooBigError,
    UncertainError,
)
from bot.slack.reply import layout
from bot.slack.reply.draft import Draft

logger = log.get(__name__)

TICK_SECONDS = 10.0
"""How often the seconds in the status line move while nothing else does, if the budget is free."""
GAP_SECONDS = 0.7
"""Least time between two updates once the first words stand: what is read grows no faster, and the burst lasts."""
_PAUSE_SECONDS = 2.0
"""Pause after a write that failed, before the next look."""
_MOST_REPLACED = 3
"""How often a message that is gone is written anew; somebody who deletes it each time does not want it."""
_FENCED_SECONDS = 4.0
"""How long after a save the next one can wait, as far as the lease is concerned."""
SURE_SECONDS = 12.0
"""How long after a save the thread is certainly still ours: less than a lease lives, by more than a beat."""
_WHATEVER = object()
"""The signature of a message that nobody will write again."""
METADATA_TYPE = "das_bot_reply"


@dataclass(slots=True)
class _Message:
    """One message of the reply: its ts and what it shows."""

    ts: str
    shown: Any = None
    """The signature of what was last written; None forces a write."""


class SlackReply:
    """The reply to one run. `save` writes the run's record down; `names` are the services', by key."""

    def __init__(
        self,
        client: SlackClient,
        run: Run,
        save: Save,
        names: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._run = run
        self._save = save
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._saved_at = float("-inf")
        self.wrote_late = False
        self._names = names
        self._draft = Draft(run.id, run.question.language, "")
        self._messages = [_Message(ts) for ts in run.reply_ts]
        self._refused = ""
        self._replaced = 0
        self._changed = asyncio.Event()
        self._seen = (False, -1)

    # -- the protocol ----------------------------------------------------------------------------------

    async def open(self, progress: Progress) -> None:
        """Make the first message, or bring the one the run already has up to this."""
        self._draft.progress = progress
        await self._write(Priority.TEXT if self._messages else Priority.FIRST_WORDS)

    def show(self, answer: Answer, progress: Progress) -> None:
        """Here is the newest state; it is shown when there is budget."""
        if progress.doing == "working" != self._draft.progress.doing:
            self._began = self._clock()
        self._draft.answer = answer
        self._draft.progress = progress
        self._changed.set()

    async def keep_writing(self) -> None:
        """Write what `show` gave, paced by the budget, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                if not self._client.budget.is_free("chat.update", self._channel):
                    continue
                self._touch_last()
            self._changed.clear()
            if not await self._write(self._priority()):
                self._changed.set()
                await self._sleep(_PAUSE_SECONDS)
            elif self._seen[0]:
                await self._sleep(GAP_SECONDS)

    async def finish(self, answer: Answer, ending: Ending) -> None:
        """Write the final state; comes back when it is written, or when Slack refuses for good."""
        self._draft.answer = answer
        self._draft.elapsed = self._clock() - self._began
        self._draft.ending = ending
        # However long Slack is away: the thread would show a running answer for ever. Should this process end
        # meanwhile, the run's record still says what is to be shown.
        while not await self._write(Priority.FINAL):
            await self._sleep(_PAUSE_SECONDS)
        self._client.budget.forget(self._run.id)

    async def ended(self) -> Ending | None:
        """The ending a worker had shown before it died, or was about to: then it stands there now. Else None."""
        payload = json.loads(self._run.shown or "{}")
        ended, is_leaving = payload.pop("ended", ""), payload.pop("leaving", False)
        if not ended:
            return None
        # The answer was complete; at most its last message is yet to arrive.
        if is_leaving or self._run.posting or not self._messages:
            await self._insist_on(payload)
        return Ending(State(ended))

    async def recover(self, ending: Ending) -> Ending:
        """Write the final state over what a dead worker left, or post it when nothing was left.

        Returns the ending that stands there: the one that had been shown before, if any.
        """
        if not self._run.shown:
            await self.finish(Answer(), ending)
            return ending
        if shown := await self.ended():
            return shown
        payload = json.loads(self._run.shown)
        await self._insist_on(layout.recovered(payload, self._draft.frame(), ending))
        return ending

    async def restore(self) -> None:
        """Write what the record says the last message shows once more: a late write may stand over it."""
        payload = json.loads(self._run.shown or "{}")
        payload.pop("ended", "")
        payload.pop("leaving", False)
        if payload and self._messages:
            await self._insist_on(payload)

    async def _insist_on(self, payload: layout.Payload) -> None:
        """Put a payload into the last message, simpler where Slack refuses it, until it stands or Slack refuses all."""
        rungs = [lambda: payload, lambda: layout.plain(payload), lambda: layout.text_only(payload)]
        self._touch_last()  # This reply may have written itself, before the run failed.
        while True:
            try:
                await self._write_last(rungs[0])
                break
            except (RefusedBlocksError, TooBigError) as error:
                reason = str(error)
                if len(rungs) == 1:
                    logger.error("final state not shown", run=self._run.reference, reason=reason)
                    break
                del rungs[0]
            except UncertainError as error:
                logger.warning("slack did not answer", run=self._run.reference, reason=str(error))
                await self._sleep(_PAUSE_SECONDS)
            except SlackError as error:
                logger.error("final state not shown", run=self._run.reference, reason=str(error))
                break
        self._client.budget.forget(self._run.id)

    async def _write_last(self, make: Callable[[], layout.Payload]) -> None:
        """Put a payload where a dead worker wrote, or was about to write, last."""
        if self._run.posting or not self._messages:
            # What the record shows is the message whose post was under way then.
            await self._post(len(self._messages), Priority.FINAL, make)
        if self._messages[-1].shown is None:
            await self._update(self._messages[-1], make, Priority.FINAL)

    def _priority(self) -> Priority:
        """First words, and a tool that changed, go before more text."""
        seen = (self._draft.answer.has_text, sum(call.state for call in self._draft.answer.calls.values()))
        before, self._seen = self._seen, seen
        if seen[0] and not before[0]:
            return Priority.FIRST_WORDS
        return Priority.TOOL if seen[1] != before[1] else Priority.TEXT

    def _touch_last(self) -> None:
        if self._messages:
            self._messages[-1].shown = None

    # -- writing ---------------------------------------------------------------------------------------

    async def _write(self, priority: Priority) -> bool:
        """Bring every message up to date, first one first. False: something is not written yet, look again."""
        if self._refused:
            return True
        number = 0
        self._draft.take_in()
        while number < self._draft.count:
            try:
                if number == len(self._messages):
                    await self._post(number, priority)
                if self._draft.signature(number) != self._messages[number].shown:
                    await self._bring_up(number, priority)
            except UncertainError as error:
                logger.warning("slack did not answer", run=self._run.reference, reason=str(error))
                return False
            except GoneError as error:
                if number == len(self._messages) or self._replaced == _MOST_REPLACED:
                    self._refuse(error)
                    return True
                await self._begin_again(number)
                continue
            except (RefusedBlocksError, TooBigError) as error:
                if not self._step_down(error):
                    return True
                continue
            except SlackError as error:
                self._refuse(error)
                return True
            number += 1
        return True

    def _refuse(self, error: SlackError) -> None:
        self._refused = str(error)
        logger.error("slack refuses the reply", run=self._run.reference, reason=self._refused)

    async def _begin_again(self, number: int) -> None:
        """Message `number` was deleted: what is to be said from there on is said again, below."""
        self._replaced += 1
        rest = self._messages[number + 1 :]
        del self._messages[number:]
        del self._run.reply_ts[number:]
        for message in rest:
            try:
                await self._client.call(
                    "chat.delete",
                    self._channel,
                    Priority.FIRST_WORDS,
                    self._run.id,
                    lambda ts=message.ts: {"ts": ts},  # type: ignore[misc]
                )
            except SlackError as error:
                logger.warning("old message not removed", run=self._run.reference, reason=str(error))

    def _step_down(self, error: SlackError) -> bool:
        """Fall back to simpler blocks; False when there are none."""
        logger.warning("slack refuses the blocks", run=self._run.reference, reason=str(error))
        if not self._draft.step_down():
            self._refuse(error)
            return False
        return True

    def _payload(self, number: int) -> layout.Payload:
        if self._draft.ending is None:
            self._draft.elapsed = self._clock() - self._began
        # Known once the thread is bound to an agent.
        self._draft.backend = self._names.get(self._run.backend, "")
        self._draft.agent = self._run.agent_id
        return self._draft.payload(number)

    async def _bring_up(self, number: int, priority: Priority) -> None:
        message = self._messages[number]
        written: list[tuple[Any, layout.Payload]] = []
        if self._draft.ending and number == self._draft.count - 1:
            # Whoever takes over after a crash shows this end, not one of its own over what may stand there.
            self._draft.take_in()
            await self._remember(self._payload(number), leaving=True)

        def make() -> layout.Payload:
            # Called when the budget allows: only now is the newest laid out.
            self._draft.take_in()
            written[:] = [(self._draft.signature(number), self._payload(number))]
            return written[0][1]

        await self._update(message, make, priority)
        message.shown = written[0][0]
        if number == len(self._messages) - 1:
            await self._remember(written[0][1])

    async def _update(
        self, message: _Message, make: Callable[[], layout.Payload], priority: Priority
    ) -> None:
        try:
            await self._client.insist(
                "chat.update",
                self._channel,
                priority,
                self._run.id,
                lambda: {"ts": message.ts, **make()},
                tries=6 if priority is Priority.FINAL else 1,
                sleep=self._sleep,
                before=self._fence,
            )
        finally:
            # A process can be frozen between the fence and the wire.
            self.wrote_late = self.wrote_late or self._clock() - self._saved_at > SURE_SECONDS

    async def _post(
        self, number: int, priority: Priority, make: Callable[[], layout.Payload] | None = None
    ) -> None:
        """Post message `number`. Before, the intent is written down; a post with an unknown fate is looked for.

        `make` gives another payload than the draft's, for which only a post is at stake.
        """
        if self._run.posting and await self._find_posted(number):
            return  # It is there; what it shows is brought up to date next.
        signature = self._draft.signature(number) if make is None else _WHATEVER
        payload = make() if make else self._payload(number)
        self._run.posting = True
        while not await self._remember(payload):
            # A post that nobody knows of would be made again after a crash.
            await self._sleep(_PAUSE_SECONDS)
        try:
            await self._client.call(
                "chat.postMessage",
                self._channel,
                priority,
                self._run.id,
                lambda: {
                    "thread_ts": self._run.question.thread.thread_ts,
                    "unfurl_links": False,
                    "unfurl_media": False,
                    "metadata": {
                        "event_type": METADATA_TYPE,
                        "event_payload": {"run": self._run.id, "message": number},
                    },
                    **payload,
                },
                on_answer=lambda answer: self._keep(number, str(answer["ts"]), signature),
                before=self._fence,
            )
        except UncertainError:
            if not await self._find_posted(number):
                raise
        except SlackError:
            self._run.posting = False
            raise
        await self._remember(payload)

    def _keep(self, number: int, ts: str, signature: Any) -> None:
        self._messages[number:] = [_Message(ts, signature)]
        self._run.reply_ts[number:] = [ts]
        self._run.posting = False

    async def _find_posted(self, number: int) -> bool:
        """Look in the thread for message `number`, which may have been posted."""
        thread_ts = self._run.question.thread.thread_ts
        try:
            response = await self._client.insist(
                "conversations.replies",
                self._channel,
                Priority.FIRST_WORDS,
                self._run.id,
                lambda: {
                    "ts": thread_ts,
                    "oldest": f"{self._run.accepted_at - 60:.6f}",
                    "limit": 200,
                    "include_all_metadata": True,
                },
                sleep=self._sleep,
            )
        except UncertainError:
            raise  # Not known is not "not there": nothing is posted before this has been looked up.
        except SlackError as error:
            logger.warning("cannot look for a post", run=self._run.reference, reason=str(error))
            return False
        wanted = {"run": self._run.id, "message": number}
        for message in response.get("messages", []):
            if (message.get("metadata") or {}).get("event_payload") == wanted:
                self._keep(number, str(message["ts"]), None)
                return True
        return False

    async def _remember(self, payload: layout.Payload, *, leaving: bool = False) -> bool:
        """Keep what the last message shows with the run's record, for whoever has to finish it after a crash.

        `leaving` when the update that shows it is yet to be made. False when Redis did not answer.
        """
        ended: dict[str, Any] = {}
        if self._draft.ending and not self._is_behind:
            ended = {"ended": self._draft.ending.state} | ({"leaving": True} if leaving else {})
        self._run.shown = json.dumps({**payload, **ended}, ensure_ascii=False)
        return await self._write_down()

    @property
    def _is_behind(self) -> bool:
        """Whether the answer goes on in a message after the last one posted, or being posted."""
        return len(self._messages) + self._run.posting < self._draft.count

    async def _write_down(self) -> bool:
        try:
            await self._save()
        except (RedisError, OSError) as error:
            logger.warning("run not saved", run=self._run.reference, reason=str(error))
            return False
        self._saved_at = self._clock()
        return True

    async def _fence(self) -> None:
        """Before a write to Slack: whoever slept through the lease must not write over what came after.

        Saving raises LeaseLostError then. While Redis does not answer, nothing is written once the lease may have run
        out: somebody may have taken the thread before Redis went away.
        """
        if self._clock() - self._saved_at <= _FENCED_SECONDS:
            return
        await self._write_down()
        while self._clock() - self._saved_at > SURE_SECONDS:
            await self._sleep(_PAUSE_SECONDS)
            await self._write_down()

    @property
    def _channel(self) -> str:
        return self._run.question.thread.channel
