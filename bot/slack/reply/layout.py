"""The blocks of a reply's messages. Pure: what is known goes in, a payload for Slack comes out.

While an answer runs, work stands above the text it led to. When it has ended the answer comes first and the folds
below it: at three in the morning one reads the conclusion, then opens what one doubts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.model.run import State
from bot.slack.reply import limits
from bot.slack.reply.characters import shortened, whole_until
from bot.slack.reply.folds import Block, call_name, step_name
from bot.slack.reply.pages import cost
from bot.slack.reply.safe import mrkdwn
from bot.slack.words import duration, say


@dataclass(frozen=True, slots=True)
class Page:
    """What one message shows. `number` counts from 0; `is_last` is the one that grows."""

    number: int
    is_last: bool
    text: str
    folds: list[Block]
    missing: int = 0
    """Characters of the answer that no message shows."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the text of every message of a reply."""

    run_id: str
    language: Language
    version: int
    """Goes into block ids: Slack wants new ones on every update."""


Payload = dict[str, Any]

_SECTION_COST, _SECTION_FRAME = 2_900, 80
"""Characters of payload that a section's text may take, and what stands around it."""
_HOURGLASS = ":hourglass_flowing_sand:"
"""Begins a status line, and tells it from other context blocks."""


def running(page: Page, frame: Frame, status: str) -> Payload:
    """A message of an answer that has not ended."""
    blocks: list[Block] = []
    if page.is_last:
        blocks.append(_context(f"{_HOURGLASS} {status}"))
    blocks += page.folds
    blocks += _text(page, frame)
    if page.is_last:
        blocks.append(_actions(frame, [_stop(frame)]))
    return _payload(page, blocks, f"{status}\n\n" if page.is_last else "")


def ended(page: Page, frame: Frame, ending: Ending, footer: str) -> Payload:
    """A message of an answer that has ended."""
    blocks = _text(page, frame)
    note = _note(ending, frame)
    if page.is_last and note:
        level = "error" if ending.state is State.FAILED else "warning"
        text = {"type": "mrkdwn", "text": note, "verbatim": True}
        blocks.append({"type": "alert", "level": level, "text": text})
    blocks += page.folds
    if page.is_last:
        blocks.append(_context(footer))
        if ending.state is State.ANSWERED:
            blocks.append(_feedback(frame))
        blocks.append(_actions(frame, [_again(frame), _new_session(frame)]))
    return _payload(page, blocks, f"{note}\n\n" if page.is_last and note else "")


def recovered(shown: Payload, frame: Frame, ending: Ending) -> Payload:
    """The last message as a dead worker left it, with its running parts taken away and its end told."""
    kept = [
        block
        for block in shown.get("blocks", [])
        if block["type"] not in ("actions", "context_actions") and not _is_status(block)
    ]
    note = _note(ending, frame)
    alert = {"type": "alert", "level": "warning", "text": {"type": "mrkdwn", "text": note, "verbatim": True}}
    text = str(shown.get("text", ""))
    blocks = [*kept, alert, _actions(frame, [_again(frame), _new_session(frame)])]
    return {"text": _fallback(f"{note}\n\n{text}"), "blocks": blocks}


def _is_status(block: Block) -> bool:
    return block["type"] == "context" and str(block["elements"][0].get("text", "")).startswith(_HOURGLASS)


def status(answer: Answer, progress: Progress, elapsed: float, language: Language) -> str:
    """What the run does now, in mrkdwn. `elapsed` is in seconds since it was asked."""
    seconds = duration(elapsed, running=True)
    if progress.doing in ("waiting_thread", "waiting_slot"):
        return say(progress.doing, language, place=progress.place, limit=progress.limit)
    step = answer.open_step
    call = answer.open_call
    # The call a sub-agent came from is open as long as the sub-agent is at work: that says more.
    if call and not (step and call.id in {each.call_id for each in answer.steps}):
        return say("calling", language, name=mrkdwn(call_name(call)), seconds=seconds)
    if step:
        return say("in_step", language, name=mrkdwn(step_name(step)), seconds=seconds)
    if answer.has_text and not answer.activity:
        return say("writing", language, seconds=seconds)
    # That the agent has begun is no news worth one of Slack's scarce updates.
    began = answer.has_text or answer.calls or answer.steps
    return say("thinking" if began else "starting", language, seconds=seconds)


def footer(answer: Answer, backend: str, elapsed: float, frame: Frame) -> str:
    """Backend, duration, tool calls, characters and the reference, in mrkdwn."""
    parts = [backend, *([duration(elapsed)] if elapsed else [])]
    if count := len(answer.calls):
        parts.append(say("tool_calls_1" if count == 1 else "tool_calls", frame.language, count=count))
    if answer.usage and answer.usage.characters is not None:
        parts.append(say("characters", frame.language, count=f"{answer.usage.characters:,}"))
    parts.append(f"`{frame.run_id[:4]}-{frame.run_id[4:8]}`")
    return " · ".join(parts)


def plain(payload: Payload) -> Payload:
    """The same message from the oldest block types only, for a workspace that refuses the newer ones."""
    blocks: list[Block] = []
    for block in payload["blocks"]:
        kind = block["type"]
        if kind == "container":
            blocks.append(_context(mrkdwn(block["title"]["text"])))
        elif kind == "markdown":
            blocks += _sections(mrkdwn(block["text"]))
        elif kind == "alert":
            blocks.append({"type": "section", "text": block["text"]})
        elif kind != "context_actions":
            blocks.append(block)
    return {**payload, "blocks": blocks[: limits.BLOCKS]}


def text_only(payload: Payload) -> Payload:
    """The same message as its text alone: the last rung, when every block is refused."""
    return {"text": payload["text"], "blocks": []}


def _payload(page: Page, blocks: list[Block], lead: str) -> Payload:
    # One character more than fits, so that what is cut is seen to be; the page is safe already.
    text = mrkdwn(page.text[: limits.FALLBACK + 1])
    return {"text": _fallback((lead + text).strip() or "…"), "blocks": blocks}


def _fallback(text: str) -> str:
    """As much of the text as notifications and screen readers get."""
    head = _head(text, limits.FALLBACK)
    return text if head == text else head + "…"


def _sections(text: str) -> list[Block]:
    """mrkdwn as sections; what escaping made too long for one message ends in "…"."""
    blocks: list[Block] = []
    left = limits.PAGE
    while text:
        head = _head(text, min(left, _SECTION_COST))
        left -= cost(head) + _SECTION_FRAME
        text = text[len(head) :]
        is_full = bool(text) and left < _SECTION_COST // 10
        shown = head + "…" if is_full else head
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": shown, "verbatim": True}})
        if is_full:
            break
    return blocks


def _head(text: str, most: int) -> str:
    """What fits into `most` characters of payload, not cut inside a character or its escape."""
    if cost(text) <= most:
        return text
    at = min(len(text), most - 1)
    while cost(text[:at]) >= most:
        at -= max(1, (cost(text[:at]) - most) // 2)
    at = whole_until(text, at)
    escape = text.rfind("&", max(0, at - 5), at)
    return text[: escape if escape > 0 and ";" not in text[escape:at] else at]


def _text(page: Page, frame: Frame) -> list[Block]:
    blocks: list[Block] = []
    if page.number:
        blocks.append(_context(say("continued", frame.language)))
    if page.text.strip():
        blocks.append({"type": "markdown", "text": page.text})
    if not page.is_last:
        blocks.append(_context(say("continues", frame.language)))
    elif page.missing:
        blocks.append(_context(say("missing", frame.language, count=f"{page.missing:,}")))
    return blocks


def _note(ending: Ending, frame: Frame) -> str:
    reference = say("reference", frame.language, reference=f"{frame.run_id[:4]}-{frame.run_id[4:8]}")
    reason = shortened(ending.reason, limits.NOTE)
    if ending.state in (State.ANSWERED, State.STOPPED):
        return reason
    return f"{reason} {reference}"


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def _actions(frame: Frame, elements: list[Block]) -> Block:
    return {"type": "actions", "block_id": f"act-{frame.run_id}-{frame.version}", "elements": elements}


def _button(action: str, text: str, value: str) -> Block:
    return {
        "type": "button",
        "action_id": action,
        "text": {"type": "plain_text", "text": text},
        "value": value,
    }


def _stop(frame: Frame) -> Block:
    return {**_button("run_stop", say("b_stop", frame.language), frame.run_id), "style": "danger"}


def _again(frame: Frame) -> Block:
    return _button("run_again", say("b_again", frame.language), frame.run_id)


def _new_session(frame: Frame) -> Block:
    return _button("session_new", say("b_session", frame.language), frame.run_id)


def _feedback(frame: Frame) -> Block:
    def choice(word: str, value: str) -> Block:
        text = {"type": "plain_text", "text": say(word, frame.language)}
        return {"text": text, "value": f"{value}:{frame.run_id}"}

    return {
        "type": "context_actions",
        "block_id": f"fb-{frame.run_id}-{frame.version}",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "answer_feedback",
                "positive_button": choice("b_good", "like"),
                "negative_button": choice("b_bad", "dislike"),
            }
        ],
    }
