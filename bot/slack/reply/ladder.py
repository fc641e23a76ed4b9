"""The same message from ever older block types, for a workspace that refuses the newer ones. Pure.

Folds are containers; then the tasks of a plan, which fold as well; then grey lines; and last there is the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bot.slack.reply import limits
from bot.slack.reply.blocks import Block, context, rich, section
from bot.slack.reply.characters import shortened
from bot.slack.reply.pages import Pages
from bot.slack.reply.safe import mrkdwn
from bot.slack.reply.sizes import cost, fitted, head, size

Payload = dict[str, Any]

_SECTION_COST, _SECTION_FRAME = 2_600, 80
"""Characters of payload that a section's text may take, less than Slack's by what closes code, and what stands around
it."""
_SECTION_LEAST = 200
"""Characters that are worth a section of their own."""
_SECTIONS = 8
"""Sections that a page's text becomes: cut between paragraphs, none but the last is shorter than half."""
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]{1,500})(?<=\S)\*\*")
_HEADING = re.compile(r"^#{1,6} +([^*\n]+?)[ #]*$", re.M)
_LANGUAGE = re.compile(r"^([ >]*`{3,})[^`\n]+$", re.M)
"""The opener of a fence that names a language, which older types show as the first line of the code."""
_AROUND = 40
"""Characters of payload around blocks and text."""
_TASK_TITLE = 250
"""Characters of a task's title; streams take 256."""
_STATUS = {"✓": "complete", "✗": "error", "–": "pending"}
"""A fold's sign as a task's status; what has another sign is in progress or no work at all."""


def filled(blocks: list[Block], text: str) -> Payload:
    """A payload with as much of the text beside the blocks as Slack takes and the blocks leave."""
    room = limits.PAYLOAD - _AROUND - size(blocks) - 2 * len(blocks)
    return {"text": fitted(text, min(limits.TEXT - 1, max(room, limits.FALLBACK_LEAST))), "blocks": blocks}


def as_it_is(payload: Payload) -> Payload:
    """The first rung."""
    return payload


def tasks(payload: Payload) -> Payload:
    """Folds as the tasks of one plan."""
    folds = [block for block in payload["blocks"] if block["type"] == "container"]
    if not folds:
        return plain(payload)
    blocks: list[Block] = []
    for block in payload["blocks"]:
        if block["type"] != "container":
            blocks.append(block)
        elif block is folds[0]:
            title = str(folds[-1]["title"]["text"])
            blocks.append({"type": "plan", "title": title, "tasks": [_task(fold) for fold in folds]})
    return filled(blocks, payload["text"])


def plain(payload: Payload) -> Payload:
    """Nothing but the oldest types: folds as grey lines, Markdown as sections."""
    blocks: list[Block] = []
    left = limits.PAGE + _SECTIONS * _SECTION_FRAME
    for block in payload["blocks"]:
        kind = block["type"]
        if kind == "container":
            blocks.append(context(mrkdwn(block["title"]["text"])))
            left -= size(blocks[-1:])
    lines = iter(blocks)
    blocks = []
    for block in payload["blocks"]:
        kind = block["type"]
        if kind == "container":
            blocks.append(next(lines))
        elif kind == "markdown":
            blocks += _sections(as_mrkdwn(mrkdwn(block["text"])), left)
        elif kind == "alert":
            blocks.append({"type": "section", "text": block["text"]})
        elif kind != "context_actions":
            blocks.append(block)
    return filled(blocks[: limits.BLOCKS], payload["text"])


def text_only(payload: Payload) -> Payload:
    """The text alone, when every block is refused."""
    return {"text": as_mrkdwn(payload["text"]), "blocks": []}


def as_mrkdwn(text: str) -> str:
    """Markdown's bold and headings, which older types show as signs, in Slack's own markup."""
    return _LANGUAGE.sub(r"\1", _HEADING.sub(r"*\1*", _BOLD.sub(r"*\1*", text)))


RUNGS: tuple[Callable[[Payload], Payload], ...] = (as_it_is, tasks, plain, text_only)
"""What is tried in turn."""


def _task(fold: Block) -> Block:
    title = str(fold["title"]["text"])
    status = _STATUS.get(title[:1], "in_progress" if title.startswith("…") else "complete")
    named = title[1:].strip() if title[:1] in _STATUS or title.startswith("…") else title
    elements = [element for child in fold["child_blocks"] for element in _elements(child)]
    task: Block = {
        "task_id": fold["block_id"],
        "title": shortened(named or "…", _TASK_TITLE),
        "status": status,
    }
    return {**task, "details": rich(elements)} if elements else task


def _elements(child: Block) -> list[Block]:
    """A fold's child as parts of a rich_text block."""
    if child["type"] == "rich_text":
        return list(child["elements"])
    text = str(child["text"]["text"]).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}]


def _sections(text: str, left: int) -> list[Block]:
    """mrkdwn as sections, code closed and opened again between them; what escaping made too long for one message ends
    in "…"."""
    # Sections have no tables, and what they say stands below each other: no head comes again.
    pages = Pages(tables=False)
    for line in text.split("\n"):
        pages.add(f"{line}\n", _SECTION_COST)
    blocks: list[Block] = []
    for page in filter(None, [*pages.sealed, pages.text()]):
        left -= _SECTION_FRAME
        if cost(page) > left:
            shown = head(page, max(_SECTION_LEAST, left)) + "…"
            blocks.append(section(f"{shown}\n```" if shown.count("```") % 2 else shown))
            break
        blocks.append(section(page))
        left -= cost(page)
    return blocks
