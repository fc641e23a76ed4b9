"""Questions from messages: mentions in channels, follow-ups in threads, direct messages.

A mention arrives twice, as app_mention and as message; both come here, whichever is first is accepted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.model.question import Question, Thread
from bot.slack.access import Visit
from bot.slack.intake import text as spelling
from bot.slack.intake.desk import Desk
from bot.slack.words import say

_SUBTYPES = frozenset({"", "file_share", "thread_broadcast"})
"""Messages people write. All others are edits, deletions, joins, unfurls and the like."""


def register(app: AsyncApp, desk: Desk, stop: Callable[[str, str], Awaitable[str]]) -> None:
    """Listen for messages. `stop` asks for a run to stop, by run id and user; it answers the run's state."""

    async def message(event: dict[str, Any], body: dict[str, Any]) -> None:
        await on_message(event, body, desk, stop)

    app.event("app_mention")(message)
    app.event("message")(message)


async def on_message(
    event: dict[str, Any], body: dict[str, Any], desk: Desk, stop: Callable[[str, str], Awaitable[str]]
) -> None:
    """One message event: accept it, refuse it privately, or ignore it.

    Raises:
        redis.RedisError: when it could not be written down; Slack then delivers it again.
    """
    if not _is_from_a_person(event, body, desk):
        return
    raw = str(event.get("text") or "")
    surface = _surface(event, raw, desk)
    ts, channel = str(event["ts"]), str(event["channel"])
    thread = Thread(desk.team, channel, str(event.get("thread_ts") or ts))
    if not surface:
        return
    user = str(event["user"])
    visit = Visit(user, _home_team(event), channel, bool(body.get("is_ext_shared_channel")))
    question = Question(thread, ts, user, visit.user_team, spelling.plain(raw, desk.bot), surface)
    if spelling.is_stop(question.text) and not desk.access.refusal(visit):
        await _stop(question, desk, stop)
        return
    # In a thread the bot answers in, a picture without a word is for the others, too.
    if surface == "thread" and not (question.text and await desk.runs.is_known(thread)):
        return
    await desk.take(question, visit, event_id=str(body.get("event_id") or ""))


async def _stop(question: Question, desk: Desk, stop: Callable[[str, str], Awaitable[str]]) -> None:
    """Stop what the thread's current run was when this was written."""
    addressed = question.surface != "thread"
    target, first = await desk.runs.stop_target(question.thread, question.ts, addressed=addressed)
    if target:
        await stop(target, question.user)
    elif first:
        desk.tell(question, say("nothing_running", question.language))


def _is_from_a_person(event: dict[str, Any], body: dict[str, Any], desk: Desk) -> bool:
    if str(event.get("subtype") or "") not in _SUBTYPES or event.get("hidden"):
        return False
    if (
        event.get("bot_id")
        or event.get("bot_profile")
        or event.get("user") in (None, "", desk.bot, "USLACKBOT")
    ):
        return False
    own_app = body.get("api_app_id")
    return not (own_app and event.get("app_id") == own_app)


def _surface(event: dict[str, Any], raw: str, desk: Desk) -> str:
    """Which surface a message came by, "" when it is not for the bot."""
    if event.get("channel_type") == "im" or str(event["channel"]).startswith("D"):
        return "dm"
    if event.get("type") == "app_mention" or spelling.mentions(raw, desk.bot):
        return "mention"
    if event.get("thread_ts") and not spelling.is_for_others(raw, desk.bot):
        return "thread"
    return ""


def _home_team(event: dict[str, Any]) -> str:
    """The author's home team; Slack puts it in any of three places."""
    return str(event.get("user_team") or event.get("source_team") or event.get("team") or "")
