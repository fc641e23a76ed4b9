"""Tool calls and sub-agents as folded containers, within a given size. Pure, apart from a cache of what was drawn.

A call that has not changed is not drawn again, so that an update costs what is new.
"""

from __future__ import annotations

import json
from typing import Any

from bot.model.answer import Answer, CallState, Step, ToolCall
from bot.model.question import Language
from bot.slack.reply import limits
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


class Folds:
    """Draws the folds of one answer; remembers each call's block while the call does not change."""

    def __init__(self, language: Language, key: str) -> None:
        self._language = language
        self._key = key
        self._drawn: dict[str, tuple[tuple[int, int], Block]] = {}
        self._numbers: dict[str, int] = {}

    def draw(self, answer: Answer, room: int) -> list[Block]:
        """The containers, oldest first, in at most `room` characters of payload.

        Previews shrink first; then older calls are summed up in one container; a failed call stays open.
        """
        items = _items(answer)
        shown = items[-limits.SHOWN_CALLS :]
        for preview in limits.PREVIEWS:
            blocks = self._blocks(answer, items, shown, preview)
            if size(blocks) <= room:
                return blocks
        while shown:
            shown = shown[1:]
            blocks = self._blocks(answer, items, shown, limits.PREVIEWS[-1])
            if size(blocks) <= room:
                return blocks
        return self._summary(answer, items, room) if items else []

    def _blocks(
        self, answer: Answer, items: list[ToolCall | Step], shown: list[ToolCall | Step], preview: int
    ) -> list[Block]:
        older = items[: len(items) - len(shown)]
        return self._summary(answer, older, limits.SECTION) + [
            self._step(answer, item, preview) if isinstance(item, Step) else self._call(item, preview)
            for item in shown
        ]

    def _call(self, call: ToolCall, preview: int) -> Block:
        version = (call.revision, preview)
        known = self._drawn.get(call.id)
        if known and known[0] == version:
            return known[1]
        block = self._container(
            f"call-{self._number(call.id)}-{call.revision}-{preview}",
            call_title(call),
            _subtitle(call, self._language),
            [{"type": "rich_text", "elements": self._details(call, preview)}],
            is_open=call.state is CallState.FAILED,
        )
        self._drawn[call.id] = (version, block)
        return block

    def _step(self, answer: Answer, step: Step, preview: int) -> Block:
        calls = answer.calls_of(step)
        own = [answer.calls[step.call_id]] if step.call_id in answer.calls else []
        version = (sum(c.revision for c in calls + own) * 2 + (step.ended_at is not None), preview)
        name = f"step:{step.agent_id}:{step.started_at}"
        known = self._drawn.get(name)
        if known and known[0] == version:
            return known[1]
        mark = "…" if step.ended_at is None else "✗" if step.failed else "✓"
        if step.status == "unfinished":
            mark = "–"
        took = f" · {duration(step.ended_at - step.started_at)}" if step.ended_at is not None else ""
        count = "sub_agent_1" if len(calls) == 1 else "sub_agent"
        children: list[Block] = []
        for call in calls[: limits.CHILDREN - 2]:
            heading = {"type": "text", "text": call_title(call) + "\n", "style": {"bold": True}}
            elements = [{"type": "rich_text_section", "elements": [heading]}]
            children.append({"type": "rich_text", "elements": elements + self._details(call, preview // 2)})
        if len(calls) > len(children):
            rest = calls[len(children) :]
            children.append(_section(_lines(rest, self._language)))
        if own and (own[0].result or own[0].error):
            children.append({"type": "rich_text", "elements": self._details(own[0], preview // 2)[-2:]})
        block = self._container(
            f"step-{self._number(name)}-{version[0]}-{preview}",
            f"{mark} {literal(step.label)}{took}",
            say(count, self._language, count=len(calls)),
            children or [_section(mrkdwn(step.label))],
            is_open=False,
        )
        self._drawn[name] = (version, block)
        return block

    def _summary(self, answer: Answer, items: list[ToolCall | Step], room: int) -> list[Block]:
        if not items:
            return []
        calls = [
            call for item in items for call in (answer.calls_of(item) if isinstance(item, Step) else [item])
        ]
        failed = sum(call.state is CallState.FAILED for call in calls)
        mark = "✗" if failed else "✓"
        subtitle = f"{failed} {say('failed', self._language)}" if failed else ""
        lines = _lines(calls, self._language, min(room, limits.SECTION) - 500)
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
            "title": {"type": "plain_text", "text": _short(title, limits.TITLE)},
            "width": "full",
            "is_collapsible": True,
            "default_collapsed": not is_open,
            "child_blocks": children,
        }
        if subtitle:
            block["subtitle"] = {"type": "plain_text", "text": _short(subtitle, limits.TITLE)}
        return block

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def _details(self, call: ToolCall, preview: int) -> list[Block]:
        parts = []
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
        note = say("cut", self._language, shown=f"{most:,}", total=f"{len(pretty):,}")
        return f"{safe[:most]}\n{note}"


def size(blocks: list[Block]) -> int:
    """Characters of payload that blocks take."""
    return sum(len(json.dumps(block, ensure_ascii=False)) for block in blocks)


def call_title(call: ToolCall) -> str:
    """A call's name, what it asked for, and how long it took: "✓ das_api · GetSlowLogRecords · 1.8 s"."""
    parts = [f"{_MARKS[call.state]} {call_name(call)}"]
    if call.started_at is not None and call.ended_at is not None:
        parts.append(duration(call.ended_at - call.started_at))
    return " · ".join(parts)


def call_name(call: ToolCall) -> str:
    """A call's tool and, where its arguments tell, the API behind it; redacted, one line."""
    name = call.name or "tool"
    api = _api(call)
    return " ".join(literal(f"{name} · {api}" if api else name).split())


def _api(call: ToolCall) -> str:
    if call.state < CallState.RUNNING or len(call.arguments) > _PRETTY_MOST:
        return ""
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
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


def _lines(calls: list[ToolCall], language: Language, room: int = limits.SECTION - 500) -> str:
    lines: list[str] = []
    used = 0
    for index, call in enumerate(calls):
        line = mrkdwn(_short(call_title(call), 120))
        used += len(line) + 2
        if used > room:
            return "\n".join([*lines, say("more", language, count=len(calls) - index)])
        lines.append(line)
    return "\n".join(lines)


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _pretty(text: str) -> str:
    if len(text) <= _PRETTY_MOST and text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        flat = json.dumps(value, ensure_ascii=False)
        return flat if len(flat) <= 60 else json.dumps(value, ensure_ascii=False, indent=2)
    return text


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
