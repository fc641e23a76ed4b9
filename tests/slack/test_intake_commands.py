"""Slash commands: acked after the durable write, a visible root message, the answer in its thread."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from bot.slack.intake import commands
from bot.slack.people import People

ANA, BEN, WANG = "U0ANA00001", "U0BEN00001", "U0WANG0001"
OPS, RANDOM, DM = "C0DBOPS001", "C0RANDOM01", "D0ANA00001"


@pytest.mark.parametrize(
    ("text", "instance", "wrong"),
    [
        ("rm-bp1abc", "rm-bp1abc", ""),
        ("rm-bp1abc slow since 9:40", "rm-bp1abc", "slow since 9:40"),
        ("rm-bp1abc   写入很慢", "rm-bp1abc", "写入很慢"),
        ("rm-bp1abc，慢", "rm-bp1abc", "慢"),
        ("rm-bp1abc：写入很慢", "rm-bp1abc", "写入很慢"),
        ("rm-bp1abc, slow", "rm-bp1abc", "slow"),
        ("rm-bp1abc : slow", "rm-bp1abc", "slow"),
        ("rm-bp1abc,", "rm-bp1abc", ""),
        ("rm-bp1abc\nslow,\nvery", "rm-bp1abc", "slow,\nvery"),
        ("PC-2zeabc", "PC-2zeabc", ""),
        ("", "", ""),
        ("slow", "", ""),
        ("why is rm-bp1abc slow", "", ""),
        ("rm- slow", "", ""),
        ("rm-bp1abc;drop", "", ""),
        ("rm-bp1abc慢", "", ""),
    ],
)
def test_diagnosis(text: str, instance: str, wrong: str) -> None:
    assert commands.diagnosis(text) == (instance, wrong)


@pytest.mark.parametrize(
    ("who", "command", "text", "asked"),
    [
        (ANA, "/das-diagnose", "rm-bp1demo0001", "Diagnose rm-bp1demo0001"),
        (WANG, "/das-diagnose", "rm-bp1demo0001", "诊断实例 rm-bp1demo0001"),
        (WANG, "/das-diagnose", "rm-bp1demo0001，09:40", "诊断实例 rm-bp1demo0001：09:40"),
        (WANG, "/das-diagnose", "rm-bp1demo0001 slow", "Diagnose rm-bp1demo0001: slow"),
        (ANA, "/das-diagnose", "rm-bp1demo0001, 慢", "诊断实例 rm-bp1demo0001：慢"),
        (WANG, "/das-ask", "rm-bp1demo0001", "rm-bp1demo0001"),
    ],
)
async def test_a_command_without_words_is_in_the_language_of_who_writes_it(
    house: Any, who: str, command: str, text: str, asked: str
) -> None:
    assert (await house.workspace.command(who, OPS, command, text)).ok
    await house.workspace.until(lambda: root(house))
    in_chinese = "提问：" in root(house).text
    assert asked in root(house).text
    assert in_chinese is ((who == WANG and "slow" not in text) or "慢" in text)
    answer = await house.answer(OPS, root(house).ts)
    assert ("重新提问" in str(answer.blocks)) is in_chinese


async def test_who_asks_is_not_waited_for_long(make_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await make_house()
    await house.start()

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(commands, "_LANGUAGE_SECONDS", 0.01)
    monkeypatch.setattr(People, "language", never)
    assert (await house.workspace.command(WANG, OPS, "/das-diagnose", "rm-bp1demo0001")).ok
    (run,) = await house.taken(1)
    assert run["text"] == "Diagnose rm-bp1demo0001"


def root(house: Any, channel: str = OPS) -> Any:
    roots = [
        m for m in house.workspace.messages.of(channel) if m.bot_id and not m.is_reply and not m.ephemeral_for
    ]
    return roots[0] if roots else None


@pytest.mark.parametrize("channel", [OPS, DM])
async def test_the_answer_stands_below_a_visible_root_message(house: Any, channel: str) -> None:
    done = await house.workspace.command(ANA, channel, "/das-diagnose", "rm-bp1demo0001 slow & locked")
    assert done.ok and done.response is None
    await house.workspace.until(lambda: root(house, channel))
    assert root(house, channel).text == f"<@{ANA}> asked: Diagnose rm-bp1demo0001: slow &amp; locked"
    answer = await house.answer(channel, root(house, channel).ts)
    (run,) = await house.ended(1)
    assert (run["surface"], run["thread_ts"], run["text"]) == (
        "command",
        answer.thread_ts,
        "Diagnose rm-bp1demo0001: slow & locked",
    )
    house.workspace.say(ANA, channel, "and yesterday?", answer.thread_ts)
    await house.answer(channel, answer.thread_ts, 2)
    await house.taken(2)


async def test_the_write_comes_before_the_ack(house: Any) -> None:
    done = await house.workspace.command(ANA, OPS, "/das-ask", "why is rm-bp1demo0001 slow?")
    assert done.ok
    assert len(await house.runs()) == 1
    (delivery,) = (d for d in house.workspace.deliveries if d.kind == "slash_commands")
    assert delivery.latency < 3


@pytest.mark.parametrize(
    ("command", "text", "says"),
    [
        ("/das-ask", "", "Usage: `/das-ask <question>`"),
        ("/das-ask", "  \n ", "Usage: `/das-ask <question>`"),
        ("/das-ask", "@das", "Usage: `/das-ask <question>`"),
        ("/das-diagnose", "", "Usage: `/das-diagnose <instance>"),
        ("/das-diagnose", "everything is slow", "Usage: `/das-diagnose <instance>"),
        ("/das-help", "", "*Ask the database agents*"),
        ("/das-help", "me", "*Ask the database agents*"),
        ("/rds-ask", "", "Usage: `/rds-ask <question>`"),
        ("/rds-diagnose", "slow", "Usage: `/rds-diagnose <instance>"),
        ("/rds-ask", "why?", "`rds` is not set up here."),
        ("/rds-diagnose", "rm-bp1abc 很慢", "此处未配置 `rds`"),
        ("/das-ask", "x" * 32_001, "The question has 32,001 characters"),
    ],
)
async def test_private_answers(house: Any, command: str, text: str, says: str) -> None:
    done = await house.workspace.command(ANA, OPS, command, text)
    assert done.ok and done.response["text"].startswith(says)
    await house.private_line(ANA, OPS)
    await house.taken(0)
    assert root(house) is None


@pytest.mark.parametrize("text", ["why?", "为什么？"])
async def test_a_channel_without_the_bot_gets_a_private_hint_and_nothing_else(house: Any, text: str) -> None:
    done = await house.workspace.command(ANA, RANDOM, "/das-ask", text)
    assert done.ok and done.response is None
    line = await house.private_line(ANA, RANDOM)
    assert "`/invite @das`" in line.text
    (run,) = await house.ended(1)
    assert run["state"] == "failed"
    assert [m for m in house.workspace.messages.of(RANDOM) if not m.ephemeral_for] == []
    assert list(house.das.requests) == []


async def test_one_trigger_is_one_run(house: Any) -> None:
    await house.workspace.command(ANA, OPS, "/das-ask", "why is rm-bp1demo0001 slow?")
    payload = house.workspace.deliveries[0].payload
    again = [house.workspace._dispatcher.send("slash_commands", payload) for _ in range(5)]
    await asyncio.gather(*(house.workspace._dispatcher.finished(delivery) for delivery in again))
    await house.taken(1)


@pytest.mark.parametrize("fault", ["away", "silent"])
async def test_a_command_while_redis_is_away_gets_a_private_sentence(
    house: Any, monkeypatch: pytest.MonkeyPatch, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        if fault == "silent":
            await asyncio.Event().wait()
        raise ConnectionRefusedError("xoxb-1234567890-secret refused at redis://:hunter2@host")

    from redis.exceptions import ConnectionError as RedisAway

    async def away(*_: Any, **__: Any) -> Any:
        try:
            return await broken()
        except ConnectionRefusedError as error:
            raise RedisAway(str(error)) from error

    monkeypatch.setattr(commands, "_ACCEPT_SECONDS", 0.02)
    with monkeypatch.context() as patch:
        patch.setattr(Redis, "execute_command", away)
        done = await house.workspace.command(ANA, OPS, "/das-ask", "why?")
    assert done.ok
    text = done.response["text"]
    # Redis may have taken it; only its answer is missing.
    assert text.startswith("It is not certain that I noted your question.")
    reference = text.rsplit(" ", 1)[1]
    assert "hunter2" not in text and "xoxb" not in text and "Traceback" not in text
    log = "".join(capfd.readouterr())
    assert f"reference={reference}" in log or f'"{reference}"' in log
    await house.taken(0)


async def test_an_outsider_s_command_is_refused_although_it_does_not_name_their_team(house: Any) -> None:
    """A command's payload names the workspace it came through; whose person asked, only users.info tells."""
    done = await house.workspace.command(
        "U0OLAF0001", "C0SHARED01", "/das-ask", "why is rm-bp1demo0001 slow?"
    )
    assert done.ok
    await house.workspace.until(lambda: house.workspace.ephemerals("U0OLAF0001", "C0SHARED01"))
    (line,) = house.workspace.ephemerals("U0OLAF0001", "C0SHARED01")
    assert "only people of the company" in line.text
    (run,) = await house.ended(1)
    assert run["state"] == "failed"
    assert root(house, "C0SHARED01") is None and not house.workspace.calls_of("chat.postMessage")


async def test_who_is_not_known_is_not_told_to_be_of_another_company(house: Any) -> None:
    house.workspace.fail_next("users.info", error="missing_scope")
    assert (await house.workspace.command(ANA, OPS, "/das-ask", "why is rm-bp1demo0001 slow?")).ok
    await house.workspace.until(lambda: house.workspace.ephemerals(ANA, OPS))
    (line,) = house.workspace.ephemerals(ANA, OPS)
    assert line.text.startswith("Slack did not tell me in time who you are.")
    await house.ended(1)
    assert root(house) is None


@pytest.mark.parametrize("fault", ["full", "late"])
async def test_a_command_that_fails_for_certain_says_so(
    house: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async def full(*_: Any, **__: Any) -> Any:
        raise ResponseError("OOM command not allowed")

    async def late(*_: Any) -> Any:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        if fault == "full":
            patch.setattr(Redis, "execute_command", full)
        else:
            patch.setattr(commands, "_ANSWER_SECONDS", 0.02)
            patch.setattr(People, "language", late)
        command = "/das-ask" if fault == "full" else "/das-agent"
        done = await house.workspace.command(ANA, OPS, command, "why?" if fault == "full" else "")
    assert done.response["text"].startswith("Something went wrong on our side. Reference ")
    await house.taken(0)


async def test_each_service_has_commands_of_its_own(make_house: Any) -> None:
    house = await make_house(rds=True)
    await house.start()
    await house.workspace.command(ANA, OPS, "/rds-diagnose", "rm-bp1demo0001 slow")
    await house.workspace.until(lambda: root(house))
    answer = await house.answer(OPS, root(house).ts)
    assert "RDS Copilot" in str(answer.blocks)
    house.workspace.say(ANA, OPS, "and yesterday?", answer.thread_ts)
    await house.answer(OPS, answer.thread_ts, 2)
    await house.workspace.command(ANA, DM, "/das-ask", "why is rm-bp1demo0001 slow?")
    await house.workspace.until(lambda: root(house, DM))
    answer = await house.answer(DM, root(house, DM).ts)
    assert "RDS Copilot" not in str(answer.blocks)
    runs = await house.ended(3)
    assert [(run["backend"], run["asked_of"]) for run in runs] == [
        ("rds", "rds"),
        ("", "rds"),
        ("das", "das"),
    ]
