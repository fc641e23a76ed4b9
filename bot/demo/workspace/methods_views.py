"""Web API methods for views: views.open and views.update for modals, views.publish for the Home tab."""

import json
from typing import Any

from . import cast
from .arguments import Arguments
from .blocks import checked_view_blocks
from .check import BLOCK_ID_MAX, Check
from .errors import SlackError
from .messages import Change, Json
from .state import TRIGGER_LIFE_SECONDS, State

MAX_VIEW_BYTES = 250_000
MAX_PRIVATE_METADATA = 3_000
# Title, submit and close of a modal.
MAX_VIEW_WORDS = 24
_VIEW_FIELDS = {
    "blocks",
    "title",
    "submit",
    "close",
    "callback_id",
    "private_metadata",
    "external_id",
    "notify_on_close",
    "clear_on_close",
    "submit_disabled",
}


def checked_view(value: Any, kinds: tuple[str, ...]) -> Json:
    """A view of one of `kinds` with ids filled in; raises `invalid_arguments` or `view_too_large`."""
    if not isinstance(value, dict) or value.get("type") not in kinds:
        raise SlackError("invalid_arguments", ["[ERROR] must be a view of type " + " or ".join(kinds)])
    if len(json.dumps(value).encode()) > MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    check = Check()
    check.object(value, "/view", {"type", "blocks"}, _VIEW_FIELDS)
    check.string(value.get("private_metadata"), "/view/private_metadata", MAX_PRIVATE_METADATA, least=0)
    check.string(value.get("callback_id"), "/view/callback_id", BLOCK_ID_MAX, least=0)
    if value["type"] == "modal":
        _check_modal(check, value)
    if check.errors:
        raise SlackError("invalid_arguments", check.errors)
    return {**value, "blocks": checked_view_blocks(value["blocks"])}


def _check_modal(check: Check, view: Json) -> None:
    for name in ("title", "submit", "close"):
        words = view.get(name)
        if words is None:
            if name == "title":
                check.fail("missing required field: title", "/view")
        elif check.kind(words, f"/view/{name}", ("plain_text",)):
            check.object(words, f"/view/{name}", {"type", "text"}, {"emoji"})
            check.string(words.get("text"), f"/view/{name}/text", MAX_VIEW_WORDS)
    blocks = view.get("blocks")
    asks = isinstance(blocks, list) and any(isinstance(b, dict) and b.get("type") == "input" for b in blocks)
    if asks and view.get("submit") is None:
        check.fail("missing required field: submit", "/view")


def stored_view(state: State, view: Json, view_id: str = "") -> Json:
    """Keeps a view, under its id where it has one already, as Slack returns it."""
    stored = {
        **view,
        "id": view_id or state.new_id("V"),
        "team_id": cast.TEAM_ID,
        "app_id": cast.APP_ID,
        "bot_id": cast.BOT_ID,
        "hash": f"{state.clock():.0f}.{state.new_id('h')}",
        "state": {"values": {}},
    }
    stored |= {name: view.get(name, "") for name in ("callback_id", "private_metadata", "external_id")}
    stored |= {"root_view_id": stored["id"], "previous_view_id": None}
    state.views[stored["id"]] = stored
    return stored


def show_modal(state: State, user: str, view: Json | None) -> None:
    """Puts a modal before a person, or takes away the one that is there."""
    if view is None:
        state.modals.pop(user, None)
    else:
        state.modals[user] = view
    state.tell(Change("modal", user=user, view=view))


def views_open(state: State, args: Arguments) -> Json:
    """views.open: a modal for the person whose click or command the trigger_id came with."""
    view = checked_view(args.structure("view", "invalid_arguments"), ("modal",))
    trigger = state.triggers.get(args.required("trigger_id"))
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if trigger.used:
        raise SlackError("exchanged_trigger_id")
    if state.clock() - trigger.made > TRIGGER_LIFE_SECONDS:
        raise SlackError("expired_trigger_id")
    trigger.used = True
    stored = stored_view(state, view)
    show_modal(state, trigger.user, stored)
    return {"view": stored}


def views_update(state: State, args: Arguments) -> Json:
    """views.update: another content for a view that is there."""
    view = checked_view(args.structure("view", "invalid_arguments"), ("modal", "home"))
    shown = state.views.get(args.required("view_id"))
    if shown is None:
        raise SlackError("not_found")
    _same_hash(args, shown)
    stored = stored_view(state, view, shown["id"])
    for user, modal in list(state.modals.items()):
        if modal["id"] == stored["id"]:
            show_modal(state, user, stored)
    return {"view": stored}


def views_publish(state: State, args: Arguments) -> Json:
    """views.publish: a person's Home tab."""
    user = state.person(args.required("user_id"))
    view = checked_view(args.structure("view", "invalid_arguments"), ("home",))
    shown = state.homes.get(user.id)
    _same_hash(args, shown)
    state.homes[user.id] = stored_view(state, view)
    return {"view": state.homes[user.id]}


def _same_hash(args: Arguments, shown: Json | None) -> None:
    if args.text("hash") and shown and shown["hash"] != args.text("hash"):
        raise SlackError("hash_conflict")
