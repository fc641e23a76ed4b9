"""Structured logs, redacted: every value passes `redact` before it is written."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from bot.redact import HIDDEN, is_secret_name, redact

_NOISY = ("slack_bolt", "slack_sdk", "aiohttp", "httpx", "httpcore", "asyncio", "alibabacloud_credentials")
"""Libraries whose own lines are kept to warnings: some of them log request bodies and targets."""


def _redacted(value: Any, name: str = "") -> Any:
    if isinstance(value, (str, bytes)) and value and is_secret_name(name):
        return HIDDEN
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    return value if isinstance(value, (int, float, bool, type(None))) else redact(str(value))


def _redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if not key.startswith("_") and key != "exc_info":
            event[key] = _redacted(value, key)
    return event


def configure(level: str = "info", form: Literal["console", "json"] = "console") -> None:
    """Set up logging for the process, to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Bolt prints the whole body of a request whose signature is wrong, at this level.
    # Bolt finds SLACK_BOT_TOKEN in the environment too, and says at every start that it will not use it.
    logging.getLogger("slack_bolt.AsyncApp").addFilter(
        lambda r: "`token` will be unused" not in r.getMessage()
    )
    logging.getLogger("slack_bolt.AsyncRequestVerification").setLevel(logging.CRITICAL)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
