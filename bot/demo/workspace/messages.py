"""A message with all its versions, and the ledger that keeps the messages of every channel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .cast import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID
from .errors import SlackError
from .text import rich_text

if TYPE_CHECKING:
    from .streams import Stream

Json = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """What a message said from one moment on."""

    t: float
    """Seconds, by the workspace's clock."""
    text: str
    blocks: list[Json] | None

    @property
    def markdown(self) -> str:
        """The Markdown a reader sees: that of its blocks, or the text of a message without blocks."""
        if self.blocks is None:
            return self.text
        return "".join(block["text"] for block in self.blocks if block["type"] == "markdown")


@dataclass
class Message:
    """One message; `versions` grows with every edit, so tests can watch it grow in place."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json] | None = None
    thread_ts: str | None = None
    team: str = TEAM_ID
    bot_id: str | None = None
    metadata: Json | None = None
    files: list[Json] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    subtype: str | None = None
    edited: Json | None = None
    ephemeral_for: str | None = None
    """The only person who sees it, for an ephemeral message."""
    deleted: bool = False
    stream: "Stream | None" = None
    """How it was streamed, for a message that chat.startStream began."""
    versions: list[Version] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        """True for a message inside a thread that is not its root."""
        return self.thread_ts is not None and self.thread_ts != self.ts


class Ledger:
    """The messages of all channels, in order of `ts`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_ts = 0
        self._channels: dict[str, dict[str, Message]] = {}
        self._threads: dict[tuple[str, str], list[Message]] = {}

    def next_ts(self) -> str:
        """A message id: the time in microseconds, never the same twice."""
        self._last_ts = max(self._last_ts + 1, int(self._clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def add(self, message: Message) -> None:
        """Keeps a new message and its first version."""
        message.versions.append(Version(self._clock(), message.text, message.blocks))
        self._channels.setdefault(message.channel, {})[message.ts] = message
        if message.is_reply and message.ephemeral_for is None:
            self._threads.setdefault((message.channel, message.thread_ts or ""), []).append(message)

    def grow(self, message: Message, text: str, blocks: list[Json] | None) -> None:
        """A new state of a streamed message; unlike an edit it leaves no mark."""
        message.text, message.blocks = text, blocks
        message.versions.append(Version(self._clock(), text, blocks))

    def rewrite(self, message: Message, text: str, blocks: list[Json] | None, editor: str) -> None:
        """Replaces what a message says and keeps the version before."""
        message.edited = {"user": editor, "ts": self.next_ts()}
        self.grow(message, text, blocks)

    def find(self, channel: str, ts: str) -> Message | None:
        """The message, unless it does not exist or was deleted."""
        message = self._channels.get(channel, {}).get(ts)
        return None if message is None or message.deleted else message

    def get(self, channel: str, ts: str, error: str = "message_not_found") -> Message:
        """The message, or `SlackError(error)`; ephemeral messages cannot be addressed."""
        message = self.find(channel, ts)
        if message is None or message.ephemeral_for is not None:
            raise SlackError(error)
        return message

    def of(self, channel: str) -> list[Message]:
        """Every message of a channel that still exists, replies and ephemerals included."""
        return [message for message in self._channels.get(channel, {}).values() if not message.deleted]

    def thread(self, channel: str, root_ts: str) -> list[Message]:
        """The replies below a root, oldest first, without the root and without ephemerals."""
        return [message for message in self._threads.get((channel, root_ts), []) if not message.deleted]

    def __iter__(self) -> Iterator[Message]:
        for channel in self._channels.values():
            yield from channel.values()


def as_slack(message: Message, ledger: Ledger, with_metadata: bool = False) -> Json:
    """The message object as the Web API and the events carry it."""
    body: Json = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": message.team,
    }
    if message.subtype:
        body["subtype"] = message.subtype
    if message.bot_id:
        profile = {"id": message.bot_id, "app_id": APP_ID, "name": "das", "team_id": TEAM_ID}
        body |= {"bot_id": message.bot_id, "app_id": APP_ID, "bot_profile": profile}
    if message.blocks is not None:
        body["blocks"] = message.blocks
    elif not message.bot_id and message.text:
        body["blocks"] = rich_text(message.text)
    if message.edited:
        body["edited"] = message.edited
    if message.files:
        body |= {"files": message.files, "upload": False}
    if message.reactions:
        body["reactions"] = [
            {"name": name, "users": users, "count": len(users)} for name, users in message.reactions.items()
        ]
    if with_metadata and message.metadata:
        body["metadata"] = message.metadata
    return body | _thread_fields(message, ledger)


def _thread_fields(message: Message, ledger: Ledger) -> Json:
    if message.is_reply:
        root = ledger.find(message.channel, message.thread_ts or "")
        return {"thread_ts": message.thread_ts} | ({"parent_user_id": root.user} if root else {})
    replies = ledger.thread(message.channel, message.ts)
    if not replies:
        return {}
    users = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users": users,
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
    }


@dataclass(frozen=True)
class Change:
    """Something people or the app may want to hear about.

    For `status`, `message` is None and `status` says what the app shows below a thread; for `modal`,
    `view` is what `user` has before them from now on; for `channels`, something about a channel changed.
    """

    kind: Literal["posted", "changed", "deleted", "status", "modal", "channels"]
    channel: str = ""
    message: Message | None = None
    before: Json | None = None
    """The message object before the change, for `changed` and `deleted`."""
    thread_ts: str | None = None
    status: str = ""
    user: str = ""
    view: Json | None = None


def posted_by_app(channel: str, ts: str, text: str, blocks: list[Json] | None) -> Message:
    """A message of the bot."""
    return Message(ts=ts, channel=channel, user=BOT_USER_ID, text=text, blocks=blocks, bot_id=BOT_ID)
