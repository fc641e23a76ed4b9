"""Clicks: Stop, Ask again, New session, and what lets a paused run go on. Access is checked at every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot import metrics
from bot.model.question import Language, Question
from bot.model.run import Run
from bot.slack.access import Visit
from bot.slack.intake import resuming
from bot.slack.intake.desk import Desk
from bot.slack.words import say

MOST_OPTIONS = 25
"""Buttons `run_answer_0` and so on that are listened for: as many as Slack puts into one block."""

Listener = Callable[[dict[str, Any], dict[str, Any]], Awaitable[None]]


def register(app: AsyncApp, desk: Desk) -> None:
    """Listen for the buttons of a reply."""

    async def run_stop(body: dict[str, Any], action: dict[str, Any]) -> None:
        await _stop(await click_on(body, str(action.get("value") or ""), desk, asks=False), desk)

    async def run_again(body: dict[str, Any], action: dict[str, Any]) -> None:
        await _again(await click_on(body, str(action.get("value") or ""), desk), desk)

    async def session_new(body: dict[str, Any], action: dict[str, Any]) -> None:
        click = await click_on(body, str(action.get("value") or ""), desk)
        if click:
            await desk.sessions.forget(click.run.question.thread)
            click.tell("new_session")

    async def run_continue(body: dict[str, Any], action: dict[str, Any]) -> None:
        click = await click_on(body, str(action.get("value") or ""), desk, asks=False)
        if click:
            words = say("b_continue", click.run.question.language)
            click.say(await resuming.by_button(click.run, click.user, words, click.language, desk))

    async def run_answer(body: dict[str, Any], action: dict[str, Any]) -> None:
        run_id, _, number = str(action.get("value") or "").partition(":")
        click = await click_on(body, run_id, desk, asks=False)
        if click is None:
            return
        # The button shows only as much of an option as there is room for.
        options = click.run.options
        if number.isdecimal() and int(number) < len(options):
            text = options[int(number)]
            click.say(await resuming.by_button(click.run, click.user, text, click.language, desk))
        else:
            click.tell("over")

    for listener in (run_stop, run_again, session_new, run_continue):
        app.action(listener.__name__)(acked(listener))
    for number in range(MOST_OPTIONS):
        app.action(f"run_answer_{number}")(acked(run_answer))


def acked(listener: Listener) -> Callable[..., Awaitable[None]]:
    """The listener with its ack behind it: what a click does is durable before Slack hears of it."""

    async def acked_(ack: Callable[[], Awaitable[Any]], body: dict[str, Any], action: dict[str, Any]) -> None:
        await listener(body, action)
        await ack()

    return acked_


class Click:
    """A click that is allowed, on a run of the channel it was made in. `language` is the clicker's."""

    def __init__(self, run: Run, user: str, team: str, language: Language, desk: Desk) -> None:
        self.run, self.user, self.team, self.language = run, user, team, language
        self._desk = desk

    def tell(self, key: str, **values: object) -> None:
        """A sentence for whoever clicked, by name."""
        self.say(say(key, self.language, **values))

    def say(self, line: str, blocks: list[dict[str, Any]] | None = None) -> None:
        """A private line to whoever clicked; "" is none."""
        thread = self.run.question.thread
        if line:
            self._desk.notices.tell(thread.channel, self.user, line, thread.thread_ts, blocks)


async def click_on(body: dict[str, Any], run_id: str, desk: Desk, *, asks: bool = True) -> Click | None:
    """The click, or None after the clicker was told why not. `asks`: only for those who may ask."""
    user, channel = str(body["user"]["id"]), str((body.get("channel") or {}).get("id") or "")
    message, container = body.get("message") or {}, body.get("container") or {}
    thread_ts = str(message.get("thread_ts") or message.get("ts") or container.get("thread_ts") or "")
    team = str(body["user"].get("team_id") or "")
    return await admitted(user, team, channel, thread_ts, run_id, desk, asks=asks)


async def admitted(
    user: str, team: str, channel: str, thread_ts: str, run_id: str, desk: Desk, *, asks: bool = True
) -> Click | None:
    """What somebody does to a run from a channel, or None after they were told why not; see `click_on`."""
    run = await desk.runs.get(run_id)
    language = await (desk.people.language_for(user, run) if run else desk.people.language(user))
    # A click does not say whether its channel is shared: without a home team the clicker may be anybody.
    visit = Visit(user, team, channel, shared=not team)
    if key := desk.access.refusal(visit) if asks else await desk.people.refusal_to_act(visit):
        desk.notices.tell(channel, user, say(key, language), thread_ts)
        return None
    if run is None or run.question.thread.channel != channel:
        # Its record has expired, or somebody made the value up.
        desk.notices.tell(channel, user, say("over", language), thread_ts)
        return None
    return Click(run, user, team, language, desk)


async def _stop(click: Click | None, desk: Desk) -> None:
    if click is None:
        return
    if not await desk.people.may_stop(click.user, click.run):
        click.tell("not_yours", owner=click.run.question.user)
    elif await desk.stop(click.run.id, click.user) != "stopping":
        click.tell("over")


async def _again(click: Click | None, desk: Desk) -> None:
    if click is None:
        return
    run = click.run
    asked = await _to_ask_again(run, desk)
    if asked is None:
        click.tell("over")
        return
    if asked.resumes and not await desk.people.may_decide(click.user, run):
        # What goes on after a decision goes on again only for those who may decide.
        click.say(resuming.not_approver(run, click.language, desk))
        return
    # One run is asked again once; what comes of it has a button of its own. So a double click is one question.
    question = replace(
        asked,
        ts=f"again-{run.id}",
        user=click.user,
        user_team=click.team,
        surface="again",
        resumed_by=click.user if asked.resumes else "",
    )
    if spent := await desk.spent(question, click.language):
        metrics.QUESTIONS.labels(question.surface, "refused").inc()
        click.say(spent)
        return
    accepted = await desk.runs.accept(question)
    click.say(desk.noted(question, accepted, click.language))
    if accepted.verdict == "duplicate":
        click.tell("asked_again")


async def _to_ask_again(run: Run, desk: Desk) -> Question | None:
    """The question to ask again; None when its record has expired.

    Of a paused run that went on it is the one that began it all: a decision is asked for once, and what the reply
    says by now stays. Only what was never asked is still to go on.
    """
    while run.question.resumes and run.asks:
        paused = await desk.runs.get(run.question.resumes)
        if paused is None:
            return None
        run = paused
    return run.question
