"""Who people are: their home, their language, and what they may do to others' runs. Closed when in doubt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace

from bot import log
from bot.model.question import Language, language_of
from bot.model.run import Run
from bot.slack.access import Access, Visit, home_of
from bot.slack.budget import Priority
from bot.slack.client import SlackClient, SlackError

logger = log.get(__name__)

_LOOKUP_SECONDS = 1.5
"""Longest wait for a profile: Slack gives 3 s for the ack of a click or command, and the store needs some of them.

It counts from the lookup's beginning: a click may ask for the same profile twice, for what somebody may do and for
their language.
"""
_DRAIN_SECONDS = 1.0
_LIFE = 600.0
"""Seconds a profile is believed: so long somebody who is no admin any more still counts as one."""
_MOST = 2_000
"""Profiles kept in memory."""


@dataclass(frozen=True, slots=True)
class Person:
    """A Slack profile: `home` is the team's or, in an organisation, the enterprise's id. `locale` is BCP 47 ("zh-CN"),
    `timezone` an IANA name; "" unknown."""

    home: str
    is_admin: bool = False
    locale: str = ""
    timezone: str = ""


class People:
    """The people of a workspace. One lookup at Slack each, remembered for a while.

    Args:
        client: for users.info.
        access: the rules of who may be here at all.
        admins: who may choose agents and stop anything; empty means the workspace's admins and owners.
        approvers: who may let a paused run go on; empty means who asked, and admins.
        clock: seconds.
    """

    def __init__(
        self,
        client: SlackClient,
        access: Access,
        admins: frozenset[str] = frozenset(),
        approvers: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._access = access
        self._admins = admins
        self.approvers = approvers
        self._clock = clock
        self._known: dict[str, tuple[float, Person]] = {}
        self._lookups: dict[str, asyncio.Task[Person | None]] = {}
        self._patience: dict[str, float] = {}
        """Until when each lookup is waited for."""

    async def person(self, user: str) -> Person | None:
        """Somebody's profile, or None when Slack does not tell in time; it may know the next time."""
        until, known = self._known.get(user, (0.0, None))
        if known and until > self._clock():
            return known
        lookup = self._lookups.get(user)
        if lookup is None:
            # It is for all who ask, not only who came first.
            work = self._look_up(user)
            lookup = self._lookups[user] = asyncio.create_task(work, context=Context())
            self._patience[user] = self._clock() + _LOOKUP_SECONDS
            lookup.add_done_callback(lambda _: self._forget_lookup(user))
        await asyncio.wait({lookup}, timeout=max(0.0, self._patience[user] - self._clock()))
        return lookup.result() if lookup.done() and not lookup.cancelled() else None

    async def refusal(self, visit: Visit) -> str:
        """`refusal_to_act` for a visit that does not say where the visitor is at home: Slack is asked."""
        if self._access.allow_external:
            return await self.refusal_to_act(visit)
        person = await self.person(visit.user)
        if person is None:
            # Perhaps one of ours: nobody is told to be a stranger for that.
            return "not_known"
        return await self.refusal_to_act(replace(visit, user_team=person.home, shared=True))

    async def refusal_to_act(self, visit: Visit) -> str:
        """`Access.refusal` for whoever asks nothing, but decides, stops or chooses: approvers and admins need not be
        on the list of those who may ask."""
        key = self._access.refusal(visit)
        if key == "denied_user" and await self.may_stop_others(visit.user):
            return self._access.refusal(visit, asks=False)
        return key

    async def language(self, user: str) -> Language:
        """The language somebody has set in Slack: Chinese, or else English."""
        person = await self.person(user)
        return "zh" if person and person.locale.lower().startswith("zh") else "en"

    async def language_of_word(self, text: str, user: str) -> Language:
        """The language of a word that people of every language write, such as "stop": Chinese when it is Chinese,
        else what they have set in Slack."""
        return "zh" if language_of(text) == "zh" else await self.language(user)

    async def language_for(self, user: str, run: Run) -> Language:
        """The language to tell somebody about a run in: for who asked that of the question, else what they have set."""
        question = run.question
        return question.language if user == question.user else await self.language(user)

    async def is_admin(self, user: str) -> bool:
        """Whether somebody may choose agents and see everything."""
        if self._admins:
            return user in self._admins
        person = await self.person(user)
        return bool(person and person.is_admin and self._is_ours(person))

    async def may_stop_others(self, user: str) -> bool:
        """Whether somebody may stop what they did not ask."""
        return user in self.approvers or await self.is_admin(user)

    async def may_stop(self, user: str, run: Run) -> bool:
        """Whether somebody may stop this run."""
        return user == run.question.user or await self.may_stop_others(user)

    async def may_decide(self, user: str, run: Run) -> bool:
        """Whether somebody may let this paused run go on."""
        if self.approvers:
            return user in self.approvers
        return user == run.question.user or await self.is_admin(user)

    async def aclose(self) -> None:
        """End the lookups under way. One that Slack does not answer ends with the client's connections."""
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        if lookups:
            await asyncio.wait(lookups, timeout=_DRAIN_SECONDS)

    def _is_ours(self, person: Person) -> bool:
        return person.home in {self._access.team, self._access.enterprise} - {""}

    def _forget_lookup(self, user: str) -> None:
        del self._lookups[user], self._patience[user]

    async def _look_up(self, user: str) -> Person | None:
        try:
            answer = await self._client.call(
                "users.info",
                "",
                Priority.FIRST_WORDS,
                user,
                lambda: {"user": user, "include_locale": True},
            )
        except SlackError as error:
            # With missing_scope the app has to be installed again from manifest.yml.
            logger.error("profile not known", user=user, reason=str(error))
            return None
        profile = answer.get("user") or {}
        person = Person(
            home_of(profile, self._access.enterprise),
            bool(profile.get("is_admin") or profile.get("is_owner")),
            str(profile.get("locale") or ""),
            str(profile.get("tz") or ""),
        )
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[user] = (self._clock() + _LIFE, person)
        return person
