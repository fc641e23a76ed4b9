"""The real bot with Slack's budget out of the way, which carries some 40 answers a minute: run it as `python -m bot`.

With CHAOS_HURRY in the environment it also has shorter lives: a worker that died is noticed within seconds instead of
twenty. Without these times a run of a minute would see hardly a recovery. Everything else is what production runs.
"""

from __future__ import annotations

import os
from types import ModuleType

from bot import cli
from bot.relay import asking, slot, worker
from bot.slack import lane
from bot.store import keys, slots

LEASE_LIFE = 5_000
"""Milliseconds; more than ten beats fit in, so that a slow machine loses no lease by itself."""
CALLS_PER_MINUTE = 600.0


def hurry() -> None:
    """Shorten what there is to shorten. Raises `AttributeError` for a time that has gone."""
    for module, times in _TIMES.items():
        for name, value in times.items():
            getattr(module, name)
            setattr(module, name, value)


_TIMES: dict[ModuleType, dict[str, float]] = {
    keys: {"LEASE_LIFE": LEASE_LIFE, "SLOT_LIFE": LEASE_LIFE, "SURE_SECONDS": 4.0},
    worker: {"BEAT_SECONDS": 0.4, "RECLAIM_SECONDS": 1.0, "STRAY_SECONDS": 8.0},
    slot: {"LOOK_SECONDS": 0.3},
    slots: {"RENEW_SECONDS": 1.2},
    asking: {"BUSY_SECONDS": 0.5},
}

if __name__ == "__main__":
    lane.PUBLISHED.update(dict.fromkeys(lane.PUBLISHED, CALLS_PER_MINUTE))
    if os.environ.get("CHAOS_HURRY"):
        hurry()
    cli.main()
