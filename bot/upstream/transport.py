"""What a broken connection means, and how the asker's words are kept out of errors and logs."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote, quote_plus

import httpx

from bot.upstream.errors import UpstreamError
from bot.upstream.refusals import MESSAGE_LIMIT

ECHO = 20
ECHO_LEAST = 4
"""Characters at the start of a question that show it was echoed; fewer would be found by chance."""

LOGGERS = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


def transport_error(error: Exception, *, begun: bool) -> UpstreamError:
    """The typed error for one of httpx, or for a deadline that passed."""
    words = f"{type(error).__name__}: {error}"[:MESSAGE_LIMIT]
    match error:
        case httpx.ReadTimeout():
            return UpstreamError("Silence", words, begun=begun)
        case httpx.LocalProtocolError() | UnicodeEncodeError():
            # Its words quote the header that cannot be sent, which may be the token.
            return UpstreamError("Credentials", "a header cannot be sent; is there a line break in the key?")
        case TimeoutError():
            return UpstreamError("Deadline", "the run took longer than allowed", begun=begun)
        case (
            httpx.ConnectError()
            | httpx.ConnectTimeout()
            | httpx.ProxyError()
            | httpx.UnsupportedProtocol()
            | httpx.InvalidURL()
        ):
            return UpstreamError("Connect", words)
        case _:
            # Broken after the request was on its way: the service may have it.
            return UpstreamError("Cut", words, begun=begun)


def without(text: str, message: str) -> str:
    """The service's words up to where they echo the text, in any of the forms it was sent in."""
    opening = text[:ECHO]
    if len(opening.strip()) < ECHO_LEAST:
        return message
    forms = (
        opening,
        " ".join(opening.split()),
        quote(opening),
        quote_plus(opening),
        json.dumps(opening)[1:-1],
    )
    found = [at for at in (message.find(form) for form in forms) if at >= 0]
    return f"{message[: min(found)]}…" if found else message


def keep_targets_out_of_logs() -> None:
    """httpx logs the URL of every request, and ours holds the question.

    A filter, not a level: levels are set again by whoever configures logging. One per logger, because a
    filter on a parent does not see its children's records.
    """
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if _only_warnings not in logger.filters:
            logger.addFilter(_only_warnings)


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
