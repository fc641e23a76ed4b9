"""Text that is kept up to a bound: a service may send more than a process can hold for every answer at once. Pure."""

from __future__ import annotations

import string
from dataclasses import dataclass, field

_MARK_MOST = 40
"""Characters kept free for the mark at the end of a text that was cut."""
_WORD = string.ascii_letters + string.digits + "+/=_-."
"""What secrets are made of: half of one at the cut would not be known for what it is."""
_WORD_MOST = 600
"""Characters at the cut that may be such a word."""


@dataclass(slots=True)
class Room:
    """Characters that may still be kept. Texts can share one."""

    left: int

    def take(self, text: str) -> str:
        """The beginning of `text` that there is room for; the room is used up by as much."""
        kept = text[: self.left]
        self.left -= len(kept)
        return kept


@dataclass(slots=True)
class Held:
    """A text that arrives in pieces. Of one that is too long the beginning stays, and a mark tells how much is missing.

    Attributes:
        most: characters kept of it.
        room: characters kept of it and others together.
        left_out: characters that were not kept.
    """

    most: int
    room: Room
    left_out: int = 0
    _pieces: list[str] = field(default_factory=list)
    _size: int = 0

    def add(self, piece: str) -> None:
        """One more piece."""
        # Kept once more, as one piece, the text has its mark at the end.
        space = self.most - _MARK_MOST - self._size
        fits = not self._pieces and not self.left_out and len(piece) <= self.most
        kept = self.room.take(piece if fits else piece[: max(0, space)])
        self.left_out += len(piece) - len(kept)
        if kept:
            self._pieces.append(kept)
            self._size += len(kept)

    def replace(self, text: str) -> None:
        """`text` instead of all that came so far."""
        self.room.left += self._size
        self._pieces, self._size, self.left_out = [], 0, 0
        self.add(text)

    @property
    def text(self) -> str:
        """What is kept, and at its end what is not: "… [+7,800,000]"."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        text = self._pieces[0] if self._pieces else ""
        if not self.left_out:
            return text
        whole = text[:-_WORD_MOST] + text[-_WORD_MOST:].rstrip(_WORD)
        return f"{whole}\n… [+{self.left_out + len(text) - len(whole):,}]"
