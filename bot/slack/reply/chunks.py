"""What a stream is sent: an answer and what was sent before in, chunks for Slack out. Pure.

A stream only grows. Its text is appended to, its task cards change in place; whatever else has to change, and whatever
would make it too big, ends it (`None`): the message then lives on by chat.update, which replaces everything.

The cards stand in one plan, whose title says what the run does now, and the text stands below in one piece: as in the
layout of an answer that runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.model.answer import Answer, Step
from bot.model.call import CallState, ToolCall
from bot.model.question import Language
from bot.slack.reply.characters import shortened
from bot.slack.reply.draft import Draft
from bot.slack.reply.folds import call_name, step_name, sub_agent
from bot.slack.reply.layout import still, waiting
from bot.slack.reply.safe import literal, neutralise
from bot.slack.words import duration, say

Chunk = dict[str, Any]

BYTES_MOST = 9_000
"""Weighted UTF-8 bytes of a stream. Slack refuses more somewhere between 10,600 and 11,300."""
_CARDS_MOST = 45
"""Cards of a stream; a plan has at most 50 tasks."""
_TITLE_MOST = 200
"""Characters of a card's or the plan's title; Slack takes 256."""
_OUTPUT_MOST = 150
"""Characters of an error on a card; they weigh twice."""
_HELD_MOST = 200
"""Characters held back behind a sign that may turn out to open something; beyond, it is shown as it is."""
_SIGN = re.compile(r"\*\*|`+|\[")
_RUNG_WITHOUT_PLANS = 2
"""From this rung of the ladder on the workspace does not know plans either."""

_DONE = {CallState.DONE: "complete", CallState.FAILED: "error", CallState.UNFINISHED: "error"}


@dataclass(frozen=True, slots=True)
class Card:
    """A task card. `output` is what was added to it, once; Slack would add it again."""

    title: str
    status: str
    output: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a stream holds."""

    text: str = ""
    title: str = ""
    """What the plan's title says, but for the time: seconds alone are not worth a call."""
    timed: str = ""
    """The plan's title as it stands there."""
    cards: Mapping[str, Card] = field(default_factory=dict)
    placed: int = 0
    """Bytes of the blocks in it."""

    @property
    def weight(self) -> int:
        """Its size as Slack counts it: text and titles once, what cards say twice."""
        titles = sum(_bytes(card.title) + 2 * _bytes(card.output) for card in self.cards.values())
        return self.placed + _bytes(self.timed) + _bytes(self.text) + titles


@dataclass(frozen=True, slots=True)
class Piece:
    """One call's chunks, and what the stream holds after it."""

    chunks: list[Chunk]
    after: Sent


def marker(run_id: str, number: int) -> str:
    """What names message `number` of a run inside a stream, which has no metadata before its end."""
    return f"{run_id}-{number}"


def marked(run_id: str, blocks: list[dict[str, Any]]) -> int | None:
    """The number of the run's message that was opened with what shows in these blocks, None when it is none of its."""
    ids = re.compile(rf'"(?:stream-{re.escape(run_id)}-(\d+)|{re.escape(run_id)}-(\d+)-begin)"')
    found = ids.search(json.dumps(blocks))
    return int(found[1] or found[2]) if found else None


def opening(draft: Draft, number: int, run_id: str, *, buttons: bool = True) -> Piece | None:
    """What a stream begins with: that the bot is on it, Stop, and what there is already. None: better no stream.

    Without `buttons` only the first message is one: another would bear nothing by which it is found again.
    """
    if draft.rung >= _RUNG_WITHOUT_PLANS:
        return None
    piece = news(draft, number, Sent(), run_id)
    if piece is None or (number and not (piece.after.text and buttons)):
        return None
    stop = [
        {**block, "block_id": f"stream-{marker(run_id, number)}"}
        for block in draft.payload(number)["blocks"]
        if block["type"] == "actions" and buttons
    ]
    if not stop:
        return piece
    words = [chunk for chunk in piece.chunks if chunk["type"] == "markdown_text"]
    work = [chunk for chunk in piece.chunks if chunk["type"] != "markdown_text"]
    after = replace(piece.after, placed=_bytes(json.dumps(stop, ensure_ascii=False)))
    return Piece([*work, {"type": "blocks", "blocks": stop}, *words], after)


def news(draft: Draft, number: int, sent: Sent, run_id: str) -> Piece | None:
    """What came since `sent`. None when it cannot be told by adding to the stream."""
    text = draft.growing(number)
    if text is None:
        return None
    text = _settled(text) if draft.ending is None else text
    if not text.startswith(sent.text):
        if not sent.text.startswith(text):
            return None
        text = sent.text
    chunks: list[Chunk] = []
    # Before a new card, which would part the words of a sentence.
    added = text[len(sent.text) :]
    if added.strip():
        chunks.append({"type": "markdown_text", "text": added})
    else:
        text = sent.text  # A call for nothing anybody can see: it comes with the next words.
    after = replace(sent, text=text)
    if number == 0:
        title, cards = _title(draft), _cards(draft, run_id)
        # A call that turns out to be a sub-agent's stands in that one's card from then on.
        cards |= {k: replace(card, status="complete") for k, card in sent.cards.items() if k not in cards}
        if len(cards) > _CARDS_MOST:
            return None
        tasks: list[Chunk] = []
        for name, card in cards.items():
            known = sent.cards.get(name)
            if known and known.output:
                card = cards[name] = replace(card, output=known.output)
            if card != known:
                tasks.append(_task(name, card, is_told=bool(known and known.output)))
        if chunks or tasks or title != sent.title:
            timed = _timed(title, draft)
            if timed != sent.timed:
                chunks.append({"type": "plan_update", "title": timed})
            after = replace(after, title=title, timed=timed)
        chunks += tasks
        after = replace(after, cards=cards)
    if after.weight > BYTES_MOST:
        return None
    return Piece(chunks, after)


def closing(sent: Sent) -> list[Chunk]:
    """What closes the cards that are open: with one left open at its end, Slack draws the whole message as failed."""
    return [
        _task(name, replace(card, status="complete"), is_told=True)
        for name, card in sent.cards.items()
        if card.status not in ("complete", "error")
    ]


def _task(name: str, card: Card, *, is_told: bool) -> Chunk:
    task: Chunk = {"type": "task_update", "id": name, "title": card.title, "status": card.status}
    return {**task, "output": card.output} if card.output and not is_told else task


def _title(draft: Draft) -> str:
    """What the run does now, and in a long silence that it still does."""
    if told := waiting(draft.progress, draft.language):
        return told
    # Once a minute, where a title that counts the seconds would spend the budget.
    quiet = still(draft.elapsed, draft.quiet(), draft.language)
    return _line(" · ".join(part for part in (_doing(draft), quiet) if part))


def _timed(title: str, draft: Draft) -> str:
    """The title with the seconds since it was asked, where it does not tell of time or of waiting already."""
    language = draft.language
    tells = waiting(draft.progress, language) or still(draft.elapsed, draft.quiet(), language)
    if tells or draft.elapsed < 1:
        return title
    took = f" · {duration(draft.elapsed, language, running=True)}"
    return shortened(title, _TITLE_MOST - len(took)) + took


def _doing(draft: Draft) -> str:
    answer, language = draft.answer, draft.language
    call, step = answer.open_call, answer.open_step
    if call or step:
        key = "in_step" if step and not call else "calling"
        name = call_name(call) if call else step_name(step) if step else ""
        return _without_time(key, language, name=name.replace("*", "")).replace("*", "")
    if answer.has_text and not answer.activity:
        return _without_time("writing", language)
    return _without_time(
        "thinking" if answer.calls or answer.steps or answer.thinking else "starting", language
    )


def _without_time(key: str, language: Language, **values: str) -> str:
    """A status without its seconds."""
    return say(key, language, seconds="", **values).rstrip(" ·")


def _cards(draft: Draft, run_id: str) -> dict[str, Card]:
    """The cards of an answer by id: the agent's own thinking first, then calls and sub-agents as they came."""
    answer, language, prefix = draft.answer, draft.language, marker(run_id, 0)
    has_begun = bool(answer.has_text or answer.calls or answer.steps)
    # Nobody thinks yet while the question waits.
    begin = _without_time("starting" if waiting(draft.progress, language) else "thinking", language)
    cards = {f"{prefix}-begin": Card(begin, "complete" if has_begun else "in_progress")}
    agents = {step.agent_id for step in answer.steps if step.agent_id}
    steps = {step.call_id: step for step in answer.steps if step.call_id}
    for number, call in enumerate(answer.calls.values()):
        name = f"{prefix}-c{number}"
        if step := steps.get(call.id):
            cards[name] = _step_card(step, answer, language)
        elif call.agent_id not in agents:
            cards[name] = _call_card(call, language)
    for number, step in enumerate(answer.steps):
        if steps.get(step.call_id) is not step or step.call_id not in answer.calls:
            cards[f"{prefix}-s{number}"] = _step_card(step, answer, language)
    return cards


def _call_card(call: ToolCall, language: Language) -> Card:
    error = shortened(_line(literal(call.error[:600])), _OUTPUT_MOST) if call.error else ""
    return Card(_named(call_name(call), call, language), _DONE.get(call.state, "in_progress"), error)


def _step_card(step: Step, answer: Answer, language: Language) -> Card:
    count = sub_agent(len(answer.calls_of(step)), language)
    status = "in_progress" if step.ended_at is None else "error" if step.failed else "complete"
    return Card(_named(f"{step_name(step)} · {count}", step, language), status)


def _named(name: str, item: ToolCall | Step, language: Language) -> str:
    has_times = item.started_at is not None and item.ended_at is not None and item.ended_at != item.started_at
    seconds = (item.ended_at or 0) - (item.started_at or 0)
    took = f" · {duration(seconds, language)}" if has_times else ""
    return _line(shortened(name, _TITLE_MOST - len(took)) + took)


def _line(text: str) -> str:
    """Plain text on one line that pings nobody, whether Slack parses it or not."""
    return shortened(neutralise(" ".join(text.split()), code=True), _TITLE_MOST)


def _settled(text: str) -> str:
    """The text up to a sign in its last line that may yet open something, which would change what stands before."""
    begin = text.rfind("\n") + 1
    opened: list[tuple[str, int]] = []
    for sign in _SIGN.finditer(text, begin):
        known = next((n for n, (kind, _) in enumerate(opened) if kind == sign.group()), None)
        if sign.group() == "[":
            if ")" not in text[sign.end() :] and "] " not in text[sign.end() :]:
                opened.append(("[", sign.start()))
        elif known is not None:
            del opened[known:]
        else:
            opened.append((sign.group(), sign.start()))
    if not opened or len(text) - opened[0][1] > _HELD_MOST:
        return text
    return text[: opened[0][1]]


def _bytes(text: str) -> int:
    return len(text.encode())
