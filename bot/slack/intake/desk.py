"""Where every surface brings what somebody asked: access and budget, then one durable step. Nothing slower."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bot import log, metrics
from bot.model.question import MAX_QUESTION, Language, Question, has_words
from bot.model.run import Run, State, reference
from bot.slack.access import Access, Visit
from bot.slack.allowance import Allowance
from bot.slack.intake.agents import Catalogue
from bot.slack.notices import Notices
from bot.slack.people import People
from bot.slack.words import say
from bot.store.runs import MOST_WAITING, Accepted, Runs
from bot.store.sessions import Sessions
from bot.store.usage import Daily, Usage
from bot.store.wishes import Wishes

logger = log.get(__name__)

LOOK_SECONDS = 3.0
"""After so long without a reply a question waits for a process that has room, and not for Slack."""

Stop = Callable[[str, str], Awaitable[str]]
"""Asks for a run to stop, by run id and user; answers "stopping", or the state it is in already."""
Rate = Callable[[Run, str, str], Awaitable[None]]
"""Tells the service what somebody thinks of an answer: the run, "like" or "dislike", and a comment that may be ""."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes in what people want.

    Attributes:
        team, bot: the ids of the workspace and of the bot's user.
        daily: what may be spent a day.
        resumes: whether what is written in a thread answers the question its paused run has asked.
        is_full: whether this process takes no more questions at the moment. Another one may.
        many: as many questions as a process works on; when so many wait already, the reply to one more may not come
            at once.
    """

    team: str
    bot: str
    runs: Runs
    sessions: Sessions
    wishes: Wishes
    usage: Usage
    agents: Catalogue
    access: Access
    people: People
    notices: Notices
    stop: Stop
    rate: Rate
    daily: Daily
    resumes: bool
    many: int
    is_full: Callable[[], bool]

    async def take(self, question: Question, visit: Visit, *, event_id: str = "") -> str:
        """Accept a question from a message, or tell its author privately why not. Whoever calls acks afterwards.

        Returns the id of the paused run that it answers; "" for none, and when it is refused.

        Raises:
            redis.RedisError: when it could not be written down; then it must not be acked.
        """
        thread = question.thread
        refused = await self.objection(question, visit)
        if refused:
            said = question.ts
            if question.surface == "thread" and self.access.refusal(visit):
                # Nobody addressed the bot: who goes on talking in its thread is told once, not every time.
                said = f"{thread.thread_ts}:{question.user}"
            if await self.runs.first_time(thread.team, thread.channel, said):
                metrics.QUESTIONS.labels(question.surface, "refused").inc()
                logger.info("refused", channel=thread.channel, user=question.user, reason=refused)
                self.tell(question, refused)
            return ""
        accepted = await self.runs.accept(question, event_id=event_id)
        if line := self.noted(question, accepted):
            self.tell(question, line)
        return accepted.answers

    def noted(self, question: Question, accepted: Accepted, language: Language | None = None) -> str:
        """Log what became of a question. The sentence that says there is no room, or not yet; "" when there is.

        It is in `language`, or else in the question's.
        """
        language = language or question.language
        if accepted.verdict == "accepted":
            logger.info(
                "accepted", run=reference(accepted.run_id), surface=question.surface, ahead=accepted.ahead
            )
            if accepted.waiting >= self.many:
                return say("many_wait", language, count=accepted.waiting)
            if self.is_full() and not accepted.ahead:
                self.notices.behind(self._look_again(question, accepted.run_id, language))
        elif accepted.verdict == "full":
            return say("full", language, count=MOST_WAITING)
        elif accepted.verdict == "crowded":
            logger.warning("too many questions wait, one was refused", waiting=accepted.waiting)
            return say("crowded", language, count=accepted.waiting)
        return ""

    async def _look_again(self, question: Question, run_id: str, language: Language) -> None:
        """Tell who asked that all are busy, if nobody has begun with their question by then."""
        await asyncio.sleep(LOOK_SECONDS)
        run = await self.runs.get(run_id)
        if run and run.state is State.QUEUED and not (run.reply_ts or run.posting):
            self.tell(question, say("all_busy", language))

    def tell(self, question: Question, line: str) -> None:
        """A private line to who asked, where they see it: Slack shows none in a thread without replies."""
        thread = question.thread
        place = "" if question.ts == thread.thread_ts else thread.thread_ts
        self.notices.tell(thread.channel, question.user, line, place)

    async def in_a_language(self, question: Question) -> Question:
        """The question, answered in the language its author has set in Slack where its text tells none."""
        if question.answer_in or has_words(question.text):
            return question
        return replace(question, answer_in=await self.people.language(question.user))

    async def objection(self, question: Question, visit: Visit) -> str:
        """The sentence that refuses a question, or "" when it may be asked.

        Raises:
            redis.RedisError: when it cannot be told what was spent.
        """
        language = question.language
        if key := self.access.refusal(visit):
            return say(key, language)
        if not question.text:
            return say("empty", language)
        if len(question.text) > MAX_QUESTION:
            return say("too_long", language, count=f"{len(question.text):,}", limit=f"{MAX_QUESTION:,}")
        if question.backend and question.backend not in self.agents.names:
            return say("agent_absent", language, service=question.backend)
        return await self.spent(question, language)

    async def spent(self, question: Question, language: Language) -> str:
        """The sentence for a daily budget that is used up, "" while something is left of each."""
        return await Allowance(self.usage, self.daily).spent(question, language)
