"""The few kinds of blocks a reply is made of. Pure."""

from __future__ import annotations

from typing import Any

from bot.slack.reply import limits
from bot.slack.reply.characters import shortened

Block = dict[str, Any]


def context(text: str) -> Block:
    """A small grey line of mrkdwn."""
    return {"type": "context", "elements": [mrkdwn_object(text)]}


def section(text: str) -> Block:
    """A paragraph of mrkdwn."""
    return {"type": "section", "text": mrkdwn_object(text)}


def alert(level: str, text: str) -> Block:
    """A framed note of mrkdwn; `level` is "info", "warning" or "error"."""
    return {"type": "alert", "level": level, "text": mrkdwn_object(text)}


def mrkdwn_object(text: str) -> Block:
    """Text in Slack's own markup, in which nothing but what we wrote becomes a link."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def plain(text: str) -> Block:
    """Text without any markup."""
    return {"type": "plain_text", "text": text}


def preformatted(text: str) -> Block:
    """Literal text in a box, part of a rich_text block: nothing in it is parsed."""
    return {
        "type": "rich_text_preformatted",
        "border": 0,
        "elements": [{"type": "text", "text": text or "…"}],
    }


def bold(text: str) -> Block:
    """A literal line in bold, part of a rich_text block."""
    return {
        "type": "rich_text_section",
        "elements": [{"type": "text", "text": text, "style": {"bold": True}}],
    }


def rich(elements: list[Block]) -> Block:
    """Literal text from such parts."""
    return {"type": "rich_text", "elements": elements}


def container(block_id: str, title: str, subtitle: str, children: list[Block], *, is_open: bool) -> Block:
    """A fold."""
    block: Block = {
        "type": "container",
        "block_id": block_id[:255],
        "title": plain(shortened(title, limits.TITLE)),
        "width": "full",
        "is_collapsible": True,
        "default_collapsed": not is_open,
        "child_blocks": children,
    }
    if subtitle:
        block["subtitle"] = plain(shortened(subtitle, limits.TITLE))
    return block


def actions(block_id: str, elements: list[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "block_id": block_id, "elements": elements}


def button(action: str, text: str, value: str, style: str = "") -> Block:
    """A button; `style` is "", "primary" or "danger"."""
    element: Block = {"type": "button", "action_id": action, "text": plain(text), "value": value}
    return {**element, "style": style} if style else element
