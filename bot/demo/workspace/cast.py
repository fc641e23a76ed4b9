"""Who and where: the people, channels and commands a fresh local workspace starts with."""

from dataclasses import dataclass, field

TEAM_ID = "T0DEMO00001"
TEAM_NAME = "Demo Inc."
TEAM_DOMAIN = "demo"
OTHER_TEAM_ID = "T0OTHER0001"
APP_ID = "A0DASBOT01"
BOT_ID = "B0DASBOT01"
BOT_USER_ID = "U0DASBOT01"
# What the bot is granted at first; told in a header with every answer, as Slack does.
BOT_SCOPES = (
    *("app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write"),
    *("commands", "files:write", "im:history", "im:read", "im:write", "reactions:write", "team:read"),
    "users:read",
)
# Whoever Slack itself speaks as; not one of the people.
SLACKBOT_ID = "USLACKBOT"


@dataclass
class Person:
    """Somebody with an account: a member, the bot's own user, or a stranger of a shared channel."""

    id: str
    name: str
    """The handle, as typed after `@`."""
    real_name: str
    locale: str = "en-US"
    tz: str = "Europe/Madrid"
    tz_offset: int = 3600
    """Seconds east of UTC."""
    color: str = "4bbe2e"
    team_id: str = TEAM_ID
    is_bot: bool = False
    is_admin: bool = False
    is_owner: bool = False

    @property
    def is_stranger(self) -> bool:
        """True for a member of another company, seen only in channels shared with it."""
        return self.team_id != TEAM_ID


@dataclass
class Channel:
    """A public channel, or the direct-message channel of one person with the bot."""

    id: str
    name: str
    members: set[str] = field(default_factory=set)
    topic: str = ""
    is_ext_shared: bool = False
    is_archived: bool = False
    user: str | None = None
    """The person at the other end, for a direct message; None for a channel."""

    @property
    def is_im(self) -> bool:
        """True for a direct message."""
        return self.user is not None

    @property
    def kind(self) -> str:
        """The `channel_type` of message events: `im` or `channel`."""
        return "im" if self.is_im else "channel"


@dataclass(frozen=True)
class Command:
    """A slash command of the app, as its manifest declares it."""

    command: str
    description: str = ""
    usage_hint: str = ""
    should_escape: bool = False
    """When set, `@name` and `#name` in the text arrive as `<@U…>` and `<#C…|name>`."""


def people() -> list[Person]:
    """The bot, three members, of whom one is an admin, and one stranger."""
    return [
        Person(BOT_USER_ID, "das", "das", is_bot=True, tz="Etc/UTC", tz_offset=0, color="1264a3"),
        Person("U0ANA00001", "ana", "Ana", color="e0559a"),
        Person("U0WANG0001", "wangfang", "王芳", "zh-CN", "Asia/Shanghai", 28_800, color="2b8a3e"),
        Person("U0BEN00001", "ben", "Ben", tz="Europe/London", tz_offset=0, color="d97706", is_admin=True),
        Person("U0OLAF0001", "olaf", "Olaf", team_id=OTHER_TEAM_ID, color="7c3aed"),
    ]


def channels() -> list[Channel]:
    """Three channels with the bot, one without it, and a direct message per person."""
    staff = {"U0ANA00001", "U0WANG0001", "U0BEN00001"}
    with_bot = staff | {BOT_USER_ID}
    rooms = [
        Channel("C0DBOPS001", "db-ops", set(with_bot), "Databases, day and night"),
        Channel("C0ORDERS01", "orders-oncall", set(with_bot), "Who is on call for orders"),
        Channel(
            "C0SHARED01",
            "shared-partner",
            with_bot | {"U0OLAF0001"},
            "Shared with our partner",
            is_ext_shared=True,
        ),
        Channel("C0RANDOM01", "random", set(staff), "Anything else"),
    ]
    direct = [
        Channel(f"D{person.id[1:]}", person.name, {person.id, BOT_USER_ID}, user=person.id)
        for person in people()
        if not person.is_bot
    ]
    return rooms + direct
