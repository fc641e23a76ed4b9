"""Loads `scripts.lua` and registers each function as a script of its own on a client."""

from __future__ import annotations

import re
from contextlib import nullcontext
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from bot import metrics

_NAME = re.compile(r"^-- name: (\w+)$", re.M)
_REFUSED_WHEN_FULL = frozenset({"accept"})
"""While the server has no memory left nothing new is taken in; what was taken in goes on, and is ended."""
_ALLOWED_WHEN_FULL = "#!lua flags=allow-oom\n"
"""https://redis.io/docs/latest/develop/programmability/lua-api/#script-flags, since Redis 7.0."""


def sources() -> dict[str, str]:
    """Lua source by name."""
    parts = _NAME.split(files("bot.store").joinpath("scripts.lua").read_text("utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class Scripts:
    """The scripts on one client: `await scripts("take", keys, args)` (EVALSHA, loaded on demand)."""

    def __init__(self, redis: Redis) -> None:
        self._scripts = {
            name: redis.register_script(source if name in _REFUSED_WHEN_FULL else _ALLOWED_WHEN_FULL + source)
            for name, source in sources().items()
        }

    async def __call__(
        self, name: str, keys: list[str], args: list[str | int], pipe: Redis | None = None
    ) -> Any:
        """Run a script, or put it on a pipeline: who executes that measures it.

        Raises:
            redis.RedisError: when the server cannot be reached or refuses.
        """
        with metrics.redis_call(name) if pipe is None else nullcontext():
            return await self._scripts[name](keys=keys, args=args, client=pipe)
