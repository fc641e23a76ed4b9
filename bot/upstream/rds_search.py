"""Finds the conversation a question began when its stream was lost before it told the name: by words and time.

The account's history holds everybody's conversations, also those begun in the console. One counts as the question's
only if it began when the question was asked, with the same words, and is not known to be somebody else's. Whoever
decides on one has to see that no other fits as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from bot.upstream.backend import Others
from bot.upstream.rds_records import CLOCKS_APART, Record, asks, created, name_of, newest_first, updated

TAKEN_WITHIN = 60.0
"""Seconds after it was asked within which a question's conversation begins: a last try may leave after 20 s and take
10 s to connect, and the service's clock may be ahead of ours."""


class Search:
    """The search for one question's conversation.

    Args:
        conversations: all that are known, those that changed last first. messages: the records of one of them.
        others: see `bot.upstream.backend.Others`.
        query, since: the words, and Unix seconds when they were asked.
    """

    def __init__(
        self,
        conversations: Callable[[], AsyncIterator[Record]],
        messages: Callable[[str], Awaitable[list[Record]]],
        others: Others,
        query: str,
        since: float,
    ) -> None:
        self._conversations = conversations
        self._messages = messages
        self._others = others
        self._query = query
        self._since = since
        self._unfit: set[str] = set()

    async def look(self) -> list[tuple[str, str]]:
        """What fits now: conversations and their first message, by id. None of them while somebody else, whose
        conversation has no known name either, asked the same words at about the same time.

        Raises:
            bot.upstream.errors.UpstreamError: when the service refuses or does not answer.
        """
        begun = [name async for name in self._begun_then()]
        # After the list: whoever began one of these was known to be asking by then.
        others = await self._others()
        if others is None:
            return []
        found = []
        for name in begun:
            if name in others or name in self._unfit:
                continue
            if records := await self._messages(name):
                opening = newest_first(records)[-1]
                if asks(opening, self._query, self._since):
                    found.append((name, name_of(opening)))
                else:
                    self._unfit.add(name)  # What a conversation began with stays.
        return found

    async def _begun_then(self) -> AsyncIterator[str]:
        """The conversations that began when the question was asked."""
        earliest = self._since - CLOCKS_APART
        async for conversation in self._conversations():
            if 0 < updated(conversation) < earliest:
                return
            if earliest <= created(conversation) <= self._since + TAKEN_WITHIN:
                yield name_of(conversation)
