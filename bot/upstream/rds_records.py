"""Reads the records RDS Copilot keeps of conversations and their messages; pure.

A record's field names are folded. Which way a list is sorted is undocumented, so its own times tell.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bot.upstream.errors import UpstreamError
from bot.upstream.refusals import may_retry
from bot.upstream.values import first, folded, string

Record = dict[str, Any]

CLOCKS_APART = 30.0
"""Seconds by which the service's clock may be behind ours, or ahead of it."""
MILLISECONDS_FROM = 1e11
"""Unix times above are in milliseconds; in seconds they would lie in the year 5138."""

TRANSIENT = ("Connect", "Cut", "Silence", "Timeout")


def listed(answer: dict[str, Any]) -> list[Record]:
    """The entries of a list the service gave."""
    found = folded(answer).get("data")
    if isinstance(found, dict):
        found = folded(found).get("data")
    return [folded(entry) for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def has_more(answer: dict[str, Any]) -> bool:
    """Whether the service has another page; it says so with a boolean or, in its SDK, with a text."""
    return str(folded(answer).get("hasmore")).lower() == "true"


def name_of(record: Record) -> str:
    """A message's id, or a conversation's."""
    return string(first(record, "messageid", "id"))


def created(record: Record) -> float:
    """Unix seconds; 0 when unreadable, for what is of unknown age may be older than what is looked for."""
    return _time(record.get("createdat"))


def updated(record: Record) -> float:
    """Unix seconds when a conversation changed last; 0 when unreadable."""
    return _time(record.get("updatedat"))


def newest_first(records: list[Record]) -> list[Record]:
    """The records by age; the list's own order settles what happened within one second."""
    if records and created(records[0]) > created(records[-1]):
        return records
    return records[::-1]


def asks(record: Record, query: str, since: float) -> bool:
    """Whether a message is this question, asked since then."""
    return string(record.get("query")).strip() == query.strip() and created(record) >= since - CLOCKS_APART


def pick(records: list[Record], query: str, message_id: str, since: float) -> Record | None:
    """The record of an answer: the one with this id, else the newest to this question since it was asked."""
    if message_id:
        return next((record for record in records if name_of(record) == message_id), None)
    asked = [record for record in newest_first(records) if asks(record, query, since)]
    return max(asked, key=created, default=None)


def is_away(error: UpstreamError) -> bool:
    """Whether a look at the records failed for the moment only."""
    # A look changes nothing, so one that failed inside the service can be repeated too.
    return error.code in TRANSIENT or error.status >= 500 or may_retry(error)


def _time(value: Any) -> float:
    text = string(value)
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return 0.0
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds / 1000 if seconds >= MILLISECONDS_FROM else seconds
