"""Who people are, as users.info says: asked once, believed for a while, and nobody when Slack does not say."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bot.model.question import Question, Thread
from bot.model.run import Run
from bot.slack import people as module
from bot.slack.access import Access, Visit
from bot.slack.client import SlackError, UncertainError
from bot.slack.people import People, Person

HOME, OTHER, GRID = "T1", "T2", "E1"
ANA, BEN = "U1", "U2"
RUN = Run("r1", Question(Thread(HOME, "C1", "1.0"), "1.0", ANA, HOME, "why?", "mention"))


class Slack:
    """Answers users.info from a table, and counts."""

    def __init__(self, **profiles: Any) -> None:
        self.profiles, self.asked = profiles, list[str]()
        self.held: asyncio.Event | None = None

    async def call(
        self, method: str, channel: str, priority: int, owner: str, make: Callable[[], Any]
    ) -> Any:
        assert method == "users.info" and make() == {"user": owner, "include_locale": True}
        self.asked.append(owner)
        if self.held:
            await self.held.wait()
        found = self.profiles[owner]
        if isinstance(found, Exception):
            raise found
        return {"ok": True, "user": {"team_id": HOME} | found}


def people(slack: Any, **rules: Any) -> People:
    enterprise, external = rules.pop("enterprise", ""), rules.pop("allow_external", False)
    return People(slack, Access(HOME, enterprise, allow_external=external), **rules)


@pytest.mark.parametrize(
    ("profile", "enterprise", "person"),
    [
        ({"locale": "zh-CN", "tz": "Asia/Shanghai"}, "", Person(HOME, False, "zh-CN", "Asia/Shanghai")),
        ({"is_admin": True}, "", Person(HOME, True)),
        ({"is_owner": True}, "", Person(HOME, True)),
        ({"team_id": OTHER, "is_admin": True}, "", Person(OTHER, True)),
        ({"is_stranger": True}, "", Person("")),
        ({"team_id": None}, "", Person("")),
        ({"team_id": OTHER, "enterprise_user": {"enterprise_id": GRID}}, GRID, Person(GRID)),
        ({"team_id": OTHER, "enterprise_user": {"enterprise_id": GRID}}, "", Person(OTHER)),
    ],
)
async def test_profiles(profile: dict[str, Any], enterprise: str, person: Person) -> None:
    assert await people(Slack(U1=profile), enterprise=enterprise).person(ANA) == person


async def test_slack_is_asked_once_and_again_after_a_while() -> None:
    slack, now = Slack(U1={}, U2={"is_admin": True}), 0.0
    known = people(slack, clock=lambda: now)
    await asyncio.gather(*(known.person(ANA) for _ in range(20)))
    await known.person(ANA)
    assert slack.asked == [ANA]
    assert await known.is_admin(BEN)
    slack.profiles[BEN] = {}
    now = module._LIFE - 1
    assert await known.is_admin(BEN)
    now = module._LIFE + 1
    assert not await known.is_admin(BEN)
    assert slack.asked == [ANA, BEN, BEN]


async def test_a_lookup_is_of_nobody_s_run() -> None:
    """It serves all who ask meanwhile; what it logs must not name the run of who came first."""
    seen = []

    class Noting(Slack):
        async def call(self, *arguments: Any) -> Any:
            seen.append(structlog.contextvars.get_contextvars())
            return await super().call(*arguments)

    with structlog.contextvars.bound_contextvars(run="7f3a-19c2"):
        await people(Noting(U1={})).person(ANA)
    assert seen == [{}]


@pytest.mark.parametrize("error", [SlackError("missing_scope"), UncertainError("no_answer")])
async def test_who_is_not_known_may_nothing(error: Exception) -> None:
    slack = Slack(U2=error)
    known = people(slack)
    assert await known.person(BEN) is None
    assert not await known.is_admin(BEN) and not await known.may_stop(BEN, RUN)
    assert await known.refusal(Visit(BEN, HOME, "C1")) == "not_known"
    assert await known.language(BEN) == "en"
    slack.profiles[BEN] = {"is_admin": True}
    assert await known.may_stop(BEN, RUN)


async def test_a_slow_slack_is_not_waited_for_but_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOKUP_SECONDS", 0)
    slack = Slack(U2={"is_admin": True})
    slack.held = asyncio.Event()
    known = people(slack)
    assert await known.person(BEN) is None
    assert not await known.is_admin(BEN)
    (lookup,) = known._lookups.values()
    slack.held.set()
    await lookup
    assert await known.is_admin(BEN)
    assert slack.asked == [BEN]


async def test_a_slow_slack_is_waited_for_once_however_often_somebody_is_asked_for() -> None:
    """A click asks for its clicker's language, then for what they may do; Slack waits 3 s for the ack."""
    slack, now = Slack(U2={"is_admin": True}), 0.0
    slack.held = asyncio.Event()
    known = people(slack, clock=lambda: now)
    first = asyncio.create_task(known.language_for(BEN, RUN))
    while not slack.asked:  # noqa: ASYNC110 (the task has to run)
        await asyncio.sleep(0)
    now = module._LOOKUP_SECONDS
    second = asyncio.create_task(known.may_stop(BEN, RUN))
    while not second.done():
        assert not first.done()
        await asyncio.sleep(0)
    assert not second.result()
    slack.held.set()
    assert await first == "en"
    assert await known.may_stop(BEN, RUN) and known._patience == {}


async def test_who_asked_is_talked_to_in_their_question_s_language_and_others_in_their_own() -> None:
    slack = Slack(U2={"locale": "zh-CN"})
    known = people(slack)
    assert await known.language_for(ANA, RUN) == "en"
    assert slack.asked == []
    assert await known.language_for(BEN, RUN) == "zh"


async def test_lookups_under_way_end_with_the_bot() -> None:
    slack = Slack(U2={})
    slack.held = asyncio.Event()
    known = people(slack)
    asking = asyncio.create_task(known.person(BEN))
    while not slack.asked:  # noqa: ASYNC110 (the task has to run)
        await asyncio.sleep(0)
    await known.aclose()
    assert await asking is None and known._lookups == {}


_users = st.sampled_from(["U1", "U2", "U3"])
_sets = st.frozensets(_users)


@given(_users, _sets, _sets, _sets)
async def test_what_people_may(
    user: str, admins: frozenset[str], approvers: frozenset[str], owners: frozenset[str]
) -> None:
    """The rules, once more in other words."""
    slack = Slack(**{each: {"is_admin": each in owners} for each in ("U1", "U2", "U3")})
    known = people(slack, admins=admins, approvers=approvers)
    is_admin = user in (admins or owners)
    assert await known.is_admin(user) == is_admin
    assert await known.may_stop(user, RUN) == (user == ANA or is_admin or user in approvers)
    assert await known.may_decide(user, RUN) == (user in approvers if approvers else user == ANA or is_admin)


@pytest.mark.parametrize(
    ("profile", "external", "refusal"),
    [
        ({}, False, ""),
        ({"team_id": OTHER}, False, "denied_external"),
        ({"is_stranger": True}, False, "denied_external"),
        ({"team_id": OTHER}, True, ""),
    ],
)
async def test_a_visit_that_does_not_say_where_they_are_at_home(
    profile: dict[str, Any], external: bool, refusal: str
) -> None:
    known = people(Slack(U2=profile), allow_external=external)
    # Slack fills in the workspace the command came through, whoever typed it.
    assert await known.refusal(Visit(BEN, HOME, "C1")) == refusal


async def test_an_admin_of_another_company_is_none_of_ours() -> None:
    for profile in ({"team_id": OTHER, "is_owner": True}, {"is_stranger": True, "is_admin": True}):
        assert not await people(Slack(U2=profile)).is_admin(BEN)
