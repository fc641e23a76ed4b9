"""What a person can do: write, edit, delete, use a slash command, press a button."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .admin_actions import AdminActions
from .cast import BOT_USER_ID, SLACKBOT_ID, Channel, Person
from .delivery import Delivery, Dispatcher
from .errors import SlackError
from .events import NothingToClick, click_payload, command_payload, event_callback
from .messages import Change, Message
from .methods_chat import apply_response
from .state import ResponseUrl, State
from .text import compose, mentions

# What Slack tells in private whoever mentions an app that is not there.
INVITE_HINT = (
    f"You mentioned <@{BOT_USER_ID}>, but it is not in this channel. To add it, write `/invite @das`."
)

# Slack's own commands by what follows them; those of the app are in its manifest.
OWN_COMMANDS = {
    "/archive": ("", "Archive this channel"),
    "/invite": ("@das", "Add the app to this channel"),
    "/remove": ("@das", "Remove the app from this channel"),
}


@dataclass(frozen=True)
class Done:
    """How a command or click went; `error` is what Slack would tell the person."""

    ok: bool
    error: str = ""
    response: Any = None
    """What the app sent back with its ack, or None."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a submitted modal, by block_id."""


class PersonActions:
    """The people of the workspace; refuses with `SlackError` what Slack would not let them do."""

    def __init__(self, state: State, dispatcher: Dispatcher, admin: AdminActions) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._admin = admin

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Writes a message and returns its ts. `@das` in the text becomes a mention."""
        person, room = self._in_channel(user, channel)
        if room.is_archived:
            raise SlackError("is_archived")
        if not text.strip():
            raise SlackError("no_text")
        message = Message(
            ts=self._state.messages.next_ts(),
            channel=room.id,
            user=person.id,
            text=compose(text, self._state.people.values()),
            thread_ts=self._state.thread_root(room.id, thread_ts),
            team=person.team_id,
        )
        ts = self._state.post(message).ts
        if not room.is_im and BOT_USER_ID not in room.members and mentions(message.text, BOT_USER_ID):
            self._whisper(room, person, thread_ts, INVITE_HINT)
        return ts

    def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        """Rewrites an own message."""
        message = self._own(user, channel, ts, "cant_update_message")
        self._state.rewrite(message, compose(text, self._state.people.values()), None, user)

    def delete(self, user: str, channel: str, ts: str) -> None:
        """Deletes an own message; where replies hang on it, a tombstone stays in its place."""
        message = self._own(user, channel, ts, "cant_delete_message")
        if self._state.messages.thread(message.channel, message.ts):
            self._state.bury(message)
        else:
            self._state.delete(message)

    def press_stop(self, user: str, channel: str, thread_ts: str) -> list[str]:
        """Presses Slack's own Stop in a thread: its streams end, then the app hears of it.

        Returns the ts of the messages that were streaming. Raises `NothingToClick` where Slack would
        show no Stop: nothing streams in the thread and its session is not at work.
        """
        person, room = self._in_channel(user, channel)
        streams = [
            message
            for message in self._state.messages.thread(room.id, thread_ts)
            if message.stream is not None and message.stream.is_open
        ]
        if not streams and self._state.session_status.get((room.id, thread_ts)) != "processing":
            raise NothingToClick(f"nothing runs in thread {thread_ts}")
        for message in streams:
            assert message.stream is not None
            message.stream.end("stopped_by_user")
            self._state.tell(Change("changed", room.id, message))
        stopped = [message.ts for message in streams]
        event = {
            "type": "agent_session_stopped",
            "channel": room.id,
            "thread_ts": thread_ts,
            "user": person.id,
            "streaming_message_ts": stopped,
            "event_ts": self._state.messages.next_ts(),
        }
        self._dispatcher.send("events_api", event_callback(self._state, event, room))
        return stopped

    async def command(self, user: str, channel: str, command: str, text: str = "") -> Done:
        """Uses a slash command and waits until the app acked it or the deadline passed."""
        person, room = self._in_channel(user, channel)
        if command in OWN_COMMANDS:
            return self._own_command(person, room, command, text)
        if command not in self._state.commands or self._state.token_error:
            return Done(False, f"{command} is not a valid command.")
        payload = command_payload(self._state, person, room, command, text)
        delivery = await self._delivered(self._dispatcher.send("slash_commands", payload))
        if not delivery.acked:
            return Done(False, f'{command} failed with the error "{failure_of(delivery)}"')
        if isinstance(delivery.response, dict):
            self._show_response(person, room, delivery.response)
        return Done(True, response=delivery.response)

    def _own_command(self, person: Person, room: Channel, command: str, text: str) -> Done:
        """One of Slack's own commands, which no app hears."""
        if room.is_im:
            return Done(False, f"{command} does not work in direct messages.")
        if command == "/archive":
            self._admin.archive(person.id, room.id)
            return Done(True)
        if not mentions(compose(text, self._state.people.values()), BOT_USER_ID):
            return Done(False, f"On this page {command} is for @das only.")
        (self._admin.invite_bot if command == "/invite" else self._admin.remove_bot)(person.id, room.id)
        return Done(True)

    async def click(
        self,
        user: str,
        channel: str,
        ts: str,
        action_id: str,
        block_id: str | None = None,
        value: str | None = None,
    ) -> Done:
        """Presses a button or picks an option; `value` says which, where there are several.

        Raises `SlackError("message_not_found")` and `NothingToClick`.
        """
        person, room = self._in_channel(user, channel)
        message = self._state.messages.find(room.id, ts)
        if message is None or message.ephemeral_for not in (None, user):
            raise SlackError("message_not_found")
        payload = click_payload(self._state, person, message, action_id, block_id, value)
        delivery = await self._delivered(self._dispatcher.send("interactive", payload))
        return Done(delivery.acked, "" if delivery.acked else failure_of(delivery), delivery.response)

    async def _delivered(self, delivery: Delivery) -> Delivery:
        await self._dispatcher.finished(delivery)
        return delivery

    def _in_channel(self, user: str, channel: str) -> tuple[Person, Channel]:
        person, room = self._state.person(user), self._state.channel(channel)
        if person.id not in room.members:
            raise SlackError("not_in_channel")
        return person, room

    def _own(self, user: str, channel: str, ts: str, error: str) -> Message:
        _, room = self._in_channel(user, channel)
        message = self._state.messages.get(room.id, ts)
        if message.user != user:
            raise SlackError(error)
        return message

    def _whisper(self, room: Channel, person: Person, thread_ts: str | None, text: str) -> None:
        """Says something to one person, as Slackbot does."""
        notice = Message(self._state.messages.next_ts(), room.id, SLACKBOT_ID, text)
        notice.thread_ts, notice.ephemeral_for = thread_ts, person.id
        self._state.post(notice)

    def _show_response(self, person: Person, room: Channel, response: dict[str, Any]) -> None:
        """Shows what came with the ack; a response Slack would refuse is told to the person."""
        try:
            apply_response(self._state, ResponseUrl(room.id, person.id, self._state.clock()), response)
        except SlackError as error:
            self._whisper(room, person, None, f"Error: {error.code}")


def failure_of(delivery: Delivery) -> str:
    """Why a delivery failed, in Slack's two words for it: nobody answered in time, or nobody could be reached."""
    late = delivery.failure in ("timeout", "http_timeout")
    return "operation_timeout" if late else "dispatch_failed"
