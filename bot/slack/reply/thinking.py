"""What the agent thought aloud, as far as its fold shows it: the beginning, made safe. Cost grows with what is new."""

from __future__ import annotations

from bot.model.answer import Answer
from bot.slack.reply import limits
from bot.slack.reply.safe import SafeText


class Thinking:
    """Follows the thinking of one answer.

    While the agent thinks, only whole lines are shown: each change costs an update of the message.
    """

    def __init__(self) -> None:
        self._safe = SafeText()
        self._settled = ""
        self._read = 0

    def text(self, answer: Answer, *, is_over: bool) -> tuple[str, int]:
        """The safe text to show, and how many characters there are in all; "" when there is nothing to show yet."""
        thought = answer.thinking
        if len(self._settled) <= limits.THINKING and len(thought) > self._read:
            self._settled += "".join(self._safe.feed(thought[self._read :]))
            self._read = len(thought)
        if is_over:
            self._settled += "".join(self._safe.finish(is_cut=True))
        rests = answer.activity != "thinking"
        return (self._settled + (self._safe.tail() if rests else "")).strip(), len(thought)
