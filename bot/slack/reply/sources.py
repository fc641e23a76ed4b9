"""The documents an answer draws on, as a line of links. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from bot.model.event import Source
from bot.model.question import Language
from bot.slack.reply import limits
from bot.slack.reply.blocks import Block, context
from bot.slack.reply.characters import shortened
from bot.slack.reply.links import true_label
from bot.slack.reply.safe import literal, mrkdwn
from bot.slack.reply.sizes import cost
from bot.slack.words import say

_TITLE_MOST = 80
"""Characters of a title."""
_URL_MOST = 400
"""Characters of an address worth a link: a longer one is no page people open again."""
_ROOM = 1_800
"""Characters of payload for the whole line."""
_URL_SAFE = ":/?#[]!$&'()*+,;=%-._~"
"""What may stand in an address as it is; what Slack reads as the end of a link, and @, is encoded."""


def line(sources: list[Source], language: Language) -> Block | None:
    """ "Sources: A · B · and 5 more", or None when there are none."""
    shown: list[str] = []
    named: set[str] = set()
    left = _ROOM
    for source in sources:
        name = source.url or source.title
        if not name.strip() or name in named:
            continue
        named.add(name)
        text = _link(source)
        left -= cost(text)
        if len(shown) < limits.SHOWN_SOURCES and left > 0:
            shown.append(text)
    if not shown:
        return None
    if more := len(named) - len(shown):
        shown.append(say("more_sources", language, count=more))
    return context(f"*{say('sources', language)}* " + " · ".join(shown))


def _link(source: Source) -> str:
    """One source in mrkdwn: a link to the web, or its bare title."""
    title = shortened(" ".join(literal(source.title[:600]).split()), _TITLE_MOST)
    url, host = _address(source.url)
    if not url:
        return _unmarked(title) or "…"
    return f"<{url}|{_unmarked(true_label(title, source.url) or host)}>"


def _address(url: str) -> tuple[str, str]:
    """The address as it may stand in a link, and its host; empty for what leads elsewhere or holds a credential."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    encoded = quote(url, safe=_URL_SAFE)
    if not is_web or len(encoded) > _URL_MOST or literal(url) != url:
        return "", ""
    return encoded.replace("&", "&amp;"), parts.hostname or ""


def _unmarked(title: str) -> str:
    """A title in which nothing is taken for markup."""
    return mrkdwn(title.translate({ord(sign): " " for sign in "|*_~`"}))
