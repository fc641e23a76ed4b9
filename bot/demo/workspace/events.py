"""What the app hears: the payloads of the Events API, of slash commands and of clicks."""

from typing import Any

from . import cast
from .blocks import find_element
from .cast import BOT_USER_ID, Channel, Person
from .messages import Change, Json, Message, as_slack
from .state import ResponseUrl, State
from .text import compose_command, mentions

# Slack still sends the deprecated verification token; signatures are what counts.
VERIFICATION_TOKEN = "demo-verification-token"
_PLAIN = {"button", "icon_button", "feedback_buttons"}


def event_callback(state: State, event: Json, channel: Channel) -> Json:
    """The outer wrapper of an event, with an event_id of its own."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": cast.TEAM_ID,
        "context_team_id": cast.TEAM_ID,
        "context_enterprise_id": None,
        "api_app_id": cast.APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": state.new_id("Ev"),
        "event_time": int(state.clock()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": cast.TEAM_ID,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": channel.is_ext_shared,
        "event_context": f"4-{state.new_id('ctx')}",
    }


def events_of(state: State, change: Change) -> list[Json]:
    """The events a change means for the app, in Slack's usual order: app_mention, then its twin."""
    message = change.message
    if message is None or message.ephemeral_for is not None or state.token_error:
        return []
    channel = state.channels[change.channel]
    if BOT_USER_ID not in channel.members:
        return []
    if change.kind == "posted":
        return _posted(state, channel, message)
    if change.kind in ("changed", "deleted") and change.before is not None:
        return [_hidden(state, channel, message, change.kind, change.before)]
    return []


def _posted(state: State, channel: Channel, message: Message) -> list[Json]:
    event = as_slack(message, state.messages)
    event |= {"channel": channel.id, "event_ts": message.ts, "channel_type": channel.kind}
    if not message.bot_id:
        event["client_msg_id"] = f"{message.ts}-{message.user}"
    if channel.is_ext_shared:
        event |= {"source_team": message.team, "user_team": message.team}
    mentioned = not message.bot_id and not channel.is_im and mentions(message.text, BOT_USER_ID)
    if not mentioned:
        return [event]
    twin = {name: value for name, value in event.items() if name != "channel_type"}
    return [twin | {"type": "app_mention"}, event]


def _hidden(state: State, channel: Channel, message: Message, kind: str, before: Json) -> Json:
    ts = state.messages.next_ts()
    event: Json = {
        "type": "message",
        "subtype": f"message_{kind}",
        "hidden": True,
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": ts,
        "event_ts": ts,
        "previous_message": before,
    }
    if kind == "deleted":
        return event | {"deleted_ts": message.ts}
    return event | {"message": as_slack(message, state.messages)}


def command_payload(state: State, person: Person, channel: Channel, command: str, text: str) -> Json:
    """The form of a slash command; it carries no thread, since commands cannot be used in threads."""
    declared = state.commands[command]
    if declared.should_escape:
        text = compose_command(text, state.people.values(), state.channels.values())
    target = ResponseUrl(channel.id, person.id, state.clock())
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": cast.TEAM_ID,
        "team_domain": cast.TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.is_im else channel.name,
        "user_id": person.id,
        "user_name": person.name,
        "command": command,
        "text": text,
        "api_app_id": cast.APP_ID,
        "is_enterprise_install": "false",
        "response_url": state.new_response_url(target),
        "trigger_id": state.new_trigger(person.id),
    }


def person_object(person: Person) -> Json:
    """A person as payloads of clicks and modals name them."""
    return {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team_id}


class NothingToClick(LookupError):
    """There is no such element in the message."""


def _action(state: State, message: Message, action_id: str, block_id: str | None, value: str | None) -> Json:
    found = find_element(message.blocks or [], action_id, block_id)
    if found is None:
        raise NothingToClick(f"no element {action_id!r} in message {message.ts}")
    block, element = found
    action: Json = {
        "type": element["type"],
        "action_id": action_id,
        "block_id": block["block_id"],
        "action_ts": state.messages.next_ts(),
    }
    if element["type"] == "feedback_buttons":
        sides = [element["positive_button"], element["negative_button"]]
        pressed = next((side for side in sides if side["value"] == value), None)
        if pressed is None:
            raise NothingToClick(f"feedback has no button with value {value!r}")
        return action | {"text": pressed["text"], "value": pressed["value"]}
    if element["type"] in _PLAIN:
        known = {name: element[name] for name in ("text", "value", "style", "url") if name in element}
        return action | known
    option = next((item for item in element.get("options", []) if item["value"] == value), None)
    if option is None:
        raise NothingToClick(f"{action_id!r} has no option {value!r}")
    return action | {"selected_option": option}


def click_payload(
    state: State, person: Person, message: Message, action_id: str, block_id: str | None, value: str | None
) -> Json:
    """The payload of block_actions; raises `NothingToClick`."""
    channel = state.channels[message.channel]
    action = _action(state, message, action_id, block_id, value)
    ephemeral = message.ephemeral_for is not None
    container: dict[str, Any] = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    target = ResponseUrl(channel.id, person.id, state.clock(), message.ts, message.thread_ts)
    payload: Json = {
        "type": "block_actions",
        "user": person_object(person),
        "api_app_id": cast.APP_ID,
        "token": VERIFICATION_TOKEN,
        "container": container,
        "trigger_id": state.new_trigger(person.id),
        "team": {"id": cast.TEAM_ID, "domain": cast.TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name},
        "state": {"values": {}},
        "response_url": state.new_response_url(target),
        "actions": [action],
    }
    return payload if ephemeral else payload | {"message": as_slack(message, state.messages)}
