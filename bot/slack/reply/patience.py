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

    def is_lost(self, error: SlackError, began: float, *, has_simpler: bool) -> bool:
        """Whether to go on with a simpler layout, or to give up where there is none.

        `began` is when the write began that ended with this error.
        """
        if not isinstance(error, FailedError):
            self._since = None
            return False
        if self._since is None:
            self._since = began
        if self._clock() - self._since < (_SECONDS if has_simpler else _MOST_SECONDS):
            return False
        self._since = None
        return True
