"""Faults on demand: what goes wrong with the next calls of a method."""

from collections import defaultdict, deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What happens to one call. Without `reset` the call has no effect.

    `status` answers with that HTTP status and no JSON; `retry_after` with 429 and that many seconds;
    `error` with Slack's error code; `hang` never answers; `reset` does the work, then cuts the
    connection, so the caller cannot know.
    """

    status: int | None = None
    retry_after: int | None = None
    error: str | None = None
    hang: bool = False
    reset: bool = False


class Faults:
    """The faults that wait for calls, first in first out for each method."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = defaultdict(deque)

    def add(self, method: str, fault: Fault, times: int = 1) -> None:
        """Lets the next `times` calls of `method` fail this way."""
        self._waiting[method].extend([fault] * times)

    def next(self, method: str) -> Fault | None:
        """Takes the fault for this call, if one waits."""
        return self._waiting[method].popleft() if self._waiting.get(method) else None

    def clear(self) -> None:
        """Lets everything work again."""
        self._waiting.clear()
