"""The real bot in a process that measures itself: how late its event loop is, its memory and its processor time.

Run with the bot's environment. SIGUSR1 begins a new measurement; at its end it prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from bot import app, log, settings
from bot.slack import lane

_EVERY_SECONDS = 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Gauge:
    """Looks at the loop and the process fifty times a second."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self._lags: list[float] = []
        self._peak = 0
        self._rss_before = _rss()
        self._cpu_before = _cpu()
        self._began = time.monotonic()

    async def run(self) -> None:
        """Look until cancelled. What was due while the loop was busy counts too, or long waits would weigh least."""
        due = time.monotonic() + _EVERY_SECONDS
        while True:
            await asyncio.sleep(due - time.monotonic())
            now = time.monotonic()
            while due <= now:
                self._lags.append(now - due)
                due += _EVERY_SECONDS
            self._peak = max(self._peak, _rss())

    def told(self) -> dict[str, float]:
        """What was seen: milliseconds, megabytes, seconds of the processor."""
        lags = sorted(self._lags) or [0.0]
        return {
            "lag_p50_ms": 1000 * lags[len(lags) // 2],
            "lag_p99_ms": 1000 * lags[int(len(lags) * 0.99)],
            "lag_most_ms": 1000 * lags[-1],
            "rss_before_mb": self._rss_before / 1e6,
            "rss_peak_mb": self._peak / 1e6,
            "cpu_seconds": _cpu() - self._cpu_before,
            "seconds": time.monotonic() - self._began,
        }


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def live() -> None:
    """The bot's life with a gauge beside it."""
    gauge = Gauge()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, gauge.start)
    looking = asyncio.create_task(gauge.run())
    try:
        await app.run(settings.load(os.devnull))
    finally:
        looking.cancel()
        print(json.dumps(gauge.told()), flush=True)


if __name__ == "__main__":
    # What Slack allows is measured elsewhere; where answers are, it would be all that is measured.
    if calls := os.environ.get("BENCH_CALLS_PER_MINUTE"):
        lane.PUBLISHED.update(dict.fromkeys(lane.PUBLISHED, float(calls)))
    log.configure(os.environ.get("BENCH_LOG_LEVEL", "error"))
    asyncio.run(live())
