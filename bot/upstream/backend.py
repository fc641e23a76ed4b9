"""What the relay asks of an upstream service, whichever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bot.model.event import Event


class Backend(Protocol):
    """One upstream service. `name` is shown in the footer ("DAS Agent")."""

    name: str

    def ask(
        self, question: str, *, session_id: str, agent_id: str = ""
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Ask, and read what happens until the stream ends.

        Leaving the context closes the connection, which is how a run is stopped. The iterator ends normally
        only after RunFinished or RunError; everything else raises `UpstreamError`.

        Raises:
            UpstreamError: on entering, when the service refuses or cannot be reached; while iterating, when
                the answer is cut off, silent for too long or unreadable.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
