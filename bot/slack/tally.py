"""Who lives on which of Slack's methods, and who will need a call of one: of this process, and of the other replicas.

An answer that streams lives on chat.appendStream, the others on chat.update. Every answer that runs will need a call
for its first words, and one for its end; a call is kept for each. What other replicas have is told every few seconds
and believed for a while, so that a process that died weighs for no longer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

_FORGOTTEN_SECONDS = 600.0
"""Who was not served for so long may as well be new. Not every owner is told to be forgotten."""
_LOOK_SECONDS = 10.0
"""How often they are looked for: there may be a thousand, and they are counted at every call."""
_MOST_OWNERS = 1_000
_BELIEVED_SECONDS = 15.0
"""How long what other replicas told is believed: three times as long as they take to tell it again."""

Counts = Mapping[str, tuple[int, int]]
"""By method: how many live on it, and how many expect a call of it."""


class Tally:
    """The count. An owner is an answer; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._served: dict[str, float] = {}
        self._users: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._expected: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._looked_at = clock()
        self._elsewhere: Counts = {}
        self._heard_at = float("-inf")

    # -- of this process -------------------------------------------------------------------------------

    def join(self, method: str, owner: str) -> None:
        """An answer lives on a method from now on."""
        self._users[method][owner] = self._clock()

    def leave(self, method: str, owner: str) -> None:
        """It does no longer."""
        self._users[method].pop(owner, None)

    def expect(self, method: str, owner: str) -> None:
        """An answer will need a call of this method at once when its time comes."""
        self._expected[method][owner] = self._clock()

    def met(self, method: str, owner: str) -> None:
        """What was expected has come."""
        self._expected[method].pop(owner, None)

    def serve(self, owner: str) -> None:
        """A call was granted to it."""
        now = self._clock()
        self._served[owner] = now
        if len(self._served) > _MOST_OWNERS:
            oldest = now - _FORGOTTEN_SECONDS
            self._served = {name: last for name, last in self._served.items() if last >= oldest}

    def served(self, owner: str) -> float:
        """When a call was last granted to it."""
        return self._served.get(owner, float("-inf"))

    def forget(self, owner: str) -> None:
        """An answer has ended."""
        self._served.pop(owner, None)
        for owners in (*self._users.values(), *self._expected.values()):
            owners.pop(owner, None)

    def own(self) -> Counts:
        """What there is to tell the other replicas."""
        methods = {*self._users, *self._expected}
        counts = {
            method: (self._alive(self._users[method]), self._alive(self._expected[method]))
            for method in methods
        }
        return {method: count for method, count in counts.items() if any(count)}

    def _alive(self, owners: dict[str, float]) -> int:
        """How many of them were heard of lately. An answer that another worker took over says no goodbye."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            for each in (*self._users.values(), *self._expected.values()):
                self._drop_forgotten(each, now - _FORGOTTEN_SECONDS)
        return len(owners)

    def _drop_forgotten(self, owners: dict[str, float], oldest: float) -> None:
        for owner in [each for each, at in owners.items() if max(at, self.served(each)) < oldest]:
            del owners[owner]

    # -- of all ----------------------------------------------------------------------------------------

    def hear(self, elsewhere: Counts) -> None:
        """What the other replicas have, all together."""
        self._elsewhere, self._heard_at = elsewhere, self._clock()

    def is_fresh(self, seconds: float) -> bool:
        """Whether the others were heard that lately."""
        return self._clock() - self._heard_at < seconds

    @property
    def has_others(self) -> bool:
        """Whether answers run at other replicas."""
        return bool(self._elsewhere) and self.is_fresh(_BELIEVED_SECONDS)

    def users(self, method: str) -> int:
        """How many answers live on a method, on all replicas."""
        return self._alive(self._users[method]) + self._told(method)[0]

    def expected(self, method: str) -> int:
        """How many calls of a method are expected, on all replicas."""
        return self._alive(self._expected[method]) + self._told(method)[1]

    def _told(self, method: str) -> tuple[int, int]:
        return self._elsewhere.get(method, (0, 0)) if self.is_fresh(_BELIEVED_SECONDS) else (0, 0)
