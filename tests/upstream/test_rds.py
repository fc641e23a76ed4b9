"""RdsCopilot against the simulated service and raw servers: what each call sends, and how each ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.demo.rds import DEMO_CREDENTIAL, Faults, Refusal, SimulatedRds
from bot.model.answer import Answer
from bot.model.call import CallState
from bot.model.event import Event
from bot.upstream.acs3 import Credentials
from bot.upstream.backend import Ask, Backend, Followed, Resume
from bot.upstream.credentials import StaticCredentials
from bot.upstream.errors import UpstreamError
from bot.upstream.rds import PAGES, QUESTION_LIMIT, RdsCopilot, chat_params, rds_endpoint
from bot.upstream.wire import Timeouts

KEY = StaticCredentials(Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret))
Script = Callable[[Any, asyncio.StreamWriter], Awaitable[None]]


class Pauses:
    """Instead of sleeping, lets others run, and remembers for how long."""

    def __init__(self) -> None:
        self.total = 0.0

    async def __call__(self, seconds: float) -> None:
        self.total += seconds
        await asyncio.sleep(0)


def copilot(endpoint: str, **options: Any) -> RdsCopilot:
    pauses = Pauses()
    return RdsCopilot(
        KEY,
        endpoint=endpoint,
        **{"sleep": pauses, "jitter": lambda: 0.5, "clock": lambda: pauses.total, **options},
    )


@pytest.fixture
async def service() -> AsyncIterator[SimulatedRds]:
    service = SimulatedRds(pace=0)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def rds(service: SimulatedRds) -> AsyncIterator[RdsCopilot]:
    rds = copilot(service.url, approval="manual")
    yield rds
    await rds.aclose()


def fold(events: list[Event]) -> Answer:
    answer = Answer()
    for event in events:
        answer.apply(event, 0.0)
    return answer


async def nobody() -> frozenset[str]:
    """Nobody else asked the same words."""
    return frozenset()


async def ask(rds: Backend, text: str, **fields: Any) -> Answer:
    async with rds.ask(Ask(text, **fields)) as events:
        return fold([event async for event in events])


def replies(status: int, body: bytes, content_type: str = "application/json") -> Script:
    async def script(_request: Any, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return script


ANSWERED = replies(200, b'data: {"Event":"message_end"}\n\n', "text/event-stream")


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("cn-hangzhou", "https://rdsai.aliyuncs.com"),
        ("cn-shanghai", "https://rdsai.aliyuncs.com"),
        ("cn-beijing", "https://rdsai.aliyuncs.com"),
        ("cn-shenzhen", "https://rdsai.aliyuncs.com"),
        ("cn-guangzhou", "https://rdsai.aliyuncs.com"),
        ("cn-wulanchabu", "https://rdsai.aliyuncs.com"),
        ("", "https://rdsai.aliyuncs.com"),
        ("cn-hongkong", "https://rdsai.cn-hongkong.aliyuncs.com"),
        ("ap-southeast-1", "https://rdsai.ap-southeast-1.aliyuncs.com"),
    ],
)
def test_endpoints(region: str, endpoint: str) -> None:
    assert rds_endpoint(region) == endpoint


@pytest.mark.parametrize(
    ("asked", "inputs"),
    [
        (Ask("q"), {"Language": "en-US", "Timezone": "Asia/Shanghai", "ToolApprovalMode": "read_only"}),
        (Ask("q", language="zh"), {"Language": "zh-CN"}),
        (Ask("q", language="zh", locale="en-GB", timezone="Europe/Paris"),
         {"Language": "en-GB", "Timezone": "Europe/Paris"}),
        (Ask("q", locale="zh_CN", agent_id="a-1"), {"Language": "zh-CN", "CustomAgentId": "a-1"}),
        (Ask("", resume=Resume("k")), {"ResumeCallId": "k"}),
    ],
)  # fmt: skip
def test_inputs(asked: Ask, inputs: dict[str, str]) -> None:
    sent = chat_params(asked, "", "read_only")["Inputs"] or ""
    found = json.loads(sent)
    assert list(found) == sorted(found)
    assert ", " not in sent and ": " not in sent
    assert found == found | inputs
    assert set(found) - set(inputs) <= {"Language", "Timezone", "ToolApprovalMode"}


def test_parameters() -> None:
    params = chat_params(Ask("q", "c1", "m0"), "cn-hangzhou", "manual")
    assert '"RegionId":"cn-hangzhou"' in (params.pop("Inputs") or "")
    assert params == {"ConversationId": "c1", "EventMode": "separate", "ParentMessageId": "m0", "Query": "q"}
    first = chat_params(Ask("q"), "", "manual")
    assert (first["ConversationId"], first["ParentMessageId"]) == (None, None)


@pytest.mark.parametrize(("language", "query"), [("en", "continue"), ("zh", "继续")])
def test_a_run_that_goes_on_without_a_question_has_a_query_all_the_same(language: Any, query: str) -> None:
    assert chat_params(Ask("", language=language, resume=Resume("k")), "", "manual")["Query"] == query


async def test_a_conversation(service: SimulatedRds, rds: RdsCopilot) -> None:
    first = await ask(rds, "why is rm-demo1 slow?", agent_id="a-1")
    received = service.requests[-1]
    assert first.finished and first.text and first.calls and first.sources
    assert not first.unknown
    assert (first.run_id, first.session_id, first.message_id) == (
        received.task_id,
        received.session_id,
        received.message_id,
    )
    second = await ask(rds, "and now?", session_id=first.session_id, parent_id=first.message_id)
    assert second.session_id == first.session_id
    assert second.message_id != first.message_id


async def test_the_longest_question_stays_in_the_query(service: SimulatedRds, rds: RdsCopilot) -> None:
    question = "慢" * QUESTION_LIMIT
    assert (await ask(rds, question)).finished
    assert service.requests[-1].question == question
    with pytest.raises(UpstreamError, match="QuestionTooLong"):
        await ask(rds, question + "!")
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [414, 431])
async def test_a_refused_target_goes_as_a_form(start_server: Any, status: int) -> None:
    server = await start_server(replies(status, b"<html>too long</html>", "text/html"), ANSWERED)
    rds, pauses = copilot(server.endpoint), Pauses()
    assert (await ask(rds, "why?")).finished
    await rds.aclose()
    query, form = server.requests
    assert (form.target, query.body, pauses.total) == ("/", b"", 0.0)
    assert parse_qs(form.body.decode()) == parse_qs(urlsplit(query.target).query)


async def test_stopping_ends_the_run(service: SimulatedRds, rds: RdsCopilot) -> None:
    service.next_faults.append(Faults(hang_after=3))
    events: list[Event] = []
    async with rds.ask(Ask("why is rm-demo1 slow?")) as stream:
        async for event in stream:
            events.append(event)
            if len(events) == 2:
                await rds.stop(fold(events).run_id)
    assert fold(events).finished
    assert await rds.status(fold(events).session_id) == "idle"
    with pytest.raises(UpstreamError, match="InvalidParameter"):
        await rds.stop("nobody's")


async def test_a_stop_the_service_did_not_do_is_an_error(start_server: Any) -> None:
    server = await start_server(replies(200, b'{"RequestId":"R","Result":"fail"}'))
    with pytest.raises(UpstreamError, match="NotStopped"):
        await copilot(server.endpoint).stop("t1")


async def test_rating(service: SimulatedRds, rds: RdsCopilot) -> None:
    answer = await ask(rds, "why is rm-demo1 slow?")
    await rds.rate(answer.message_id, "dislike", "答非所问")
    assert service.feedbacks[answer.message_id].content == "答非所问"
    await rds.rate(answer.message_id, "like", "")
    assert (service.feedbacks[answer.message_id].rating, service.requests[-1].params.get("Content")) == (
        "like",
        None,
    )
    with pytest.raises(UpstreamError) as raised:
        await rds.rate("nobody's", "like", "a comment of mine")
    assert raised.value.code == "MessageNotFound"


@pytest.mark.parametrize("known", ["message", "question only"])
@pytest.mark.parametrize(
    "fault", [Faults(cut_after=4, cut_with="rst"), Faults(silent_after=4)], ids=["rst", "silent"]
)
async def test_a_lost_answer_is_fetched_whole(service: SimulatedRds, fault: Faults, known: str) -> None:
    rds = copilot(service.url, timeouts=Timeouts(silence=0.3))
    question, began = "why is rm-demo1 slow?", time.time()
    whole = await ask(rds, question)
    service.next_faults.append(fault)
    lost = Answer()

    async def read() -> None:
        async with rds.ask(Ask(question, whole.session_id)) as stream:
            async for event in stream:
                lost.apply(event, 0.0)

    with pytest.raises(UpstreamError) as raised:
        await read()
    assert raised.value.code == ("Silence" if fault.silent_after else "Cut")
    asked = Ask(question, whole.session_id)
    message_id = lost.message_id if known == "message" else ""
    fetched = fold([event async for event in rds.recover(asked, message_id, began, nobody)])
    assert fetched.finished
    assert fetched.message_id == lost.message_id != whole.message_id
    assert fetched.text == _live_text(service)
    assert fetched.text.startswith(lost.text)
    await rds.aclose()


def _live_text(service: SimulatedRds) -> str:
    conversation = service._conversations.latest_first()[0]
    return conversation.messages[-1].answer


async def _recover(rds: RdsCopilot, asked: Ask, since: float) -> Answer:
    return fold([event async for event in rds.recover(asked, "", since, nobody)])


async def _again(rds: RdsCopilot, session_id: str, message_id: str) -> Answer:
    return fold([event async for event in rds.recover(Ask("", session_id), message_id, 0.0, nobody)])


async def test_an_answer_lost_before_its_first_frame_is_found_among_all_conversations(
    service: SimulatedRds, rds: RdsCopilot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on another page than the first, because others asked on meanwhile."""
    monkeypatch.setattr("bot.upstream.rds.CONVERSATIONS", 2)
    question, began = "why is rm-demo1 slow?", time.time()
    others = [await ask(rds, f"hello {number}") for number in range(3)]
    service.next_faults.append(Faults(cut_after=0, cut_with="rst"))
    with pytest.raises(UpstreamError, match="Cut"):
        await ask(rds, question)
    lost = service.requests[-1]
    for other in others:
        await ask(rds, "and now?", session_id=other.session_id)
    fetched = await _recover(rds, Ask(question), began)
    assert fetched.finished and fetched.calls and fetched.text
    assert (fetched.session_id, fetched.message_id) == (lost.session_id, lost.message_id)
    assert [r.params.get("LastId") for r in service.requests if r.action == "GetConversations"][:2] == [
        None,
        others[1].session_id,
    ]


async def test_of_two_lost_answers_to_the_same_words_none_is_guessed(
    service: SimulatedRds, rds: RdsCopilot
) -> None:
    question, began = "why is rm-demo1 slow?", time.time()
    theirs = await ask(rds, question)
    service.next_faults.append(Faults(cut_after=0, cut_with="rst"))
    with pytest.raises(UpstreamError, match="Cut"):
        await ask(rds, question)
    lost = service.requests[-1]
    with pytest.raises(UpstreamError, match="NotFound"):
        await _recover(rds, Ask(question), began)

    async def known() -> frozenset[str]:
        return frozenset({theirs.session_id})

    events = [event async for event in rds.recover(Ask(question), "", began, known)]
    assert fold(events).session_id == lost.session_id


async def test_conversations_without_end_are_not_read_for_ever(start_server: Any) -> None:
    body = {"Data": [{"Id": "c0", "UpdatedAt": "9999999999"}], "HasMore": True}
    server = await start_server(replies(200, json.dumps(body).encode()))
    with pytest.raises(UpstreamError, match="NotFound"):
        await copilot(server.endpoint).status("c1")
    assert len(server.requests) == PAGES


async def test_fetching_waits_until_the_generation_has_ended(service: SimulatedRds, rds: RdsCopilot) -> None:
    service.next_faults.append(Faults(hang_after=8))
    question = "why is rm-demo1 slow?"
    async with rds.ask(Ask(question)) as stream:
        names = fold([await anext(stream)])
    seen: list[Event] = []
    async for event in rds.recover(Ask(question, names.session_id), names.message_id, 0.0, nobody):
        seen.append(event)
        if len(seen) == 2:
            assert await rds.status(names.session_id) == "running"
            service.resume()
    fetched = fold(seen)
    assert fetched.finished and fetched.calls and fetched.sources
    assert not [call for call in fetched.calls.values() if call.state < CallState.DONE]
    assert fetched.text == _live_text(service)


async def test_an_answer_nobody_knows_is_not_found(rds: RdsCopilot) -> None:
    answer = await ask(rds, "why is rm-demo1 slow?")
    with pytest.raises(UpstreamError, match="NotFound"):
        await _recover(rds, Ask("other words", answer.session_id), time.time())
    with pytest.raises(UpstreamError) as raised:
        await _recover(rds, Ask("q", "no-such-conversation"), 0.0)
    assert raised.value.is_gone_session


async def test_an_approval_pauses_and_goes_on_when_decided(service: SimulatedRds, rds: RdsCopilot) -> None:
    answer = await ask(rds, "demo:approve raise max_connections on rm-demo1")
    assert answer.approval and answer.is_paused
    assert (answer.approval.tool, json.loads(answer.approval.arguments) != {}) != ("", False)
    assert await rds.status(answer.session_id) == "pending_approval"
    fetched = await _again(rds, answer.session_id, answer.message_id)
    assert fetched.approval == answer.approval
    service.decide(answer.approval.call_id, approved=True)
    resumed = await ask(rds, "", session_id=answer.session_id, resume=Resume(answer.approval.call_id))
    assert resumed.finished and not resumed.is_paused and resumed.text
    assert await rds.status(answer.session_id) == "idle"


async def test_by_default_tools_only_read(service: SimulatedRds) -> None:
    rds = copilot(service.url)
    answer = await ask(rds, "demo:approve raise max_connections on rm-demo1")
    assert answer.finished and not answer.is_paused
    await rds.aclose()


@pytest.mark.parametrize(
    ("refusal", "code", "action", "tries"),
    [
        (Refusal(403, "NoPermission", "no"), "NoPermission", "rdsai:ChatMessagesTaskStop", 1),
        (Refusal(403, "403", "", "html"), "HTTP403", "rdsai:ChatMessagesTaskStop", 1),
        (Refusal(429, "Throttling.User", "slow"), "Throttling.User", "", 3),
        (Refusal(503, "ServiceUnavailable", "", "xml"), "ServiceUnavailable", "", 3),
        (Refusal(200, "InternalError", "m"), "InternalError", "", 1),
    ],
)
async def test_refusals_of_a_call(
    service: SimulatedRds, rds: RdsCopilot, refusal: Refusal, code: str, action: str, tries: int
) -> None:
    service.refusals["ChatMessagesTaskStop"] = refusal
    with pytest.raises(UpstreamError) as raised:
        await rds.stop("t1")
    assert (raised.value.code, raised.value.action, len(service.requests)) == (code, action, tries)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"Code":', b"<html>hi</html>"])
async def test_a_call_answered_by_no_object(start_server: Any, body: bytes) -> None:
    server = await start_server(replies(200, body))
    with pytest.raises(UpstreamError, match="BadStream"):
        await copilot(server.endpoint).stop("t1")


async def test_a_call_is_given_up_in_time(start_server: Any) -> None:
    async def never(request: Any, _writer: asyncio.StreamWriter) -> None:
        await request.reader.read()

    server = await start_server(never)
    with pytest.raises(UpstreamError, match="Timeout"):
        await copilot(server.endpoint, timeouts=Timeouts(call=0.2)).stop("t1")
    assert Timeouts().call == 10


@pytest.mark.parametrize(
    "sent", [b"", b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"Data":'], ids=["head", "body"]
)
async def test_a_call_whose_answer_breaks_off_is_cut(start_server: Any, sent: bytes) -> None:
    async def breaks(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()

    server = await start_server(breaks)
    with pytest.raises(UpstreamError, match="Cut"):
        await copilot(server.endpoint).status("c1")


async def test_a_comment_is_in_no_error(start_server: Any) -> None:
    server = await start_server(replies(400, b'{"Code":"X","Message":"bad: customer 4711 waits"}'))
    with pytest.raises(UpstreamError) as raised:
        await copilot(server.endpoint).rate("m1", "like", "customer 4711 waits")
    assert "4711" not in repr(raised.value)


@pytest.mark.parametrize("body", [{"Data": []}, {"Data": {"Data": []}}, {"Data": [7]}, {"Data": None}, {}])
async def test_a_conversation_the_service_does_not_list_has_no_status(start_server: Any, body: Any) -> None:
    server = await start_server(replies(200, json.dumps({**body, "RequestId": "R"}).encode()))
    assert await copilot(server.endpoint).status("c1") == ""


def test_it_is_a_backend_that_is_followed() -> None:
    rds = RdsCopilot(KEY, region="cn-hangzhou")
    backend: Backend = rds
    followed: Followed = rds
    assert isinstance(backend, Followed) and followed is rds
    assert (rds.key, rds.limit, rds.names_sessions) == ("rds", 8000, True)
    with pytest.raises(ValueError):
        RdsCopilot(KEY, endpoint="rdsai.aliyuncs.com")
