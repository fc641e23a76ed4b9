"""What the service remembers of a session: the instance, and the last thing it found there."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from bot.demo.upstream.script import Topic

KEPT_SESSIONS = 1000
"""Sessions kept; the one unused for longest goes first. Far more than a demo or a test opens."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The state of a session after its last answer.

    `topic` is None when nothing was diagnosed yet. `interrupt` is the id of the question put to the person, if
    one is open, and `interrupted` what they had asked.
    """

    instance: str
    topic: Topic | None = None
    turns: int = 1
    interrupt: str = ""
    interrupted: str = ""


class Sessions:
    """Memories by session id, bounded."""

    def __init__(self, kept: int = KEPT_SESSIONS) -> None:
        self._kept = kept
        self._memories: OrderedDict[str, Memory] = OrderedDict()

    def recall(self, session_id: str) -> Memory | None:
        return self._memories.get(session_id)

    def forget(self, session_id: str) -> None:
        self._memories.pop(session_id, None)

    def keep(self, session_id: str, memory: Memory) -> None:
        self._memories[session_id] = memory
        self._memories.move_to_end(session_id)
        while len(self._memories) > self._kept:
            self._memories.popitem(last=False)
