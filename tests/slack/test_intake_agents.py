"""Which agent answers: chosen by admins for a channel or the workspace, and moved to another by a word in a thread."""

from dataclasses import replace
from typing import Any

import pytest

from bot.agents import Agents
from bot.model.question import Question, Thread
from bot.settings import Settings
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
        ("use RDS Copilot", "RDS Copilot"),
        ("use rds-copilot!", "rds-copilot"),
        ("switch to DAS Agent.", "DAS Agent"),
        ("use DAS Agent ag-abc123", "DAS Agent ag-abc123"),
        ("use DAS Agent (legacy)", "DAS Agent (legacy)"),
        ("改用 RDS Copilot", "RDS Copilot"),
        ("请改用RDS Copilot吧。", "RDS Copilot"),
        ("使用 das agent 回答", "das agent"),
        ("use das agents", ""),
        ("use RDS Copilot to look at it", ""),
        ("use rds please", ""),
        ("改用 rds 的话会怎样", ""),
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
        ("das", ("das", ""), ""),
        ("DAS ag-Abc-1", ("das", "ag-Abc-1"), ""),
        ("das-legacy ag-1", ("das-legacy", "ag-1"), ""),
        ("DAS Agent", ("das", ""), ""),
        ("das agent ag-1", ("das", "ag-1"), ""),
        ("DAS Agent (legacy)", ("das-legacy", ""), ""),
        ("由 DAS Agent 回答", ("das", ""), ""),
        ("RDS Copilot", None, "`rds` is not set up here."),
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
def test_what_names_an_agent(written: str, agent: tuple[str, str] | None, sentence: str) -> None:
    catalogue = catalogue_of("das", "das-legacy")
    if agent:
        assert catalogue.parse(written, "en") == agent
        return
    with pytest.raises(BadAgentError) as error:
        catalogue.parse(written, "en")
    assert error.value.sentence.startswith(sentence)


def catalogue_of(*services: str, named: tuple[Agent, ...] = ()) -> Catalogue:
    nobody: Any = None
    return Catalogue(dict.fromkeys(services, ""), Agent("das"), Agent, nobody, frozenset(named), nobody)


def test_an_id_that_the_settings_name_is_one_whatever_it_looks_like() -> None:
    catalogue = catalogue_of("das", "rds", named=(Agent("rds", "orders"),))
    assert catalogue.parse("rds orders", "en") == ("rds", "orders")
    with pytest.raises(BadAgentError):
        catalogue.parse("das orders", "en")


@pytest.mark.parametrize("written", ["RDS Copilot", "rds copilot", "rds-copilot", "用 RDS Copilot 吧", "RDS"])
def test_the_title_of_rds_copilot_is_its_name(written: str) -> None:
    assert catalogue_of("das", "rds").parse(written, "en") == ("rds", "")


@pytest.mark.parametrize("word", ["here", "workspace", "default", "please", "Copilot2 now", "proxy"])
def test_a_word_after_rds_is_no_agent(word: str) -> None:
    catalogue = catalogue_of("das", "rds")
    with pytest.raises(BadAgentError) as error:
        catalogue.parse(f"rds {word}", "en")
    assert error.value.sentence == "That is no agent id. Write it like `rds my-agent-1`."
    assert catalogue.parse("rds my-agent-1", "en") == ("rds", "my-agent-1")


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
    assert (await say(house, WANG, "")).startswith("此处新话题由 *RDS Copilot* 回答：本频道的设置。")
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


async def test_an_admin_who_may_not_ask_chooses_all_the_same(make_house: Any) -> None:
    house = await make_house()
    await house.start(allowed_users=frozenset({ANA}), admin_users=frozenset({BEN}))
    assert (await say(house, BEN, "das ag-1")).startswith("From now on *DAS Agent `ag-1`* answers")
    assert (await say(house, WANG, "")).startswith("您不在允许提问的人员名单中")
    assert (await say(house, ANA, "das ag-2")).startswith("Only admins choose the agent.")


@pytest.mark.parametrize("written", ["RDS Copilot", "workspace rds copilot", "改用 RDS Copilot"])
async def test_rds_copilot_is_chosen_by_its_title(make_house: Any, written: str) -> None:
    house = await make_house(rds=True)
    await house.start()
    assert (await say(house, BEN, written)).startswith("From now on *RDS Copilot* answers new threads")
    assert (await say(house, BEN, "RDS Copilot please")).startswith("That is no agent id.")
    asked = await asked_of(house, OPS)
    assert (asked["service"], asked["agent"]) == ("rds", "")


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
    told = await say(house, ANA, "")
    assert told.startswith("*DAS Agent* answers new threads here: nobody has chosen another.")
    assert "`rds` is not set up here." in told
    assert (await asked_of(house, OPS))["service"] == "das"
    await Choices(house.redis).set("T0DEMO00001", "workspace", Agent("das", "ag-all"))
    assert (await say(house, ANA, "")).startswith(
        "*DAS Agent `ag-all`* answers new threads here: chosen for the"
    )
    assert (await asked_of(house, OPS))["agent"] == "ag-all"


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
        ("use ag-abc123", "ag-abc123"),
        ("use foo ag-abc123", "foo ag-abc123"),
        ("use das ag-", "das ag-"),
        ("改用 ag-abc123。", "ag-abc123"),
        ("use", ""),
        ("use foo", ""),
        ("use gh-ost", ""),
        ("use gh-ost to change it", ""),
        ("use ag-abc123 to look at it", ""),
        ("use rm-bp1demo0001", ""),
        ("改用 foo", ""),
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
def test_only_an_id_alone_is_taken_for_an_agent_s_name(text: str, names: str) -> None:
    assert unknown_agent(text) == names


@pytest.mark.parametrize(
    ("who", "text", "line"),
    [
        (
            ANA,
            "@das use foo ag-abc123",
            "I know no agent of that name. Write one of `das`, `das-legacy`, `rds`",
        ),
        (WANG, "@das 改用 ag-abc123", "没有这个名称的智能体。请填写 `das`, `das-legacy`, `rds` 之一"),
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
    """ "use gh-ost" is a word to the agent, with a mention, too; "use ag-1" in a thread without one as well."""
    house = await make_house(rds=True)
    await house.start()
    ts = house.workspace.say(ANA, OPS, QUESTION)
    await house.ended(1)
    for count, text in enumerate(("use gh-ost", "@das use gh-ost to change it", "use ag-abc123"), start=2):
        house.workspace.say(ANA, OPS, text, ts)
        *_, last = await house.ended(count)
        assert last["text"] == text.removeprefix("@das ")
    house.workspace.say(ANA, DM, "use ag-abc123")
    assert (await house.private_line(ANA, DM)).text.startswith("I know no agent of that name.")
    await house.taken(4)


@pytest.mark.parametrize(
    ("settings", "who", "text", "asks"),
    [
        ({"admin_users": frozenset({BEN})}, ANA, "das ag-secret1", None),
        ({}, ANA, "das ag-secret1", None),
        ({}, ANA, "das-legacy ag-secret1", None),
        ({"approver_users": frozenset({ANA})}, ANA, "das ag-secret1", None),
        ({"admin_users": frozenset({ANA})}, ANA, "das ag-secret1", "ag-secret1"),
        ({}, BEN, "das ag-secret1", "ag-secret1"),  # An admin of the workspace.
        ({}, ANA, "das ag-orders", "ag-orders"),  # Chosen for another channel.
        ({"das_agent_id": "ag-own"}, ANA, "das ag-own", "ag-own"),
        ({"default_agent": "das ag-x", "das_agent_id": "ag-own"}, ANA, "das ag-x", "ag-x"),
    ],
)
async def test_who_may_move_a_thread_to_which_agent(
    make_house: Any, settings: dict[str, Any], who: str, text: str, asks: str | None
) -> None:
    house = await make_house(rds=True)
    await house.start(**settings)
    await Choices(house.redis).set("T0DEMO00001", ORDERS, Agent("das", "ag-orders"))
    ts = house.workspace.say(WANG, OPS, "@das use rds")
    await house.workspace.until(lambda: house.workspace.replies(OPS, ts))
    house.workspace.say(who, OPS, f"@das use {text}", ts)
    if asks is None:
        assert (await house.private_line(who, OPS)).text.startswith("Only admins choose the agent.")
        house.workspace.replay_event(-1)
        await house.private_line(who, OPS)
        assert (await asked_of(house, OPS, ts))["service"] == "rds"
    else:
        await house.workspace.until(lambda: asks in house.workspace.replies(OPS, ts)[-1].text)
        assert (await asked_of(house, OPS, ts))["agent"] == asks


async def test_a_service_moved_to_answers_with_the_agent_that_is_chosen_there(make_house: Any) -> None:
    house = await make_house(rds=True)
    await house.start(default_agent="rds", das_agent_id="ag-own")
    ts = house.workspace.say(ANA, OPS, "@das use DAS Agent")
    await house.workspace.until(lambda: "`ag-own`" in str(house.workspace.replies(OPS, ts)))
    assert (await asked_of(house, OPS, ts))["agent"] == "ag-own"
    await say(house, BEN, "workspace das ag-all")
    house.workspace.say(ANA, OPS, "@das use das", ts)
    await house.workspace.until(lambda: "`ag-all`" in house.workspace.replies(OPS, ts)[-1].text)
    assert (await asked_of(house, OPS, ts))["agent"] == "ag-all"


@pytest.mark.parametrize("who", [ANA, WANG])
async def test_a_wish_in_english_is_answered_in_the_language_of_whose_it_is(
    make_house: Any, who: str
) -> None:
    house = await make_house(rds=True)
    await house.start()
    ts = house.workspace.say(who, OPS, "@das use RDS Copilot")
    await house.workspace.until(lambda: house.workspace.replies(OPS, ts))
    assert ("切换了智能体" in house.workspace.replies(OPS, ts)[-1].text) is (who == WANG)


class Chosen:
    """What a channel and its workspace have chosen."""

    def __init__(self, channel: Agent | None, workspace: Agent | None) -> None:
        self.both = (channel, workspace)

    async def __call__(self, team: str, channel: str) -> tuple[Agent | None, Agent | None]:
        return self.both


@pytest.mark.parametrize(
    ("settings", "channel", "workspace", "asked", "das", "rds"),
    [
        ({}, None, None, "das", "das", "rds"),
        ({"default_agent": "das ag-x"}, None, None, "das ag-x", "das ag-x", "rds"),
        ({"default_agent": "das ag-x", "das_agent_id": "ag-o"}, None, None, "das ag-x", "das ag-x", "rds"),
        ({"default_agent": "rds my-1"}, None, None, "rds my-1", "das", "rds my-1"),
        ({"default_agent": "rds", "das_agent_id": "ag-o"}, None, None, "rds", "das ag-o", "rds"),
        ({"default_agent": "das-legacy ag-x"}, None, None, "das-legacy ag-x", "das-legacy ag-x", "rds"),
        ({}, "rds", "das ag-w", "rds", "das ag-w", "rds"),
        ({"default_agent": "das ag-x"}, "rds my-1", None, "rds my-1", "das ag-x", "rds my-1"),
        ({}, "das-legacy ag-c", "das ag-w", "das-legacy ag-c", "das-legacy ag-c", "rds"),
        ({"rds_agent_id": "my-2"}, "das ag-c", "rds my-1", "das ag-c", "das ag-c", "rds my-1"),
        ({"rds_region": ""}, "rds my-1", "das ag-w", "das ag-w", "das ag-w", None),
    ],
)
async def test_the_first_choice_of_the_wanted_service_answers(
    settings: dict[str, Any],
    channel: str | None,
    workspace: str | None,
    asked: str,
    das: str,
    rds: str | None,
) -> None:
    """A mention, `/das-ask` and `/rds-ask` in a channel where these are chosen."""

    def agent(written: str | None) -> Agent | None:
        return Agent(*written.split()) if written else None

    known = Settings(**{"rds_region": "cn-hangzhou"} | settings)
    agents = Agents(known, Chosen(agent(channel), agent(workspace)))
    question = Question(Thread("T1", "C1", "1.0"), "1.0", ANA, "T1", "why?", "command")
    for service, wanted in (("", asked), ("das", das), ("rds", rds)):
        if wanted is not None:
            assert await agents.choose(replace(question, backend=service)) == agent(wanted), service


async def test_a_command_asks_the_default_agent(make_house: Any) -> None:
    house = await make_house()
    await house.start(default_agent="das ag-x")
    assert (await house.workspace.command(ANA, OPS, "/das-ask", "why is rm-bp1demo0001 slow?")).ok
    (run,) = await house.ended(1)
    assert (run["asked_of"], run["agent_id"]) == ("das", "ag-x")
