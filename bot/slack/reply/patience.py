"""How long a final state is tried while Slack answers each time that it failed: maybe it fails at this very message."""

from __future__ import annotations

from collections.abc import Callable

from bot.slack.client import FailedError, SlackError

_SECONDS = 15.0
"""With one layout: about one round of tries. A simpler one may go through."""
_MOST_SECONDS = 300.0
"""With the simplest: an ill Slack is well again by then."""


class Patience:
    """Of one reply. A Slack that does not answer at all is waited for; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self._number = 0

    def is_lost(self, error: SlackError, number: int, began: float, *, has_simpler: bool) -> bool:
        """Whether to go on with a simpler layout, or to give up where there is none.

        `number` is the message whose write ended with this error, and `began` when that write did.
        """
        if not isinstance(error, FailedError):
            self._since = None
            return False
        if self._since is None or self._number != number:
            # Once is no rule: it may have been slow before it failed.
            self._since, self._number = began, number
            return False
        if self._clock() - self._since < (_SECONDS if has_simpler else _MOST_SECONDS):
            return False
        self._since = None
        return True
