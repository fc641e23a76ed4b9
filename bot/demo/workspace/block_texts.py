"""Checks of text objects and rich text."""

from typing import Any

from .check import Check
from .messages import Json

TEXT_MAX = 3_000
# rich_text has no documented length of its own; only the payload as a whole is bounded.
RICH_TEXT_MAX = 40_000
URL_MAX = 3_000
INDENT_MAX = 8
BORDER_MAX = 1

_STYLES = {"bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"}
# Fields of each inline element: the required ones, then the optional ones.
_INLINE: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"text"}, {"style"}),
    "link": ({"url"}, {"text", "style", "unsafe"}),
    "user": ({"user_id"}, {"style"}),
    "usergroup": ({"usergroup_id"}, {"style"}),
    "channel": ({"channel_id"}, {"style"}),
    "team": ({"team_id"}, {"style"}),
    "emoji": ({"name"}, {"skin_tone", "unicode", "url", "style"}),
    "broadcast": ({"range"}, {"style"}),
    "color": ({"value"}, {"style"}),
    "date": ({"timestamp", "format"}, {"url", "fallback", "style"}),
}
_ELEMENTS = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")


def text_object(
    check: Check, value: Any, at: str, most: int = TEXT_MAX, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")
) -> None:
    """A text object of one of `kinds` with 1 to `most` characters; an absent one is not looked at."""
    if value is None:
        return
    kind = check.kind(value, at, kinds)
    if kind is None:
        return
    own = {"emoji"} if kind == "plain_text" else {"verbatim"}
    check.object(value, at, {"type", "text"}, own)
    check.flag(value, at, *own)
    check.string(value.get("text"), f"{at}/text", most)


def plain_text(check: Check, value: Any, at: str, most: int) -> None:
    """A text object that must be plain_text."""
    text_object(check, value, at, most, ("plain_text",))


def rich_text(check: Check, block: Json, at: str) -> None:
    """The elements of a rich_text block."""
    check.object(block, at, {"type", "elements"}, {"block_id"})
    for element, place in check.items(block.get("elements"), f"{at}/elements", most=1_000):
        _element(check, element, place)


def _element(check: Check, element: Any, at: str) -> None:
    kind = check.kind(element, at, _ELEMENTS)
    if kind is None:
        return
    if kind == "rich_text_list":
        _list(check, element, at)
        return
    optional = {"border"} if kind != "rich_text_section" else set()
    if kind == "rich_text_preformatted":
        optional.add("language")
    check.object(element, at, {"type", "elements"}, optional)
    check.integer(element.get("border"), f"{at}/border", 0, BORDER_MAX)
    inline = ("text", "link") if kind == "rich_text_preformatted" else tuple(_INLINE)
    # An empty section is how Slack's own composer writes an empty line; empty code is refused.
    least = 0 if kind == "rich_text_section" else 1
    for part, place in check.items(element.get("elements"), f"{at}/elements", most=10_000, least=least):
        _inline(check, part, place, inline)


def _list(check: Check, element: Json, at: str) -> None:
    check.object(element, at, {"type", "elements", "style"}, {"indent", "offset", "border"})
    check.one_of(element.get("style"), f"{at}/style", ("bullet", "ordered"))
    check.integer(element.get("indent"), f"{at}/indent", 0, INDENT_MAX)
    check.integer(element.get("offset"), f"{at}/offset", 0, 1_000_000)
    check.integer(element.get("border"), f"{at}/border", 0, BORDER_MAX)
    for item, place in check.items(element.get("elements"), f"{at}/elements", most=1_000):
        if check.kind(item, place, ("rich_text_section",)):
            _element(check, item, place)


def _inline(check: Check, part: Any, at: str, allowed: tuple[str, ...]) -> None:
    kind = check.kind(part, at, allowed)
    if kind is None:
        return
    required, optional = _INLINE[kind]
    check.object(part, at, required | {"type"}, optional)
    check.string(part.get("text"), f"{at}/text", RICH_TEXT_MAX)
    check.string(part.get("url"), f"{at}/url", URL_MAX)
    if kind == "broadcast":
        check.one_of(part.get("range"), f"{at}/range", ("here", "channel", "everyone"))
    style = part.get("style")
    if style is not None and check.object(style, f"{at}/style", (), _STYLES) is not None:
        check.flag(style, f"{at}/style", *style)
