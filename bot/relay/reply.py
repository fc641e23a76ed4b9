"""What the relay asks of a chat platform: a thread to answer in, and one reply that shows an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import Run

Save = Callable[[], Awaitable[None]]
"""Writes the run's record durably, fenced by the lease."""


class CannotPostError(Exception):
    """The thread cannot be opened: the bot is not in the channel, say. The asker has been told privately."""


class Reply(Protocol):
    """One message (or few) kept in step with one answer. No method raises when the platform does not answer."""

    @property
    def wrote_late(self) -> bool:
        """Whether a write was carried out when the lease may have run out. Should it have been lost, that write may
        stand over what another worker wrote."""
        ...

    @property
    def refused(self) -> str:
        """Why nothing of this can be shown, as far as the platform has told: the bot was removed, say. "" while it
        can."""
        ...

    async def open(self, progress: Progress) -> None:
        """Make the first message, or bring the one the run already has up to this."""
        ...

    def show(self, answer: Answer, progress: Progress) -> None:
        """Here is the newest state; show it when there is budget. Returns at once."""
        ...

    async def keep_writing(self) -> None:
        """Write what `show` gave, paced, until cancelled."""
        ...

    async def finish(self, answer: Answer, ending: Ending) -> None:
        """Write the final state. Comes back when it is written, or when the platform refuses for good."""
        ...

    async def ended(self) -> Ending | None:
        """The ending a worker had shown before it died, or was about to: then it stands there now. Else None."""
        ...

    async def recover(self, ending: Ending) -> Ending:
        """Write the final state over what a dead worker left.

        Returns the ending that stands there: another one than given when it had been shown before.
        """
        ...

    async def restore(self) -> None:
        """Write the final state once more, as the run's record has it: a late write may stand over it."""
        ...

    async def made_for(self, run_id: str) -> set[str]:
        """The messages in the thread that were made for the reply to a run, as far as the platform tells."""
        ...

    async def withdraw(self, messages: Collection[str]) -> None:
        """Take away those of `messages` that are neither the reply's nor set aside by it."""
        ...


class Platform(Protocol):
    """A chat platform."""

    def reply(self, run: Run, save: Save) -> Reply:
        """The reply to a run."""
        ...

    async def open_thread(self, run: Run, save: Save) -> str:
        """Post the root message of a command; returns its thread_ts. `save` writes down that a post is under way.

        Raises:
            CannotPostError: when the bot may not post there.
        """
        ...

    def excuse(self, run: Run, line: str) -> None:
        """Tell who asked, privately and if there is still a way, what cannot be said in the run's thread."""
        ...

    async def withdraw_roots(self, run: Run) -> None:
        """Take away root messages that were posted late for a run: all but that of its thread."""
        ...
