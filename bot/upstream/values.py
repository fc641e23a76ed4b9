"""Reads the values of frames with suspicion; pure.

The services' documentation is thin: a text may be a string, an object or a list of parts, a number may be a
string, a value may be JSON inside a string.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Frame = Mapping[str, Any]

TEXT_KEYS = ("text", "Text", "content", "Content", "value", "Value")
"""Where the text of an object lies, in the order of trust."""


def get(frame: Frame, name: str) -> Any:
    """A field by its PascalCase name, or in camelCase as some of the services' layers write it."""
    value = frame.get(name)
    return frame.get(name[0].lower() + name[1:]) if value is None else value


def string(value: Any) -> str:
    """The text in a value: itself, the text inside an object, the texts of a list of parts; else nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "".join(string(part) for part in value)
    if isinstance(value, dict):
        return next((string(value[key]) for key in TEXT_KEYS if key in value), "")
    return ""


def document(value: Any) -> str:
    """A tool's arguments or result as text: a string as it is, parts of text joined, all else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    parts = value if isinstance(value, list) else [value]
    if parts and all(_is_text(part) for part in parts):
        return string(value)
    return json.dumps(value, ensure_ascii=False)


def _is_text(part: Any) -> bool:
    """Whether this is a part such as {"type": "text", "text": "…"}, not data that has a field named text."""
    if not isinstance(part, dict):
        return isinstance(part, str)
    fields = {name.lower(): value for name, value in part.items()}
    return isinstance(fields.get("text"), str) and (len(fields) == 1 or fields.get("type") == "text")


def number(value: Any) -> int | None:
    """An integer, also from a text."""
    try:
        return None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def mapping(value: Any) -> dict[str, Any]:
    """A value that is an object, or JSON of one in a string; anything else is empty."""
    value = parsed(value)
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """What a field that should hold text says; should it hold something else, that as JSON, rather than nothing."""
    return string(value) or (document(value) if value else "")


def parsed(value: Any) -> Any:
    """A value, or what it holds when it is JSON in a string; a string that is no JSON stays one."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def folded(fields: Frame) -> dict[str, Any]:
    """The fields by name without case and underscores, because layers of the services spell them differently."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None:
            found.setdefault(name.replace("_", "").lower(), value)
    return found


def first(fields: Frame, *names: str) -> Any:
    """The first of these fields that has a value; None when none has."""
    return next((fields[name] for name in names if fields.get(name) not in (None, "")), None)
