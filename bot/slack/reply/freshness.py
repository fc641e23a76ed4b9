"""How old a reply's news is when it reaches Slack, and when its first words stand there: for the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable

from bot import metrics


class Freshness:
    """Of one reply. `accepted_at` is when its question was, in Unix seconds as `wall` gives them; `clock` gives
    seconds."""

    def __init__(
        self, accepted_at: float, clock: Callable[[], float], wall: Callable[[], float] = time.time
    ) -> None:
        self._accepted_at = accepted_at
        self._clock = clock
        self._wall = wall
        self._came_at: float | None = None
        self._laid_out: float | None = None
        self._had_words = False

    def came(self) -> None:
        """There is something new to show."""
        if self._came_at is None:
            self._came_at = self._clock()

    def lay_out(self) -> None:
        """All there is is being written now; what comes from here on is for the next time."""
        if self._laid_out is None:
            self._laid_out = self._came_at
        self._came_at = None

    def shown(self, *, has_words: bool) -> None:
        """What was laid out stands in Slack."""
        if self._laid_out is not None:
            metrics.STALENESS_SECONDS.observe(self._clock() - self._laid_out)
            self._laid_out = None
        if has_words and not self._had_words:
            metrics.FIRST_WORDS_SECONDS.observe(max(0.0, self._wall() - self._accepted_at))
        self._had_words = self._had_words or has_words
