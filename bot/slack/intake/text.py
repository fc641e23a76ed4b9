"""Slack's spelling of a message back into what the person wrote. Pure."""

from __future__ import annotations

import html
import re

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|([^>]*))?>")
_CHANNEL = re.compile(r"<#([CG][A-Z0-9]+)(?:\|([^>]*))?>")
_SPECIAL = re.compile(r"<!(?:subteam\^[A-Z0-9]+\|)?([^>|]+)(?:\|([^>]*))?>")
_LINK = re.compile(r"<((?:https?|mailto|ftp|tel):[^>|]+)(?:\|([^>]*))?>")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
_LEADING_MENTIONS = re.compile(r"^\s*((?:<@[UW][A-Z0-9]+(?:\|[^>]*)?>[\s,:，：]*)+)")
_STOP = re.compile(r"^\s*(?:stop|cancel|停|停止|取消)\s*[.!。！]?\s*$", re.I)


def mentions(text: str, user: str) -> bool:
    """Whether `text` mentions `user` outside of code."""
    return any(match[1] == user for match in _MENTION.finditer(_CODE.sub("", text)))


def is_for_others(text: str, bot: str) -> bool:
    """Whether a message begins by addressing people, and the bot is not among those it mentions."""
    return bool(_LEADING_MENTIONS.match(text)) and not mentions(text, bot)


def is_stop(text: str) -> bool:
    """Whether the whole message is the wish to stop."""
    return bool(_STOP.match(text))


def plain(text: str, bot: str) -> str:
    """What the person wrote: the bot's own mention gone, other mentions and links by name, entities decoded."""
    text = re.sub(rf"<@{re.escape(bot)}(?:\|[^>]*)?>[ ,:，：]*", "", text)
    text = _MENTION.sub(lambda m: f"@{m[2] or m[1]}", text)
    text = _CHANNEL.sub(lambda m: f"#{m[2] or m[1]}", text)
    text = _LINK.sub(lambda m: m[2] or m[1].removeprefix("mailto:"), text)
    text = _SPECIAL.sub(lambda m: m[2] or f"@{m[1]}", text)
    return html.unescape(text).strip()
