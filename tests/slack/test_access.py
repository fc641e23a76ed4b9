"""Who may ask, where: closed when in doubt."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.access import Access, Visit

HOME, OTHER, GRID = "T0DEMO00001", "T0OTHER0001", "E0GRID0001"
ANA, BEN, WANG, OLAF = "U0ANA00001", "U0BEN00001", "U0WANG0001", "U0OLAF0001"
OPS, ORDERS, SHARED, DM = "C0DBOPS001", "C0ORDERS01", "C0SHARED01", "D0ANA00001"


@pytest.mark.parametrize(
    ("rules", "visit", "refusal"),
    [
        ({}, Visit(ANA, HOME, OPS), ""),
        ({}, Visit(ANA, "", OPS), ""),
        ({}, Visit(OLAF, OTHER, SHARED, shared=True), "denied_external"),
        ({}, Visit(OLAF, OTHER, DM), "denied_external"),
        ({}, Visit(OLAF, "", SHARED, shared=True), "denied_external"),
        ({}, Visit(ANA, HOME, SHARED, shared=True), ""),
        ({"enterprise": GRID}, Visit(ANA, GRID, OPS), ""),
        ({"allow_external": True}, Visit(OLAF, OTHER, SHARED, shared=True), ""),
        ({"allow_external": True, "users": {ANA}}, Visit(OLAF, OTHER, SHARED, shared=True), "denied_user"),
        ({"users": {ANA}}, Visit(ANA, HOME, OPS), ""),
        ({"users": {ANA}}, Visit(BEN, HOME, OPS), "denied_user"),
        ({"users": {ANA}}, Visit(BEN, HOME, DM), "denied_user"),
        ({"channels": {OPS}}, Visit(ANA, HOME, OPS), ""),
        ({"channels": {OPS}}, Visit(ANA, HOME, ORDERS), "denied_channel"),
        ({"channels": {OPS}}, Visit(ANA, HOME, DM), ""),
        ({"channels": {OPS}}, Visit(ANA, HOME, ""), "denied_channel"),
    ],
)
def test_refusal(rules: dict[str, Any], visit: Visit, refusal: str) -> None:
    sets: Any = {name: frozenset(value) if isinstance(value, set) else value for name, value in rules.items()}
    assert Access(HOME, **sets).refusal(visit) == refusal


@pytest.mark.parametrize(
    ("visit", "refusal"),
    [
        (Visit(BEN, HOME, OPS), ""),
        (Visit(BEN, HOME, ORDERS), "denied_channel"),
        (Visit(OLAF, OTHER, OPS), "denied_external"),
    ],
)
def test_the_list_of_people_is_of_those_who_ask(visit: Visit, refusal: str) -> None:
    access = Access(HOME, users=frozenset({ANA}), channels=frozenset({OPS}))
    assert access.refusal(visit, asks=False) == refusal


_teams = st.sampled_from(["", HOME, OTHER, GRID])


@given(_teams, st.booleans(), st.sampled_from([OPS, SHARED, DM]), st.sampled_from(["", GRID]))
def test_no_outsider_gets_in(team: str, shared: bool, channel: str, enterprise: str) -> None:
    refusal = Access(HOME, enterprise).refusal(Visit(OLAF, team, channel, shared))
    ours = {HOME, enterprise} - {""}
    assert (refusal == "") == (team in ours or (not team and not shared))


async def test_an_outsider_of_a_shared_channel_gets_one_private_line(house: Any) -> None:
    ts = house.workspace.say(OLAF, SHARED, "@das why is rm-bp1demo0001 slow?")
    line = await house.private_line(OLAF, SHARED)
    assert line.text == "I answer only people of the company that runs me."
    for number in (0, 1):
        house.workspace.replay_event(number)
    await house.taken(0)
    await house.private_line(OLAF, SHARED)
    assert house.workspace.replies(SHARED, ts) == []
    # Our own people may ask there, and the stranger may not ask on.
    house.workspace.say(ANA, SHARED, "@das why is rm-bp1demo0001 slow?", ts)
    await house.answer(SHARED, ts)
    house.workspace.say(OLAF, SHARED, "and yesterday?", ts)
    await house.private_line(OLAF, SHARED, 2)
    await house.taken(1)


@pytest.mark.parametrize("place", ["user_team", "source_team", "team", None])
@pytest.mark.parametrize("home", [HOME, OTHER])
async def test_the_home_team_in_each_of_its_places(
    house: Any, deliver: Callable[..., Awaitable[bool]], place: str | None, home: str
) -> None:
    event = {
        "type": "app_mention",
        "user": ANA,
        "text": "<@U0DASBOT01> slow?",
        "ts": "1.1",
        "channel": SHARED,
    }
    assert await deliver(event | ({place: home} if place else {}), channel=SHARED)
    is_welcome = place is not None and home == HOME
    assert len(await house.runs()) == is_welcome
    if not is_welcome:
        await house.private_line(ANA, SHARED)


async def test_channels_and_people_not_on_the_lists(make_house: Any) -> None:
    house = await make_house()
    await house.start(allowed_channels=frozenset({OPS}), allowed_users=frozenset({ANA}))
    house.workspace.say(ANA, ORDERS, "@das slow?")
    assert (await house.private_line(ANA, ORDERS)).text.startswith("I do not answer in this channel.")
    house.workspace.say(BEN, OPS, "@das 为什么慢？")
    assert (await house.private_line(BEN, OPS)).text.startswith("您不在允许提问的人员名单中")
    for channel, user in ((ORDERS, ANA), (OPS, BEN)):
        done = await house.workspace.command(user, channel, "/das-ask", "slow?")
        assert done.ok and "ask" in done.response["text"]
    house.workspace.say(ANA, OPS, "nobody asked the bot")
    house.workspace.say(BEN, ORDERS, "nobody asked the bot")
    await house.taken(0)
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    dm = house.workspace.say(ANA, DM, "why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    await house.answer(DM, dm)
    await house.taken(2)


async def test_refused_people_cannot_click_or_stop_either(make_house: Any) -> None:
    house = await make_house(pace=100)
    await house.start(allowed_users=frozenset({ANA}))
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(
        lambda: "run_stop" in str([m.blocks for m in house.workspace.replies(OPS, ts)])
    )
    reply = house.workspace.replies(OPS, ts)[0]
    assert (await house.workspace.click(WANG, OPS, reply.ts, "run_stop")).ok
    line = await house.private_line(WANG, OPS)
    assert (line.text[:10], line.thread_ts) == ("您不在允许提问的人员", ts)
    house.workspace.say(WANG, OPS, "stop", ts)
    await house.private_line(WANG, OPS, 2)
    (run,) = await house.taken(1)
    assert "stop_by" not in run


@pytest.mark.parametrize(
    "more", [{}, {"admin_users": frozenset({BEN})}, {"approver_users": frozenset({BEN})}]
)
@pytest.mark.parametrize("way", ["button", "word"])
async def test_who_may_decide_need_not_be_among_those_who_ask(
    make_house: Any, more: dict[str, Any], way: str
) -> None:
    """Ben, an admin of the workspace, an admin of the settings, an approver; none of these may ask by that."""
    house = await make_house(pace=100)
    await house.start(allowed_users=frozenset({ANA}), **more)
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(
        lambda: "run_stop" in str([m.blocks for m in house.workspace.replies(OPS, ts)])
    )
    reply = house.workspace.replies(OPS, ts)[0]
    house.workspace.say(BEN, OPS, "@das and rm-bp1demo0002?", ts)
    assert (await house.private_line(BEN, OPS)).text.startswith("You are not on the list")
    if way == "button":
        assert (await house.workspace.click(BEN, OPS, reply.ts, "run_stop")).ok
    else:
        house.workspace.say(BEN, OPS, "stop", ts)
    (run,) = await house.taken(1)
    assert run["stop_by"] == BEN
    # To ask again is to ask.
    again = await house.answer(OPS, ts)
    assert (await house.workspace.click(BEN, OPS, again.ts, "run_again")).ok
    assert (await house.private_line(BEN, OPS, 2)).text.startswith("You are not on the list")
    await house.taken(1)
