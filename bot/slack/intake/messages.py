"""Questions from messages: mentions in channels, follow-ups in threads, direct messages.

A mention arrives twice, as app_mention and as message; both come here, whichever is first is accepted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.model.question import Language, Question, Thread
from bot.slack.access import Visit
from bot.slack.intake import resuming, stopping
from bot.slack.intake import text as spelling
from bot.slack.intake.agents import BadAgentError
from bot.slack.intake.desk import Desk
from bot.slack.words import say
from bot.store.sessions import Agent

_SUBTYPES = frozenset({"", "file_share", "thread_broadcast"})
"""Messages people write. All others are edits, deletions, joins, unfurls and the like."""
_YOUNG_SECONDS = 15.0
"""Age of a thread up to which the mention that makes it ours may still be on its way: Slack keeps no order."""
_SECOND_LOOK_SECONDS = 1.0
"""Pause before a message in such a thread is looked at again; Slack waits 3 s for the ack."""

Sleep = Callable[[float], Awaitable[None]]


def register(app: AsyncApp, desk: Desk) -> None:
    """Listen for messages, and for Slack's own Stop."""

    async def message(event: dict[str, Any], body: dict[str, Any]) -> None:
        await on_message(event, body, desk)

    async def stopped(event: dict[str, Any]) -> None:
        visit = Visit(str(event.get("user") or ""), _home_team(event), str(event.get("channel") or ""))
        await stopping.by_slack(event, visit, desk)

    app.event("app_mention")(message)
    app.event("message")(message)
    app.event("agent_session_stopped")(stopped)


async def on_message(
    event: dict[str, Any], body: dict[str, Any], desk: Desk, sleep: Sleep = asyncio.sleep
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
    visit = Visit(user, _home_team(event), channel, _is_shared(body))
    question = Question(thread, ts, user, visit.user_team, spelling.plain(raw, desk.bot), surface)
    is_welcome = not desk.access.refusal(visit)
    if spelling.is_stop(question.text) and (is_welcome or not await desk.people.refusal_to_act(visit)):
        await stopping.by_word(question, desk)
        return
    paused = ""
    if event.get("thread_ts"):
        # A command's thread is ours from its root on, also while nobody has written that down yet.
        is_ours = event.get("parent_user_id") == desk.bot
        is_ours, paused = await _look(question, desk, sleep, is_ours=is_ours)
        # In a thread the bot answers in, a picture without a word is for the others, too.
        if surface == "thread" and not (question.text and is_ours):
            return
    if is_welcome and (written := spelling.wanted_agent(question.text)):
        await _move(question, written, desk)
        return
    # In a thread "use ag-1" may be said to its agent: there only a mention makes it the wish for another.
    is_wish = surface == "mention" or not event.get("thread_ts")
    may_answer = bool(paused) and desk.resumes
    if is_welcome and is_wish and not may_answer and (written := spelling.unknown_agent(question.text)):
        await _move(question, written, desk)
        return
    event_id = str(body.get("event_id") or "")
    answered = await resuming.answered(question, paused, visit, desk) if paused else None
    if answered and desk.resumes and await resuming.by_message(question, answered, event_id, desk):
        return
    question = await desk.in_a_language(question)
    if answered:
        question = replace(question, answers=answered.id)
    # Its redeliveries know what it answers from its first one: the thread's last run is another since.
    if run_id := await desk.take(question, visit, event_id=event_id):
        await resuming.in_words(run_id, question, desk)


async def _look(question: Question, desk: Desk, sleep: Sleep, *, is_ours: bool) -> tuple[bool, str]:
    """Whether the bot answers in the thread, which may be known, and its last run if that is paused.

    A follow-up may be delivered before the mention it follows: in a young thread it is looked for twice. The ack
    waits for that, so that nothing is acked that might still be ours.
    """
    is_known, paused = await desk.wishes.paused_in(question.thread)
    if is_known or is_ours or question.surface != "thread" or not _is_young(question.thread):
        return is_known or is_ours, paused
    await sleep(_SECOND_LOOK_SECONDS)
    return await desk.wishes.paused_in(question.thread)


def _is_young(thread: Thread) -> bool:
    """Whether a thread's root was written a moment ago. Its ts is that time, in seconds."""
    try:
        return time.time() - float(thread.thread_ts) < _YOUNG_SECONDS
    except ValueError:
        return False


async def _move(question: Question, written: str, desk: Desk) -> None:
    """The thread asks another agent from now on, and says so."""
    thread, agents = question.thread, desk.agents
    language = await desk.people.language_of_word(question.text, question.user)
    try:
        agent = await _wanted(question, written, language, desk)
        if await desk.sessions.agent_of(thread) == agent:
            raise BadAgentError(say("moved_already", language, agent=agents.title(agent)))
    except BadAgentError as error:
        if await desk.runs.first_time(thread.team, thread.channel, question.ts):
            desk.tell(question, error.sentence)
        return
    if await desk.sessions.move(thread, agent, question.ts):
        line = say("moved", language, user=question.user, agent=agents.title(agent))
        desk.notices.say(thread.channel, thread.thread_ts, line)


async def _wanted(question: Question, written: str, language: Language, desk: Desk) -> Agent:
    """The agent somebody wants for a thread. Everybody may choose the service; which of its agents, only admins, but
    for those that are in use already.

    Raises:
        BadAgentError: when there is none of that name, or it is not theirs to choose.
    """
    agents = desk.agents
    service, agent_id = agents.parse(written, language)
    if not agent_id:
        return await agents.of_service(service, question.thread)
    if not (await agents.is_in_use(desk.team, agent_id) or await desk.people.is_admin(question.user)):
        raise BadAgentError(say("not_admin", language))
    return Agent(service, agent_id)


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


def _is_shared(body: dict[str, Any]) -> bool:
    return bool(body.get("is_ext_shared_channel"))
