"""`/das-usage [days]`: what the answers cost. People see their own and the channel's part, admins all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from bot.model.question import Language
from bot.slack.access import Visit
from bot.slack.intake.desk import Desk
from bot.slack.words import say
from bot.store.sessions import Agent
from bot.store.usage import Account, Day, Spent

_DAYS, _MOST_DAYS = 7, 31
"""Days shown when nobody says how many, and at most: a month fits into a message."""
_TOP = 5
"""Channels and people shown, those that cost most."""
_BAR = 16
"""Characters of the longest bar."""

_Days = list[tuple[date, Day]]


async def answer(command: dict[str, Any], desk: Desk) -> str:
    """The private line that answers the command.

    Raises:
        redis.RedisError: when the store is away.
    """
    channel, user = str(command["channel_id"]), str(command["user_id"])
    language = await desk.people.language(user)
    if key := await desk.people.refusal(Visit(user, "", channel)):
        return say(key, language)
    written = str(command.get("text") or "").strip()
    if written and not (written.isdecimal() and 1 <= int(written) <= _MOST_DAYS):
        return say("usage_usage", language, most=_MOST_DAYS)
    days = await desk.usage.days(desk.team, int(written or _DAYS))
    accounts = await desk.usage.accounts(desk.team, channel, user, desk.daily)
    if await desk.people.is_admin(user):
        shown = _for_admins(days, language, desk)
    else:
        shown = _for_people(days, channel, user, language)
    return "\n".join([*shown, *_left(accounts, language, desk)])


def _for_admins(days: _Days, language: Language, desk: Desk) -> list[str]:
    runs = sum(day.runs for _, day in days)
    lines = [say("usage_all", language, days=len(days), runs=f"{runs:,}")]
    lines += _bars(days, lambda day: day.total)

    def agent(key: str) -> str:
        return desk.agents.title(Agent(*key.split(" ", 1)))

    groups: list[tuple[str, Callable[[Day], dict[str, Spent]], Callable[[str], str]]] = [
        ("usage_agents", lambda day: day.agents, agent),
        ("usage_channels", lambda day: day.channels, _channel),
        ("usage_people", lambda day: day.people, "<@{}>".format),
    ]
    for heading, parts, name in groups:
        sums = _summed(parts(day) for _, day in days)
        if sums:
            lines.append(say(heading, language))
            lines += [f"• {name(key)}: {_figure(spent)}" for key, spent in sums[:_TOP]]
        if len(sums) > _TOP:
            lines.append(say("more", language, count=len(sums) - _TOP))
    return lines


def _for_people(days: _Days, channel: str, user: str, language: Language) -> list[str]:
    return [
        say("usage_yours", language, days=len(days)),
        *_bars(days, lambda day: day.people.get(user, Spent())),
        say("usage_here", language, channel=_channel(channel)),
        *_bars(days, lambda day: day.channels.get(channel, Spent())),
    ]


def _left(accounts: list[Account], language: Language, desk: Desk) -> list[str]:
    """What is left of each budget today; nothing when there are none."""
    lines = []
    for account in accounts:
        if account.limit:
            left = max(account.limit - account.spent, 0)
            key = f"left_{account.whose}"
            lines.append("• " + say(key, language, left=f"{left:,}", limit=f"{account.limit:,}"))
    if lines:
        renews = f"{desk.usage.renewal:%Y-%m-%d %H:%M} ({desk.usage.zone})"
        lines.insert(0, say("usage_left", language, renews=renews))
    return lines


def _bars(days: _Days, part: Callable[[Day], Spent]) -> list[str]:
    """A line per day, newest first, in a block of fixed width."""
    most = max(part(day).characters for _, day in days) or 1
    lines = []
    for each, day in days:
        spent = part(day)
        bar = "█" * round(_BAR * spent.characters / most)
        if spent.characters and not bar:
            bar = "▏"
        lines.append(f"{each:%m-%d} {bar:<{_BAR}} {_figure(spent)}")
    return ["```", *lines, "```"]


def _summed(parts: Iterable[dict[str, Spent]]) -> list[tuple[str, Spent]]:
    """The parts of several days by name, the greatest first."""
    sums: dict[str, Spent] = {}
    for part in parts:
        for name, spent in part.items():
            before = sums.get(name, Spent())
            sums[name] = Spent(before.characters + spent.characters, before.estimated + spent.estimated)
    return sorted(sums.items(), key=lambda item: -item[1].characters)


def _figure(spent: Spent) -> str:
    """A sum of characters; with ≈ where some of it is estimated."""
    return f"{'≈ ' if spent.estimated else ''}{spent.characters:,}"


def _channel(channel: str) -> str:
    # Slack draws no link to a direct message.
    return f"<#{channel}>" if channel[:1] in ("C", "G") else f"`{channel}`"
