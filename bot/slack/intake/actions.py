"""Clicks: Stop, Ask again, New session, and the thumbs. Access is checked at every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.model.question import Question
from bot.model.run import Run
from bot.slack.access import Visit
from bot.slack.intake.desk import Desk
from bot.slack.words import say
from bot.store.runs import MOST_WAITING
from bot.store.sessions import Sessions


def register(
    app: AsyncApp, desk: Desk, sessions: Sessions, stop: Callable[[str, str], Awaitable[str]]
) -> None:
    """Listen for the buttons of a reply. `stop` asks for a run to stop, by run id and user."""

    async def run_stop(body: dict[str, Any], action: dict[str, Any]) -> None:
        click = await _click(body, str(action.get("value") or ""), desk)
        if click and await stop(click.run.id, click.user) != "stopping":
            click.tell("over")

    async def run_again(body: dict[str, Any], action: dict[str, Any]) -> None:
        click = await _click(body, str(action.get("value") or ""), desk)
        if click is None:
            return
        # One run is asked again once; what comes of it has a button of its own. So a double click is one question.
        question = replace(
            click.run.question,
            ts=f"again-{click.run.id}",
            user=click.user,
            user_team=click.team,
            surface="again",
        )
        accepted = await desk.runs.accept(question)
        if accepted.verdict == "duplicate":
            click.tell("asked_again")
        elif accepted.verdict == "full":
            click.tell("full", count=MOST_WAITING)

    async def session_new(body: dict[str, Any], action: dict[str, Any]) -> None:
        click = await _click(body, str(action.get("value") or ""), desk)
        if click:
            await sessions.forget(click.run.question.thread)
            click.tell("new_session")

    async def answer_feedback(body: dict[str, Any], action: dict[str, Any]) -> None:
        rating, _, run_id = str(action.get("value") or "").partition(":")
        click = await _click(body, run_id, desk)
        if click and rating in ("like", "dislike"):
            await desk.runs.rate(run_id, click.user, rating)
            click.tell("thanks")

    for listener in (run_stop, run_again, session_new, answer_feedback):
        app.action(listener.__name__)(_acked(listener))


Listener = Callable[[dict[str, Any], dict[str, Any]], Awaitable[None]]


def _acked(listener: Listener) -> Callable[..., Awaitable[None]]:
    """The listener with its ack behind it: what a click does is durable before Slack hears of it."""

    async def acked(ack: Callable[[], Awaitable[Any]], body: dict[str, Any], action: dict[str, Any]) -> None:
        await listener(body, action)
        await ack()

    return acked


class _Click:
    """A click that is allowed, on a run of the channel it was made in."""

    def __init__(self, run: Run, user: str, team: str, desk: Desk) -> None:
        self.run, self.user, self.team = run, user, team
        self._desk = desk

    def tell(self, key: str, **values: object) -> None:
        """A private line to whoever clicked."""
        question: Question = self.run.question
        line = say(key, question.language, **values)
        self._desk.notices.tell(question.thread.channel, self.user, line, question.thread.thread_ts)


async def _click(body: dict[str, Any], run_id: str, desk: Desk) -> _Click | None:
    """The click, or None after the clicker was told why not."""
    user, channel = str(body["user"]["id"]), str((body.get("channel") or {}).get("id") or "")
    team = str(body["user"].get("team_id") or "")
    message = body.get("message") or {}
    thread_ts = str(message.get("thread_ts") or message.get("ts") or "")
    # A click does not say whether its channel is shared: without a home team the clicker may be anybody.
    shared = not team
    run = await desk.runs.get(run_id)
    language = run.question.language if run else "en"
    if key := desk.access.refusal(Visit(user, team, channel, shared)):
        desk.notices.tell(channel, user, say(key, language), thread_ts)
        return None
    if run is None or run.question.thread.channel != channel:
        # Its record has expired, or somebody made the value up.
        desk.notices.tell(channel, user, say("over", language), thread_ts)
        return None
    return _Click(run, user, team, desk)
