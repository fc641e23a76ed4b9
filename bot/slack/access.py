"""Who may ask, where. Checked when a question comes in and again at every click. Pure, and closed when in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody doing something somewhere.

    Attributes:
        user_team: their home team, "" when the event does not say.
        shared: whether the channel is shared with another company.
    """

    user: str
    user_team: str
    channel: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one workspace. Empty lists allow everybody of the workspace, and every channel."""

    team: str
    enterprise: str = ""
    channels: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    allow_external: bool = False

    def refusal(self, visit: Visit, *, asks: bool = True) -> str:
        """The name of the sentence that refuses, or "" when the visit is welcome.

        A direct message (D…) is nobody's channel: the list of channels does not concern it. The list of people is of
        those who may ask.
        """
        if self._is_outsider(visit) and not self.allow_external:
            return "denied_external"
        if asks and self.users and visit.user not in self.users:
            return "denied_user"
        if self.channels and not visit.channel.startswith("D") and visit.channel not in self.channels:
            return "denied_channel"
        return ""

    def _is_outsider(self, visit: Visit) -> bool:
        if visit.user_team:
            return visit.user_team not in (self.team, self.enterprise)
        # In a shared channel an author without a home team may be anybody.
        return visit.shared


def home_of(profile: Mapping[str, Any], enterprise: str) -> str:
    """Where somebody is at home, as users.info says; "" for strangers. All workspaces of the `enterprise` are home."""
    if profile.get("is_stranger"):
        return ""
    if enterprise and (profile.get("enterprise_user") or {}).get("enterprise_id"):
        return str(profile["enterprise_user"]["enterprise_id"])
    return str(profile.get("team_id") or "")
