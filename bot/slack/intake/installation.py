"""What Slack tells about the app itself: that the workspace removed it, or that it sends no more events for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot import log

logger = log.get(__name__)


def register(app: AsyncApp, on_revoked: Callable[[], Awaitable[None]]) -> None:
    """Listen for the end of the installation; `on_revoked` is told, once or more often."""

    async def uninstalled(event: dict[str, Any]) -> None:
        logger.error(
            "the workspace has removed the app; install it again and start the bot with its new token"
        )
        await on_revoked()

    async def revoked(event: dict[str, Any]) -> None:
        # Tokens of people are none of ours.
        if (event.get("tokens") or {}).get("bot"):
            logger.error(
                "the bot's token was revoked; install the app again and start the bot with the new one"
            )
            await on_revoked()

    app.event("app_uninstalled")(uninstalled)
    app.event("tokens_revoked")(revoked)


def note_limited(body: dict[str, Any]) -> None:
    """Log that Slack leaves events away for the rest of a minute (30,000 per workspace and hour). Slack says so once
    a minute; it is no event of the kind one can subscribe to."""
    if body.get("type") == "app_rate_limited":
        logger.error(
            "slack delivers no more events this minute: there were too many; messages of that time are lost",
            minute=body.get("minute_rate_limited"),
        )
