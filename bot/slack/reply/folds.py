"""Tool calls and sub-agents as folded containers, within a given size. Pure, apart from a cache of what was drawn.

A call that has not changed is not drawn again, so that an update costs what is new.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bot.model.answer import Answer, CallState, Step, ToolCall
from bot.model.question import Language
from bot.slack.reply import limits
from bot.slack.reply.characters import shortened, whole_until
from bot.slack.reply.pages import cost
from bot.slack.reply.safe import literal, mrkdwn
from bot.slack.words import duration, say

Block = dict[str, Any]

_MARKS = {
    CallState.ARGUMENTS: "…",
    CallState.RUNNING: "…",
    CallState.UNFINISHED: "–",
    CallState.DONE: "✓",
    CallState.FAILED: "✗",
}
_API_KEYS = ("api", "Api", "action", "Action", "api_name", "agent")
"""Arguments that name what a general tool such as das_api was asked to call."""
_PRETTY_MOST = 20_000
"""Characters of JSON worth indenting; beyond, only a part is shown anyway."""
_REDACTION_MARGIN = 600
"""Characters read beyond a cut, so that a secret that begins before it is seen whole."""


_NAME_MOST = 120
"""Characters of a tool's or a sub-agent's name."""


@dataclass(slots=True)
class _Drawn:
    """One fold as it was drawn: from which state, and how much of a payload it takes."""

    version: int
    block: Block
    size: int


class Folds:
    """Draws the folds of one answer; remembers each call's block while the call does not change."""

    def __init__(self, language: Language, key: str) -> None:
        self._language = language
        self._key = key
        self._drawn: dict[tuple[str, int], _Drawn] = {}
        self._titles: dict[str, tuple[int, str]] = {}
        self._numbers: dict[str, int] = {}

    def draw(self, answer: Answer, room: int) -> list[Block]:
        """The containers, oldest first, in at most `room` characters of payload.

        Previews shrink first; then older calls are summed up in one container; a failed call stays open.
        """
        items = _items(answer)
        shown = items[-limits.SHOWN_CALLS :]
        older = self._summary(answer, items[: len(items) - len(shown)], limits.SECTION)
        folds: list[_Drawn] = []
        for preview in limits.PREVIEWS:
            folds = [self._fold(answer, item, preview) for item in shown]
            if size(older) + sum(fold.size for fold in folds) <= room:
                return older + [fold.block for fold in folds]
        for fewer in range(1, len(folds)):
            rest = folds[fewer:]
            older = self._summary(answer, items[: len(items) - len(rest)], limits.SECTION)
            if size(older) + sum(fold.size for fold in rest) <= room:
                return older + [fold.block for fold in rest]
        return self._summary(answer, items, room)

    def _fold(self, answer: Answer, item: ToolCall | Step, preview: int) -> _Drawn:
        """One item's fold; drawn again only when the item has changed."""
        if isinstance(item, Step):
            number = next(place for place, step in enumerate(answer.steps) if step is item)
            name, calls, own = f"step-{number}", answer.calls_of(item), _origin(answer, item)
            version = sum(map(_version, calls + own)) * 2 + (item.ended_at is not None)
        else:
            name, version = f"call-{self._number(item.id)}", _version(item)
        known = self._drawn.get((name, preview))
        if known is None or known.version != version:
            key = f"{name}-{version}-{preview}"
            if isinstance(item, Step):
                block = self._step(item, calls, own, key, preview)
            else:
                block = self._call(item, key, preview)
            known = self._drawn[(name, preview)] = _Drawn(version, block, size([block]))
        return known

    def _call(self, call: ToolCall, key: str, preview: int) -> Block:
        return self._container(
            key,
            call_title(call),
            _subtitle(call, self._language),
            [{"type": "rich_text", "elements": self._details(call, preview)}],
            is_open=call.state is CallState.FAILED,
        )

    def _step(self, step: Step, calls: list[ToolCall], own: list[ToolCall], key: str, preview: int) -> Block:
        mark = "…" if step.ended_at is None else "✗" if step.failed else "✓"
        if step.status == "unfinished":
            mark = "–"
        took = _took(step)
        count = "sub_agent_1" if len(calls) == 1 else "sub_agent"
        children: list[Block] = []
        for call in calls[: limits.CHILDREN - 2]:
            heading = {
                "type": "text",
                "text": shortened(call_title(call), limits.TITLE) + "\n",
                "style": {"bold": True},
            }
            elements = [{"type": "rich_text_section", "elements": [heading]}]
            children.append({"type": "rich_text", "elements": elements + self._details(call, preview // 2)})
        if len(calls) > len(children):
            rest = calls[len(children) :]
            children.append(_section(self._lines(rest)))
        if own and (own[0].result or own[0].error):
            children.append({"type": "rich_text", "elements": self._details(own[0], preview // 2)[-2:]})
        return self._container(
            key,
            f"{mark} {step_name(step)}" + (f" · {took}" if took else ""),
            say(count, self._language, count=len(calls)),
            children or [_section(mrkdwn(step_name(step)) or "…")],
            is_open=False,
        )

    def _summary(self, answer: Answer, items: list[ToolCall | Step], room: int) -> list[Block]:
        if not items:
            return []
        calls = [
            call for item in items for call in (answer.calls_of(item) if isinstance(item, Step) else [item])
        ]
        failed = sum(call.state is CallState.FAILED for call in calls)
        mark = "✗" if failed else "✓"
        subtitle = f"{failed} {say('failed', self._language)}" if failed else ""
        lines = self._lines(calls, min(room, limits.SECTION) - 500)
        title = f"{mark} {say('earlier', self._language, count=len(calls))}"
        return [
            self._container(
                f"earlier-{len(calls)}-{failed}", title, subtitle, [_section(lines)], is_open=False
            )
        ]

    def _container(
        self, name: str, title: str, subtitle: str, children: list[Block], *, is_open: bool
    ) -> Block:
        block: Block = {
            "type": "container",
            "block_id": f"{self._key}-{name}"[:255],
            "title": {"type": "plain_text", "text": shortened(title, limits.TITLE)},
            "width": "full",
            "is_collapsible": True,
            "default_collapsed": not is_open,
            "child_blocks": children,
        }
        if subtitle:
            block["subtitle"] = {"type": "plain_text", "text": shortened(subtitle, limits.TITLE)}
        return block

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def _details(self, call: ToolCall, preview: int) -> list[Block]:
        parts = []
        if call.state is CallState.ARGUMENTS:
            return self._part("arguments", "…", preview)
        if call.arguments:
            parts += self._part("arguments", call.arguments, preview)
        if call.error:
            parts += self._part("error", call.error, preview)
        if call.result or not parts:
            parts += self._part("result", call.result, preview)
        return parts

    def _part(self, heading: str, text: str, preview: int) -> list[Block]:
        bold = {"type": "text", "text": say(heading, self._language), "style": {"bold": True}}
        cut = self._cut(text, preview)
        return [
            {"type": "rich_text_section", "elements": [bold]},
            {
                "type": "rich_text_preformatted",
                "border": 0,
                "elements": [{"type": "text", "text": cut or "…"}],
            },
        ]

    def _cut(self, text: str, most: int) -> str:
        pretty = _pretty(text)
        safe = literal(pretty[: most + _REDACTION_MARGIN])
        if len(pretty) <= most:
            return safe
        # Where secrets were hidden the text is shorter now; what slid in from behind the cut may hold half of one.
        shown = safe[: whole_until(safe, max(1, min(most, len(safe) - _REDACTION_MARGIN)))]
        note = say("cut", self._language, shown=f"{len(shown):,}", total=f"{len(pretty):,}")
        return f"{shown}\n{note}"

    def _lines(self, calls: list[ToolCall], room: int = limits.SECTION - 500) -> str:
        """Calls as one line each, as many as fit into `room` characters of payload, at least one."""
        lines: list[str] = []
        used = 0
        for index, call in enumerate(calls):
            line = self._line(call)
            used += cost(line) + 2
            if used > room and lines:
                return "\n".join([*lines, say("more", self._language, count=len(calls) - index)])
            lines.append(line)
        return "\n".join(lines)

    def _line(self, call: ToolCall) -> str:
        known = self._titles.get(call.id)
        if known is None or known[0] != call.revision:
            known = self._titles[call.id] = (call.revision, mrkdwn(shortened(call_title(call), _NAME_MOST)))
        return known[1]


def size(blocks: list[Block]) -> int:
    """Characters of payload that blocks take."""
    return sum(len(json.dumps(block, ensure_ascii=False)) for block in blocks)


def call_title(call: ToolCall) -> str:
    """A call's name, what it asked for, and how long it took: "✓ das_api · GetSlowLogRecords · 1.8 s"."""
    parts = [f"{_MARKS[call.state]} {call_name(call)}"]
    if took := _took(call):
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


def _took(item: ToolCall | Step) -> str:
    """How long it took, "" while that is not known (a recording has no clock)."""
    if item.started_at is None or item.ended_at is None or item.ended_at == item.started_at:
        return ""
    return duration(item.ended_at - item.started_at)


def _version(call: ToolCall) -> int:
    """Grows when the fold would look different; half of the arguments are not worth an update of the message."""
    return 0 if call.state is CallState.ARGUMENTS else call.revision


def _one_line(name: str) -> str:
    return shortened(" ".join(literal(name[:600]).split()), _NAME_MOST)


def _api(call: ToolCall) -> str:
    if call.state < CallState.RUNNING or len(call.arguments) > _PRETTY_MOST:
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
    return ""


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _pretty(text: str) -> str:
    if len(text) <= _PRETTY_MOST and text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
            flat = json.dumps(value, ensure_ascii=False)
            pretty = flat if len(flat) <= 60 else json.dumps(value, ensure_ascii=False, indent=2)
        except (ValueError, RecursionError):
            return text
        # An escaped half of a character in JSON is whole text only now that it is read; it cannot be written.
        return pretty.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _origin(answer: Answer, step: Step) -> list[ToolCall]:
    """The call a sub-agent came from, when it is known."""
    return [answer.calls[step.call_id]] if step.call_id in answer.calls else []
