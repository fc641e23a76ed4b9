"""The real bot with shorter lives, for chaos runs that must not take long: run it as `python -m bot` is run.

A worker that died is noticed within seconds instead of twenty, and Slack's budget is out of the way. Everything else
is what production runs; without this file's times a run of a minute would see hardly a recovery.
"""

from __future__ import annotations

from types import ModuleType

from bot import cli
from bot.relay import asking, slot, worker
from bot.slack import lane
from bot.slack.reply import record
from bot.store import keys

LEASE_LIFE = 5_000
"""Milliseconds; more than ten beats fit in, so that a slow machine loses no lease by itself."""
CALLS_PER_MINUTE = 600.0


def hurry() -> None:
    """Shorten what there is to shorten. Raises `AttributeError` for a time that has gone."""
    for module, times in _TIMES.items():
        for name, value in times.items():
            getattr(module, name)
            setattr(module, name, value)
    lane.PUBLISHED.update(dict.fromkeys(lane.PUBLISHED, CALLS_PER_MINUTE))


_TIMES: dict[ModuleType, dict[str, float]] = {
    keys: {"LEASE_LIFE": LEASE_LIFE, "SLOT_LIFE": LEASE_LIFE},
    worker: {"BEAT_SECONDS": 0.4, "RECLAIM_SECONDS": 1.0},
    record: {"SURE_SECONDS": 4.0},
    slot: {"LOOK_SECONDS": 0.3, "RENEW_SECONDS": 1.2},
    asking: {"BUSY_SECONDS": 0.5},
}

if __name__ == "__main__":
    hurry()
    cli.main()
