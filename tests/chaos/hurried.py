"""The real bot with shorter lives, for chaos runs that must not take long: run it as `python -m bot` is run.

A worker that died is noticed within seconds instead of twenty, and Slack's budget is out of the way. Everything else
is what production runs; without this file's times a run of a minute would see hardly a recovery.
"""

from __future__ import annotations

from bot import cli
from bot.relay import relay, worker
from bot.slack import budget
from bot.slack.reply import writer
from bot.store import keys

LEASE_LIFE = 5_000
"""Milliseconds; more than ten beats fit in, so that a slow machine loses no lease by itself."""
CALLS_PER_MINUTE = 600.0

if __name__ == "__main__":
    keys.LEASE_LIFE = keys.SLOT_LIFE = LEASE_LIFE
    worker.BEAT_SECONDS = 0.4
    worker.RECLAIM_SECONDS = 1.0
    writer.SURE_SECONDS = 4.0
    relay.SLOT_SECONDS = 0.3
    relay.RENEW_SECONDS = 1.2
    budget.PER_MINUTE.update(dict.fromkeys(budget.PER_MINUTE, CALLS_PER_MINUTE))
    cli.main()
