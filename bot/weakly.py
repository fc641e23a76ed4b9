"""A way back to an owner that does not keep it.

Parts that hold a method of their owner and are held by it would be there, with all the owner has, until the garbage
collector comes by, which is seldom: see `bot.app`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakMethod

P = ParamSpec("P")
T = TypeVar("T")


def weakly(method: Callable[P, T]) -> Callable[P, T]:
    """The same as a bound `method`, to be called only while its owner is there."""
    found = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = found()
        assert bound is not None, "the owner is gone"
        return bound(*args, **kwargs)

    return call
