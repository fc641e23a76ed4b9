"""What can go wrong upstream, as one typed error with a sentence for people and a cause for operators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class UpstreamError(Exception):
    """A run that could not start, or broke off.

    Attributes:
        code: the service's code ("NoPermission", "-1810006"), or one of ours: "Connect", "Silence",
            "Deadline", "Cut", "BadStream", "TooLarge", "Credentials".
        message: the service's or the transport's own words; for the log, never for the thread.
        request_id: the service's id of the request, empty when it gave none.
        status: the HTTP status, 0 when there was no response.
        begun: whether a byte of a 2xx stream had arrived. A run that has begun is never asked again.
        action: on a refusal, the RAM action that is missing (from AccessDeniedDetail), if the service said.
    """

    code: str
    message: str = ""
    request_id: str = ""
    status: int = 0
    begun: bool = False
    action: str = ""

    def __str__(self) -> str:
        parts = [self.code, self.message, f"HTTP {self.status}" if self.status else "", self.request_id]
        return " · ".join(part for part in parts if part)
