"""Reading the arguments of a Web API call, whichever way a client library sends them."""

import json
from typing import Any

from aiohttp import web

from .errors import SlackError
from .messages import Json

# Arguments that are structures; in form bodies they arrive as JSON text.
_STRUCTURED = {"blocks", "attachments", "metadata", "view", "files", "loading_messages", "chunks"}


class Arguments:
    """The arguments of one call by name; wrong or missing ones raise `SlackError`."""

    def __init__(self, values: Json) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """A string, empty or `default` when absent."""
        value = self.values.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if not value:
            raise SlackError("invalid_arguments", [f"[ERROR] missing required field: {name}"])
        return value

    def flag(self, name: str) -> bool:
        """A boolean: true, "true", 1 or "1"."""
        return str(self.values.get(name)).lower() in ("true", "1")

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        try:
            return int(value)
        except (TypeError, ValueError):
            raise SlackError("invalid_arguments", [f"[ERROR] must be an integer: {name}"]) from None

    def structure(self, name: str, error: str) -> Any:
        """A list or object, parsed from JSON text where needed; `error` when it is not JSON."""
        value = self.values.get(name)
        if isinstance(value, str):
            if not value.strip():
                return None
            try:
                return json.loads(value)
            except ValueError:
                raise SlackError(error) from None
        return value


async def read_arguments(request: web.Request) -> tuple[str | None, Arguments]:
    """The token and the arguments of a call.

    The token comes in the Authorization header or as the argument `token`; arguments as JSON, form,
    multipart or query string. Raises `SlackError("invalid_json")` for a body that is none of them.
    """
    values: Json = dict(request.query)
    if request.content_type == "application/json":
        raw = await request.text()
        try:
            body = json.loads(raw) if raw.strip() else {}
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        values |= body
    elif request.can_read_body:
        values |= dict(await request.post())
    token = values.pop("token", None)
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = credential.strip()
    return (str(token) if token else None), Arguments(values)


def recorded(arguments: Arguments) -> Json:
    """The arguments as the record of calls keeps them: structures parsed, no file contents."""
    out: Json = {}
    for name, value in arguments.values.items():
        if name in _STRUCTURED and isinstance(value, str):
            try:
                out[name] = json.loads(value)
            except ValueError:
                out[name] = value
        elif not isinstance(value, web.FileField):
            out[name] = value
    return out
