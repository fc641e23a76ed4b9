"""Waiting for something to happen without polling."""

import asyncio
from collections.abc import Callable


class Bell:
    """Rung on every change; whoever waits looks again."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wakes everybody who waits."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, predicate: Callable[[], object], timeout: float | None) -> None:
        """Returns once `predicate()` is true; `TimeoutError` after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while not predicate():
                future = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                await future
