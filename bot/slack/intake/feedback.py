"""What people think of an answer: a thumb, and a comment if they like. Kept with the run, and told to the service."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.model.question import Language
from bot.slack.intake.actions import Click, acked, admitted, click_on
from bot.slack.intake.desk import Desk
from bot.slack.words import say

_RATINGS = ("like", "dislike")
_MODAL = "answer_comment"
"""The modal's callback_id, and the action_id of the button that opens it."""
_COMMENT_MOST = 1_000
"""Characters of a comment."""


def register(app: AsyncApp, desk: Desk) -> None:
    """Listen for the thumbs, the button "Add a comment" and its modal."""

    async def answer_feedback(body: dict[str, Any], action: dict[str, Any]) -> None:
        rating, _, run_id = str(action.get("value") or "").partition(":")
        click = await click_on(body, run_id, desk)
        if click and rating in _RATINGS:
            await desk.wishes.rate(run_id, click.user, rating)
            desk.notices.behind(desk.rate(click.run, rating, ""))
            thanks = say("thanks", click.language)
            click.say(thanks, _with_comment_button(thanks, rating, run_id, click.language))
            if rating == "dislike":
                _open(body, click, rating, desk)

    async def answer_comment(body: dict[str, Any], action: dict[str, Any]) -> None:
        rating, _, run_id = str(action.get("value") or "").partition(":")
        click = await click_on(body, run_id, desk)
        if click and rating in _RATINGS:
            _open(body, click, rating, desk)

    async def submitted(
        ack: Callable[[], Awaitable[Any]], body: dict[str, Any], view: dict[str, Any]
    ) -> None:
        await _keep(body, view, desk)
        await ack()

    app.action("answer_feedback")(acked(answer_feedback))
    app.action(_MODAL)(acked(answer_comment))
    app.view(_MODAL)(submitted)


def _open(body: dict[str, Any], click: Click, rating: str, desk: Desk) -> None:
    """Open the modal behind the ack; its trigger lives for 3 s."""
    view = _modal(click, rating)
    desk.notices.open_view(click.user, str(body.get("trigger_id") or ""), json.dumps(view))


async def _keep(body: dict[str, Any], view: dict[str, Any], desk: Desk) -> None:
    """Keep a comment that was sent; an empty one says nothing more than the thumb did."""
    about = _about(view)
    values = (view.get("state") or {}).get("values") or {}
    text = str(((values.get("comment") or {}).get("text") or {}).get("value") or "").strip()[:_COMMENT_MOST]
    rating = about.get("rating", "")
    user = body.get("user") or {}
    click = await admitted(
        str(user.get("id") or ""),
        str(user.get("team_id") or ""),
        about.get("channel", ""),
        about.get("thread_ts", ""),
        about.get("run", ""),
        desk,
    )
    if click and text and rating in _RATINGS:
        await desk.wishes.comment(click.run.id, click.user, text)
        desk.notices.behind(desk.rate(click.run, rating, text))
        click.tell("comment_kept")


def _about(view: dict[str, Any]) -> dict[str, str]:
    """What the modal is about, as we wrote it down when it was opened."""
    try:
        return {
            str(name): str(value) for name, value in json.loads(view.get("private_metadata") or "").items()
        }
    except (ValueError, AttributeError):
        return {}


def _with_comment_button(thanks: str, rating: str, run_id: str, language: Language) -> list[dict[str, Any]]:
    button = {
        "type": "button",
        "action_id": _MODAL,
        "text": {"type": "plain_text", "text": say("b_comment", language)},
        "value": f"{rating}:{run_id}",
    }
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": thanks}},
        {"type": "actions", "elements": [button]},
    ]


def _modal(click: Click, rating: str) -> dict[str, Any]:
    """The modal that asks for a comment."""
    run = click.run
    thread = run.question.thread

    def plain(key: str) -> dict[str, str]:
        return {"type": "plain_text", "text": say(key, click.language)}

    about = {"run": run.id, "rating": rating, "channel": thread.channel, "thread_ts": thread.thread_ts}
    return {
        "type": "modal",
        "callback_id": _MODAL,
        "private_metadata": json.dumps(about),
        "title": plain("comment_title"),
        "submit": plain("b_send"),
        "close": plain("b_cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": "comment",
                "optional": True,
                "label": plain("comment_label"),
                "element": {
                    "type": "plain_text_input",
                    "action_id": "text",
                    "multiline": True,
                    "max_length": _COMMENT_MOST,
                },
            }
        ],
    }
