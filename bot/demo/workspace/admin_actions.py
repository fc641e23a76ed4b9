"""What people do to channels and to the app itself: invite and remove it, archive, uninstall, revoke."""

from . import cast
from .cast import BOT_USER_ID, Channel
from .delivery import Dispatcher
from .events import VERIFICATION_TOKEN, event_callback
from .messages import Change, Json
from .state import State

SECONDS_PER_MINUTE = 60


class AdminActions:
    """Changes around the app, each with the event by which the app hears of it."""

    def __init__(self, state: State, dispatcher: Dispatcher) -> None:
        self._state = state
        self._dispatcher = dispatcher

    def invite_bot(self, user: str, channel: str) -> None:
        """Makes the bot a member of a channel."""
        room = self._state.channel(channel)
        room.members.add(BOT_USER_ID)
        self._membership("member_joined_channel", room, inviter=user)

    def remove_bot(self, user: str, channel: str) -> None:
        """Takes the bot out of a channel: what it calls there is refused from now on."""
        room = self._state.channel(channel)
        room.members.discard(BOT_USER_ID)
        self._membership("member_left_channel", room, actor_id=user)

    def archive(self, user: str, channel: str, archived: bool = True) -> None:
        """Archives a channel, or takes it back."""
        room = self._state.channel(channel)
        room.is_archived = archived
        kind = "channel_archive" if archived else "channel_unarchive"
        if BOT_USER_ID in room.members:
            self._send(room, {"type": kind, "channel": room.id, "user": user})
        self._state.tell(Change("channels", room.id))

    def uninstall_app(self) -> None:
        """Takes the app out of the workspace: two events, and every token is dead."""
        room = next(iter(self._state.channels.values()))
        self._send(room, {"type": "app_uninstalled"})
        self.revoke_tokens("account_inactive")

    def revoke_tokens(self, error: str = "token_revoked") -> None:
        """Revokes the bot's token: calls are refused with `error`, and no message is heard any more."""
        room = next(iter(self._state.channels.values()))
        self._state.token_error = error
        self._send(room, {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [BOT_USER_ID]}})

    def reinstall_app(self) -> None:
        """Makes the tokens good again."""
        self._state.token_error = ""

    def limit_events(self) -> None:
        """Tells the app that it is being sent too many events, which Slack then leaves out."""
        payload = {
            "token": VERIFICATION_TOKEN,
            "type": "app_rate_limited",
            "team_id": cast.TEAM_ID,
            "api_app_id": cast.APP_ID,
            "minute_rate_limited": int(self._state.clock()) // SECONDS_PER_MINUTE * SECONDS_PER_MINUTE,
        }
        self._dispatcher.send("events_api", payload)

    def _membership(self, kind: str, room: Channel, **who: str) -> None:
        event = {"type": kind, "user": BOT_USER_ID, "channel": room.id, "channel_type": "C"}
        self._send(room, {**event, "team": cast.TEAM_ID, **who})
        self._state.tell(Change("channels", room.id))

    def _send(self, room: Channel, event: Json) -> None:
        event["event_ts"] = self._state.messages.next_ts()
        self._dispatcher.send("events_api", event_callback(self._state, event, room))
