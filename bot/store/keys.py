"""Every key in Redis and how long it lives. The one place that spells them.

All carry the hash tag `{das-bot}`: on Redis Cluster they share a slot, so that one script can change several of
them at once. A deployment's whole state is a few kilobytes a run; one slot holds it easily.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "{das-bot}:"

THREADS = PREFIX + "threads"
"""Stream: one entry per thread that has a run waiting or under way. Lives as long as a run's record."""

GROUP = "workers"
"""The stream's consumer group."""

FENCE = PREFIX + "fence"
"""Counter that hands out fencing tokens. Lives a year after the last lease."""

PROBE = PREFIX + "probe"
"""What the health checks write: a server that is full or read-only answers every question but takes none."""

DAY = 86_400_000
"""A day in milliseconds; all lives below are in milliseconds."""

PROBE_LIFE = 60_000
SEEN_LIFE = DAY
"""How long an event is remembered as seen. Slack redelivers for some minutes; a day covers an outage."""
LEASE_LIFE = 15_000
"""A worker that has not renewed its lease for this long is dead; three renewals fit in."""
SURE_SECONDS = 12.0
"""How long after a fenced save was sent the thread is certainly still its worker's: less than a lease lives, by more
than a beat. A process can be frozen between any two things it does, and hears the answer late then."""
SLOT_LIFE = 15_000
"""The same for a slot and for a place in its queue."""
FENCE_LIFE = 365 * DAY
CHOICES_LIFE = 400 * DAY
"""A chosen agent is forgotten when nobody has asked in the workspace for so long."""
USAGE_LIFE = 400 * DAY
"""What a day cost is kept a year and a month, so that a month can be compared with the same one a year ago."""


def seen_event(event_id: str) -> str:
    """An envelope's event_id that was accepted or refused."""
    return f"{PREFIX}seen:event:{event_id}"


def seen_message(team: str, channel: str, ts: str) -> str:
    """A message that was accepted or refused, whichever event brought it."""
    return f"{PREFIX}seen:message:{team}:{channel}:{ts}"


def run(run_id: str) -> str:
    """Hash: the record of a run."""
    return f"{PREFIX}run:{run_id}"


def queue(thread: str) -> str:
    """List: the runs of a thread in order of asking, the current one first."""
    return f"{PREFIX}queue:{thread}"


def waiting(team: str) -> str:
    """Sorted set: a workspace's runs that were accepted and not asked yet, by when they were accepted (seconds)."""
    return f"{PREFIX}waiting:{team}"


def thread(thread: str) -> str:
    """Hash: a thread the bot answers in, with its session."""
    return f"{PREFIX}thread:{thread}"


def same_words(digest: str) -> str:
    """Sorted set: the runs that asked the same words in a session without a name, by when (seconds)."""
    return f"{PREFIX}same-words:{digest}"


def lease(thread: str) -> str:
    """String: the fencing token of the worker that works on a thread."""
    return f"{PREFIX}lease:{thread}"


def slot(agent: str, part: str) -> str:
    """Sorted sets of an agent's slots: `held`, `waiting` (by arrival), `alive` (by expiry), and `shares` (by expiry):
    who of them is of an agent with a limit of its own."""
    return f"{PREFIX}slot:{agent}:{part}"


def rate(team: str, lane: str) -> str:
    """Hash: a lane of Slack's budget, and who waits for it. Lives until it is as good as a new one."""
    return f"{PREFIX}rate:{team}:{lane}"


def rate_told(team: str) -> str:
    """Hash: by process, how many of its answers live on which method. Lives as long as that is believed."""
    return f"{PREFIX}rate:{team}:told"


def choices(team: str) -> str:
    """Hash: the agent chosen for each channel of a workspace, and for the workspace itself."""
    return f"{PREFIX}choices:{team}"


def usage(team: str, day: str) -> str:
    """Hash: the sums of a day, written YYYY-MM-DD."""
    return f"{PREFIX}usage:{team}:{day}"


def refusal(team: str, name: str) -> str:
    """String: something a workspace was found not to know. Lives as long as that is worth believing."""
    return f"{PREFIX}refusal:{team}:{name}"


@dataclass(frozen=True, slots=True)
class Lives:
    """The lives an operator sets, in milliseconds."""

    run: int = 7 * DAY
    session: int = 30 * DAY
