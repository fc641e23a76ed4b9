"""Daily budgets: what people may spend, and the sentence for one that is used up."""

from __future__ import annotations

from dataclasses import dataclass

from bot.model.question import Language, Question
from bot.slack.words import say
from bot.store.usage import Daily, Usage


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be spent a day, and what was."""

    usage: Usage
    daily: Daily

    async def spent(self, question: Question, language: Language) -> str:
        """The sentence for a budget of a question's that is used up, "" while something is left of each.

        Raises:
            redis.RedisError: when it cannot be told what was spent.
        """
        if not self.daily:
            return ""
        thread = question.thread
        accounts = await self.usage.accounts(thread.team, thread.channel, question.user, self.daily)
        empty = next((account for account in accounts if account.is_used_up), None)
        if empty is None:
            return ""
        return say(
            f"spent_{empty.whose}",
            language,
            spent=f"{empty.spent:,}",
            limit=f"{empty.limit:,}",
            renews=f"{self.usage.renewal:%Y-%m-%d %H:%M} ({self.usage.zone})",
        )
