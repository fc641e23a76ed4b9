"""Reads the body of a refusal, in whichever form the service or a gateway wrote it, into one error."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.upstream.errors import UpstreamError

MESSAGE_LIMIT = 500
"""Characters kept of the service's words: enough for a sentence, too few for an echoed page."""

RETRIED_STATUS = frozenset({429, 502, 503})
"""Said by a gateway before the service took the request. 500 and 504 may come from a run that has begun."""

REQUEST_ID_HEADER = "x-acs-request-id"

CODE_NAMES = ("code", "errorcode", "error_code")
MESSAGE_NAMES = ("message", "errormessage", "errormsg", "error_message", "msg")
REQUEST_ID_NAMES = ("requestid", "request_id")
ENVELOPES = ("error", "errorresponse", "data")
MISSING_ACTION = re.compile(r"\b(?:hdm|das|rdsai):[A-Za-z*]+")


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """The error in a response that is no event stream, with `begun` False.

    Args:
        status: the HTTP status; a 200 may carry an error body too.
        headers: of the response; names in lower case or case-insensitive.
        body: its first bytes; a cut-off body is read as far as it goes.
    """
    text = body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    fields = _json_fields(text) if text.startswith("{") else _tag_fields(text)
    code = _first(fields, CODE_NAMES)
    message = _first(fields, MESSAGE_NAMES)
    if not code:
        code = (
            "BadStream" if status < 300 else "ServiceUnavailable" if status in (502, 503) else f"HTTP{status}"
        )
        message = message or _title(text) or "no error code in the response"
    if code.startswith("SignatureDoesNotMatch"):
        # The service quotes what it signed, and that holds the question.
        message = "the service computed another signature"
    return UpstreamError(
        code=code[:100],
        message=" ".join(message.split())[:MESSAGE_LIMIT],
        request_id=(_first(fields, REQUEST_ID_NAMES) or headers.get(REQUEST_ID_HEADER, ""))[:100],
        status=status,
        action=_action(fields, message),
        retry_after=_seconds(headers.get("retry-after", "")),
    )


def has_refused(fields: Mapping[str, Any]) -> bool:
    """Whether a JSON object that came with a 2xx is an error all the same."""
    return bool(_first(_lower(dict(fields)), CODE_NAMES))


def may_retry(error: UpstreamError) -> bool:
    """Whether the request certainly started nothing, and may succeed a moment later."""
    if error.begun or 0 < error.status < 300:
        return False
    if error.code == "Connect" or error.status in RETRIED_STATUS:
        return True
    return error.code.startswith("Throttling") or error.code == "ServiceUnavailable"


def _json_fields(text: str) -> dict[str, Any]:
    """The fields of an error object by lower-case name, seen through the envelopes gateways put around it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    fields = _lower(found) if isinstance(found, dict) else {}
    for name in ENVELOPES:
        inside = fields.get(name)
        if isinstance(inside, dict) and not _first(fields, CODE_NAMES):
            fields = {**fields, **_lower(inside)}
    return fields


def _tag_fields(text: str) -> dict[str, Any]:
    # A pattern, not an XML parser: a body from an unknown gateway may be HTML, cut off, or hostile.
    if re.search(r"<html|<!doctype html", text, re.IGNORECASE):
        return {}
    tags = re.findall(r"<(\w{1,40})>([^<]{0,2000})</\1>", text)
    return {name.lower(): html.unescape(value).strip() for name, value in tags}


def _title(text: str) -> str:
    found = re.search(r"<title>([^<]{1,200})</title>", text, re.IGNORECASE)
    return html.unescape(found[1]).strip() if found else ""


def _lower(fields: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in fields.items()}


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of the fields that says something. A code of 200 or "success" is no error."""

    def candidates() -> Iterator[str]:
        for name in names:
            value = fields.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield str(value).strip()

    return next((text for text in candidates() if text and text.lower() not in ("200", "0", "success")), "")


def _action(fields: Mapping[str, Any], message: str) -> str:
    detail = fields.get("accessdenieddetail")
    if isinstance(detail, str):
        detail = _json_fields(detail)
    # JSON nests the detail; in XML its fields were found among all the others.
    named = _first(_lower(detail) if isinstance(detail, dict) else fields, ("authaction", "action"))
    if named:
        return named[:100]
    found = MISSING_ACTION.search(message)
    return found[0] if found else ""


def _seconds(value: str) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by these services."""
    return float(value) if value.isdigit() else None
