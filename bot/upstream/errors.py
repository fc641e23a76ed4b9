"""What can go wrong upstream, as one typed error: a code to explain to people, a cause for operators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class UpstreamError(Exception):
    """A run that could not start, or broke off. `bot.upstream.sentences.explain` puts it into words.

    Attributes:
        code: the service's code ("NoPermission", "-1810006"), "HTTP" and the status where a gateway gave
            none, or one of ours: "Connect", "Silence", "Deadline", "Cut", "BadStream", "TooLarge",
            "Credentials", "QuestionTooLong".
        message: the service's or the transport's own words; for the log, never for the thread.
        request_id: the service's id of the request, empty when it gave none.
        status: the HTTP status, 0 when there was no response.
        begun: whether a 2xx stream had started to arrive. A run that has begun is never asked again.
        action: on a refusal, the RAM action that is missing (from AccessDeniedDetail), if the service said.
        retry_after: seconds the service asked us to wait, None when it did not say.
    """

    code: str
    message: str = ""
    request_id: str = ""
    status: int = 0
    begun: bool = False
    action: str = ""
    retry_after: float | None = None

    def __str__(self) -> str:
        parts = [self.code, self.message, f"HTTP {self.status}" if self.status else "", self.request_id]
        return " · ".join(part for part in parts if part)
