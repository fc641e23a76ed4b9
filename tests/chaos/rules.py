"""More invariants: what may not happen between the questions. Each is judged by what the other side has on record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.demo.das import Received
from bot.demo.workspace import Call, Workspace
from tests.chaos.check import SAME_TIME, Asked, Evidence, Violation
from tests.chaos.doubles import PINGS, SECRET
from tests.chaos.late import WRITES, Late

Span = tuple[float, float]

TOLD_SECONDS = 10.0
"""Within which somebody who may not ask is told so, where nothing is killed meanwhile."""
AFTER_SECONDS = 30.0
"""How long Slack's budget may be spent twice after the store forgot or a process slept: half a minute's allowance."""


@dataclass(slots=True)
class Unwelcome:
    """A question of somebody who may not ask, or not there. `told_at` is when they were told, 0 while they are not."""

    asked: Asked
    told_at: float = 0.0


def slots(
    service: str,
    requests: Iterable[Received],
    limit: int,
    asleep: Mapping[int, Sequence[Span]],
    forgotten: Sequence[Span],
) -> Iterator[Violation]:
    """At most `limit` runs of a service are open at once.

    Those do not count whose slots may have run out: of a process that was `asleep` (spans by port) meanwhile, and those
    that were open when the store was killed (`forgotten`).
    """
    runs = [
        request
        for request in requests
        if request.outcome not in ("refused", "answered")
        and not _meets([*forgotten, *asleep.get(request.port, ())], request)
    ]
    for begun in runs:
        # The service hears of a closed connection a moment later.
        others = [run for run in runs if run.at <= begun.at and not 0 < run.ended < begun.at + SAME_TIME]
        if len(others) > limit:
            yield Violation("slots", f"{len(others)} runs of {service} open at once, {limit} allowed")
            return


def _meets(spans: Iterable[Span], request: Received) -> bool:
    """Whether a request was open in one of the spans."""
    return any(begin < (request.ended or end) and request.at < end for begin, end in spans)


def unwelcome(evidence: Evidence, visits: Iterable[Unwelcome]) -> Iterator[Violation]:
    """Who may not ask gets no run, no answer and one private line.

    A process that slept with the message may say it once more when it wakes: Slack had brought it to another as well.
    """
    for visit in visits:
        asked = visit.asked
        if evidence.runs_of(asked) or evidence.requests_of(asked):
            yield Violation("only who may", f"{asked.user} became a run in {asked.channel}", asked.number)
        until = visit.told_at or asked.said_at + TOLD_SECONDS
        is_killed = any(begin < until and asked.said_at < end for begin, end in evidence.disturbed)
        if not visit.told_at and not is_killed:
            yield Violation("refused, and told so", f"{asked.user} was not told", asked.number)
    for place in {(visit.asked.user, visit.asked.channel) for visit in visits}:
        lines = evidence.workspace.ephemerals(*place)
        here = [visit for visit in visits if (visit.asked.user, visit.asked.channel) == place]
        asked_here = len(here)
        again = sum(
            any(begin < visit.told_at and visit.asked.said_at < end for begin, end in evidence.paused)
            for visit in here
        )
        if len(lines) > asked_here + again:
            yield Violation(
                "told once", f"{place[0]} asked {asked_here} times and was told {len(lines)} times"
            )


def harmless(calls: Iterable[Call], files: Iterable[bytes], logs: Iterable[str]) -> Iterator[Violation]:
    """Nothing that Slack was given holds the secret or a ping of an answer, and no log the secret."""
    told = [(call.method, _unfolded(json.dumps(call.args, ensure_ascii=False))) for call in calls]
    told += [("a file", file.decode("utf-8", "replace")) for file in files]
    for sign in (SECRET, *PINGS):
        found = [where for where, text in told if sign in text]
        if found:
            yield Violation("neutralised and redacted", f"{sign!r} in {len(found)} calls, first {found[0]}")
    if any(SECRET in log for log in logs):
        yield Violation("neutralised and redacted", "the secret stands in a log")


def _unfolded(text: str) -> str:
    """JSON in JSON without its escapes."""
    return text.replace("\\", "")


def rates(calls: Iterable[Call], lost: Sequence[Span]) -> Iterator[Violation]:
    """Slack never says "slow down" by itself, but where the store forgot what was spent, or a process slept on it."""
    found = [
        call.method
        for call in calls
        if call.status == 429
        and not call.spoiled
        and not any(begin <= call.t <= end + AFTER_SECONDS for begin, end in lost)
    ]
    if found:
        yield Violation("within Slack's rates", f"{len(found)} refused calls, first {found[0]}")


def fenced(workspace: Workspace, lates: Iterable[Late]) -> Iterator[Violation]:
    """Who lost a thread does not write into it while the store cannot tell whose it is.

    Into its other threads one call may still come: it can have been frozen with that one on its way. In its own that
    one had arrived before.
    """
    for late in lates:
        begin, end = late.span
        calls: dict[str, list[str]] = {}
        for call in workspace.calls:
            is_its = late.bot is not None and call.port in late.bot.ports and begin <= call.t < end
            if is_its and call.method in WRITES and (ts := str(call.args.get("ts"))) in late.messages:
                calls.setdefault(ts, []).append(call.method)
        for ts, methods in calls.items():
            if len(methods) > (ts not in late.own):
                detail = f"{', '.join(methods)} at {ts} by a process that had lost the thread"
                yield Violation("fenced", detail, late.asked.number)
