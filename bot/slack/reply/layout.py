"""The blocks of a reply's messages. Pure: what is known goes in, a payload for Slack comes out.

While an answer runs, work stands above the text it led to. When it has ended the answer comes first and the folds
below it: at three in the morning one reads the conclusion, then opens what one doubts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.model.run import State
from bot.slack.reply import limits, sources
from bot.slack.reply.asks import CONSOLE, ask_blocks
from bot.slack.reply.blocks import Block, actions, alert, button, context
from bot.slack.reply.blocks import plain as plain_text
from bot.slack.reply.characters import shortened
from bot.slack.reply.folds import call_name, step_name
from bot.slack.reply.ladder import Payload as Payload
from bot.slack.reply.ladder import filled
from bot.slack.reply.ladder import plain as plain
from bot.slack.reply.ladder import text_only as text_only
from bot.slack.reply.safe import escaped, mrkdwn
from bot.slack.words import duration, say

QUIET_SECONDS = 60.0
"""Silence after which the status line says that the agent is still at work."""
_HOURGLASS = ":hourglass_flowing_sand:"
"""Begins a status line, and tells it from other context blocks."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one message shows. `number` counts from 0; `is_last` is the one that grows."""

    number: int
    is_last: bool
    text: str
    folds: list[Block]
    left_out: int = 0
    """Characters of the answer between the message before and this one that no message shows."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the text of every message of a reply."""

    run_id: str
    language: Language
    version: int
    """Goes into block ids: Slack wants new ones on every update."""
    console: str = CONSOLE
    """Where a person decides about a tool the agent asks for."""
    decided: str = ""
    """Who let a paused answer go on and when, in mrkdwn. Only the first message says so: what stands is changed without
    a notification, and what is posted anew would ping them."""

    @property
    def reference(self) -> str:
        """The short id people quote and operators find in the log."""
        return f"{self.run_id[:4]}-{self.run_id[4:8]}"


def running(page: Page, frame: Frame, status: str) -> Payload:
    """A message of an answer that has not ended."""
    blocks: list[Block] = []
    if page.is_last:
        blocks.append(context(_with_decision(f"{_HOURGLASS} {status}", page, frame)))
    blocks += page.folds
    blocks += _text(page, frame)
    if page.is_last:
        blocks.append(_actions(frame, [_stop(frame)]))
    return _payload(page, frame, blocks, status if page.is_last else "")


def ended(page: Page, frame: Frame, ending: Ending, answer: Answer, footer: str) -> Payload:
    """A message of an answer that has ended, or that waits for a person."""
    blocks = _text(page, frame)
    if not page.is_last:
        return _payload(page, frame, [*blocks, *page.folds], "")
    asks = ending.state is State.PAUSED and ask_blocks(
        answer, frame.run_id, frame.version, frame.language, frame.console
    )
    note = "" if asks else _note(ending, frame)
    if note:
        blocks.append(alert("error" if ending.state is State.FAILED else "warning", note))
    blocks += asks or []
    if asks and ending.reason:
        blocks.append(context(mrkdwn(shortened(ending.reason, limits.NOTE))))
    blocks += page.folds
    if documents := sources.line(answer.sources, frame.language):
        blocks.append(documents)
    blocks.append(context(_with_decision(footer, page, frame)))
    if ending.state is State.ANSWERED:
        blocks.append(_feedback(frame))
    again = [] if ending.state is State.PAUSED else [_again(frame)]
    blocks.append(_actions(frame, [*again, _new_session(frame)]))
    # Who only hears the notification has to learn what is asked.
    return _payload(page, frame, blocks, str(asks[0]["text"]["text"]) if asks else note)


def replaced(frame: Frame) -> Payload:
    """A message that the answer no longer needs, and that cannot be deleted."""
    note = say("replaced", frame.language)
    return {"text": note, "blocks": [context(note)]}


def recovered(shown: Payload, frame: Frame, ending: Ending) -> Payload:
    """The last message as a dead worker left it, with its running parts taken away and its end told."""
    given: list[Block] = shown.get("blocks", [])
    kept = [
        _closed(block, frame.language)
        for block in given
        if block["type"] not in ("actions", "context_actions") and not _is_of_growing(block, frame.language)
    ]
    note = _note(ending, frame)
    blocks = [*kept, alert("warning", note), _actions(frame, [_again(frame), _new_session(frame)])]
    lead, _, text = str(shown.get("text", "")).partition("\n\n")
    if not any(_is_status(block) and lead in _context_text(block) for block in given):
        text = f"{lead}\n\n{text}"
    return filled(blocks, f"{note}\n\n{text.strip()}".strip())


def _closed(block: Block, language: Language) -> Block:
    """A fold whose work nobody follows any more does not look as if it went on."""
    title = str(block["title"]["text"]) if block["type"] == "container" else ""
    if not title.startswith("… "):
        return block
    return {
        **block,
        "title": plain_text(f"– {title[2:]}"),
        "subtitle": plain_text(say("unfinished", language)),
    }


def _is_of_growing(block: Block, language: Language) -> bool:
    """Whether it says what the run does now, or that more follows."""
    return _is_status(block) or _context_text(block).startswith(say("continues", language))


def _is_status(block: Block) -> bool:
    return _context_text(block).startswith(_HOURGLASS)


def _context_text(block: Block) -> str:
    return str(block["elements"][0].get("text", "")) if block["type"] == "context" else ""


def status(answer: Answer, progress: Progress, elapsed: float, language: Language, quiet: float = 0.0) -> str:
    """What the run does now, in mrkdwn.

    `elapsed` is in seconds since it was asked, `quiet` since the agent last gave a sign of life.
    """
    if told := waiting(progress, language):
        return told
    seconds = still(elapsed, quiet, language) or duration(elapsed, language, running=True)
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
    began = answer.has_text or answer.calls or answer.steps or answer.thinking
    return say("thinking" if began else "starting", language, seconds=seconds)


def still(elapsed: float, quiet: float, language: Language) -> str:
    """That a run goes on though its agent was silent for long, "" when it was not; both as `status` takes them."""
    return say("still", language, minutes=int(elapsed // 60)) if quiet >= QUIET_SECONDS else ""


def waiting(progress: Progress, language: Language) -> str:
    """What the run waits for before the agent is asked, "" when it does not wait."""
    if progress.doing == "waiting_service":
        return say("waiting_service", language, seconds=math.ceil(progress.seconds))
    if progress.doing in ("waiting_thread", "waiting_slot"):
        return say(progress.doing, language, place=progress.place, limit=progress.limit)
    return ""


def footer(
    answer: Answer,
    backend: str,
    elapsed: float,
    frame: Frame,
    agent: str = "",
    ending: Ending | None = None,
) -> str:
    """Backend, agent, duration, tool calls, characters and the reference, in mrkdwn.

    `agent` is an agent's id worth showing; `ending` brings what the answer cost, with its parts before a pause.
    """
    # A question stopped while it waited behind another never had a backend.
    parts = [part for part in (backend, mrkdwn(shortened(agent, _AGENT_MOST))) if part]
    if elapsed:
        parts.append(duration(elapsed, frame.language))
    if count := len(answer.calls):
        parts.append(say("tool_calls_1" if count == 1 else "tool_calls", frame.language, count=f"{count:,}"))
    if cost := _characters(answer, ending, frame.language):
        parts.append(cost)
    parts.append(f"`{frame.reference}`")
    return " · ".join(parts)


_AGENT_MOST = 60
"""Characters of an agent's id in the footer."""


def _characters(answer: Answer, ending: Ending | None, language: Language) -> str:
    # The ending knows of the parts before a pause, too; where there is none, only the service has a figure.
    said = answer.usage.characters if answer.usage else None
    cost = said if ending is None or ending.characters is None else ending.characters
    if cost is None:
        return ""
    if ending is None or not ending.estimated:
        return say("characters", language, count=f"{cost:,}")
    # More than two digits would pretend to a precision an estimate has not.
    rounded = round(cost, 2 - len(str(cost)))
    return say("characters_about", language, count=f"{rounded:,}")


def _payload(page: Page, frame: Frame, blocks: list[Block], lead: str) -> Payload:
    left_out = _left_out(page, frame) if page.left_out else ""
    # One character more than fits, so that what is cut is seen to be; the page is safe already.
    text = escaped(page.text[: limits.TEXT + 1])
    return filled(blocks, "\n\n".join(part for part in (lead, left_out, text.strip()) if part) or "…")


def _left_out(page: Page, frame: Frame) -> str:
    return say("left_out", frame.language, count=f"{page.left_out:,}")


def _text(page: Page, frame: Frame) -> list[Block]:
    blocks: list[Block] = []
    if page.left_out:
        blocks.append(context(_left_out(page, frame)))
    elif page.number:
        blocks.append(context(say("continued", frame.language)))
    if page.text.strip():
        blocks.append({"type": "markdown", "text": page.text})
    if not page.is_last:
        blocks.append(context(_with_decision(say("continues", frame.language), page, frame)))
    return blocks


def _with_decision(line: str, page: Page, frame: Frame) -> str:
    return f"{line} · {frame.decided}" if frame.decided and page.number == 0 else line


def _note(ending: Ending, frame: Frame) -> str:
    reason = shortened(ending.reason, limits.NOTE)
    if ending.state is State.PAUSED:
        return reason or say("paused", frame.language)
    if ending.state in (State.ANSWERED, State.STOPPED):
        return reason
    return f"{reason} {say('reference', frame.language, reference=frame.reference)}"


def _actions(frame: Frame, elements: list[Block]) -> Block:
    return actions(f"act-{frame.run_id}-{frame.version}", elements)


def _stop(frame: Frame) -> Block:
    return button("run_stop", say("b_stop", frame.language), frame.run_id, "danger")


def _again(frame: Frame) -> Block:
    return button("run_again", say("b_again", frame.language), frame.run_id)


def _new_session(frame: Frame) -> Block:
    return button("session_new", say("b_session", frame.language), frame.run_id)


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
