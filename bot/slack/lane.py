"""One rate of Slack's: how many calls of a method a workspace takes, as a GCRA on our own clock. Pure.

Slack publishes calls per minute and says that bursts above them are welcome, not how large; half a minute's worth was
seen to pass. So a lane keeps a little below both. A refusal (429) closes it for as long as Slack says, takes its burst
away, and slows it down; it comes back to its full rate over some minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.store.rates import Standing

PUBLISHED: dict[str, float] = {
    "chat.appendStream": 100,
    "chat.delete": 50,
    "chat.postEphemeral": 100,
    "chat.postMessage": 60,
    "chat.startStream": 20,
    "chat.stopStream": 20,
    "chat.update": 50,
    "conversations.history": 50,
    "conversations.replies": 50,
    "files.completeUploadExternal": 100,
    "files.getUploadURLExternal": 100,
    "users.info": 100,
    "views.open": 100,
    "views.publish": 100,
    "views.update": 100,
}
"""Slack's calls per minute and workspace; posts count per channel."""
OTHERS = 20.0
"""Calls per minute of any other method: the slowest tier."""
PER_CHANNEL = frozenset({"chat.postMessage"})

SHARE = 0.985
"""The part of the published rate that is used: two clocks never agree."""
BURST_MINUTES = 0.5
"""How many minutes' worth of calls were seen to pass at once."""
_MARGIN_CALLS = 1.5
"""Calls of a burst that are left: GCRA allows one more than its burst says, and calls bunch up on their way."""
SPREAD_SECONDS = 50.0
"""What is not urgent spends a burst over about this long, as long as many an answer takes: one that spends it in the
first seconds is slow for the rest."""
_LAST_PART = 8.0
"""When less than one such part of a burst is left, it is spent ever more slowly."""
SLOWER = 0.7
"""What a refusal leaves of the rate."""
SLOWEST = 0.25
"""The least that refusals leave of it."""
RECOVERY_SECONDS = 600.0
"""Seconds without a refusal in which the whole rate would come back; a single refusal is forgotten in three minutes."""


@dataclass(slots=True)
class Lane:
    """The rate of one method. Times are seconds on the caller's clock.

    Attributes:
        interval: seconds between calls in the long run, at full rate.
        burst: how far ahead of its time a call may be made, in seconds: GCRA's tolerance.
        arrival: GCRA's theoretical arrival time of the next call.
        closed_until: when Slack's last refusal ends.
        last: when the last call was made.
        slowed: the part of the rate that was left by the last refusal.
    """

    interval: float
    burst: float
    arrival: float = float("-inf")
    closed_until: float = float("-inf")
    last: float = float("-inf")
    slowed: float = 1.0

    @classmethod
    def of(cls, method: str, per_minute: float | None = None) -> Lane:
        """The lane of a method; `per_minute` replaces what we would use of Slack's rate."""
        published = PUBLISHED.get(method, OTHERS)
        interval = 60 / (per_minute or published * SHARE)
        return cls(interval, max(1.0, published * BURST_MINUTES - _MARGIN_CALLS) * interval)

    def pace(self, now: float) -> float:
        """The part of its rate that it has now: less than 1 for a while after a refusal."""
        return min(1.0, self.slowed + max(0.0, now - self.closed_until) / RECOVERY_SECONDS)

    def gap(self, now: float) -> float:
        """Seconds between calls in the long run, as it is now."""
        return self.interval / self.pace(now)

    def usable(self, now: float, kept: float) -> float:
        """Seconds of the burst within reach of who has to leave `kept` calls of it."""
        return max(0.0, self.burst - kept * self.gap(now))

    def step(self, now: float, kept: float) -> float:
        """Seconds that what is not urgent keeps from the call before, so that it spends a burst little by little."""
        left = self.burst - kept * self.gap(now) - max(0.0, self.arrival - now)
        spent = min(self.burst, _LAST_PART * max(0.0, left)) / SPREAD_SECONDS
        return self.gap(now) / (1 + spent)

    def wait(self, now: float, kept: float = 0.0) -> float:
        """Seconds until a call may be made for which `kept` calls of the burst are out of reach."""
        return max(0.0, self.closed_until - now, self.arrival - self.usable(now, kept) - now)

    def paced_wait(self, now: float, kept: float) -> float:
        """The same for what is not urgent."""
        return max(self.wait(now, kept), self.last + self.step(now, kept) - now)

    def spend(self, now: float) -> None:
        """A call is made."""
        self.arrival = max(now, self.arrival) + self.gap(now)
        self.last = now

    def refuse(self, now: float, seconds: float) -> None:
        """Slack refused a call for so long. Calls that were under way are refused as well, and count once."""
        if now >= self.closed_until:
            self.slowed = max(SLOWEST, self.pace(now) * SLOWER)
        self.closed_until = max(self.closed_until, now + seconds)
        self.arrival = max(self.arrival, self.closed_until + self.burst)

    def stand(self, now: float, standing: Standing) -> None:
        """Take over how it stands for all replicas.

        A refusal of which the store knows nothing, because it was away or failed over, holds all the same.
        """
        if self.closed_until > max(now, now + standing.closed_until):
            return
        self.arrival, self.last = now + standing.arrival, now + standing.last
        self.closed_until, self.slowed = now + standing.closed_until, standing.slowed

    def is_at_rest(self, now: float) -> bool:
        """Whether a new lane would do as well."""
        return max(self.arrival, self.closed_until) <= now and self.pace(now) == 1.0
