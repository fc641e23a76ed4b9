"""DasLegacy against the simulated service: what is sent, and how a session goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.demo.das import DEMO_CREDENTIAL, Faults, SimulatedDas
from bot.model.answer import Answer
from bot.model.call import CallState
from bot.upstream.acs3 import Credentials
from bot.upstream.backend import Ask, Backend, Followed
from bot.upstream.credentials import StaticCredentials
from bot.upstream.das_legacy import DasLegacy, legacy_params
from bot.upstream.errors import UpstreamError

KEY = StaticCredentials(Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret))


@pytest.fixture
async def service() -> AsyncIterator[SimulatedDas]:
    service = SimulatedDas(pace=0)
    await service.start()
    yield service
    await service.stop()


async def ask(service: SimulatedDas, text: str, session_id: str = "", agent_id: str = "") -> Answer:
    legacy: Backend = DasLegacy(KEY, endpoint=service.url)
    answer = Answer()
    try:
        async with legacy.ask(Ask(text, session_id, agent_id=agent_id)) as events:
            async for event in events:
                answer.apply(event, 0.0)
    finally:
        await legacy.aclose()
    return answer


def test_only_what_is_known_is_sent() -> None:
    assert legacy_params(Ask("q")) == {"AgentId": None, "Query": "q", "SessionId": None}
    assert legacy_params(Ask("q", "s", agent_id="ag-1")) == {
        "AgentId": "ag-1",
        "Query": "q",
        "SessionId": "s",
    }


async def test_a_session(service: SimulatedDas) -> None:
    first = await ask(service, "why is rm-demo1 slow?", agent_id="ag-1")
    assert (service.requests[-1].action, service.requests[-1].agent_id) == ("GetDasAgentSSE", "ag-1")
    assert first.finished and first.text and first.usage and first.usage.characters
    assert first.session_id == first.usage.session_id == service.requests[-1].session_id
    assert first.calls and all(call.state is CallState.DONE for call in first.calls.values())
    second = await ask(service, "and now?", first.session_id)
    assert second.session_id == first.session_id


async def test_a_long_question_goes_as_a_form(service: SimulatedDas) -> None:
    await ask(service, "慢" * 32_000)
    assert service.requests[-1].question == "慢" * 32_000
    with pytest.raises(UpstreamError, match="QuestionTooLong"):
        await ask(service, "慢" * 32_001)


@pytest.mark.parametrize(
    "fault", [Faults(error_after=3), Faults(exception_after=3)], ids=["error", "exception"]
)
async def test_a_run_that_fails(service: SimulatedDas, fault: Faults) -> None:
    service.next_faults.append(fault)
    answer = await ask(service, "why is rm-demo1 slow?")
    assert answer.error and answer.error.code and not answer.finished


async def test_without_a_summary_it_is_cut(service: SimulatedDas) -> None:
    service.next_faults.append(Faults(no_end=True))
    with pytest.raises(UpstreamError, match="Cut"):
        await ask(service, "why is rm-demo1 slow?")


async def test_an_expired_session_is_told_apart(service: SimulatedDas) -> None:
    first = await ask(service, "why is rm-demo1 slow?")
    service.next_faults.append(Faults(session_expired=True))
    with pytest.raises(UpstreamError) as raised:
        await ask(service, "and now?", first.session_id)
    assert raised.value.is_gone_session and not raised.value.is_busy


def test_it_names_sessions_and_cannot_be_followed() -> None:
    legacy = DasLegacy(KEY)
    assert (legacy.key, legacy.limit, legacy.names_sessions) == ("das-legacy", 32_000, True)
    assert not isinstance(legacy, Followed)
