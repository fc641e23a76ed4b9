"""All that a local workspace knows, shared by its methods, its deliveries and its page."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import cast
from .bell import Bell
from .cast import BOT_USER_ID, Channel, Command, Person
from .errors import SlackError
from .messages import Change, Json, Ledger, Message, as_slack

# A trigger_id opens one modal within 3 seconds of the click or command it came with.
TRIGGER_LIFE_SECONDS = 3.0
# A response_url answers five times within half an hour.
RESPONSE_URL_USES = 5
RESPONSE_URL_LIFE_SECONDS = 1800.0
# The status line of a thread disappears by itself when the app says nothing more.
STATUS_LIFE_SECONDS = 120.0
# A session that never leaves `processing` shows it for an hour.
SESSION_STATUS_LIFE_SECONDS = 3600.0


@dataclass
class Call:
    """One request to the Web API as it was answered; the token is left out of `args`."""

    method: str
    args: Json
    t: float
    status: int = 0
    """HTTP status; 0 while open or when the connection was cut."""
    response: Json = field(default_factory=dict)
    port: int = 0
    """Where it came in; see `Workspace.another_address`."""
    spoiled: bool = False
    """Whether a fault that somebody asked for has answered it."""


@dataclass
class Trigger:
    """A trigger_id: when it was made and whether it was used."""

    made: float
    user: str = ""
    """Who it opens a modal for."""
    used: bool = False


@dataclass
class ResponseUrl:
    """Where an answer to a command or click goes, and how often it still may."""

    channel: str
    user: str
    made: float
    ts: str | None = None
    """The message the click was on."""
    thread_ts: str | None = None
    uses_left: int = RESPONSE_URL_USES


@dataclass
class File:
    """An uploaded file; `shared` says whether completeUploadExternal was called for it."""

    id: str
    name: str
    length: int
    content: bytes | None = None
    title: str = ""
    shared: bool = False


class State:
    """The data of one workspace. `clock` returns seconds since 1970."""

    def __init__(self, clock: Callable[[], float], commands: Iterable[Command] = ()) -> None:
        self.clock = clock
        self.base_url = ""
        self.bell = Bell()
        """Rung on every change, call and delivery."""
        self.people: dict[str, Person] = {person.id: person for person in cast.people()}
        self.channels: dict[str, Channel] = {channel.id: channel for channel in cast.channels()}
        self.commands: dict[str, Command] = {command.command: command for command in commands}
        self.messages = Ledger(clock)
        self.calls: list[Call] = []
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, Json] = {}
        self.modals: dict[str, Json] = {}
        """The modal each person has before them."""
        self.homes: dict[str, Json] = {}
        """The published Home view by user."""
        self.refused_blocks: set[str] = set()
        """Kinds of block this workspace does not know yet, as some do not while Slack rolls them out."""
        self.refused_streams = ""
        """The error code chat.startStream is refused with; empty: streams are known here."""
        self.scopes = set(cast.BOT_SCOPES)
        """What the bot was granted."""
        self.token_error = ""
        """What calls with the bot's token are refused with, once it is dead."""
        self.session_status: dict[tuple[str, str], str] = {}
        """What agents.sessions.setStatus said last, by channel and thread."""
        self._thread_status: dict[tuple[str, str], tuple[str, float]] = {}
        """What stands below a thread and until when."""
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Calls `listener` for every change from now on."""
        self._listeners.append(listener)

    def tell(self, change: Change) -> None:
        """Passes a change to all listeners."""
        for listener in list(self._listeners):
            listener(change)
        self.bell.ring()

    # Finding, with Slack's refusals

    def channel(self, channel_id: object) -> Channel:
        """A channel by id, or the direct message with a person by their user id."""
        direct = [room for room in self.channels.values() if room.user == channel_id and room.is_im]
        found = self.channels.get(str(channel_id)) or (direct[0] if direct else None)
        if found is None:
            raise SlackError("channel_not_found")
        return found

    def joined_channel(self, channel_id: object) -> Channel:
        """A channel the bot is in."""
        channel = self.channel(channel_id)
        if BOT_USER_ID not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def seen_channel(self, channel_id: object) -> Channel:
        """A channel in which the bot may change its own messages; others do not exist for it."""
        channel = self.channel(channel_id)
        if BOT_USER_ID not in channel.members:
            raise SlackError("channel_not_found")
        return channel

    def writable_channel(self, channel_id: object) -> Channel:
        """A channel the bot may post to."""
        channel = self.joined_channel(channel_id)
        if channel.is_archived:
            raise SlackError("is_archived")
        return channel

    def person(self, user_id: object) -> Person:
        """A person by id."""
        if str(user_id) not in self.people:
            raise SlackError("user_not_found")
        return self.people[str(user_id)]

    def thread_root(self, channel: str, thread_ts: str | None) -> str | None:
        """`thread_ts` itself once it is known to be the root of a thread, or None."""
        if not thread_ts:
            return None
        root = self.messages.get(channel, thread_ts, "thread_not_found")
        if root.is_reply:
            raise SlackError("cannot_reply_to_message", ["thread_ts must be the ts of the thread's root"])
        return thread_ts

    # Changing, so that everybody hears of it

    def post(self, message: Message) -> Message:
        """Keeps and announces a new message; the app's own message ends the thread's status line."""
        self.messages.add(message)
        if message.bot_id:
            self.set_status(message.channel, message.thread_ts or message.ts, "")
        self.tell(Change("posted", message.channel, message))
        self._root_changed(message)
        return message

    def rewrite(self, message: Message, text: str, blocks: list[Json] | None, editor: str) -> None:
        """Replaces what a message says."""
        before = as_slack(message, self.messages)
        self.messages.rewrite(message, text, blocks, editor)
        if message.stream is not None:
            message.stream.replaced = True
        self.tell(Change("changed", message.channel, message, before))

    def grow(
        self, message: Message, text: str, blocks: list[Json] | None, before: Json | None = None
    ) -> None:
        """Shows more of a streamed message. The app hears of it only where `before` is given."""
        self.messages.grow(message, text, blocks)
        self.tell(Change("changed", message.channel, message, before))

    def bury(self, message: Message) -> None:
        """Puts a tombstone in the place of a thread's root, so that its replies keep their thread."""
        before = as_slack(message, self.messages)
        message.subtype, message.user, message.files = "tombstone", cast.SLACKBOT_ID, []
        self.messages.grow(message, "This message was deleted.", None)
        self.tell(Change("changed", message.channel, message, before))

    def delete(self, message: Message) -> None:
        """Takes a message away."""
        before = as_slack(message, self.messages)
        message.deleted = True
        self.tell(Change("deleted", message.channel, message, before))
        self._root_changed(message)

    def _root_changed(self, reply: Message) -> None:
        """A reply changes the reply count that the root shows; the page hears of it, the app does not."""
        root = self.messages.find(reply.channel, reply.thread_ts or "") if reply.is_reply else None
        if root and reply.ephemeral_for is None:
            self.tell(Change("changed", root.channel, root))

    def set_status(
        self, channel: str, thread_ts: str, status: str, seconds: float = STATUS_LIFE_SECONDS
    ) -> None:
        """Shows a status line below a thread for so long; an empty one takes it away."""
        if status == self.status(channel, thread_ts):
            return
        self._thread_status[channel, thread_ts] = (status, self.clock() + seconds)
        self.tell(Change("status", channel, thread_ts=thread_ts, status=status))

    def status(self, channel: str, thread_ts: str) -> str:
        """The status line below a thread, empty when there is none or it ran out."""
        status, until = self._thread_status.get((channel, thread_ts), ("", 0.0))
        return status if self.clock() < until else ""

    # Ids handed out

    def new_id(self, prefix: str) -> str:
        """A fresh id in Slack's style, such as `Ev0A1B2C3D4E`."""
        return f"{prefix}0{secrets.token_hex(5).upper()}"

    def new_trigger(self, user: str = "") -> str:
        """A trigger_id good for one modal."""
        trigger_id = f"{secrets.randbits(40)}.{secrets.randbits(40)}.{secrets.token_hex(16)}"
        self.triggers[trigger_id] = Trigger(self.clock(), user)
        return trigger_id

    def new_response_url(self, target: ResponseUrl) -> str:
        """An address that answers a command or click without a token."""
        key = secrets.token_urlsafe(18)
        self.response_urls[key] = target
        return f"{self.base_url}/response/{key}"

    def user_object(self, person: Person, with_locale: bool = True) -> Json:
        """A person as users.info shows them."""
        profile: dict[str, Any] = {
            "real_name": person.real_name,
            "display_name": person.name,
            "team": person.team_id,
        }
        body: Json = {
            "id": person.id,
            "team_id": person.team_id,
            "name": person.name,
            "real_name": person.real_name,
            "deleted": False,
            "color": person.color,
            "tz": person.tz,
            "tz_label": person.tz,
            "tz_offset": person.tz_offset,
            "is_bot": person.is_bot,
            "is_admin": person.is_admin,
            "is_owner": person.is_owner,
            "is_primary_owner": person.is_owner,
            "is_stranger": person.is_stranger,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_app_user": False,
            "updated": 0,
            "profile": profile,
        }
        if person.is_bot:
            profile |= {"api_app_id": cast.APP_ID, "bot_id": cast.BOT_ID}
        return body | ({"locale": person.locale} if with_locale else {})
