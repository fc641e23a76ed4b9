"""Slack's spelling of a message back into what the person wrote. Pure."""

from __future__ import annotations

import re

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.S)
_ADDRESSED = re.compile(r"\s*<(?:@[UW]|!subteam\^|!here\b|!channel\b|!everyone\b)")
_STOP = re.compile(r"(?:stop|cancel|停|停止|取消)\s*[.!。！]?", re.I)
_WISH = r"(?:请\s*)?(?:(?:use|switch\s+to)\s+|(?:切换到|切换至|切换为|改用|换成|使用)\s*)"
_WISHED = r"\s*(?:智能体|来?回答)?吧?\s*[.!。！]?"
_MOVE = re.compile(
    _WISH + r"((?:das[\s_-]*agent(?:\s*\(legacy\))?|das-legacy|das)(?:\s+ag-\S+?)?"
    # A custom agent of RDS Copilot is believed to have a digit in its name: "use rds proxy" is a wish of another kind.
    r"|rds(?:[\s_-]*copilot)?(?:\s+(?=\S*\d)[a-z0-9_-]+)?)" + _WISHED,
    re.I,
)
_MISNAMED = re.compile(
    # Only an id tells a name from what is said to an agent: "use gh-ost", "use rm-bp1abc".
    _WISH + r"((?:[a-z][\w-]*\s+)?ag-\S*?)" + _WISHED,
    re.I | re.A,
)
_LONGEST_WISH = 200
"""Characters of a wish for an agent: twice what the longest id takes. The patterns take long for long texts."""
_MARKUP = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
"""Whatever stands in angle brackets. People's own brackets arrive as entities, so this is always Slack's."""


def mentions(text: str, user: str) -> bool:
    """Whether `text` mentions `user` outside of code."""
    return any(match[1] == user for match in _MENTION.finditer(_CODE.sub("", text)))


def is_for_others(text: str, bot: str) -> bool:
    """Whether a message begins by addressing people or a group, and the bot is not among those it mentions."""
    return bool(_ADDRESSED.match(text)) and not mentions(text, bot)


def is_stop(text: str) -> bool:
    """Whether the whole of what a person wrote is the wish to stop."""
    return bool(_STOP.fullmatch(text))


def wanted_agent(text: str) -> str:
    """The agent named ("rds", "das ag-abc") when the whole of what a person wrote is the wish to ask that one."""
    match = _MOVE.fullmatch(text) if len(text) <= _LONGEST_WISH else None
    return match[1] if match else ""


def unknown_agent(text: str) -> str:
    """What somebody takes for an agent's name ("foo ag-abc"), when all they wrote is the wish to ask that one.

    For what `wanted_agent` does not know.
    """
    match = _MISNAMED.fullmatch(text) if len(text) <= _LONGEST_WISH else None
    return match[1] if match else ""


def plain(text: str, bot: str) -> str:
    """What the person wrote: the bot's own mention gone, other mentions and links by name, entities decoded.

    Source: "Formatting text for app surfaces" in Slack's documentation.
    """
    text = re.sub(rf"<@{re.escape(bot)}(?:\|[^<>]*)?>[ ,:，：]*", "", text)
    text = _MARKUP.sub(_written, text)
    # Slack encodes these three and nothing else; `&copy` in a query is what somebody wrote.
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _written(match: re.Match[str]) -> str:
    """One piece of Slack's markup as people write it."""
    target, label = match[1], match[2] or ""
    if target[0] in "@#":
        return target[0] + (label or target[1:])
    if target[0] == "!":
        name = label or target[1:]
        return name if label and target.startswith("!date") else "@" + name.removeprefix("@")
    address = target.removeprefix("mailto:").removeprefix("tel:")
    if not label or label == target:
        return address
    # Slack makes links of bare host names; there the label is the whole of what was written.
    return label if address.rstrip("/").endswith(label.rstrip("/")) else f"{label} ({address})"
