"""Questions that the agent puts to the person in the middle of a run."""

from __future__ import annotations

from dataclasses import dataclass

from bot.demo.upstream.script import Action, Text

WORD = "demo:interrupt"
"""A word in a question that makes the agent ask back."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A question to the person, with answers to choose from; the run ends and goes on with the answer."""

    message: Text
    options: tuple[str, ...]


Step = Action | Interrupt
"""What a run of DAS consists of."""

WHICH_INSTANCE = Interrupt(
    Text(
        "Two instances are called orders. Which one do you mean?", "有两个名为 orders 的实例，请问是哪一个？"
    ),
    ("rm-bp1orders0001", "rm-bp1orders0002"),
)
