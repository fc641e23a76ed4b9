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
from bot.slack.reply.folds import Block, call_name
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
        block for block in shown.get("blocks", []) if block["type"] != "actions" and not _is_status(block)
    ]
    note = _note(ending, frame)
    alert = {"type": "alert", "level": "warning", "text": {"type": "mrkdwn", "text": note, "verbatim": True}}
    text = str(shown.get("text", ""))
    blocks = [*kept, alert, _actions(frame, [_again(frame), _new_session(frame)])]
    return {"text": f"{note}\n\n{text}"[: limits.TEXT], "blocks": blocks}


def _is_status(block: Block) -> bool:
    return block["type"] == "context" and str(block["elements"][0].get("text", "")).startswith(_HOURGLASS)


def status(answer: Answer, progress: Progress, elapsed: float, language: Language) -> str:
    """What the run does now, in mrkdwn. `elapsed` is in seconds since it was asked."""
    seconds = duration(elapsed, running=True)
    if progress.doing == "starting":
        return say("starting", language)
    if progress.doing != "working":
        return say(progress.doing, language, place=progress.place, limit=progress.limit)
    if call := answer.open_call:
        return say("calling", language, name=mrkdwn(call_name(call)), seconds=seconds)
    if step := answer.open_step:
        return say("in_step", language, name=mrkdwn(step.label), seconds=seconds)
    if answer.has_text and not answer.activity:
        return say("writing", language, seconds=seconds)
    return say("thinking", language, seconds=seconds)


def footer(answer: Answer, backend: str, elapsed: float, frame: Frame) -> str:
    """Backend, duration, tool calls, characters and the reference, in mrkdwn."""
    parts = [backend, duration(elapsed)]
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
            text = mrkdwn(block["text"])
            blocks += [
                {"type": "section", "text": {"type": "mrkdwn", "text": text[i : i + 2_900], "verbatim": True}}
                for i in range(0, len(text), 2_900)
            ]
        elif kind == "alert":
            blocks.append({"type": "section", "text": block["text"]})
        elif kind != "context_actions":
            blocks.append(block)
    return {**payload, "blocks": blocks[: limits.BLOCKS]}


def text_only(payload: Payload) -> Payload:
    """The same message as its text alone: the last rung, when every block is refused."""
    return {"text": payload["text"], "blocks": []}


def _payload(page: Page, blocks: list[Block], lead: str) -> Payload:
    text = mrkdwn(page.text)
    whole = (lead + text).strip() or "…"
    if len(whole) > limits.FALLBACK:
        whole = whole[: limits.FALLBACK - 1] + "…"
    return {"text": whole, "blocks": blocks}


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
    if ending.state is State.ANSWERED:
        return ending.reason
    if ending.state is State.STOPPED:
        return ending.reason
    return f"{ending.reason} {reference}"


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
