"""The simulated DAS over HTTP: read by the official SDK, strict about signatures, faulty when told to be."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from alibabacloud_das20200116 import models
from alibabacloud_das20200116.client import Client
from alibabacloud_tea_openapi import utils_models
from darabonba.runtime import RuntimeOptions
from yarl import URL

from bot.demo.das import Credential, Faults, SimulatedDas

AK = Credential("test-key-id", "test-key-secret")
STS = Credential("STS.test-key-id", "test-sts-secret", "test-security-token")
SLOW = "why is rm-bp1abc slow? ~ * + / & = ? 为什么"


@pytest.fixture
async def das() -> AsyncIterator[SimulatedDas]:
    service = SimulatedDas((AK, STS), pace=0, seed=7)
    await service.start()
    yield service
    await service.stop()


def message(question: str) -> str:
    parts = [{"type": "text", "text": question}]
    return json.dumps({"id": str(uuid.uuid4()), "role": "user", "content": parts}, ensure_ascii=False)


def signed(
    das: SimulatedDas,
    params: dict[str, str],
    credential: Credential = AK,
    *,
    form: bool = False,
    secret: str = "",
    unsigned: tuple[str, ...] = (),
    **changes: str,
) -> tuple[str, dict[str, str], bytes]:
    """A request signed by hand: address, headers, body. `changes` replace headers, with _ for -."""
    body = urlencode(params).encode() if form else b""
    query = {} if form else params
    headers = {
        "host": das.url.removeprefix("http://"),
        "accept": "application/json",
        "x-acs-action": "Chat",
        "x-acs-version": "2020-01-16",
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    if form:
        headers["content-type"] = "application/x-www-form-urlencoded"
    if credential.token:
        headers |= {"x-acs-accesskey-id": credential.key_id, "x-acs-security-token": credential.token}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    names = [name for name in sorted(headers) if name not in unsigned]
    canonical = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(query.items()))
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    request = f"POST\n/\n{canonical}\n{lines}\n{';'.join(names)}\n{headers['x-acs-content-sha256']}"
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
    sign = hmac.new((secret or credential.secret).encode(), text.encode(), hashlib.sha256).hexdigest()
    scope = f"Credential={credential.key_id},SignedHeaders={';'.join(names)}"
    headers["Authorization"] = f"ACS3-HMAC-SHA256 {scope},Signature={sign}"
    return f"{das.url}/?{urlencode(query)}", headers, body


async def post(request: tuple[str, dict[str, str], bytes]) -> tuple[int, str, bytes]:
    """Status, content type and whole body. Raises aiohttp's errors when the stream breaks."""
    address, headers, body = request
    async with (
        aiohttp.ClientSession(skip_auto_headers=("User-Agent", "Content-Type")) as session,
        session.post(URL(address, encoded=True), headers=headers, data=body) as response,
    ):
        return response.status, response.headers["Content-Type"], await response.read()


async def ask(das: SimulatedDas, question: str, **params: str) -> tuple[int, str, bytes]:
    return await post(signed(das, {"Message": message(question), "Summary": "true", **params}))


def frames(body: bytes) -> list[dict[str, Any]]:
    texts = [line.removeprefix("data:") for line in body.decode().splitlines() if line]
    return [json.loads(text) for text in texts if text != "[DONE]"]


def said(found: list[dict[str, Any]]) -> str:
    users = {f["MessageId"] for f in found if f.get("Role") == "user"}
    return "".join(
        f["Delta"] for f in found if f["Type"] == "TEXT_MESSAGE_CONTENT" and f["MessageId"] not in users
    )


def sdk(das: SimulatedDas, credential: Credential) -> Client:
    config = utils_models.Config(
        access_key_id=credential.key_id,
        access_key_secret=credential.secret,
        security_token=credential.token or None,
        endpoint=das.url.removeprefix("http://"),
        protocol="HTTP",
    )
    return Client(config)


def sdk_request(question: str) -> Any:
    return models.ChatRequest(message=message(question), summary="true", session_id=str(uuid.uuid4()))


@pytest.mark.parametrize("credential", [AK, STS], ids=["ak", "sts"])
async def test_the_official_sdk_reads_an_answer_to_its_end(das: SimulatedDas, credential: Credential) -> None:
    das.faults = Faults(done=False)  # the SDK parses [DONE] as JSON and raises
    request = sdk_request(SLOW)
    stream = sdk(das, credential).chat_with_sse_async(request, RuntimeOptions())
    found = [answer.body.to_map() async for answer in stream]
    assert found[0]["Type"] == "RUN_STARTED"
    assert found[-1]["Type"] == "RUN_FINISHED"
    assert "`orders.user_id`" in said(found)
    assert found[-2]["Value"]["SessionId"] == request.session_id
    (run,) = das.runs
    assert (run.access_key_id, run.question, run.outcome) == (credential.key_id, SLOW, "finished")
    assert run.session_id == request.session_id


async def test_the_official_sdk_reads_synchronously_too(das: SimulatedDas) -> None:
    das.faults = Faults(done=False)

    def read() -> list[dict[str, Any]]:
        stream = sdk(das, AK).chat_with_sse(sdk_request("磁盘快满了 rm-x123"), RuntimeOptions())
        return [answer.body.to_map() for answer in stream]

    found = await asyncio.to_thread(read)
    assert found[-1]["Type"] == "RUN_FINISHED"
    assert "rm-x123" in said(found)


async def test_the_official_sdk_is_refused_with_a_wrong_secret(das: SimulatedDas) -> None:
    stream = sdk(das, Credential(AK.key_id, "wrong")).chat_with_sse_async(
        sdk_request("hello"), RuntimeOptions()
    )
    with pytest.raises(Exception, match="signature is not matched"):
        _ = [answer async for answer in stream]
    assert [(request.outcome, request.code) for request in das.requests] == [
        ("refused", "SignatureDoesNotMatch")
    ]


async def test_stream_is_spelt_as_the_service_spells_it(das: SimulatedDas) -> None:
    status, content_type, body = await ask(das, SLOW)
    assert status == 200
    assert content_type.startswith("text/event-stream")
    assert body.startswith(b'data:{"Type":"RUN_STARTED"')
    assert body.endswith(b"\n\ndata:[DONE]\n\n")
    assert said(frames(body))


@pytest.mark.parametrize("credential", [AK, STS], ids=["ak", "sts"])
async def test_form_body_carries_long_questions(das: SimulatedDas, credential: Credential) -> None:
    question = "rm-bp1abc 慢 " + "很" * 30_000
    request = signed(das, {"Message": message(question)}, credential, form=True)
    status, _, body = await post(request)
    assert status == 200
    assert das.runs[0].question == question
    assert frames(body)[-1]["Type"] == "RUN_FINISHED"
    assert not [frame for frame in frames(body) if frame["Type"] == "CUSTOM"], "no summary unless asked for"


async def refusal(das: SimulatedDas, request: tuple[str, dict[str, str], bytes]) -> tuple[int, str]:
    status, content_type, body = await post(request)
    answer = json.loads(body)
    assert content_type.startswith("application/json")
    assert set(answer) == {"Code", "Message", "RequestId", "HostId", "Recommend"}
    assert das.requests[-1].code == answer["Code"]
    assert das.requests[-1].outcome == "refused"
    return status, answer["Code"]


CHAT = {"Message": message("hello")}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"secret": "wrong"}, (400, "SignatureDoesNotMatch")),
        ({"credential": Credential("nobody", "x")}, (404, "InvalidAccessKeyId.NotFound")),
        ({"credential": Credential(STS.key_id, STS.secret)}, (400, "MissingSecurityToken")),
        (
            {"credential": Credential(STS.key_id, STS.secret, "old")},
            (400, "InvalidSecurityToken.MismatchWithAccessKey"),
        ),
        (
            {"credential": Credential(AK.key_id, AK.secret, "surplus")},
            (400, "InvalidSecurityToken.MismatchWithAccessKey"),
        ),
        ({"x_acs_date": "2020-01-02T03:04:05Z"}, (400, "InvalidTimeStamp.Expired")),
        ({"x_acs_date": "yesterday"}, (400, "InvalidTimeStamp.Format")),
        ({"x_acs_date": "2026-13-45T03:04:05Z"}, (400, "InvalidTimeStamp.Format")),
        ({"x_acs_content_sha256": "0" * 64}, (400, "SignatureDoesNotMatch")),
        ({"unsigned": ("host",)}, (400, "SignatureDoesNotMatch")),
        ({"unsigned": ("accept",)}, (400, "SignatureDoesNotMatch")),
        ({"unsigned": ("x-acs-signature-nonce",)}, (400, "SignatureDoesNotMatch")),
        ({"x_acs_action": "DescribeEverything"}, (404, "InvalidAction.NotFound")),
        ({"x_acs_action": ""}, (400, "MissingAction")),
        ({"x_acs_version": "2019-01-01"}, (400, "InvalidVersion")),
    ],
)
async def test_bad_requests_get_the_gateways_code(
    das: SimulatedDas, settings: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert await refusal(das, signed(das, CHAT, **settings)) == expected
    assert das.runs == []


async def test_tampering_with_any_part_is_noticed(das: SimulatedDas) -> None:
    address, headers, body = signed(das, CHAT)
    assert await refusal(das, (address + "&AgentId=ag-x", headers, body)) == (400, "SignatureDoesNotMatch")
    overwritten = headers | {"accept": "text/event-stream"}
    assert await refusal(das, (address, overwritten, body)) == (400, "SignatureDoesNotMatch")
    assert await refusal(das, (address, headers, b"a=1")) == (400, "SignatureDoesNotMatch")
    extra = headers | {"x-acs-extra": "1"}
    assert await refusal(das, (address, extra, body)) == (400, "SignatureDoesNotMatch")
    without = {name: value for name, value in headers.items() if name != "Authorization"}
    assert await refusal(das, (address, without, body)) == (400, "MissingAccessKeyId")
    garbled = headers | {"Authorization": "Bearer abc"}
    assert await refusal(das, (address, garbled, body)) == (400, "IncompleteSignature")
    assert (await post((address, headers, body)))[0] == 200, "untouched it passes"


async def test_a_nonce_works_once(das: SimulatedDas) -> None:
    request = signed(das, CHAT)
    assert (await post(request))[0] == 200
    assert await refusal(das, request) == (400, "SignatureNonceUsed")
    assert len(das.runs) == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "MissingParameter"),
        ({"Message": "hello"}, "InvalidParams"),
        ({"Message": '{"id":"1","role":"user","content":"hello"}'}, "InvalidParams"),
        ({"Message": message("  ")}, "InvalidParams"),
        ({**CHAT, "SessionId": "not-a-uuid"}, "InvalidParams"),
        ({**CHAT, "Summary": "yes"}, "InvalidParams"),
    ],
)
async def test_bad_parameters_are_refused(das: SimulatedDas, params: dict[str, str], code: str) -> None:
    assert await refusal(das, signed(das, params)) == (400, code)


async def test_too_long_questions_are_refused(das: SimulatedDas) -> None:
    long = {"Message": message("x" * 32_001)}
    assert await refusal(das, signed(das, long, form=True)) == (400, "InvalidParams")
    status, content_type, _ = await post(signed(das, {"Message": message("x" * 9_000)}))
    assert (status, content_type) == (414, "text/html")


async def test_follow_up_in_the_session_and_not_in_another(das: SimulatedDas) -> None:
    session = str(uuid.uuid4())
    await ask(das, "why is rm-bp1abc slow?", SessionId=session)
    _, _, body = await ask(das, "is it safe?", SessionId=session)
    assert "the missing index on `orders.user_id` I described above" in said(frames(body))
    _, _, fresh = await ask(das, "is it safe?", SessionId=str(uuid.uuid4()))
    assert "above" not in said(frames(fresh))
    assert [run.session_id for run in das.runs[:2]] == [session, session]


async def test_without_a_session_id_a_new_one_is_made(das: SimulatedDas) -> None:
    _, _, body = await ask(das, "why is rm-bp1abc slow?", SessionId="")
    value = frames(body)[-2]["Value"]
    _, _, again = await ask(das, "why?", SessionId=value["SessionId"])
    assert "orders.user_id" in said(frames(again))


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in another task's I/O
            await asyncio.sleep(0)


async def test_one_run_at_a_time_per_agent(das: SimulatedDas) -> None:
    das.next_faults.append(Faults(silent_after=3))
    first = asyncio.create_task(ask(das, "hello", AgentId="ag-1"))
    await until(lambda: das.runs and das.runs[0].frames_sent == 3)
    busy = signed(das, {**CHAT, "AgentId": "ag-1"})
    assert await refusal(das, busy) == (429, "Throttling.Concurrency")
    assert (await ask(das, "hello", AgentId="ag-2"))[0] == 200
    assert das.open_now == 1
    assert das.max_open == 2
    das.resume()
    assert frames((await first)[2])[-1]["Type"] == "RUN_FINISHED"
    assert (await ask(das, "hello", AgentId="ag-1"))[0] == 200
    assert das.open_now == 0


async def test_a_client_that_leaves_frees_the_agent(das: SimulatedDas) -> None:
    das.next_faults.append(Faults(silent_after=3))
    task = asyncio.create_task(ask(das, "hello"))
    await until(lambda: das.runs and das.runs[0].frames_sent == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: das.open_now == 0)
    assert das.runs[0].outcome == "left"


async def test_pace_stretches_the_scripted_times() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    service = SimulatedDas((AK,), pace=2.0, sleep=sleep, seed=7)
    await service.start()
    try:
        _, _, body = await ask(service, "why is rm-bp1abc slow?")
    finally:
        await service.stop()
    value = frames(body)[-2]["Value"]
    assert 30 <= sum(slept) <= 45
    assert sum(slept) == pytest.approx((value["End"] - value["Start"]) / 1000, abs=0.01)


async def test_an_agent_bound_to_no_instance(das: SimulatedDas) -> None:
    found = frames((await ask(das, "hello demo:unbound"))[2])
    assert found[-1]["Name"] == "error"


async def test_the_agent_asks_back_and_goes_on_with_the_answer(das: SimulatedDas) -> None:
    session = str(uuid.uuid4())
    found = frames((await ask(das, "why is orders slow? demo:interrupt", SessionId=session))[2])
    (asked,) = (frame["Value"] for frame in found if frame["Type"] == "INTERRUPT")
    first, second = asked["request"]["options"]
    assert asked["request"]["message"].startswith("Two instances")
    assert found[-1]["Type"] == "RUN_FINISHED"

    def answer(interrupt: str, status: str = "resolved") -> str:
        return json.dumps([{"interruptId": interrupt, "status": status, "payload": {"value": second}}])

    for wrong in (answer("int-other"), answer(asked["interruptId"], "open"), "[]", "{"):
        request = signed(das, {"Message": message(second), "SessionId": session, "Resume": wrong})
        assert await refusal(das, request) == (400, "InvalidParams")
    resumed = {"Message": message(""), "SessionId": session, "Resume": answer(asked["interruptId"])}
    _, _, body = await post(signed(das, resumed))
    assert second in said(frames(body)) and first not in said(frames(body))
    assert "`orders.user_id`" in said(frames(body))
    assert await refusal(das, signed(das, resumed)) == (400, "InvalidParams"), "answered once"
