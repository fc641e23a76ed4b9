"""What a person types, turned into what Slack stores and sends: mentions, links, escapes.

Follows Slack's "Formatting text for app surfaces": `&`, `<` and `>` arrive as entities, mentions as
`<@U…>`, bare links as `<https://…>`; nothing is a mention or a link inside code.
"""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .cast import Channel, Person

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<ready><(?:@U\w+|#C\w+(?:\|[^>]*)?|!\w+(?:\|[^>]*)?|https?://[^>\s]+)>)"
    r"|(?P<url>https?://[^\s<>]+[^\s<>.,;:!?)\]'\"。，；：！？）】」])"
    r"|(?<![\w.])@(?P<name>[\w.\-]+)"
)
_COMMAND_TOKEN = re.compile(r"(?<![\w.])(?:@(?P<name>[\w.\-]+)|#(?P<channel>[\w\-]+))")


def escape(text: str) -> str:
    """The three characters Slack turns into entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def handles(people: Iterable[Person]) -> dict[str, str]:
    """User ids by what may follow `@`: the handle or the real name, in lower case."""
    return {word.lower(): person.id for person in people for word in (person.real_name, person.name)}


def _longest_handle(typed: str, known: Mapping[str, str]) -> tuple[str, str] | None:
    """The longest known name that `typed` begins with and what follows it.

    Chinese is written without spaces, so a name may be followed directly by the sentence; in Latin
    script the name must be the whole word, or only punctuation may follow.
    """
    for end in range(len(typed), 0, -1):
        user = known.get(typed[:end].lower())
        rest = typed[end:]
        if user and not re.match(r"[A-Za-z0-9_]|[.\-][A-Za-z0-9_]", rest):
            return user, rest
    return None


def compose(text: str, people: Iterable[Person]) -> str:
    """Slack's stored form of typed text; `<@U…>`, `<#C…>` and `<!here>` may be given ready-made."""
    known = handles(people)

    def token(match: re.Match[str]) -> str:
        if match["ready"]:
            return match["ready"]
        if match["url"]:
            return f"<{match['url'].replace('&', '&amp;')}>"
        found = _longest_handle(match["name"], known)
        return f"<@{found[0]}>{found[1]}" if found else escape(match[0])

    parts = _CODE.split(text)
    return "".join(escape(part) if i % 2 else _outside(part, _TOKEN, token) for i, part in enumerate(parts))


def compose_command(text: str, people: Iterable[Person], channels: Iterable[Channel]) -> str:
    """The text of a slash command declared with `should_escape`."""
    known = handles(people)
    rooms = {channel.name: channel.id for channel in channels if not channel.is_im}

    def token(match: re.Match[str]) -> str:
        if match["name"]:
            found = _longest_handle(match["name"], known)
            return f"<@{found[0]}>{found[1]}" if found else escape(match[0])
        room = rooms.get(match["channel"])
        return f"<#{room}|{match['channel']}>" if room else escape(match[0])

    return _outside(text, _COMMAND_TOKEN, token)


def _outside(text: str, pattern: re.Pattern[str], token: Callable[[re.Match[str]], str]) -> str:
    """`text` with every match replaced by `token` and everything between escaped."""
    out: list[str] = []
    at = 0
    for match in pattern.finditer(text):
        out += [escape(text[at : match.start()]), token(match)]
        at = match.end()
    return "".join([*out, escape(text[at:])])


def mentions(text: str, user_id: str) -> bool:
    """True when stored text mentions that user outside code."""
    return any(f"<@{user_id}" in part for part in _CODE.split(text)[::2])


_STORED = re.compile(
    r"<@(?P<user>\w+)>|<#(?P<channel>\w+)(?:\|[^>]*)?>|<!(?P<range>here|channel|everyone)>|<(?P<url>[^>]+)>"
)


def rich_text(stored: str) -> list[dict[str, Any]]:
    """The rich_text block Slack sends along with a person's message."""
    elements: list[dict[str, Any]] = []
    section: list[dict[str, Any]] = []
    for i, part in enumerate(_CODE.split(stored)):
        if i % 2 and part.startswith("```"):
            if section:
                elements.append({"type": "rich_text_section", "elements": section})
            text = html.unescape(part.strip("`").strip("\n")) or " "
            inside = [{"type": "text", "text": text}]
            elements.append({"type": "rich_text_preformatted", "elements": inside, "border": 0})
            section = []
        elif i % 2:
            section.append({"type": "text", "text": html.unescape(part[1:-1]), "style": {"code": True}})
        else:
            section += _inline(part)
    if section:
        elements.append({"type": "rich_text_section", "elements": section})
    return [{"type": "rich_text", "block_id": "typed", "elements": elements}]


def _inline(part: str) -> list[dict[str, Any]]:
    """Text outside code, cut at its mentions and links."""
    out: list[dict[str, Any]] = []
    at = 0
    for match in _STORED.finditer(part):
        if match.start() > at:
            out.append({"type": "text", "text": html.unescape(part[at : match.start()])})
        if match["user"]:
            out.append({"type": "user", "user_id": match["user"]})
        elif match["channel"]:
            out.append({"type": "channel", "channel_id": match["channel"]})
        elif match["range"]:
            out.append({"type": "broadcast", "range": match["range"]})
        else:
            out.append({"type": "link", "url": html.unescape(match["url"])})
        at = match.end()
    rest = part[at:]
    return [*out, {"type": "text", "text": html.unescape(rest)}] if rest else out
