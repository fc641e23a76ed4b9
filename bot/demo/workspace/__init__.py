"""A local Slack workspace: the server side of Slack, as far as this bot and a person's page need it."""

from .cast import Channel, Command, Person
from .delivery import Delivery
from .errors import SlackError
from .events import NothingToClick
from .http_delivery import ChallengeFailed
from .messages import Message
from .person_actions import Done
from .rates import NO_LIMITS
from .state import Call
from .workspace import Workspace

__all__ = [
    "NO_LIMITS",
    "Call",
    "ChallengeFailed",
    "Channel",
    "Command",
    "Delivery",
    "Done",
    "Message",
    "NothingToClick",
    "Person",
    "SlackError",
    "Workspace",
]
