"""GetDasAgentSSE: the same diagnoses in the older shape, read by the official SDK."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alibabacloud_das20200116 import models
from alibabacloud_das20200116.client import Client
from alibabacloud_tea_openapi import utils_models
from darabonba.runtime import RuntimeOptions

from bot.demo.das import DEMO_CREDENTIAL, Credential, Faults, SimulatedDas
from bot.demo.das.legacy import retell
from bot.demo.upstream.wire import Timed

SLOW = "why is rm-bp1abc slow?"
STS = Credential("STS.test-key-id", "test-sts-secret", "test-security-token")
Frames = list[dict[str, Any]]


@pytest.fixture
async def das() -> AsyncIterator[SimulatedDas]:
    service = SimulatedDas((DEMO_CREDENTIAL, STS), pace=0, seed=7)
    await service.start()
    yield service
    await service.stop()


async def ask(
    das: SimulatedDas, question: str, *, credential: Credential = DEMO_CREDENTIAL, **settings: str
) -> Frames:
    config = utils_models.Config(
        access_key_id=credential.key_id,
        access_key_secret=credential.secret,
        security_token=credential.token or None,
        endpoint=das.url.removeprefix("http://"),
        protocol="HTTP",
    )
    request = models.GetDasAgentSSERequest(query=question, **settings)
    stream = Client(config).get_das_agent_ssewith_sse_async(request, RuntimeOptions())
    return [answer.body.to_map() async for answer in stream]


def said(found: Frames) -> str:
    return "".join(frame["Answer"] for frame in found)


@pytest.mark.parametrize("credential", [DEMO_CREDENTIAL, STS], ids=["ak", "sts"])
async def test_the_official_sdk_reads_an_answer_to_its_end(das: SimulatedDas, credential: Credential) -> None:
    found = await ask(das, SLOW, credential=credential, agent_id="ag-1")
    assert {frame["Event"] for frame in found[:-1]} == {"agent_message"}
    assert found[-1]["Event"] == "summary"
    assert found[-1]["Metadata"]["CharCount"] == len(said(found))
    assert "`orders.user_id`" in said(found)
    (run,) = das.runs
    assert {frame["Id"] for frame in found} == {run.session_id}
    assert (run.action, run.question, run.agent_id, run.outcome) == (
        "GetDasAgentSSE",
        SLOW,
        "ag-1",
        "finished",
    )
    assert run.access_key_id == credential.key_id


async def test_tools_have_names_and_parameters_in_both_forms(das: SimulatedDas) -> None:
    found = await ask(das, SLOW)
    tools = [frame["Metadata"] for frame in found if frame["Metadata"].get("ToolName")]
    assert [tool["ToolName"] for tool in tools] == [
        "GetPerformanceMetrics",
        "GetSlowLogStatistic",
        "GetQueryOptimizeAdvice",
    ]
    plain, packed, _ = (tool["ToolParams"] for tool in tools)
    assert plain[:2] == ["--InstanceId", "rm-bp1abc"]
    assert len(packed) == 1
    assert json.loads(packed[0])[:2] == ["--InstanceId", "rm-bp1abc"]


async def test_cumulative_answers_repeat_what_was_said(das: SimulatedDas) -> None:
    plain = said(await ask(das, "rm-g123?"))
    das.cumulative = True
    texts = [frame["Answer"] for frame in await ask(das, "rm-g123?") if frame["Answer"]]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert without_digits(texts[-1]) == without_digits(plain)


def without_digits(text: str) -> str:
    """Answers name wall times, which pass."""
    return "".join(letter for letter in text if not letter.isdigit())


async def test_a_session_remembers_over_both_interfaces(das: SimulatedDas) -> None:
    session = str(uuid.uuid4())
    await ask(das, SLOW, session_id=session)
    found = await ask(das, "is it safe?", session_id=session)
    assert "the missing index on `orders.user_id` I described above" in said(found)
    assert "above" not in said(await ask(das, "is it safe?", session_id=str(uuid.uuid4())))


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"question": ""}, "MissingParameter"),
        ({"question": "  "}, "InvalidParams"),
        ({"question": SLOW, "session_id": "not-a-uuid"}, "InvalidParams"),
    ],
)
async def test_bad_parameters_are_refused(das: SimulatedDas, settings: dict[str, Any], code: str) -> None:
    with pytest.raises(Exception, match=code):
        await ask(das, **settings)
    assert das.requests[-1].code == code


async def test_wrong_secrets_are_refused_and_both_interfaces_share_the_agent(das: SimulatedDas) -> None:
    with pytest.raises(Exception, match="signature is not matched"):
        await ask(das, SLOW, credential=Credential(DEMO_CREDENTIAL.key_id, "wrong"))
    das.concurrency = 0
    with pytest.raises(Exception, match="Throttling"):
        await ask(das, SLOW)


async def test_an_agent_bound_to_no_instance(das: SimulatedDas) -> None:
    das.faults = Faults(error_after=6)
    last = (await ask(das, SLOW))[-1]
    assert (last["Event"], last["Metadata"]["Code"]) == ("error", "-1810006")
    assert "bound" in last["Answer"]


async def test_text_of_sub_agents_is_not_the_answer(das: SimulatedDas) -> None:
    found = await ask(das, "too many connections on rm-c123")
    tools = [frame["Metadata"].get("ToolName") for frame in found]
    assert {"sub_agent_session_analyze", "GetMySQLAllSessionAsync"} <= set(tools)
    root = "".join(frame["Answer"] for frame in found)
    assert root.count("### What to do") == 1


def test_a_question_echoed_is_not_retold() -> None:
    frames = [
        Timed(0.0, {"Type": "TEXT_MESSAGE_START", "Role": "user", "MessageId": "u"}),
        Timed(0.0, {"Type": "TEXT_MESSAGE_CONTENT", "MessageId": "u", "Delta": "asked"}),
        Timed(
            0.0, {"Type": "TEXT_MESSAGE_START", "Role": "assistant", "MessageId": "s", "ParentAgentId": "a"}
        ),
        Timed(0.0, {"Type": "TEXT_MESSAGE_CONTENT", "MessageId": "s", "Delta": "within"}),
        Timed(0.0, {"Type": "TEXT_MESSAGE_START", "Role": "assistant", "MessageId": "r"}),
        Timed(1.0, {"Type": "TEXT_MESSAGE_CONTENT", "MessageId": "r", "Delta": "told"}),
    ]
    told = retell(frames, "R", cumulative=False)
    assert [(timed.at, timed.frame["Answer"]) for timed in told] == [(0.0, ""), (1.0, "told"), (1.0, "")]
    assert told[-1].frame["Metadata"] == {"CharCount": 4, "RequestId": "R"}
