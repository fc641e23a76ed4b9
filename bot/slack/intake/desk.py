"""Where every surface brings what somebody asked: access, then one durable step. Intake does nothing slower."""

from __future__ import annotations

from dataclasses import dataclass

from bot import log
from bot.model.question import MAX_QUESTION, Question, language_of
from bot.slack.access import Access, Visit
from bot.slack.notices import Notices
from bot.slack.words import say
from bot.store.runs import MOST_WAITING, Runs

logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes questions in. `team` and `bot` are the ids of the workspace and of the bot's user."""

    team: str
    bot: str
    runs: Runs
    access: Access
    notices: Notices

    async def take(self, question: Question, visit: Visit, *, event_id: str = "") -> None:
        """Accept a question from a message, or tell its author privately why not. Whoever calls acks afterwards.

        Raises:
            redis.RedisError: when it could not be written down; then it must not be acked.
        """
        thread = question.thread
        refused = self.objection(question, visit)
        if refused:
            said = question.ts
            if question.surface == "thread" and self.access.refusal(visit):
                # Nobody addressed the bot: who goes on talking in its thread is told once, not every time.
                said = f"{thread.thread_ts}:{question.user}"
            if await self.runs.first_time(thread.team, thread.channel, said):
                logger.info("refused", channel=thread.channel, user=question.user, reason=refused)
                self.tell(question, refused)
            return
        accepted = await self.runs.accept(question, event_id=event_id)
        if accepted.verdict == "accepted":
            logger.info("accepted", run=accepted.run_id[:8], surface=question.surface, ahead=accepted.ahead)
        elif accepted.verdict == "full":
            self.tell(question, say("full", question.language, count=MOST_WAITING))

    def tell(self, question: Question, line: str) -> None:
        """A private line to who asked, where they see it: Slack shows none in a thread without replies."""
        thread = question.thread
        place = "" if question.ts == thread.thread_ts else thread.thread_ts
        self.notices.tell(thread.channel, question.user, line, place)

    def objection(self, question: Question, visit: Visit) -> str:
        """The sentence that refuses a question, or "" when it may be asked."""
        language = language_of(question.text)
        if key := self.access.refusal(visit):
            return say(key, language)
        if not question.text:
            return say("empty", language)
        if len(question.text) > MAX_QUESTION:
            return say("too_long", language, count=f"{len(question.text):,}", limit=f"{MAX_QUESTION:,}")
        return ""
