"""The reply: one Slack message, or as few as it takes, kept in step with one answer.

It knows neither backends nor runs' order: it is given the newest answer (`show`), decides from the budget when to
write, and lays out only then, so that what is written is always the newest. A message begins as a stream where that
is possible (`bot.slack.reply.stream`) and goes on by chat.update. Final states are written whatever it takes, in one
update; a post whose fate is unknown is looked for before it is repeated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

from bot import log
from bot.model import record
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import Run, State
from bot.relay.reply import Save
from bot.slack.budget import Priority, Urgency
from bot.slack.client import (
    ClosedPlaceError,
    GoneError,
    RefusedBlocksError,
    SlackClient,
    SlackError,
    SlowDownError,
    StreamOpenError,
    TooBigError,
    UncertainError,
)
from bot.slack.reply import layout
from bot.slack.reply.asks import CONSOLE, decided
from bot.slack.reply.draft import Draft
from bot.slack.reply.freshness import Freshness
from bot.slack.reply.line import Line
from bot.slack.reply.messages import Messages
from bot.slack.reply.patience import Patience
from bot.slack.reply.posts import Posts
from bot.slack.reply.record import PAUSE_SECONDS, Record
from bot.slack.reply.stream import UPDATE, Message, Streams
from bot.slack.reply.surplus import Surplus
from bot.weakly import weakly

logger = log.get(__name__)

TICK_SECONDS = 10.0
"""How often the seconds in the status line move while nothing else does, if the budget is free."""
GAP_SECONDS = 0.2
"""Least time between two writes once the first words stand: nobody reads faster. The budget's pace is above it."""
_MOST_REPLACED = 3
"""How often a message that is gone is written anew; somebody who deletes it each time does not want it."""
_FINAL_TRIES = 6
_WHATEVER = object()
"""The signature of a message that nobody will write again."""


class SlackReply:
    """The reply to one run.

    `save` writes the run's record down; `names` are the services', by key; `console` is where consents are given.
    """

    def __init__(
        self,
        client: SlackClient,
        run: Run,
        save: Save,
        names: Mapping[str, str],
        *,
        console: str = CONSOLE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._run = run
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._names = names
        self._draft = Draft(run.id, run.question.language, "", console=console)
        self._draft.decided = decided(run)
        self._record = Record(run, save, clock, sleep)
        self._line = Line(client, run, self._record, sleep)
        self._freshness = Freshness(run.accepted_at, clock)
        tell_time, update, keep = weakly(self._tell_time), weakly(self._update), weakly(self._keep)
        self._streams = Streams(self._line, run, self._draft, self._freshness, clock, tell_time)
        self._surplus = Surplus(self._line, self._streams, self._record, update)
        self._messages = Messages(run, self._surplus)
        self._posts = Posts(run, self._line, self._streams, self._record, self._messages, keep, sleep)
        self._is_anew = False
        """Whether the end was posted anew, because Slack did not let a message be changed."""
        self._has_written = False
        self._patience = Patience(clock)
        self._refused = self._was_refused = ""
        self._replaced = 0
        self._changed = asyncio.Event()
        self._told = -1
        """The state of the tools when they were last shown."""
        self._pressing = Priority.TEXT

    @property
    def wrote_late(self) -> bool:
        """Whether a write was carried out when the lease may have run out."""
        return self._record.wrote_late

    @property
    def refused(self) -> str:
        """Why nothing of this can be shown, as far as Slack has told; "" while it can."""
        return self._refused or self._line.closed

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
        self._freshness.came()
        self._weigh()
        self._changed.set()

    async def keep_writing(self) -> None:
        """Write what `show` gave, paced by the budget, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                # A stream's seconds are worth no call of their own, but its time may have come.
                is_free = self._line.budget.is_free(UPDATE, self._line.channel)
                if not self._messages.is_streaming and not is_free:
                    continue
                self._messages.touch_last()
            self._changed.clear()
            if not await self._write(lambda: self._pressing):
                self._changed.set()
                await self._sleep(PAUSE_SECONDS)
            elif self._messages.has_words:
                await self._sleep(GAP_SECONDS)

    async def finish(self, answer: Answer, ending: Ending) -> None:
        """Write the final state; comes back when it is written, or when Slack refuses for good."""
        self._draft.answer = answer
        # Of a run that never ran the time would be that of waiting.
        self._draft.elapsed = self._clock() - self._began if self._run.may_have_begun else 0.0
        self._draft.elapsed += self._run.seconds_before
        self._draft.ending = ending
        if self._messages:
            # Where it was allowed once, it may be allowed again.
            self._refused = ""
        # However long Slack is away: the thread would show a running answer for ever. Should this process end
        # meanwhile, the run's record still says what is to be shown.
        while not await self._write(Priority.FINAL):
            await self._sleep(PAUSE_SECONDS)
        self._line.budget.forget(self._run.id)
        if not self._refused:
            await self._attach()

    async def ended(self) -> Ending | None:
        """The ending a worker had shown before it died, or was about to: then it stands there now. Else None."""
        last = self._record.last()
        if last.ended is None:
            return None
        # The answer was complete; at most its last message is yet to arrive.
        if last.leaving or self._run.posting or not self._messages:
            await self._insist_on(last.payload, last.ended)
        await self._clear()
        return Ending(last.ended)

    async def recover(self, ending: Ending) -> Ending:
        """Write the final state over what a dead worker left, or post it when nothing was left.

        Returns the ending that stands there: the one that had been shown before, if any.
        """
        if not self._run.shown:
            # What a paused run had said stands in the reply that this one was to go on with.
            said = self._run.carried if self._run.question.resumes else ""
            await self.finish(record.load(said, self._clock()), ending)
            return ending
        if shown := await self.ended():
            return shown
        payload = layout.recovered(self._record.last().payload, self._draft.frame(), ending)
        # First the record, as in `_bring_up`: from it the end is written once more over a late write.
        await self._record.keep(payload, ending.state, leaving=True)
        await self._insist_on(payload, ending.state)
        await self._record.keep(payload, ending.state)
        await self._clear()
        return ending

    async def restore(self) -> None:
        """Write what the record says the last message shows once more: a late write may stand over it."""
        last = self._record.last()
        if last.payload and self._messages:
            await self._insist_on(last.payload)

    async def made_for(self, run_id: str) -> set[str]:
        """The messages in the thread that were made for the reply to a run; none when Slack does not tell."""
        try:
            return {ts async for ts, _ in self._line.written_for(run_id)}
        except SlackError as error:
            logger.error("a late message may stand", run=self._run.reference, reason=str(error))
            return set()

    async def withdraw(self, messages: Collection[str]) -> None:
        """Take away those of `messages` that are neither the reply's nor set aside by it."""
        for ts in sorted({*messages}.difference(self._run.reply_ts, self._record.surplus)):
            logger.warning("a late message is taken away", run=self._run.reference)
            try:
                await self._surplus.remove(ts, self._draft.frame())
            except UncertainError as error:
                logger.error("a late message may stand", run=self._run.reference, reason=str(error))

    # -- writing ---------------------------------------------------------------------------------------

    async def _write(self, priority: Urgency) -> bool:
        """Bring every message up to date, first one first. False: something is not written yet, look again."""
        if self._refused:
            return True
        self._tell_time()
        if not self._has_written:
            self._has_written, self._draft.rung = True, await self._line.refusals.rung()
        number = 0
        self._draft.take_in()
        # An answer of which nothing has come yet says nothing about what a dead worker wrote.
        if len(self._messages) > self._draft.count and (self._draft.ending or self._draft.answer.has_text):
            await self._set_aside(self._draft.count, spare=True)
        while number < self._draft.count:
            self._weigh()  # What was shown a moment ago may be gone.
            began = self._clock()
            try:
                if not await self._show(number, priority):
                    return True
            except (UncertainError, SlowDownError) as error:
                logger.warning("slack did not answer", run=self._run.reference, reason=str(error))
                return self._draft.ending is not None and self._gives_up(error, number, began)
            except GoneError as error:
                if number == len(self._messages) or self._replaced == _MOST_REPLACED:
                    self._refuse(error)
                    return True
                await self._begin_again(number)
                continue
            except (RefusedBlocksError, TooBigError) as error:
                if await self._step_down(error):
                    # As text alone it is cut into other messages.
                    number = 0 if self._draft.is_bare else number
                    continue
                self._refuse(error)
                return True
            except SlackError as error:
                self._refuse(error)
                return True
            number += 1
        if self._draft.ending:
            await self._clear()
        return True

    async def _show(self, number: int, priority: Urgency) -> bool:
        """Make message `number`, or bring it up to date. False: until the run has ended nothing may follow."""
        if number == len(self._messages) and not await self._take_back():
            signature = self._draft.signature(number)
            await self._posts.post(number, priority, partial(self._payload, number), signature)
        message = self._messages[number]
        if message.is_locked and self._draft.ending is None:
            return number < len(self._messages) - 1
        if self._draft.signature(number) == message.shown and not self._streams.is_due(message):
            return True
        try:
            await self._bring_up(number, message, priority)
        except (UncertainError, SlowDownError, GoneError, ClosedPlaceError):
            raise
        except SlackError as error:
            if isinstance(error, (RefusedBlocksError, TooBigError)) and self._draft.has_simpler:
                raise
            logger.warning("message not changed", run=self._run.reference, reason=str(error))
            return await self._lock(number, message, priority)
        return True

    async def _lock(self, number: int, message: Message, priority: Urgency) -> bool:
        """Slack does not let a message be changed. When the run has ended, its end is posted anew, once; see `_show`.

        Posting while the answer grows would leave one message for each minute of it.
        """
        message.is_locked = True
        if self._draft.ending is None:
            return number < len(self._messages) - 1
        if self._is_anew or self._draft.is_told(number, message.shown):
            message.shown = self._draft.signature(number)
            return True
        self._is_anew = True
        await self._set_aside(number, spare=False)
        return await self._show(number, priority)

    async def _bring_up(self, number: int, message: Message, priority: Urgency) -> None:
        is_last = number == len(self._messages) - 1
        if self._draft.ending and number == self._draft.count - 1:
            # Whoever takes over after a crash shows this end, not one of its own over what may stand there.
            self._draft.take_in()
            await self._keep(self._payload(number), leaving=True)
        tools = self._tools
        if await self._streams.add(number, message, priority):
            self._told = tools
            if is_last:
                await self._keep(self._payload(number))
            return
        written: list[tuple[Any, layout.Payload, int, bool]] = []

        def make() -> layout.Payload:
            # Called when the budget allows: only now is the newest laid out.
            self._draft.take_in()
            self._freshness.lay_out()
            has_words = self._draft.growing(self._draft.count - 1) != ""
            written[:] = [(self._draft.signature(number), self._payload(number), self._tools, has_words)]
            return written[0][1]

        if message.is_whole and priority is Priority.FINAL:
            # Those go first whose readers do not have the end yet.
            priority = Priority.FIRST_WORDS
        await self._update(message.ts, make, priority)
        message.shown, payload, self._told, has_words = written[0]
        message.has_words = message.has_words or has_words
        self._freshness.shown(has_words=message.has_words)
        if is_last:
            await self._keep(payload)

    async def _update(self, ts: str, make: Callable[[], layout.Payload], priority: Urgency) -> None:
        tries = _FINAL_TRIES if self._draft.ending is not None else 1
        for is_last in (False, True):
            try:
                await self._line.insist(UPDATE, priority, lambda: {"ts": ts, **make()}, tries=tries)
                return
            except StreamOpenError as error:
                if is_last:
                    # It cannot be stopped, so it has to run out: Slack ends every stream.
                    raise UncertainError(error.code) from None
            # Another worker left it streaming, or our own call that ends it did not arrive.
            await self._streams.stop(ts, [], priority)

    async def _begin_again(self, number: int) -> None:
        """Message `number` was deleted: what is to be said from there on is said again, below."""
        self._replaced += 1
        self._messages.drop(number)
        await self._set_aside(number, spare=False)
        await self._clear()

    # -- what the answer no longer needs ---------------------------------------------------------------

    async def _set_aside(self, number: int, *, spare: bool) -> None:
        """The messages from `number` on are not the answer's any more; see `Surplus`."""
        aside = self._messages.part_from(number, spare=spare)
        last = max(0, number - 1)
        if not spare:
            # Posted anew next. Whoever takes over after a crash before that shows this end, not one of its own.
            self._run.posting, last = True, number
        await self._keep(self._payload(last), leaving=True)
        for message in aside:
            await self._streams.part(message)

    async def _take_back(self) -> bool:
        """Go on in a message that had been set aside, if there is one."""
        if not self._messages.take_back():
            return False
        await self._keep(self._payload(len(self._messages) - 1), leaving=True)
        return True

    async def _clear(self) -> None:
        """Take away what was set aside, however long Slack is away."""
        while True:
            try:
                return await self._surplus.clear(self._draft.frame())
            except UncertainError as error:
                logger.warning("slack did not answer", run=self._run.reference, reason=str(error))
                await self._sleep(PAUSE_SECONDS)

    # -- simpler, and for good -------------------------------------------------------------------------

    async def _insist_on(self, payload: layout.Payload, ended: State | None = None) -> None:
        """Put a payload into the last message, simpler where Slack refuses it, until it stands or Slack refuses all.

        With `ended`, the final state it shows, it is posted anew where the message cannot be changed.
        """
        rungs = [lambda: payload, lambda: layout.plain(payload), lambda: layout.text_only(payload)]
        self._messages.touch_last()  # This reply may have written itself, before the run failed.
        while True:
            began = self._clock()
            try:
                await self._write_last(rungs[0])
                break
            except (RefusedBlocksError, TooBigError) as error:
                if len(rungs) == 1:
                    self._refuse(error)
                    break
                del rungs[0]
            except UncertainError as error:
                logger.warning("slack did not answer", run=self._run.reference, reason=str(error))
                if self._patience.is_lost(error, 0, began, has_simpler=len(rungs) > 1):
                    if len(rungs) == 1:
                        self._refuse(error)
                        break
                    del rungs[0]
                await self._sleep(PAUSE_SECONDS)
            except SlackError as error:
                is_closed = isinstance(error, ClosedPlaceError)
                if ended is None or is_closed or not self._messages or self._is_anew:
                    self._refuse(error)
                    break
                logger.warning("message not changed", run=self._run.reference, reason=str(error))
                self._is_anew = True
                self._messages.part_from(len(self._messages) - 1, spare=False)
                self._run.posting = True
                await self._record.keep(payload, ended, leaving=True)
        self._line.budget.forget(self._run.id)

    async def _write_last(self, make: Callable[[], layout.Payload]) -> None:
        """Put a payload where a dead worker wrote, or was about to write, last."""
        if self._run.posting or not self._messages:
            # What the record shows is the message whose post was under way then.
            await self._posts.post(len(self._messages), Priority.FINAL, make, _WHATEVER, may_stream=False)
        if self._messages[-1].shown is None:
            await self._update(self._messages[-1].ts, make, Priority.FINAL)

    def _refuse(self, error: SlackError) -> None:
        self._refused = str(error)
        if self._refused != self._was_refused:
            logger.error("slack refuses the reply", run=self._run.reference, reason=self._refused)
        self._was_refused = self._refused

    def _gives_up(self, error: SlackError, number: int, began: float) -> bool:
        """Slack may fail at this very end: it is made simpler. True: the simplest, too, was tried for long enough."""
        if not self._patience.is_lost(error, number, began, has_simpler=self._draft.has_simpler):
            return False
        if self._draft.step_down():
            return False
        self._refuse(error)
        return True

    async def _step_down(self, error: SlackError) -> bool:
        """Fall back to simpler blocks; False when there are none."""
        logger.warning("slack refuses the blocks", run=self._run.reference, reason=str(error))
        if not self._draft.step_down():
            return False
        if isinstance(error, RefusedBlocksError):
            await self._line.refusals.blocks(str(error), self._draft.rung)
        return True

    async def _attach(self) -> None:
        """Put what no message can hold below the answer, as files."""
        files = await asyncio.to_thread(self._draft.attachments)
        # Written down before: after a crash they may be missing, but are never there twice.
        if files and await self._record.file() and not await self._line.upload(files):
            # The folds that are cut say that a file has the rest.
            self._draft.is_without_files = True
            self._messages[0].shown = None
            while not await self._write(Priority.FINAL):
                await self._sleep(PAUSE_SECONDS)
            self._line.budget.forget(self._run.id)

    # -- what is known ---------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """First words, and a tool that changed, go before more text. Found when either may have changed: all who wait
        are asked whenever one is served."""
        if not self._messages.has_words and self._draft.answer.has_text:
            self._pressing = Priority.FIRST_WORDS
        else:
            self._pressing = Priority.TOOL if self._tools != self._told else Priority.TEXT

    @property
    def _tools(self) -> int:
        """Grows whenever a tool or a sub-agent begins, or fails. That one is done is told with the words it led to."""
        answer = self._draft.answer
        return answer.failures + len(answer.calls) + len(answer.steps)

    def _tell_time(self) -> None:
        if self._draft.ending is None:
            self._draft.elapsed = self._clock() - self._began

    def _payload(self, number: int) -> layout.Payload:
        self._tell_time()
        # Known once the thread is bound to an agent.
        self._draft.backend = self._names.get(self._run.backend, "")
        self._draft.agent = self._run.agent_id
        return self._draft.payload(number)

    async def _keep(self, payload: layout.Payload, *, leaving: bool = False) -> bool:
        ending = self._draft.ending
        # The answer may go on in a message after the last one posted, or being posted.
        is_behind = len(self._messages) + self._run.posting < self._draft.count
        ended = ending.state if ending and not is_behind else None
        return await self._record.keep(payload, ended, leaving=leaving)
