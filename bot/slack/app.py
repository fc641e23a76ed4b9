"""The Bolt app: every surface's listeners, and what happens when one fails or none fits."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.error import BoltUnhandledRequestError
from slack_sdk.web.async_client import AsyncWebClient

from bot import log, metrics
from bot.slack.client import SlackClient
from bot.slack.intake import actions, commands, feedback, installation, messages
from bot.slack.intake.desk import Desk
from bot.slack.words import say
from bot.store.connection import reason

logger = log.get(__name__)


def build(
    client: SlackClient, signing_secret: str, desk: Desk, on_revoked: Callable[[], Awaitable[None]]
) -> AsyncApp:
    """The app with all its listeners.

    Args:
        client: whose connections Socket Mode uses as well.
        signing_secret: for HTTP; may be empty in Socket Mode.
        desk: where everything goes that people want.
        on_revoked: told when the workspace has taken the bot's token back.
    """

    async def authorize() -> AuthorizeResult:
        # Known since the start. Bolt would ask auth.test with the first event, and drop it when that fails.
        return AuthorizeResult(enterprise_id=None, team_id=desk.team, bot_user_id=desk.bot)

    web = client.web
    app = AsyncApp(
        # Listeners write to Redis only, so Bolt gets no token: it has none to log, and none to call with.
        client=AsyncWebClient(base_url=web.base_url, session=web.session, retry_handlers=[]),
        authorize=authorize,
        signing_secret=signing_secret or "unused-in-socket-mode",
        # The listener first, then the ack: what Slack believes delivered is in Redis.
        process_before_response=True,
        # Events nobody listens for are acked too; Socket Mode would see them again and again.
        raise_error_for_unhandled_request=True,
    )
    messages.register(app, desk)
    commands.register(app, desk)
    actions.register(app, desk)
    feedback.register(app, desk)
    installation.register(app, on_revoked)
    app.error(_on_error)
    return app


async def _on_error(error: Exception, body: dict[str, Any]) -> BoltResponse:
    """Ack what nobody listens for. A failure is not acked, so that Slack delivers the event again."""
    if isinstance(error, BoltUnhandledRequestError):
        installation.note_limited(body)
        return BoltResponse(status=200, body="")
    metrics.INTAKE_FAILURES.inc()
    reference = secrets.token_hex(4)
    logger.error(
        "intake failed",
        reference=reference,
        kind=body.get("command") or (body.get("event") or {}).get("type") or body.get("type"),
        reason=reason(error),
    )
    if body.get("command"):
        # Commands are not delivered again: the person has to know.
        text = say("wrong", "en", reference=say("reference", "en", reference=reference))
        return BoltResponse(status=200, body={"response_type": "ephemeral", "text": text})
    return BoltResponse(status=500, body="")
