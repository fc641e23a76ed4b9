"""Web API methods that read: auth, conversations.*, users.*, team.info, bots.info."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from . import cast
from .arguments import Arguments
from .cast import BOT_USER_ID, Channel
from .errors import SlackError
from .messages import Json, Message, as_slack
from .state import State

# Page sizes: what Slack returns when no limit is given, and the most it returns.
DEFAULT_PAGE = 100
MAX_PAGE = 1_000

Item = TypeVar("Item")


def auth_test(state: State, args: Arguments) -> Json:
    """auth.test."""
    return {
        "url": f"{state.base_url}/",
        "team": cast.TEAM_NAME,
        "user": state.people[BOT_USER_ID].name,
        "team_id": cast.TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": cast.BOT_ID,
        "is_enterprise_install": False,
    }


def team_info(state: State, args: Arguments) -> Json:
    """team.info."""
    wanted = args.text("team", cast.TEAM_ID)
    if wanted != cast.TEAM_ID:
        raise SlackError("team_not_found")
    return {"team": {"id": cast.TEAM_ID, "name": cast.TEAM_NAME, "domain": cast.TEAM_DOMAIN, "icon": {}}}


def bots_info(state: State, args: Arguments) -> Json:
    """bots.info."""
    if args.text("bot", cast.BOT_ID) != cast.BOT_ID:
        raise SlackError("bot_not_found")
    bot = {"id": cast.BOT_ID, "app_id": cast.APP_ID, "user_id": BOT_USER_ID, "name": "das", "deleted": False}
    return {"bot": bot}


def users_info(state: State, args: Arguments) -> Json:
    """users.info."""
    person = state.person(args.required("user"))
    return {"user": state.user_object(person, args.flag("include_locale"))}


def users_list(state: State, args: Arguments) -> Json:
    """users.list."""
    people = [state.user_object(person, args.flag("include_locale")) for person in state.people.values()]
    page, more = _page(people, args)
    return {"members": page, **more}


def channel_object(state: State, channel: Channel) -> Json:
    """A channel as conversations.info shows it."""
    body: Json = {
        "id": channel.id,
        "created": 0,
        "is_archived": channel.is_archived,
        "is_im": channel.is_im,
        "is_mpim": False,
        "is_private": channel.is_im,
        "is_ext_shared": channel.is_ext_shared,
        "is_org_shared": False,
        "is_shared": channel.is_ext_shared,
        "context_team_id": cast.TEAM_ID,
    }
    if channel.is_im:
        return body | {"user": channel.user}
    return body | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": True,
        "is_group": False,
        "is_general": False,
        "is_member": BOT_USER_ID in channel.members,
        "num_members": len(channel.members),
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }


def conversations_info(state: State, args: Arguments) -> Json:
    """conversations.info."""
    return {"channel": channel_object(state, state.channel(args.required("channel")))}


def conversations_list(state: State, args: Arguments) -> Json:
    """conversations.list."""
    kinds = args.text("types", "public_channel").replace(" ", "").split(",")
    if not set(kinds) <= {"public_channel", "private_channel", "mpim", "im"}:
        raise SlackError("invalid_types")
    found = [
        channel_object(state, channel)
        for channel in state.channels.values()
        if ("im" if channel.is_im else "public_channel") in kinds
        and not (channel.is_archived and args.flag("exclude_archived"))
    ]
    page, more = _page(found, args)
    return {"channels": page, **more}


def conversations_members(state: State, args: Arguments) -> Json:
    """conversations.members."""
    page, more = _page(sorted(state.channel(args.required("channel")).members), args)
    return {"members": page, **more}


def conversations_open(state: State, args: Arguments) -> Json:
    """conversations.open, for a direct message with one person."""
    if "channel" in args:
        return {"channel": {"id": state.channel(args.text("channel")).id}}
    users = [user for user in args.text("users").split(",") if user]
    if not users:
        raise SlackError("users_list_not_supplied")
    if len(users) > 1:
        raise SlackError("too_many_users", ["this workspace has no group direct messages"])
    channel = state.channel(state.person(users[0]).id)
    known = channel_object(state, channel) if args.flag("return_im") else {"id": channel.id}
    return {"channel": known, "no_op": True, "already_open": True}


def conversations_history(state: State, args: Arguments) -> Json:
    """conversations.history: what stands in the channel itself, newest first."""
    channel = state.joined_channel(args.required("channel"))
    roots = [
        message
        for message in state.messages.of(channel.id)
        if message.ephemeral_for is None and (not message.is_reply or message.subtype == "thread_broadcast")
    ]
    found = _between(roots, args)[::-1]
    page, more = _page(found, args)
    metadata = args.flag("include_all_metadata")
    return {"messages": [as_slack(message, state.messages, metadata) for message in page], **more}


def conversations_replies(state: State, args: Arguments) -> Json:
    """conversations.replies: the root, then its replies, oldest first."""
    channel = state.joined_channel(args.required("channel"))
    asked = state.messages.get(channel.id, args.required("ts"), "thread_not_found")
    root = state.messages.get(channel.id, asked.thread_ts or asked.ts, "thread_not_found")
    replies = _between(state.messages.thread(channel.id, root.ts), args)
    page, more = _page(replies, args)
    metadata = args.flag("include_all_metadata")
    return {"messages": [as_slack(message, state.messages, metadata) for message in [root, *page]], **more}


def _between(messages: list[Message], args: Arguments) -> list[Message]:
    """The messages after `oldest` and before `latest`; with `inclusive` also those exactly there."""
    try:
        oldest = float(args.text("oldest") or 0)
        latest = float(args.text("latest") or "inf")
    except ValueError:
        raise SlackError("invalid_ts_oldest") from None
    if args.flag("inclusive"):
        return [message for message in messages if oldest <= float(message.ts) <= latest]
    return [message for message in messages if oldest < float(message.ts) < latest]


def _page(items: Sequence[Item], args: Arguments) -> tuple[Sequence[Item], Json]:
    """One page and the fields that lead to the next one."""
    limit = args.number("limit", DEFAULT_PAGE)
    if not 0 < limit <= MAX_PAGE:
        raise SlackError("invalid_limit")
    start = 0
    if args.text("cursor"):
        try:
            start = int(base64.b64decode(args.text("cursor"), validate=True).removeprefix(b"next:"))
        except (ValueError, binascii.Error):
            raise SlackError("invalid_cursor") from None
    end = start + limit
    has_more = end < len(items)
    cursor = base64.b64encode(b"next:%d" % end).decode() if has_more else ""
    return items[start:end], {"has_more": has_more, "response_metadata": {"next_cursor": cursor}}
