"""Web API methods that write messages: chat.* and reactions.*, and the answers to response_url."""

import json
from typing import Any

from .arguments import Arguments
from .blocks import checked_blocks
from .cast import BOT_ID, BOT_USER_ID
from .errors import SlackError
from .messages import Change, Json, Message, as_slack, posted_by_app
from .state import RESPONSE_URL_LIFE_SECONDS, ResponseUrl, State

# chat.postMessage cuts longer texts silently; chat.update refuses texts above its much lower limit.
MAX_POSTED_TEXT = 40_000
MAX_UPDATED_TEXT = 4_000
MAX_MARKDOWN_TEXT = 12_000
# Slack documents no number; apps are advised to stay within 2 KB, so more is refused here.
MAX_METADATA_BYTES = 2_048
MAX_ATTACHMENTS = 100


def message_metadata(args: Arguments) -> Json | None:
    """The metadata to keep with a message; raises `invalid_metadata_format`, `metadata_too_large`."""
    value = args.structure("metadata", "invalid_metadata_format")
    if value is None or value == {}:
        return None
    well_formed = (
        isinstance(value, dict)
        and isinstance(value.get("event_type"), str)
        and isinstance(value.get("event_payload"), dict)
    )
    if not well_formed:
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return dict(value)


def _content(state: State, args: Arguments) -> tuple[str, list[Json] | None]:
    """Text and blocks of a message to write; blocks is None when none were given."""
    text = args.text("text")
    blocks = args.structure("blocks", "invalid_blocks_format")
    attachments = args.structure("attachments", "invalid_attachments") or []
    markdown = args.text("markdown_text")
    if markdown:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN_TEXT:
            raise SlackError("msg_too_long")
        text, blocks = markdown, [{"type": "markdown", "text": markdown}]
    if len(attachments) > MAX_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    if blocks is not None:
        blocks = checked_blocks(blocks, state.refused_blocks)
    if not text.strip() and not blocks and not attachments:
        raise SlackError("no_text")
    return text, blocks


def post_message(state: State, args: Arguments) -> Json:
    """chat.postMessage."""
    channel = state.writable_channel(args.required("channel"))
    text, blocks = _content(state, args)
    metadata = message_metadata(args)
    thread_ts = state.thread_root(channel.id, args.text("thread_ts") or None)
    message = posted_by_app(channel.id, state.messages.next_ts(), text[:MAX_POSTED_TEXT], blocks or None)
    message.thread_ts, message.metadata = thread_ts, metadata
    if args.flag("reply_broadcast") and thread_ts:
        message.subtype = "thread_broadcast"
    state.post(message)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": as_slack(message, state.messages, with_metadata=True),
    }


def post_ephemeral(state: State, args: Arguments) -> Json:
    """chat.postEphemeral."""
    channel = state.writable_channel(args.required("channel"))
    user = args.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    text, blocks = _content(state, args)
    if len(text) > MAX_POSTED_TEXT:
        raise SlackError("msg_too_long")
    message = posted_by_app(channel.id, state.messages.next_ts(), text, blocks or None)
    message.thread_ts = state.thread_root(channel.id, args.text("thread_ts") or None)
    message.ephemeral_for = user
    state.post(message)
    return {"message_ts": message.ts}


def update(state: State, args: Arguments) -> Json:
    """chat.update. Blocks and metadata that are not given stay; an empty list of blocks removes them."""
    channel = state.seen_channel(args.required("channel"))
    if channel.is_archived:
        raise SlackError("is_inactive")
    message = state.messages.get(channel.id, args.required("ts"))
    if message.bot_id != BOT_ID:
        raise SlackError("cant_update_message")
    if message.stream is not None and message.stream.is_open:
        raise SlackError("streaming_state_conflict")
    if len(args.text("text")) > MAX_UPDATED_TEXT:
        raise SlackError("msg_too_long")
    text, blocks = _content(state, args)
    kept = message.blocks if blocks is None else (blocks or None)
    if "metadata" in args:
        message.metadata = message_metadata(args)
    state.rewrite(
        message, text if "text" in args or "markdown_text" in args else message.text, kept, BOT_USER_ID
    )
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": as_slack(message, state.messages, with_metadata=True),
    }


def delete(state: State, args: Arguments) -> Json:
    """chat.delete."""
    channel = state.seen_channel(args.required("channel"))
    message = state.messages.get(channel.id, args.required("ts"))
    if message.bot_id != BOT_ID:
        raise SlackError("cant_delete_message")
    state.delete(message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(state: State, args: Arguments) -> Json:
    """chat.getPermalink."""
    channel = state.channel(args.required("channel"))
    message = state.messages.get(channel.id, args.required("message_ts"))
    link = f"{state.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def _reaction(state: State, args: Arguments) -> tuple[Message, str]:
    name = args.required("name").strip(":")
    channel = state.joined_channel(args.required("channel"))
    return state.messages.get(channel.id, args.required("timestamp")), name


def add_reaction(state: State, args: Arguments) -> Json:
    """reactions.add."""
    message, name = _reaction(state, args)
    users = message.reactions.setdefault(name, [])
    if BOT_USER_ID in users:
        raise SlackError("already_reacted")
    users.append(BOT_USER_ID)
    state.tell(Change("changed", message.channel, message))
    return {}


def remove_reaction(state: State, args: Arguments) -> Json:
    """reactions.remove."""
    message, name = _reaction(state, args)
    users = message.reactions.get(name, [])
    if BOT_USER_ID not in users:
        raise SlackError("no_reaction")
    users.remove(BOT_USER_ID)
    if not users:
        del message.reactions[name]
    state.tell(Change("changed", message.channel, message))
    return {}


def respond(state: State, key: str, body: Any) -> None:
    """An answer through a response_url: a new message, or a change of the one that was clicked.

    Raises `SlackError` with `expired_url`, `used_url`, or what chat.postMessage would say.
    """
    target = state.response_urls.get(key)
    if target is None or state.clock() - target.made > RESPONSE_URL_LIFE_SECONDS:
        raise SlackError("expired_url")
    if target.uses_left == 0:
        raise SlackError("used_url")
    if not isinstance(body, dict):
        raise SlackError("invalid_payload")
    target.uses_left -= 1
    apply_response(state, target, body)


def apply_response(state: State, target: ResponseUrl, body: Json) -> None:
    """Shows the body of a response, also when it came back with the ack itself."""
    original = state.messages.find(target.channel, target.ts) if target.ts else None
    if original and body.get("delete_original"):
        state.delete(original)
        return
    args = Arguments(body)
    text, blocks = _content(state, args)
    if original and body.get("replace_original"):
        state.rewrite(original, text, blocks or None, BOT_USER_ID)
        return
    message = posted_by_app(target.channel, state.messages.next_ts(), text[:MAX_POSTED_TEXT], blocks or None)
    message.thread_ts = args.text("thread_ts") or target.thread_ts
    if body.get("response_type", "ephemeral") != "in_channel":
        message.ephemeral_for = target.user
    state.post(message)
