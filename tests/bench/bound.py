"""The least staleness that Slack's rates allow: what nobody can better who shows first words at once.

It is computed, not run, and knows what no bot can know: when each answer will come and how long it will be. It keeps to
four rules:

- As many answers stream as chat.startStream lets begin while questions come, or fewer. The best number is taken, the
  longest answers first.
- A stream takes 9,000 bytes and 240 s. From then on its message is written by chat.update, until it is full and the
  next message begins as a stream.
- Each method has its rate and half a minute's burst, and calls are whole. One that nobody needed while the burst was
  full is lost: it cannot be made for those who wrote before.
- Every answer needs one chat.update at its end.

A write shows all that was said before it, so for x seconds after it nothing is staler than x. The bound is the least x
for which the calls can cover 95 % of the time in which answers have text to show, and half a call's mean latency. The
ends are reckoned in two ways, and the greater bound holds: they come before text once an answer has ended, however late
that makes them; or they are all made while answers last, whenever that suits best. The second needs answers that fit
into one stream.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bot.demo.workspace.rates import PER_MINUTE
from bot.slack.lane import BURST_MINUTES
from bot.slack.reply.chunks import BYTES_MOST
from bot.slack.reply.limits import PAGE
from bot.slack.reply.stream import LIFE_SECONDS

START, APPEND, UPDATE = "chat.startStream", "chat.appendStream", "chat.update"
_STEP_SECONDS = 0.1
_PART = 0.95
_LONGEST_SECONDS = 1_000.0

Said = Sequence[tuple[float, str]]
"""The pieces of one answer's text and when each is said, in seconds."""


@dataclass(slots=True)
class _Demand:
    """How many answers have text to show in each step of time, and how many end there."""

    streaming: list[float] = field(default_factory=list)
    updating: list[float] = field(default_factory=list)
    ending: list[int] = field(default_factory=list)
    spans: dict[str, list[float]] = field(default_factory=lambda: {APPEND: [], UPDATE: []})
    """By method, how many seconds each answer is written with it."""

    def add(self, said: Said, end: float, *, streams: bool) -> None:
        """One answer more."""
        steps = int(end / _STEP_SECONDS) + 1
        for row in (self.streaming, self.updating, self.ending):
            row.extend([0] * (steps - len(row)))
        self.ending[steps - 1] += 1
        spans = dict.fromkeys(self.spans, 0.0)
        begun, written, characters, at = said[0][0], 0, 0, int(said[0][0] / _STEP_SECONDS)
        for seconds, text in [*said[1:], (end, "")]:
            may_stream = streams and written < BYTES_MOST and seconds - begun < LIFE_SECONDS
            row = self.streaming if may_stream else self.updating
            while at < int(seconds / _STEP_SECONDS):
                row[at] += 1
                spans[APPEND if may_stream else UPDATE] += _STEP_SECONDS
                at += 1
            written, characters = written + len(text.encode()), characters + len(text)
            if characters >= PAGE:
                begun, written, characters = seconds, 0, 0
        for method, span in spans.items():
            self.spans[method].append(span)

    @property
    def seconds(self) -> float:
        """All the time in which answers have text to show."""
        return sum(map(sum, self.spans.values()))


def bound(answers: Sequence[Said], arrivals: Sequence[float], ends: Sequence[float], latency: float) -> float:
    """The bound in seconds.

    Args:
        answers: what each says, and when.
        arrivals: when their questions come.
        ends: when they are complete.
        latency: mean seconds a call takes there and back.
    """
    longest = sorted(range(len(answers)), key=lambda number: answers[number][0][0] - ends[number])
    can_begin = PER_MINUTE[START] * ((max(arrivals) - min(arrivals)) / 60 + BURST_MINUTES)
    in_time = in_total = float("inf")
    for streams in range(min(len(answers), int(can_begin)) + 1):
        demand = _Demand()
        for place, number in enumerate(longest):
            demand.add(answers[number], ends[number], streams=place < streams)
        in_time = min(in_time, _least(partial(_can_cover, demand), in_time))
        in_total = min(in_total, _least(partial(_can_share, demand), in_total))
    is_short = all(_fits(said) for said in answers)
    return (max(in_time, in_total) if is_short else in_time) + latency / 2


def _fits(said: Said) -> bool:
    """Whether an answer fits into one stream."""
    return (
        sum(len(text.encode()) for _, text in said) < BYTES_MOST and said[-1][0] - said[0][0] < LIFE_SECONDS
    )


def _least(is_possible: Callable[[float], bool], most: float) -> float:
    """The least x that is possible; `most` when it is not below that."""
    low, high = 0.0, min(most, _LONGEST_SECONDS)
    if not is_possible(high):
        return most
    while high - low > _STEP_SECONDS / 20:
        middle = (low + high) / 2
        low, high = (low, middle) if is_possible(middle) else (middle, high)
    return high


def _can_cover(demand: _Demand, x: float) -> bool:
    """Whether calls made in time cover enough, when ends come first."""
    nobody = [0] * len(demand.ending)
    covered = 0.0
    for method, showing, ending in (
        (APPEND, demand.streaming, nobody),
        (UPDATE, demand.updating, demand.ending),
    ):
        in_time = x * _calls(method, [answers / x for answers in showing], ending)
        as_it_allows = _calls(method, [float("inf") if answers else 0.0 for answers in showing], ending)
        covered += min(in_time, _shared(demand.spans[method], int(as_it_allows), x))
    return covered >= _PART * demand.seconds


def _can_share(demand: _Demand, x: float) -> bool:
    """Whether all calls there are while answers last cover enough, ends included."""
    minutes = len(demand.ending) * _STEP_SECONDS / 60 + BURST_MINUTES
    covered = 0.0
    for method, ends in ((APPEND, 0), (UPDATE, len(demand.spans[UPDATE]))):
        covered += _shared(demand.spans[method], int(PER_MINUTE[method] * minutes) - ends, x)
    return covered >= _PART * demand.seconds


def _shared(spans: Sequence[float], calls: int, x: float) -> float:
    """The seconds that whole calls cover, when each goes to the answer of which most is bare."""
    bare = [-span for span in spans]
    heapq.heapify(bare)
    while calls > 0 and bare and bare[0] < 0:
        heapq.heapreplace(bare, min(0.0, bare[0] + x))
        calls -= 1
    return sum(spans) + sum(bare)


def _calls(method: str, wanted: Sequence[float], ending: Sequence[int]) -> float:
    """How many calls can be made in time, when so many a second are of use: what is there is best used at once."""
    rate = PER_MINUTE[method] / 60
    most = left = PER_MINUTE[method] * BURST_MINUTES
    made = 0.0
    for use, ends in zip(wanted, ending, strict=True):
        left = min(most, left + rate * _STEP_SECONDS) - ends
        now = max(0.0, min(left, use * _STEP_SECONDS))
        made, left = made + now, left - now
    return made
