"""The simulated RDS Copilot over HTTP, asked through the official SDK as a bot would ask it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from alibabacloud_rdsai20250507 import models
from alibabacloud_rdsai20250507.client import Client
from alibabacloud_tea_openapi import utils_models
from darabonba.runtime import RuntimeOptions
from yarl import URL

from bot.demo.rds import DEMO_CREDENTIAL, Credential, Faults, Refusal, SimulatedRds
from bot.upstream.acs3 import Credentials, sign

STS = Credential("STS.test-key-id", "test-sts-secret", "test-security-token")
SLOW = "diagnose rm-bp1abc ~ * + / & = ? 为什么"


@pytest.fixture
async def rds() -> AsyncIterator[SimulatedRds]:
    service = SimulatedRds((DEMO_CREDENTIAL, STS), pace=0, seed=7)
    await service.start()
    yield service
    await service.stop()


@dataclass
class Asker:
    """The official SDK with one conversation."""

    rds: SimulatedRds
    credential: Credential = DEMO_CREDENTIAL
    conversation: str | None = None
    frames: list[dict[str, Any]] = field(default_factory=list)

    @property
    def client(self) -> Client:
        return Client(
            utils_models.Config(
                access_key_id=self.credential.key_id,
                access_key_secret=self.credential.secret,
                security_token=self.credential.token or None,
                endpoint=self.rds.url.removeprefix("http://"),
                protocol="HTTP",
            )
        )

    async def ask(self, query: str, parent: str | None = None, **inputs: str) -> str:
        """The answer; its frames are in `frames`."""
        request = models.ChatMessagesRequest(
            query=query,
            conversation_id=self.conversation,
            parent_message_id=parent,
            event_mode="separate",
            inputs=models.ChatMessagesRequestInputs(**inputs),
        )
        self.frames = []
        async for answer in self.client.chat_messages_with_sse_async(request, RuntimeOptions()):
            self.frames.append(answer.body.to_map())
            self.conversation = self.frames[0]["ConversationId"]
        return "".join(frame["Answer"] for frame in self.of("message"))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["Event"] == event]

    async def messages(self, **options: Any) -> dict[str, Any]:
        request = models.GetMessagesRequest(
            conversation_id=self.conversation, event_mode="separate", **options
        )
        answer = await self.client.get_messages_async(request)
        return dict(answer.body.to_map())

    async def latest(self) -> dict[str, Any]:
        return dict((await self.messages(limit=1))["Data"][0])

    async def status(self) -> str:
        answer = await self.client.get_conversations_async(models.GetConversationsRequest())
        found = {entry["Id"]: entry for entry in answer.body.to_map()["Data"]}[self.conversation]
        assert found["IsRunning"] == (found["Status"] == "running")
        return str(found["Status"])

    async def stop(self, task_id: str) -> str:
        request = models.ChatMessagesTaskStopRequest(task_id=task_id)
        return str((await self.client.chat_messages_task_stop_async(request)).body.result)

    async def rate(self, message_id: str, rating: str, content: str | None = None) -> str:
        request = models.ModifyMessagesFeedbacksRequest(message_id=message_id, rating=rating, content=content)
        return str((await self.client.modify_messages_feedbacks_async(request)).body.result)


@pytest.fixture
def asker(rds: SimulatedRds) -> Asker:
    return Asker(rds)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in another task's I/O
            await asyncio.sleep(0)


@pytest.mark.parametrize("credential", [DEMO_CREDENTIAL, STS], ids=["ak", "sts"])
async def test_the_official_sdk_reads_an_answer_to_its_end(rds: SimulatedRds, credential: Credential) -> None:
    asker = Asker(rds, credential)
    said = await asker.ask(SLOW, language="en-US", custom_agent_id="agent-7")
    assert "`order_detail`" in said
    assert [asker.frames[0]["Event"], asker.frames[-2]["Event"], asker.frames[-1]["Event"]] == [
        "workflow_started",
        "workflow_finished",
        "message_end",
    ]
    for name in ("ConversationId", "MessageId", "Id", "TaskId", "RequestId", "CreatedAt"):
        assert len({frame[name] for frame in asker.frames}) == 1, name
    (run,) = rds.runs
    assert (run.question, run.agent_id, run.outcome) == (SLOW, "agent-7", "finished")
    assert (run.session_id, run.message_id) == (asker.conversation, asker.frames[0]["MessageId"])
    assert (run.access_key_id, run.task_id) == (credential.key_id, asker.frames[0]["TaskId"])


async def test_the_official_sdk_reads_synchronously_too(rds: SimulatedRds) -> None:
    asker = Asker(rds)

    def read() -> list[dict[str, Any]]:
        request = models.ChatMessagesRequest(query=SLOW, event_mode="separate")
        stream = asker.client.chat_messages_with_sse(request, RuntimeOptions())
        return [answer.body.to_map() for answer in stream]

    found = await asyncio.to_thread(read)
    assert found[-1]["Event"] == "message_end"


async def test_wrong_secrets_and_tampering_are_refused(rds: SimulatedRds) -> None:
    with pytest.raises(Exception, match="signature is not matched"):
        await Asker(rds, Credential(DEMO_CREDENTIAL.key_id, "wrong")).ask(SLOW)
    address, headers = signed(rds, {"Query": SLOW, "EventMode": "separate"})
    assert await post(address + "&ConversationId=x", headers) == (400, "SignatureDoesNotMatch")
    assert (await post(address, headers))[0] == 200
    assert await post(address, headers) == (400, "SignatureNonceUsed")
    old = signed(rds, {"Query": SLOW, "EventMode": "separate"}, version="2020-01-16")
    assert await post(*old) == (400, "InvalidVersion")
    assert await post(*signed(rds, {}, action="Chat")) == (404, "InvalidAction.NotFound")


def signed(rds: SimulatedRds, params: dict[str, str], **changes: Any) -> tuple[str, dict[str, str]]:
    settings: dict[str, Any] = {"action": "ChatMessages", "version": "2025-05-07", **changes}
    made = sign(
        endpoint=rds.url,
        params=params,
        credentials=Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret),
        user_agent="test",
        date=datetime.now(UTC),
        nonce=uuid.uuid4().hex,
        **settings,
    )
    return made.url, made.headers


async def post(address: str, headers: dict[str, str], body: str = "") -> tuple[int, str]:
    """The status, and the code when it is a refusal in JSON."""
    async with (
        aiohttp.ClientSession(skip_auto_headers=("User-Agent", "Content-Type")) as session,
        session.post(URL(address, encoded=True), headers=headers, data=body) as response,
    ):
        answer = await response.text()
        return response.status, json.loads(answer)["Code"] if answer.startswith("{") else ""


GOOD = {"Query": "hello", "EventMode": "separate"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"EventMode": "separate"}, "MissingParameter"),
        ({"Query": "hello"}, "InvalidParameter"),
        ({**GOOD, "EventMode": "inline"}, "InvalidParameter"),
        ({**GOOD, "Query": "x" * 8_001}, "InvalidParameter"),
        ({**GOOD, "Inputs": "{"}, "InvalidParameter"),
        ({**GOOD, "Inputs": '{"TimeZone":"Asia/Shanghai"}'}, "InvalidParameter"),
        ({**GOOD, "Inputs": '{"EnableThinking":true}'}, "InvalidParameter"),
        ({**GOOD, "Inputs": '{"ToolApprovalMode":"ask"}'}, "InvalidParameter"),
        ({**GOOD, "Files": "[]"}, "InvalidParameter"),
        ({**GOOD, "ParentMessageId": "m"}, "InvalidParameter"),
        ({**GOOD, "Inputs": '{"ResumeCallId":"c"}'}, "InvalidParameter"),
        ({**GOOD, "ConversationId": "never-begun"}, "ConversationNotFound"),
    ],
)
async def test_bad_parameters_are_refused(rds: SimulatedRds, params: dict[str, str], code: str) -> None:
    status, given = await post(*signed(rds, params))
    assert (status, given) == (404 if code.endswith("NotFound") else 400, code)
    assert rds.runs == []
    assert rds.open_now == 0


async def test_8000_chinese_characters_are_accepted_in_the_target(rds: SimulatedRds) -> None:
    assert (await post(*signed(rds, {**GOOD, "Query": "很" * 8_000})))[0] == 200


async def test_a_gateway_with_short_lines_and_a_service_that_reads_forms(rds: SimulatedRds) -> None:
    rds.longest_target = 8190
    params = {**GOOD, "Query": "x" * 8_000, "Inputs": json.dumps({"ModelId": "m" * 200})}
    assert await post(*signed(rds, params)) == (414, "")
    form = signed(rds, params, form=True)
    assert await post(*form, urlencode(sorted(params.items()))) == (400, "MissingParameter")
    rds.reads_forms = True
    assert await post(*signed(rds, params, form=True), urlencode(sorted(params.items()))) == (200, "")


async def test_follow_ups_in_the_conversation_and_not_in_another(rds: SimulatedRds, asker: Asker) -> None:
    await asker.ask("diagnose rm-bp1abc", language="en-US")
    first = asker.frames[0]["MessageId"]
    said = await asker.ask("and yesterday?", parent=first)
    assert "20 % CPU instead of 92 %" in said
    assert "rm-bp1abc" in said
    assert asker.of("tool_call")
    assert "above" in await asker.ask("is it safe?", parent=asker.frames[0]["MessageId"])
    with pytest.raises(Exception, match="ParentMessageId"):
        await asker.ask("why?", parent="of-another-conversation")
    assert "above" not in await Asker(rds).ask("and yesterday?")
    assert len({run.session_id for run in rds.runs[:3]}) == 1


async def test_the_account_runs_so_many_at_once(rds: SimulatedRds, asker: Asker) -> None:
    rds.next_faults.append(Faults(hang_after=3))
    first = asyncio.create_task(asker.ask(SLOW))
    await until(lambda: rds.open_now == 1)
    with pytest.raises(Exception, match="TooManyRequests"):
        await Asker(rds).ask("hello")
    rds.concurrency = 2
    await Asker(rds).ask("hello")
    assert (rds.open_now, rds.max_open) == (1, 2)
    rds.resume()
    await first
    assert rds.open_now == 0


async def test_stop_ends_the_run_for_good(rds: SimulatedRds, asker: Asker) -> None:
    rds.next_faults.append(Faults(hang_after=30))
    task = asyncio.create_task(asker.ask(SLOW))
    await until(lambda: rds.runs and rds.runs[0].frames_sent == 30)
    assert await asker.status() == "running"
    assert await asker.stop(rds.runs[0].task_id) == "success"
    await task
    assert [frame["Event"] for frame in asker.frames].count("workflow_finished") == 1
    assert len(asker.frames) == 31
    await until(lambda: rds.runs[0].outcome == "stopped")
    latest = await asker.latest()
    assert latest["GenerationStatus"] == "stopped"
    assert latest["GenerationFinishedAt"]
    assert (await asker.status(), rds.open_now) == ("idle", 0)
    assert await asker.stop(rds.runs[0].task_id) == "success", "once more does no harm"
    with pytest.raises(Exception, match="TaskId"):
        await asker.stop("never-begun")


@pytest.mark.parametrize("how", ["end", "fin", "rst"])
async def test_an_answer_cut_is_recovered_whole(rds: SimulatedRds, asker: Asker, how: Any) -> None:
    rds.next_faults.append(Faults(cut_after=12, cut_with=how))
    try:
        await asker.ask(SLOW, language="en-US")
    except Exception:
        assert how != "end"
    latest = await Asker(rds, conversation=rds.runs[0].session_id).latest()
    assert latest["Id"] == rds.runs[0].message_id
    assert latest["Query"] == SLOW
    assert latest["GenerationStatus"] == "finished"
    assert "### What to do" in latest["Answer"]
    events = [event["event"] for event in latest["Events"]]
    assert {"tool_call", "doc", "thinking", "sub_task", "workflow_finished"} <= set(events)
    assert "message" not in events


async def test_the_run_goes_on_when_the_client_leaves(rds: SimulatedRds, asker: Asker) -> None:
    rds.next_faults.append(Faults(hang_after=12))
    task = asyncio.create_task(asker.ask(SLOW))
    await until(lambda: rds.runs and rds.runs[0].frames_sent == 12)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: rds.runs[0].outcome == "left")
    late = Asker(rds, conversation=rds.runs[0].session_id)
    early = await late.latest()
    assert early["GenerationStatus"] == "running"
    assert "GenerationFinishedAt" not in early
    assert (await late.status(), rds.open_now) == ("running", 1)
    rds.resume()
    await until(lambda: rds.open_now == 0)
    done = await late.latest()
    assert done["GenerationStatus"] == "finished"
    assert done["Answer"].startswith(early["Answer"])
    assert len(done["Answer"]) > len(early["Answer"])


async def test_a_failed_run_says_so_in_both_places(rds: SimulatedRds, asker: Asker) -> None:
    await asker.ask("diagnose rm-bp1abc demo:exception")
    assert asker.frames[-1]["Event"] == "MysqlIOException"
    assert (await asker.latest())["GenerationStatus"] == "failed"


async def test_an_end_left_out_is_made_up_for(rds: SimulatedRds, asker: Asker) -> None:
    said = await asker.ask("diagnose rm-bp1abc demo:noend")
    assert not asker.of("workflow_finished") and not asker.of("message_end")
    latest = await asker.latest()
    assert (latest["Answer"], latest["GenerationStatus"]) == (said, "finished")


async def test_messages_come_in_pages(rds: SimulatedRds, asker: Asker) -> None:
    for number in range(3):
        await asker.ask(f"hello {number}")
    page = await asker.messages(limit=2)
    assert [entry["Query"] for entry in page["Data"]] == ["hello 1", "hello 2"]
    assert page["HasMore"] is True
    rest = await asker.messages(limit=2, first_id=page["Data"][0]["Id"])
    assert [entry["Query"] for entry in rest["Data"]] == ["hello 0"]
    assert rest["HasMore"] is False
    for wrong in ({"limit": 101}, {"limit": 0}, {"first_id": "x"}):
        with pytest.raises(Exception, match="InvalidParameter"):
            await asker.messages(**wrong)


async def test_conversations_come_in_pages_the_latest_first(rds: SimulatedRds) -> None:
    askers = [Asker(rds) for _ in range(3)]
    for number, asker in enumerate(askers):
        await asker.ask(f"hello {number}")
    await askers[0].ask("once more")

    async def page(**options: str) -> list[str]:
        request = models.GetConversationsRequest(**options)
        body = (await askers[0].client.get_conversations_async(request)).body.to_map()
        return [entry["Name"] for entry in body["Data"]]

    assert await page(limit="2") == ["hello 0", "hello 2"]
    assert await page(last_id=str(askers[2].conversation)) == ["hello 1"]


async def test_a_conversation_tells_when_it_began_and_when_it_changed() -> None:
    began = time.time()
    now = [began]
    service = SimulatedRds(pace=0, clock=lambda: now[0])
    await service.start()
    try:
        first, second = Asker(service), Asker(service)
        service.next_faults.append(Faults(hang_after=3))
        asking = asyncio.create_task(first.ask(SLOW))
        await until(lambda: service.runs and service.runs[0].frames_sent == 3)
        service.concurrency = 2
        now[0] = began + 5
        await second.ask("hello")
        now[0] = began + 10
        service.resume()
        await asking
        body = (await first.client.get_conversations_async(models.GetConversationsRequest())).body.to_map()
    finally:
        await service.stop()
    told = [(entry["Id"], entry["CreatedAt"], entry["UpdatedAt"]) for entry in body["Data"]]
    assert told == [
        (first.conversation, str(int(began)), str(int(began + 10))),
        (second.conversation, str(int(began + 5)), str(int(began + 5))),
    ]


async def test_feedback_is_kept(rds: SimulatedRds, asker: Asker) -> None:
    await asker.ask("hello")
    message = asker.frames[0]["MessageId"]
    assert await asker.rate(message, "like") == "success"
    assert await asker.rate(message, "dislike", "不对") == "success"
    assert (rds.feedbacks[message].rating, rds.feedbacks[message].content) == ("dislike", "不对")
    with pytest.raises(Exception, match="InvalidParameter"):
        await asker.rate(message, "so-so")
    with pytest.raises(Exception, match="MessageNotFound"):
        await asker.rate("never-given", "like")


@pytest.mark.parametrize("call", ["stop", "rate", "messages", "status"])
async def test_other_actions_can_be_refused_too(rds: SimulatedRds, asker: Asker, call: str) -> None:
    await asker.ask("hello")
    actions = ("ChatMessagesTaskStop", "ModifyMessagesFeedbacks", "GetMessages", "GetConversations")
    rds.refusals = {name: Refusal(403, "NoPermission", "not allowed") for name in actions}
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "stop": lambda: asker.stop(asker.frames[0]["TaskId"]),
        "rate": lambda: asker.rate(asker.frames[0]["MessageId"], "like"),
        "messages": asker.messages,
        "status": asker.status,
    }
    with pytest.raises(Exception, match="NoPermission"):
        await calls[call]()
    rds.refusals.clear()
    await calls[call]()
    rds.next_refusals.extend([(name, Refusal(500, "InternalError", "once")) for name in actions])
    with pytest.raises(Exception, match="InternalError"):
        await calls[call]()
    await calls[call]()


def pending(asker: Asker) -> list[dict[str, Any]]:
    return [frame for frame in asker.of("tool_approval") if frame["ApprovalStatus"] == "pending"]


APPROVE = "rm-bp1abc refuses connections demo:approve"


@pytest.mark.parametrize("approved", [True, False])
async def test_a_write_waits_for_a_decision(rds: SimulatedRds, asker: Asker, approved: bool) -> None:
    await asker.ask(APPROVE, tool_approval_mode="manual", language="en-US")
    (asked,) = pending(asker)
    assert asked["ToolName"] == "ModifyParameter"
    assert asked["ToolArguments"]["DBInstanceId"] == "rm-bp1abc"
    assert "max_connections" in asked["Description"] and asked["RoundId"]
    assert asker.frames[-1]["Event"] == "message_end"
    assert (await asker.status(), rds.waiting) == ("pending_approval", [asked["CallId"]])
    (shown,) = (event for event in (await asker.latest())["Events"] if event["event"] == "tool_approval")
    assert (shown["ApprovalStatus"], shown["CallId"]) == ("pending", asked["CallId"])

    await asker.ask("", resume_call_id=asked["CallId"])
    assert [frame["CallId"] for frame in pending(asker)] == [asked["CallId"]], "still undecided"

    rds.decide(asked["CallId"], approved)
    assert (rds.waiting, await asker.status()) == ([], "idle")
    said = await asker.ask("", resume_call_id=asked["CallId"])
    assert [frame["ApprovalStatus"] for frame in asker.of("tool_approval")] == [
        "approved" if approved else "rejected"
    ]
    ran = [json.loads(frame["Answer"])["status"] for frame in asker.of("tool_call")]
    assert ran == (["end"] if approved else [])
    assert ("is 1200 now" in said) == approved
    assert ("stays at 800" in said) != approved
    with pytest.raises(Exception, match="ResumeCallId"):
        await asker.ask("", resume_call_id=asked["CallId"])
    with pytest.raises(KeyError):
        rds.decide(asked["CallId"], approved)


async def test_nothing_waits_before_it_is_asked_for(rds: SimulatedRds, asker: Asker) -> None:
    rds.next_faults.append(Faults(hang_after=5))
    task = asyncio.create_task(asker.ask(APPROVE, tool_approval_mode="manual"))
    await until(lambda: rds.runs and rds.runs[0].frames_sent == 5)
    assert rds.waiting == []
    await asker.stop(rds.runs[0].task_id)
    await task
    assert (rds.waiting, await asker.status()) == ([], "idle")


async def test_a_round_goes_on_when_all_of_it_is_decided(rds: SimulatedRds, asker: Asker) -> None:
    await asker.ask("rm-bp1abc demo:approve-two", tool_approval_mode="manual", language="zh-CN")
    first, second = pending(asker)
    assert first["RoundId"] == second["RoundId"]
    rds.decide(first["CallId"], True)
    assert await asker.status() == "pending_approval"
    rds.decide(second["CallId"], False)
    said = await asker.ask("", resume_call_id=first["CallId"], language="zh-CN")
    assert "1200" in said and "备份请求被拒绝" in said


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_a_person_decides_on_the_console_page(rds: SimulatedRds, asker: Asker, decision: str) -> None:
    await asker.ask(APPROVE, tool_approval_mode="manual", language="en-US")
    (call,) = rds.waiting
    async with aiohttp.ClientSession() as session:
        page = await (await session.get(f"{rds.url}/console")).text()
        assert call in page and "Set max_connections from 800 to 1200 on rm-bp1abc" in page
        form = {"call": call, "decision": decision}
        after = await (await session.post(f"{rds.url}/console", data=form)).text()
        assert "None at the moment" in after
        assert (await session.post(f"{rds.url}/console", data=form)).status == 404
    await asker.ask("", resume_call_id=call)
    assert asker.of("tool_approval")[0]["ApprovalStatus"] == f"{decision}d".replace("rejectd", "rejected")


async def test_read_only_refuses_the_write_in_words(rds: SimulatedRds, asker: Asker) -> None:
    said = await asker.ask(APPROVE, tool_approval_mode="read_only", language="en-US")
    assert "I may only read" in said
    assert not pending(asker)
    assert "read" in await asker.ask(APPROVE), "the mode stays with the conversation"
    assert not pending(asker)
    assert await asker.status() == "idle"


async def test_auto_decides_by_itself(rds: SimulatedRds, asker: Asker) -> None:
    said = await asker.ask(APPROVE, tool_approval_mode="auto", language="en-US")
    assert "is 1200 now" in said
    assert [frame["ApprovalStatus"] for frame in asker.of("tool_approval")] == ["approved"]
    assert (await asker.status(), rds.waiting) == ("idle", [])


async def test_pace_stretches_the_scripted_times() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    service = SimulatedRds(pace=2.0, sleep=sleep, seed=7)
    await service.start()
    try:
        await Asker(service).ask("diagnose rm-bp1abc")
    finally:
        await service.stop()
    assert 24 <= sum(slept) <= 60


async def test_stopping_the_service_ends_what_is_generated(rds: SimulatedRds, asker: Asker) -> None:
    rds.next_faults.append(Faults(hang_after=3))
    task = asyncio.create_task(asker.ask(SLOW))
    await until(lambda: rds.open_now == 1)
    await rds.stop()
    await asyncio.gather(task, return_exceptions=True)
    assert rds.open_now == 0
