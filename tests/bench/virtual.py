"""An event loop whose time passes only when everybody waits: minutes of an answer take milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from redis.asyncio import Redis

from bot.store.rates import SharedRates

T = TypeVar("T")

EPOCH = 1_790_000_000.0
"""The Unix time at which virtual time begins."""


_HUNG_SECONDS = 30.0
"""Real seconds after which a server that does not answer is a fault."""


class _Selector(selectors.DefaultSelector):
    """Instead of sleeping it moves the clock on, unless somebody waits for something real."""

    skipped = 0.0
    real_waits = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.real_waits and timeout != 0:
            ready = super().select(_HUNG_SECONDS)
            if not ready:
                raise TimeoutError("no answer from outside virtual time")
            return ready
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Does no real waiting. What has real sockets needs `outside`, or its answers would come much too late."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._virtual.skipped

    def run_in_executor(self, *arguments: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """What a thread does is real, too."""
        self._virtual.real_waits += 1
        future: asyncio.Future[Any] = super().run_in_executor(*arguments)

        def done(_: asyncio.Future[Any]) -> None:
            self._virtual.real_waits -= 1

        future.add_done_callback(done)
        return future

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While somebody is in here no time passes, and what is real is waited for."""
        self._virtual.real_waits += 1
        try:
            yield
        finally:
            self._virtual.real_waits -= 1


def now() -> float:
    """Virtual Unix time, inside `run`."""
    return EPOCH + asyncio.get_running_loop().time()


def outside() -> AbstractContextManager[None]:
    """`VirtualLoop.outside` of the loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.outside()


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run something in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


class VirtualRates(SharedRates):
    """The shared budget in a real store, on virtual time. `scripts` is how many it ran."""

    def __init__(self, redis: Redis, team: str) -> None:
        super().__init__(redis, team, now)
        self.scripts = 0

    async def _do(self, script: str, lane: str, arguments: list[str | int]) -> Any:
        self.scripts += 1
        with outside():
            return await super()._do(script, lane, arguments)
