"""What a chaos run does and when, drawn from a seed before it begins. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.demo.das import Faults, Refusal

SLACK_FAULTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "post: 500": ("chat.postMessage", {"status": 500}),
    "post: 429": ("chat.postMessage", {"retry_after": 1}),
    "post: done, then reset": ("chat.postMessage", {"reset": True}),
    "post: internal_error": ("chat.postMessage", {"error": "internal_error"}),
    "update: 500": ("chat.update", {"status": 500}),
    "update: 429": ("chat.update", {"retry_after": 2}),
    "update: done, then reset": ("chat.update", {"reset": True}),
    "replies: 500": ("conversations.replies", {"status": 500}),
    "history: 429": ("conversations.history", {"retry_after": 1}),
}
"""Method and options of `Workspace.fail_next` by the name the timeline shows."""

SLOW_FAULTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "post: hangs": ("chat.postMessage", {"hang": True}),
    "update: hangs": ("chat.update", {"hang": True}),
    "replies: hangs": ("conversations.replies", {"hang": True}),
}
"""The same, for runs that are long enough for the bot to give a call up."""

DAS_FAULTS: Mapping[str, Faults] = {
    "cut properly": Faults(cut_after=12),
    "connection closed midway": Faults(cut_after=25, cut_with="fin"),
    "connection reset midway": Faults(cut_after=8, cut_with="rst"),
    "refused, 429": Faults(refuse=Refusal(429, "Throttling.User", "Request was denied due to user flow control.")),
    "refused, 500": Faults(refuse=Refusal(500, "InternalError", "The request has failed due to an unknown error.")),
    "refused, 503": Faults(refuse=Refusal(503, "ServiceUnavailable", "The service is unavailable.", "html")),
}  # fmt: skip
"""All of them can be told from the service's own record, so that the reply can be held against it."""

RDS_FAULTS: Mapping[str, Faults] = {
    "cut properly": Faults(cut_after=12),
    "connection reset midway": Faults(cut_after=8, cut_with="rst"),
    "silent midway": Faults(silent_after=10),
    "refused, 429": Faults(refuse=Refusal(429, "Throttling.User", "Request was denied due to user flow control.")),
    "refused, 503": Faults(refuse=Refusal(503, "ServiceUnavailable", "The service is unavailable.", "html")),
}  # fmt: skip
"""A run of RDS Copilot goes on without its stream, so a cut one is answered all the same."""

REORDERED = ("twins", "threads")
"""What overtakes what; see `reorder`."""
LATE = ("an update", "the store away when it wakes", "its first message")
"""What a process that freezes has on the wire; see `late`."""
UNWELCOME = ("outsider", "person", "direct", "channel", "command")
"""Who asks and may not, or where nobody may."""

WORDS = ("demo:error", "demo:cut")
"""Words in a question that make the simulated service fail it in a way of its own."""

_ASKING = {"mention": 40, "follow_up": 35, "dm": 12, "command": 13}
"""How questions come, and how many of a hundred."""
_QUIET_HEAD, _QUIET_TAIL = 0.08, 0.12
"""Parts of the time without faults: something must be in flight before, and the last ones must have an effect."""
_LATE_PART = 0.35
"""Part of the time in which processes freeze at a call: they and what follows take longer than a lease lives."""
_SCARCE_SECONDS = 15
"""Between two faults of Slack where its rates are kept: they allow a tenth of the calls."""
_LONG_SECONDS = 100
"""From here on a run is long enough for the store to be killed twice, and for calls that hang."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, `at` seconds after the start. `pick` in [0, 1) chooses among what is there then."""

    at: float
    kind: str
    pick: float
    what: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it is something going wrong, and not somebody asking, stopping or Slack repeating itself."""
        return self.kind in _FAULTS

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.kind} {self.what}".rstrip()


_FAULTS = frozenset(
    {
        "kill",
        "roll",
        "pause",
        "late",
        "kill_store",
        "cut_store",
        "slow_store",
        "drop_sockets",
        "slack",
        "das",
        "rds",
    }
)


def draw(seed: int, questions: int, seconds: float, *, pause: bool, scarce: bool = False) -> list[Step]:
    """The plan of a seed, in order of time. With `pause` a process sleeps through its leases once; where calls to Slack
    are `scarce`, as many of them fail as elsewhere, not as many in a minute."""
    dice = random.Random(seed)
    steps = [*_questions(dice, questions, seconds), *_faults(dice, seconds, pause=pause, scarce=scarce)]
    steps += _several(dice, "stop", max(1, questions // 15), 0.1 * seconds, seconds)
    steps += _several(dice, "replay", max(1, questions // 8), 0.1 * seconds, seconds)
    steps += _each(dice, "reorder", REORDERED, max(4, questions // 25), 0.0, 0.8 * seconds)
    steps += _each(dice, "unwelcome", UNWELCOME, max(5, questions // 15), 0.0, seconds)
    return sorted(steps, key=lambda step: step.at)


def _questions(dice: random.Random, count: int, seconds: float) -> Iterator[Step]:
    # The first ones are mentions: nobody can ask on before there is a thread.
    for number, at in enumerate(sorted(dice.uniform(0, seconds * 0.95) for _ in range(count))):
        kind = "mention" if number < 3 else dice.choices([*_ASKING], [*_ASKING.values()])[0]
        word = dice.choice(WORDS) if dice.random() < 0.06 else ""
        yield Step(at, kind, dice.random(), word)


def _faults(dice: random.Random, seconds: float, *, pause: bool, scarce: bool) -> Iterator[Step]:
    begin, end = seconds * _QUIET_HEAD, seconds * (1 - _QUIET_TAIL)
    is_long = seconds >= _LONG_SECONDS
    yield from _several(dice, "kill", max(2, int(seconds / 12)), begin, end)
    yield from _several(dice, "roll", max(1, int(seconds / 60)), begin, end)
    yield from _several(dice, "drop_sockets", max(1, int(seconds / 15)), begin, end)
    yield from _several(dice, "kill_store", 2 if is_long else 1, begin, end)
    yield from _several(dice, "cut_store", max(1, int(seconds / 30)), begin, end)
    yield from _several(dice, "slow_store", max(1, int(seconds / 45)), begin, end)
    if pause:
        # Each of them keeps a process for longer than a lease lives.
        late = LATE if is_long else LATE[:2]
        yield from _each(dice, "late", late, len(late) * (2 if is_long else 1), begin, _LATE_PART * seconds)
    if pause and is_long:
        yield from _several(dice, "pause", 1, begin, (begin + end) / 2)
    slack = [*SLACK_FAULTS, *(SLOW_FAULTS if is_long else ())]
    for _ in range(max(4, int(seconds / (_SCARCE_SECONDS if scarce else 2)))):
        yield Step(dice.uniform(begin, end), "slack", dice.random(), dice.choice(slack))
    for _ in range(max(2, int(seconds / 8))):
        yield Step(dice.uniform(begin, end), "das", dice.random(), dice.choice([*DAS_FAULTS]))
    for _ in range(max(2, int(seconds / 12))):
        yield Step(dice.uniform(begin, end), "rds", dice.random(), dice.choice([*RDS_FAULTS]))


def _several(dice: random.Random, kind: str, count: int, begin: float, end: float) -> Iterator[Step]:
    for _ in range(count):
        yield Step(dice.uniform(begin, end), kind, dice.random())


def _each(
    dice: random.Random, kind: str, what: Sequence[str], count: int, begin: float, end: float
) -> Iterator[Step]:
    """One of each in turn."""
    for number in range(count):
        yield Step(dice.uniform(begin, end), kind, dice.random(), what[number % len(what)])
