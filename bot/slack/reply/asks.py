"""What an agent wants of a person before it goes on: a decision about a tool, or an answer. Pure."""

from __future__ import annotations

import time

from bot.model.answer import Answer
from bot.model.event import ApprovalAsked, InterruptRaised
from bot.model.question import Language
from bot.model.run import Run
from bot.slack.reply import limits
from bot.slack.reply.blocks import (
    Block,
    actions,
    alert,
    button,
    container,
    context,
    preformatted,
    rich,
)
from bot.slack.reply.characters import shortened
from bot.slack.reply.preview import preview
from bot.slack.reply.safe import literal, mrkdwn
from bot.slack.reply.sizes import cost, fitted
from bot.slack.words import say

CONSOLE = "https://rdsnext.console.aliyun.com"
"""Where decisions about RDS Copilot's tools are made; there is no API for them."""
_MESSAGE_MOST = 900
"""Characters of payload for what the agent says it wants; with the rest it stays below limits.EXTRAS."""
_ARGUMENTS_MOST = 500
"""Characters of the arguments that the fold shows, before what a payload adds to escape them."""
_TOOL_MOST, _OPTION_MOST = 80, 200
"""Characters of a tool's name and of a suggested answer."""


def ask_blocks(answer: Answer, run_id: str, version: int, language: Language, console: str) -> list[Block]:
    """What a paused answer asks, with the buttons that let it go on: nothing when it asks nothing.

    The first block holds the question.
    """
    block_id = f"ask-{run_id}-{version}"
    if answer.approval:
        going_on = button("run_continue", say("b_continue", language), run_id, "primary")
        return [*_approval(answer.approval, run_id, language, console), actions(block_id, [going_on])]
    if answer.interrupt:
        return _interrupt(answer.interrupt, run_id, block_id, language)
    return []


def decided(run: Run) -> str:
    """Who let a run go on and when, in mrkdwn; each reader sees the time of their own place. "" when nobody had to."""
    question = run.question
    if not question.resumed_by:
        return ""
    at = int(run.accepted_at)
    time_of_day = f"<!date^{at}^{{time}}|{time.strftime('%H:%M UTC', time.gmtime(at))}>"
    return say("decided_by", question.language, by=question.resumed_by, at=time_of_day)


def without_choice(blocks: list[Block], note: str) -> list[Block]:
    """The blocks of a message without the buttons under what is asked; the line below them becomes `note`."""
    kept: list[Block] = []
    was_choice = False
    for block in blocks:
        is_choice = str(block.get("block_id", "")).startswith("ask-")
        if not is_choice:
            kept.append(context(note) if was_choice and block["type"] == "context" else block)
        was_choice = is_choice
    return kept


def _approval(asked: ApprovalAsked, run_id: str, language: Language, console: str) -> list[Block]:
    tool = mrkdwn(_one_line(asked.tool, _TOOL_MOST) or "…")
    wants = say("wants", language, tool=tool)
    if why := _fitting(asked.description):
        wants = say("wants_for", language, wants=wants, why=why)
    blocks = [alert("warning", wants)]
    if asked.arguments.strip():
        title = f"{say('arguments', language)} · {_one_line(asked.tool, _TOOL_MOST)}"
        text = fitted(preview(asked.arguments, _ARGUMENTS_MOST, language).text, 2 * _ARGUMENTS_MOST)
        children = [rich([preformatted(text)])]
        blocks.append(container(f"{run_id}-wants", title, "", children, is_open=False))
    return [*blocks, context(say("decide", language, url=console))]


def _interrupt(asked: InterruptRaised, run_id: str, block_id: str, language: Language) -> list[Block]:
    options = [_one_line(option, _OPTION_MOST) or "…" for option in asked.options]
    message = _fitting(asked.message) or say("paused", language)
    lines = [f"{say('asks', language)} {message}"]
    shown = options[: limits.SHOWN_OPTIONS]
    if len(options) > len(shown) or any(len(option) > limits.BUTTON for option in shown):
        # What no button can say in full stands in the text.
        left = _MESSAGE_MOST // 2
        for number, option in enumerate(options, start=1):
            line = f"{number}. {mrkdwn(option)}"
            left -= cost(line)
            if left < 0:
                lines.append(say("more_options", language, count=len(options) - number + 1))
                break
            lines.append(line)
    blocks = [alert("info", "\n".join(lines))]
    if shown:
        buttons = [
            button(f"run_answer_{place}", shortened(option, limits.BUTTON), f"{run_id}:{place}")
            for place, option in enumerate(shown)
        ]
        blocks.append(actions(block_id, buttons))
    return [*blocks, context(say("choose" if shown else "answer_here", language))]


def _one_line(text: str, most: int) -> str:
    return shortened(" ".join(literal(text[:600]).split()), most)


def _fitting(text: str) -> str:
    """As much of a paragraph as there is room for, in mrkdwn."""
    return fitted(mrkdwn(shortened(literal(text[:4_000]).strip(), _MESSAGE_MOST)), _MESSAGE_MOST)
