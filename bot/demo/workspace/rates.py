"""How often each method may be called: one token bucket per method, and per channel for posting."""

import math
from collections.abc import Callable, Mapping

# Calls per minute and workspace. Source: Slack's rate limit tiers and the notes on each method's page.
PER_MINUTE: Mapping[str, float] = {
    "agents.sessions.setStatus": 50,
    "apps.connections.open": 50,
    "assistant.threads.setStatus": 600,
    "auth.test": 600,
    "bots.info": 50,
    "chat.delete": 50,
    "chat.getPermalink": 600,
    "chat.appendStream": 100,
    "chat.postEphemeral": 100,
    "chat.postMessage": 300,
    "chat.startStream": 20,
    "chat.stopStream": 20,
    "chat.update": 50,
    "conversations.history": 50,
    "conversations.info": 50,
    "conversations.list": 20,
    "conversations.members": 100,
    "conversations.open": 50,
    "conversations.replies": 50,
    "files.completeUploadExternal": 100,
    "files.getUploadURLExternal": 100,
    "reactions.add": 50,
    "reactions.remove": 20,
    "team.info": 50,
    "users.info": 100,
    "users.list": 20,
    "views.open": 100,
    "views.publish": 100,
    "views.update": 100,
}
NO_LIMITS: Mapping[str, float] = dict.fromkeys([*PER_MINUTE, "chat.postMessage/channel"], math.inf)
"""For tests that are about something else."""

# Posting has a second limit: about one message per second and channel.
POSTS_PER_CHANNEL = "chat.postMessage/channel"
_POSTS_PER_CHANNEL_PER_MINUTE = 60.0

# Slack tolerates bursts without saying how long; half a minute's worth was seen to pass.
_BURST_MINUTES = 0.5


class _Bucket:
    """A token bucket: full at first, refilled evenly."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._per_second = per_minute / 60
        self._size = max(1.0, per_minute * _BURST_MINUTES)
        self._tokens = self._size
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until a token is there; 0 when there is one now."""
        if math.isinf(self._per_second):
            return 0.0
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        # Refilling in floats leaves 0.999…: a millionth of a token is not worth a refusal.
        return 0.0 if self._tokens >= 1 - 1e-6 else (1 - self._tokens) / self._per_second

    def take(self) -> None:
        if not math.isinf(self._per_second):
            self._tokens -= 1


class Rates:
    """All buckets of one workspace. `overrides` are calls per minute; `math.inf` lifts a limit."""

    def __init__(self, clock: Callable[[], float], overrides: Mapping[str, float] | None = None) -> None:
        self._clock = clock
        self._per_minute = {
            **PER_MINUTE,
            POSTS_PER_CHANNEL: _POSTS_PER_CHANNEL_PER_MINUTE,
            **(overrides or {}),
        }
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, method: str, channel: str = "") -> int:
        """0 when the call may go ahead, else the whole seconds to wait, for `Retry-After`."""
        keys = [(method, "")]
        if method == "chat.postMessage" and channel:
            keys.append((POSTS_PER_CHANNEL, channel))
        now = self._clock()
        buckets = [self._bucket(key, now) for key in keys if key[0] in self._per_minute]
        wait = max((bucket.wait(now) for bucket in buckets), default=0.0)
        if wait > 0:
            return math.ceil(wait)
        for bucket in buckets:
            bucket.take()
        return 0

    def _bucket(self, key: tuple[str, str], now: float) -> _Bucket:
        if key not in self._buckets:
            self._buckets[key] = _Bucket(self._per_minute[key[0]], now)
        return self._buckets[key]
