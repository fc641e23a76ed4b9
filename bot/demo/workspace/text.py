"""What a person types, turned into what Slack stores and sends: mentions, links, escapes.

Follows Slack's "Formatting text for app surfaces": `&`, `<` and `>` arrive as entities, mentions as
`<@U…>`, bare links as `<https://…>`; nothing is a mention or a link inside code.
"""

import re
from collections.abc import Callable, Iterable, Mapping

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
