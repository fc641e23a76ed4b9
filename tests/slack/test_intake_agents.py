"""Which agent answers: chosen by admins for a channel or the workspace, and moved to another by a word in a thread."""

from typing import Any

import pytest

from bot.slack.intake.agents import BadAgentError, Catalogue
from bot.slack.intake.text import unknown_agent, wanted_agent
from bot.store.choices import Choices
from bot.store.sessions import Agent

ANA, BEN, WANG, OLAF = "U0ANA00001", "U0BEN00001", "U0WANG0001", "U0OLAF0001"
OPS, ORDERS, SHARED, DM = "C0DBOPS001", "C0ORDERS01", "C0SHARED01", "D0ANA00001"
QUESTION = "@das why is rm-bp1demo0001 slow?"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("use rds", "rds"),
        ("Use RDS.", "RDS"),
        ("use  das", "das"),
        ("use das-legacy", "das-legacy"),
        ("use das ag-abc123", "das ag-abc123"),
        ("switch to rds my-agent-2", "rds my-agent-2"),
        ("切换到 rds", "rds"),
        ("切换到rds", "rds"),
        ("改用 das ag-abc123。", "das ag-abc123"),
        ("改用das！", "das"),
        ("use", ""),
        ("use mysql", ""),
        ("use rds proxy", ""),
        ("use das index hints", ""),
        ("please use rds", ""),
        ("use rds and tell me why it is slow", ""),
        ("use rds\nwhy is it slow?", ""),
        ("改用 rds 再看看", ""),
        ("because rds is slow", ""),
        ("", ""),
    ],
)
def test_the_whole_message_is_the_wish(text: str, names: str) -> None:
    assert wanted_agent(text) == names


@pytest.mark.parametrize(
    ("written", "agent", "sentence"),
    [
        ("das", Agent("das", "ag-own"), ""),
        ("DAS ag-Abc-1", Agent("das", "ag-Abc-1"), ""),
        ("das-legacy ag-1", Agent("das-legacy", "ag-1"), ""),
        ("mysql", None, "I know no agent of that name. Write one of `das`, `das-legacy`"),
        ("", None, "I know no agent of that name."),
        ("rds", None, "`rds` is not set up here."),
        ("das abc", None, "That is no agent id. Write it like `das ag-abc123`."),
        ("das ag-", None, "That is no agent id."),
        ("das ag-1 ag-2", None, "That is no agent id."),
        ("das ag-<!channel>", None, "That is no agent id."),
        ("das ag-" + "x" * 63, None, "That is no agent id."),
    ],
)
def test_what_names_an_agent(written: str, agent: Agent | None, sentence: str) -> None:
    own = {"das": "ag-own"}
    choices: Any = object.__new__(Choices)
    names = {"das": "DAS Agent", "das-legacy": "DAS Agent (older)"}
    catalogue = Catalogue(names, Agent("das"), lambda service: Agent(service, own.get(service, "")), choices)
    if agent:
        assert catalogue.parse(written, "en") == agent
        return
    with pytest.raises(BadAgentError) as error:
        catalogue.parse(written, "en")
    assert error.value.sentence.startswith(sentence)


async def say(house: Any, who: str, text: str, channel: str = OPS) -> str:
    """What `/das-agent` answers."""
    done = await house.workspace.command(who, channel, "/das-agent", text)
    assert done.ok
    return str(done.response["text"])


async def asked_of(house: Any, channel: str, thread_ts: str | None = None) -> dict[str, str]:
    """Who answers a question asked now, in a thread of its own unless one is given."""
    before = len(await house.runs())
    ts = house.workspace.say(ANA, channel, QUESTION, thread_ts)
    *_, run = await house.ended(before + 1)
    assert run["thread_ts"] == (thread_ts or ts)
    return {"service": run["asked_of"], "agent": run["agent_id"], "session": run["session_id"]}


async def test_a_choice_holds_for_new_threads_of_its_channel(make_house: Any) -> None:
    house = await make_house(rds=True)
    await house.start(das_agent_id="ag-own")
    assert (await say(house, ANA, "")).startswith(
        "*DAS Agent `ag-own`* answers new threads here: nobody has chosen another."
    )
    old = house.workspace.say(ANA, OPS, QUESTION)
    await house.ended(1)
    assert await say(house, BEN, "rds") == "From now on *RDS Copilot* answers new threads in this channel."
    assert (await say(house, ANA, "")).startswith(
        "*RDS Copilot* answers new threads here: chosen for this channel."
    )
    assert (await say(house, WANG, "")).startswith("此处新会话由 *RDS Copilot* 回答：本频道的设置。")
    assert (await asked_of(house, OPS))["service"] == "rds"
    assert (await asked_of(house, ORDERS))["service"] == "das"
    # A thread stays with the agent that began it.
    assert (await asked_of(house, OPS, old))["service"] == "das"
    answer = await say(house, BEN, "workspace das ag-all")
    assert answer == "From now on *DAS Agent `ag-all`* answers new threads in the workspace."
    assert (await asked_of(house, ORDERS))["agent"] == "ag-all"
    assert (await asked_of(house, OPS))["service"] == "rds"
    assert await say(house, BEN, "default") == "Nothing is chosen in this channel any more."
    assert "chosen for the workspace" in await say(house, ANA, "")
    assert (await asked_of(house, OPS))["agent"] == "ag-all"
    assert await say(house, BEN, "workspace default") == "Nothing is chosen in the workspace any more."
    assert (await asked_of(house, OPS))["agent"] == "ag-own"


@pytest.mark.parametrize(
    ("settings", "who", "may"),
    [
        ({}, BEN, True),
        ({}, ANA, False),
        ({"admin_users": frozenset({ANA})}, ANA, True),
        ({"admin_users": frozenset({ANA})}, BEN, False),
        ({"approver_users": frozenset({ANA})}, ANA, False),
    ],
)
async def test_only_admins_choose(make_house: Any, settings: dict[str, Any], who: str, may: bool) -> None:
    house = await make_house()
    await house.start(**settings)
    for text in ("das ag-1", "workspace das ag-1", "default"):
        answer = await say(house, who, text)
        assert answer.startswith("Only admins choose the agent.") is not may
    assert ("nobody has chosen" in await say(house, ANA, "")) is not may


async def test_nothing_is_chosen_that_is_not_there(make_house: Any) -> None:
    house = await make_house()
    await house.start()
    for text in ("mysql", "rds", "das abc", "workspace", "workspace rds"):
        await say(house, BEN, text)
    assert "nobody has chosen" in await say(house, ANA, "")


async def test_strangers_see_nothing_and_an_admin_of_theirs_is_none_of_ours(house: Any) -> None:
    house.workspace.people[OLAF].is_admin = True
    for text in ("", "das ag-1"):
        answer = await say(house, OLAF, text, SHARED)
        assert answer == "I answer only people of the company that runs me."
    assert "nobody has chosen" in await say(house, ANA, "", SHARED)


async def test_a_choice_of_a_service_that_is_gone_says_so(make_house: Any) -> None:
    house = await make_house()
    await house.start()
    await Choices(house.redis).set("T0DEMO00001", OPS, Agent("rds"))
    assert "`rds` is not set up here." in await say(house, ANA, "")
    assert (await asked_of(house, OPS))["service"] == "das"


async def test_a_word_moves_a_thread_once_and_visibly(make_house: Any) -> None:
    house = await make_house(rds=True)
    await house.start()
    ts = house.workspace.say(ANA, OPS, QUESTION)
    await house.ended(1)
    house.workspace.say(WANG, OPS, "@das 改用 rds", ts)

    def lines() -> list[str]:
        return [m.text for m in house.workspace.replies(OPS, ts) if m.bot_id and "切换了智能体" in m.text]

    await house.workspace.until(lines)
    for number in range(len(house.workspace.events)):
        house.workspace.replay_event(number)
    await house.taken(1)
    assert len(lines()) == 1 and lines()[0].startswith(f"<@{WANG}>") and "RDS Copilot" in lines()[0]
    moved = await asked_of(house, OPS, ts)
    assert moved["service"] == "rds"
    first, _ = await house.runs()
    assert moved["session"] not in ("", first["session_id"])
    house.workspace.say(ANA, OPS, "use rds", ts)
    assert (await house.private_line(ANA, OPS)).text == "This thread asks *RDS Copilot* already."
    house.workspace.say(ANA, OPS, "use das", ts)
    await house.workspace.until(lambda: "DAS Agent" in house.workspace.replies(OPS, ts)[-1].text)
    back = await asked_of(house, OPS, ts)
    assert back["service"] == "das" and back["session"] not in (first["session_id"], moved["session"])


@pytest.mark.parametrize(("channel", "text"), [(OPS, "@das use rds"), (DM, "use rds")])
async def test_a_thread_may_begin_with_the_move(make_house: Any, channel: str, text: str) -> None:
    house = await make_house(rds=True)
    await house.start()
    ts = house.workspace.say(ANA, channel, text)
    await house.workspace.until(lambda: house.workspace.replies(channel, ts))
    house.workspace.say(ANA, channel, "why is rm-bp1demo0001 slow?", ts)
    (run,) = await house.ended(1)
    assert run["asked_of"] == "rds"


async def test_only_in_the_bots_threads_and_by_those_who_may_ask(make_house: Any) -> None:
    house = await make_house(rds=True)
    await house.start(allowed_users=frozenset({ANA}))
    other = house.workspace.say(BEN, OPS, "lunch?")
    house.workspace.say(ANA, OPS, "use rds", other)
    ts = house.workspace.say(ANA, OPS, QUESTION)
    await house.ended(1)
    house.workspace.say(BEN, OPS, "@das use rds", ts)
    assert (await house.private_line(BEN, OPS)).text.startswith("You are not on the list")
    assert house.workspace.replies(OPS, other)[-1].user == ANA
    assert (await asked_of(house, OPS, ts))["service"] == "das"


async def test_a_service_that_is_not_there_is_told_once(make_house: Any) -> None:
    house = await make_house()
    await house.start()
    ts = house.workspace.say(ANA, OPS, "@das use rds")
    assert (await house.private_line(ANA, OPS)).text.startswith("`rds` is not set up here.")
    house.workspace.replay_event(0)
    await house.private_line(ANA, OPS)
    await house.taken(0)
    assert house.workspace.replies(OPS, ts) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("use foo", "foo"),
        ("Use Foo.", "Foo"),
        ("use rds-copilot!", "rds-copilot"),
        ("use foo ag-abc123", "foo ag-abc123"),
        ("use das ag-", "das ag-"),
        ("改用 foo", "foo"),
        ("切换到foo。", "foo"),
        ("use", ""),
        ("use it", ""),
        ("use both.", ""),
        ("use index?", ""),
        ("use index or not?", ""),
        ("use rds proxy", ""),
        ("use `foo`", ""),
        ("please use foo", ""),
        ("switch to standby", ""),
        ("改用主键", ""),
        ("改用 foo 再看看", ""),
        ("use foo\nwhy is it slow?", ""),
    ],
)
def test_only_a_word_alone_is_taken_for_an_agent_s_name(text: str, names: str) -> None:
    assert unknown_agent(text) == names


@pytest.mark.parametrize(
    ("who", "text", "line"),
    [
        (ANA, "@das use foo", "I know no agent of that name. Write one of `das`, `das-legacy`, `rds`"),
        (WANG, "@das 改用 foo", "没有这个名称的智能体。请填写 `das`, `das-legacy`, `rds` 之一"),
    ],
)
async def test_an_agent_nobody_knows_is_no_question(make_house: Any, who: str, text: str, line: str) -> None:
    house = await make_house(rds=True)
    await house.start()
    ts = house.workspace.say(ANA, OPS, QUESTION)
    await house.ended(1)
    house.workspace.say(who, OPS, text, ts)
    assert (await house.private_line(who, OPS)).text.startswith(line)
    house.workspace.replay_event(-1)
    await house.private_line(who, OPS)
    await house.taken(1)


async def test_what_may_answer_the_agent_goes_to_the_agent(make_house: Any) -> None:
    """In a thread "use gh-ost" is a word to the agent; an agent is named with a mention, or where a thread begins."""
    house = await make_house(rds=True)
    await house.start()
    ts = house.workspace.say(ANA, OPS, QUESTION)
    await house.ended(1)
    house.workspace.say(ANA, OPS, "use gh-ost", ts)
    _, second = await house.ended(2)
    assert second["text"] == "use gh-ost"
    house.workspace.say(ANA, DM, "use gh-ost")
    assert (await house.private_line(ANA, DM)).text.startswith("I know no agent of that name.")
    await house.taken(2)
