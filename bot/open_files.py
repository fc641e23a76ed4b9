"""How many files this process may have open: every connection is one."""

from __future__ import annotations

import resource

from bot import log

logger = log.get(__name__)

_OTHERS = 750
"""Connections of a process beside those of its runs: 400 that come in and 20 of probes, 100 to Slack, 100 to Redis; and
some for logs, traces and questions that wait."""
_MOST = 65_536
"""More than any `MAX_RUNS` needs. Where there is no limit at all, one has to be given all the same."""


def make_room(max_runs: int) -> None:
    """Raise the limit, usually 1,024, as far as a process may: each run has a connection of its own. What cannot be
    raised far enough for `max_runs` is logged."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (OSError, ValueError):
            pass  # macOS has a lower limit than it tells.
    needed = max_runs + _OTHERS
    if soft != resource.RLIM_INFINITY and soft < needed:
        logger.warning("too few files may be open for MAX_RUNS (ulimit -n)", limit=soft, needed=needed)
