"""What can go wrong upstream, as one typed error: a code to explain to people, a cause for operators."""

from __future__ import annotations

import re
from dataclasses import dataclass

BUSY = re.compile(r"^Throttling|Concurren(t|cy).*(Limit|Exceed)|^TooManyRequests|^HTTP429$", re.IGNORECASE)
GONE_SESSION = re.compile(
    r"(session|conversation)\W*(is|has|does)?\W*(expired|not\W*(found|exist))|invalid\W*(session|conversation)(?!\W*token)",
    re.IGNORECASE,
)
"""In a code or in the service's words; nobody documents how it says so."""

LOST = frozenset({"Cut", "Silence", "Deadline", "BadStream", "TooLarge"})
"""What can be wrong with a stream while its run goes on."""


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
        action: on a refusal for lack of permission, the RAM action that is missing: the one the service names in
            AccessDeniedDetail, else the one that was called.
        retry_after: seconds the service asked us to wait, None when it did not say.
    """

    code: str
    message: str = ""
    request_id: str = ""
    status: int = 0
    begun: bool = False
    action: str = ""
    retry_after: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the service refused only because too much runs already; later it may take the question."""
        return not self.begun and (self.status == 429 or bool(BUSY.search(self.code)))

    @property
    def is_gone_session(self) -> bool:
        """Whether the service no longer knows the session; in a new one it would take the question."""
        return not self.begun and bool(GONE_SESSION.search(self.code) or GONE_SESSION.search(self.message))

    def __str__(self) -> str:
        parts = [self.code, self.message, f"HTTP {self.status}" if self.status else "", self.request_id]
        return " · ".join(part for part in parts if part)


def check_length(text: str, limit: int) -> None:
    """Refuse a question the service would refuse.

    Raises:
        UpstreamError: "QuestionTooLong" when it has more than `limit` characters.
    """
    if len(text) > limit:
        raise UpstreamError("QuestionTooLong", f"{len(text)} characters, {limit} allowed")
