"""The messages of one reply, in the order in which they stand; the run's record names the same ones at every moment."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model.run import Run
from bot.slack.reply.stream import Message
from bot.slack.reply.surplus import Surplus


class Messages:
    """The messages of the reply to `run`, and what becomes of those that are its own no longer."""

    def __init__(self, run: Run, surplus: Surplus) -> None:
        self._run = run
        self._surplus = surplus
        self._all = [Message(ts) for ts in run.reply_ts]

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: int) -> Message:
        return self._all[number]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._all)

    @property
    def has_words(self) -> bool:
        """Whether any of them shows the answer's text."""
        # Most replies are one message, for which `any` takes three times as long.
        for message in self._all:  # noqa: SIM110
            if message.has_words:
                return True
        return False

    @property
    def is_streaming(self) -> bool:
        """Whether the last one streams."""
        return bool(self._all) and self._all[-1].stream is not None

    def touch_last(self) -> None:
        """The last one is to be written even if nothing is new."""
        if self._all:
            self._all[-1].shown = None

    def made(self, number: int, message: Message) -> None:
        """Message `number` was posted, and is the last one."""
        self._all[number:] = [message]
        self._run.reply_ts[number:] = [message.ts]
        self._run.posting = False

    def drop(self, number: int) -> None:
        """Message `number` is not there any more."""
        del self._all[number], self._run.reply_ts[number]

    def part_from(self, number: int, *, spare: bool) -> list[Message]:
        """The messages from `number` on are surplus; see `Surplus.add`."""
        aside = self._all[number:]
        del self._all[number:], self._run.reply_ts[number:]
        self._surplus.add(aside, spare=spare)
        return aside

    def take_back(self) -> bool:
        """The next message is one that had been set aside, if there is one."""
        message = self._surplus.take()
        if message:
            self._all.append(message)
            self._run.reply_ts.append(message.ts)
        return message is not None
