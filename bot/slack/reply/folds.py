"""Tool calls and sub-agents as folded containers, within a given size. Pure, apart from a cache of what was drawn.

A call that has not changed is not drawn again, so that an update costs what is new.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.model.answer import Answer, Step
from bot.model.call import CallState, ToolCall
from bot.model.question import Language
from bot.slack.reply import limits
from bot.slack.reply.blocks import Block, bold, container, preformatted, rich, section
from bot.slack.reply.characters import shortened
from bot.slack.reply.preview import PRETTY_MOST, preview, so_far
from bot.slack.reply.safe import literal, mrkdwn
from bot.slack.reply.sizes import cost, size
from bot.slack.reply.thinking import Thinking
from bot.slack.words import duration, say

_MARKS = {
    CallState.ARGUMENTS: "…",
    CallState.RUNNING: "…",
    CallState.UNFINISHED: "–",
    CallState.DONE: "✓",
    CallState.FAILED: "✗",
}
_API_KEYS = ("api", "Api", "action", "Action", "api_name", "agent")
"""Arguments that name what a general tool such as das_api was asked to call."""
_NAME_MOST = 120
"""Characters of a tool's or a sub-agent's name."""
_STEP_CALLS = limits.CHILDREN - 2
"""Calls of a sub-agent that its fold shows; beside them it has one line for each other, and what it came back with."""
_REASON_MOST = 150
"""Characters of why a call failed that has no fold of its own."""


@dataclass(slots=True)
class _Drawn:
    """One fold as it was drawn: from which state, and how much of a payload it takes."""

    version: int
    block: Block
    size: int
    hidden: int
    """Characters of its calls that it leaves out."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The folds of an answer. `is_large`: they leave out so much that it belongs into a file."""

    blocks: list[Block]
    is_large: bool = False


class Folds:
    """Draws the folds of one answer; remembers each call's block while the call does not change."""

    def __init__(self, language: Language, key: str) -> None:
        self._language = language
        self._key = key
        self._drawn: dict[tuple[str, int, bool], _Drawn] = {}
        self._titles: dict[str, tuple[int, str]] = {}
        self._numbers: dict[str, int] = {}
        self._thinking = Thinking()
        self._hidden = 0
        self._in_file = False
        self._at = -1
        self._items: list[ToolCall | Step] = []
        self._summed: dict[int, tuple[list[ToolCall], int, int, int]] = {}
        self._places: dict[int, int] = {}

    def draw(
        self,
        answer: Answer,
        room: int,
        most: int = limits.BLOCKS,
        *,
        is_over: bool,
        previews: tuple[int, ...] = limits.PREVIEWS,
        in_file: bool = False,
    ) -> Drawing:
        """At most `most` containers, oldest first, in at most `room` characters of payload.

        Previews shrink first; then older calls are summed up in one container; a failed call stays open. `is_over`:
        nothing more will come. `in_file`: what is cut says that a file has it.
        """
        self._in_file = in_file
        thoughts = self._thinking.text(answer, is_over=is_over)
        items = self._arranged(answer)
        # One for the thoughts, one for the summary.
        shown = items[max(0, len(items) - min(limits.SHOWN_CALLS, most - 2)) :]
        folds: list[_Drawn] = []
        for each in previews:
            if each > previews[-1] and sum(_least(answer, item, each) for item in shown) > room:
                continue  # Drawing it to see that takes milliseconds for each call.
            first = self._thoughts(*thoughts, each)
            folds = [self._fold(answer, item, each) for item in shown]
            left = room - size(first) - sum(fold.size for fold in folds)
            if left < 0:
                continue
            older, hidden = self._summary(answer, items[: len(items) - len(shown)], left)
            if size(older) <= left:
                hidden += sum(fold.hidden for fold in folds)
                return Drawing(first + older + [fold.block for fold in folds], hidden > limits.HIDDEN)
        for fewer in range(1, len(folds)):
            rest = folds[fewer:]
            left = room - sum(fold.size for fold in rest)
            if left < 0:
                continue
            older, hidden = self._summary(answer, items[: len(items) - len(rest)], left)
            if size(older) <= left:
                hidden += sum(fold.hidden for fold in rest)
                return Drawing(older + [fold.block for fold in rest], hidden > limits.HIDDEN)
        older, hidden = self._summary(answer, items, room)
        return Drawing(older, hidden > limits.HIDDEN)

    def _arranged(self, answer: Answer) -> list[ToolCall | Step]:
        """The items in order; looked through once for each change of the answer."""
        if self._at != answer.work_revision:
            self._at = answer.work_revision
            self._summed = {}
            self._items = _items(answer)
            self._places = {id(step): place for place, step in enumerate(answer.steps)}
        return self._items

    def _thoughts(self, text: str, total: int, most: int) -> list[Block]:
        if not text:
            return []
        shown = shortened(text, min(most, limits.THINKING))
        body: list[Block] = [{"type": "rich_text_quote", "elements": [{"type": "text", "text": shown}]}]
        if shown != text:
            counts = {"shown": f"{len(shown) - 1:,}", "total": f"{total:,}"}
            note = {"type": "text", "text": say("cut", self._language, **counts)}
            body.append({"type": "rich_text_section", "elements": [note]})
        key = f"thoughts-{len(shown)}-{most}"
        return [self._container(key, say("thought", self._language), "", [rich(body)], is_open=False)]

    def _fold(self, answer: Answer, item: ToolCall | Step, most: int) -> _Drawn:
        """One item's fold; drawn again only when the item has changed."""
        if isinstance(item, Step):
            name, calls, own = f"step-{self._places[id(item)]}", answer.calls_of(item), _origin(answer, item)
            version = sum(map(_version, calls + own)) * 2 + (item.ended_at is not None)
        else:
            name, version = f"call-{self._number(item.id)}", _version(item)
        known = self._drawn.get((name, most, self._in_file))
        if known is None or known.version != version:
            key = f"{name}-{version}-{most}"
            self._hidden = 0
            block = (
                self._step(item, calls, own, key, most)
                if isinstance(item, Step)
                else self._call(item, key, most)
            )
            known = _Drawn(version, block, size([block]), self._hidden)
            self._drawn[(name, most, self._in_file)] = known
        return known

    def _call(self, call: ToolCall, key: str, most: int) -> Block:
        return self._container(
            key,
            call_title(call, self._language),
            _subtitle(call, self._language),
            [rich(self._details(call, most))],
            is_open=call.state is CallState.FAILED,
        )

    def _step(self, step: Step, calls: list[ToolCall], own: list[ToolCall], key: str, most: int) -> Block:
        mark = "…" if step.ended_at is None else "✗" if step.failed else "✓"
        if step.status == "unfinished":
            mark = "–"
        took = _took(step, self._language)
        children: list[Block] = []
        for call in calls[:_STEP_CALLS]:
            heading = bold(shortened(call_title(call, self._language), limits.TITLE) + "\n")
            children.append(rich([heading, *self._details(call, most // 2)]))
        if len(calls) > len(children):
            rest = calls[len(children) :]
            lines, is_all = self._lines(_failed_first(rest))
            self._hidden += sum(map(_length, rest)) + (0 if is_all else limits.HIDDEN)
            children.append(section(lines))
        if own and (own[0].result or own[0].error):
            children.append(rich(self._details(own[0], most // 2)[-2:]))
        return self._container(
            key,
            f"{mark} {step_name(step)}" + (f" · {took}" if took else ""),
            sub_agent(len(calls), self._language),
            children or [section(mrkdwn(step_name(step)) or "…")],
            is_open=False,
        )

    def _summary(self, answer: Answer, items: list[ToolCall | Step], room: int) -> tuple[list[Block], int]:
        """Calls with no fold of their own in one, and how many characters of them it leaves out."""
        if not items:
            return [], 0
        if len(items) not in self._summed:
            calls = _failed_first([call for item in items for call in _calls(answer, item)])
            failed = sum(call.state is CallState.FAILED for call in calls)
            self._summed[len(items)] = (
                calls,
                failed,
                sum(call.is_open for call in calls),
                sum(map(_length, calls)),
            )
        calls, failed, at_work, hidden = self._summed[len(items)]
        mark = "✗" if failed else "…" if at_work else "✓"
        subtitle = f"{failed:,} {say('failed', self._language)}" if failed else ""
        lines, is_all = self._lines(calls, min(room, limits.SECTION) - 500)
        title = f"{mark} {say('earlier', self._language, count=f'{len(calls):,}')}"
        key = f"earlier-{len(calls)}-{failed}-{at_work}"
        fold = self._container(key, title, subtitle, [section(lines)], is_open=False)
        return [fold], hidden + (0 if is_all else limits.HIDDEN)

    def _container(
        self, name: str, title: str, subtitle: str, children: list[Block], *, is_open: bool
    ) -> Block:
        return container(f"{self._key}-{name}", title, subtitle, children, is_open=is_open)

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def _details(self, call: ToolCall, most: int) -> list[Block]:
        parts = []
        if call.state is CallState.ARGUMENTS:
            return self._part("arguments", "…", most)
        if call.arguments:
            # What is asked of a tool at work is complete.
            whole = call.arguments if call.state is CallState.RUNNING else so_far(call.arguments, call.state)
            parts += self._part("arguments", whole, most)
        if call.error:
            parts += self._part("error", call.error, most)
        # A failed call's result is often the error itself.
        if (call.result and call.result != call.error) or not parts:
            parts += self._part("result", so_far(call.result, call.state), most)
        return parts

    def _part(self, heading: str, text: str, most: int) -> list[Block]:
        shown = preview(text, most, self._language, in_file=self._in_file)
        self._hidden += shown.hidden
        return [bold(say(heading, self._language)), preformatted(shown.text)]

    def _lines(self, calls: list[ToolCall], room: int = limits.SECTION - 500) -> tuple[str, bool]:
        """Calls as one line each, as many as fit into `room` characters of payload, at least one; and whether those
        are all."""
        lines: list[str] = []
        used = 0
        for index, call in enumerate(calls):
            line = self._line(call)
            used += cost(line) + 2
            if used > room and lines:
                more = say("more", self._language, count=f"{len(calls) - index:,}")
                return "\n".join([*lines, more]), False
            lines.append(line)
        return "\n".join(lines), True

    def _line(self, call: ToolCall) -> str:
        known = self._titles.get(call.id)
        if known is None or known[0] != call.revision:
            title = shortened(call_title(call, self._language), _NAME_MOST)
            if call.state is CallState.FAILED:
                title = f"{title}: {shortened(_subtitle(call, self._language), _REASON_MOST)}"
            known = self._titles[call.id] = (call.revision, mrkdwn(title))
        return known[1]


def _calls(answer: Answer, item: ToolCall | Step) -> list[ToolCall]:
    return answer.calls_of(item) if isinstance(item, Step) else [item]


def _least(answer: Answer, item: ToolCall | Step, most: int) -> int:
    """About how much of a payload an item's previews take at least."""
    if isinstance(item, Step):
        calls, most = answer.calls_of(item)[:_STEP_CALLS], most // 2
    else:
        calls = [item]
    return sum(min(len(call.arguments), most) + min(len(call.result), most) for call in calls)


def _failed_first(calls: list[ToolCall]) -> list[ToolCall]:
    """What failed must not be among those there is no room for."""
    return sorted(calls, key=lambda call: call.state is not CallState.FAILED)


def _length(call: ToolCall) -> int:
    """Characters of what a fold of its own would show."""
    return len(call.arguments) + len(call.result) + len(call.error)


def call_title(call: ToolCall, language: Language) -> str:
    """A call's name, what it asked for, and how long it took: "✓ das_api · GetSlowLogRecords · 1.8 s"."""
    parts = [f"{_MARKS[call.state]} {call_name(call)}"]
    if took := _took(call, language):
        parts.append(took)
    return " · ".join(parts)


def call_name(call: ToolCall) -> str:
    """A call's tool and, where its arguments tell, the API behind it; redacted, one line."""
    name = call.name or "tool"
    api = _api(call)
    return _one_line(f"{name} · {api}" if api else name)


def step_name(step: Step) -> str:
    """A sub-agent's display name; redacted, one line."""
    return _one_line(step.label)


def sub_agent(calls: int, language: Language) -> str:
    """That it is a sub-agent, with the number of its calls; a service that does not nest them tells of none."""
    return say(f"sub_agent_{calls}" if calls < 2 else "sub_agent", language, count=f"{calls:,}")


def _took(item: ToolCall | Step, language: Language) -> str:
    """How long it took, "" while that is not known (a recording has no clock)."""
    if item.started_at is None or item.ended_at is None or item.ended_at == item.started_at:
        return ""
    return duration(item.ended_at - item.started_at, language)


def _version(call: ToolCall) -> int:
    """Grows when the fold would look different; half of the arguments are not worth an update of the message."""
    return 0 if call.state is CallState.ARGUMENTS else call.revision


def _one_line(name: str) -> str:
    return shortened(" ".join(literal(name[:600]).split()), _NAME_MOST)


def _api(call: ToolCall) -> str:
    if call.state < CallState.RUNNING or len(call.arguments) > PRETTY_MOST:
        return ""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(arguments, dict):
        return ""
    return next((v for k in _API_KEYS if isinstance(v := arguments.get(k), str) and len(v) <= 80), "")


def _items(answer: Answer) -> list[ToolCall | Step]:
    """Root calls and sub-agents in order of appearance; what belongs to a sub-agent stands inside it."""
    agents = {step.agent_id for step in answer.steps if step.agent_id}
    origins = {step.call_id for step in answer.steps if step.call_id}
    calls: list[ToolCall | Step] = [
        call for call in answer.calls.values() if call.agent_id not in agents and call.id not in origins
    ]
    return sorted([*calls, *answer.steps], key=lambda item: item.started_at or 0)


def _subtitle(call: ToolCall, language: Language) -> str:
    if call.state is CallState.UNFINISHED:
        return say("unfinished", language)
    if call.state is CallState.FAILED:
        return " ".join(literal(call.error[:600]).split()) or say("failed", language)
    rows = _rows(call.result)
    return say("rows", language, count=f"{rows:,}") if rows > 1 else ""


def _rows(result: str) -> int:
    """How many rows a result has that is a list of objects, 0 for any other."""
    if not result.startswith("[{"):
        return 0
    try:
        rows = json.loads(result)
    except (ValueError, RecursionError):
        return 0
    return len(rows) if all(isinstance(row, dict) for row in rows) else 0


def _origin(answer: Answer, step: Step) -> list[ToolCall]:
    """The call a sub-agent came from, when it is known."""
    return [answer.calls[step.call_id]] if step.call_id in answer.calls else []
