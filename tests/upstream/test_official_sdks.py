"""Every call, byte for byte as the official SDKs send it: the same parameters, headers and signature.

Ours goes to a local server first; what it sent is then given to the SDK, which calls the same server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from alibabacloud_credentials.client import Client as CredentialClient
from alibabacloud_credentials.models import Config as CredentialConfig
from alibabacloud_das20200116 import models as das
from alibabacloud_das20200116.client import Client as DasClient
from alibabacloud_rdsai20250507 import models as rds
from alibabacloud_rdsai20250507.client import Client as RdsClient
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

from bot.model.event import Event
from bot.upstream.acs3 import Credentials, sign
from bot.upstream.backend import Ask, Backend, Resume
from bot.upstream.credentials import StaticCredentials
from bot.upstream.das import DasChat
from bot.upstream.das_legacy import DasLegacy
from bot.upstream.rds import RdsCopilot
from bot.upstream.wire import USER_AGENT

TOKEN = "token/with+specials==&=~*"
HARD = "慢 SQL on rm-1 * ~tilde ? #frag / é😀 a+b&c=d;e=f \"q\" 's' (x) !$@ [y] %41 \\ \n\t end"
OPTIONS = RuntimeOptions(read_timeout=10_000, connect_timeout=10_000)
PER_CALL = {"x-acs-date", "x-acs-signature-nonce", "authorization", "user-agent"}
TRANSPORT = {"accept-encoding", "connection", "content-length"}

SESSION = "123e4567-e89b-42d3-a456-000000000001"
ASKS = {
    "first": Ask("hello"),
    "hard": Ask(HARD, SESSION, "84dc9f9b-1", "ag-1", "zh", "zh-CN", "Asia/Shanghai"),
    "long": Ask("磁盘? " * 200, SESSION, agent_id="ag-1"),
    "resumed": Ask("go on", SESSION, resume=Resume("call/1", "b")),
}


def _rds_chat(client: Any, sent: dict[str, str]) -> Any:
    given = json.loads(sent.pop("Inputs"))
    request = rds.ChatMessagesRequest().from_map(sent)
    request.files = None  # from_map makes an empty list of what was not given.
    request.inputs = rds.ChatMessagesRequestInputs().from_map(given)
    return list(client.chat_messages_with_sse(request, OPTIONS))


SDK_CALLS: dict[str, Callable[[Any, dict[str, str]], Any]] = {
    "Chat": lambda client, sent: list(client.chat_with_sse(das.ChatRequest().from_map(sent), OPTIONS)),
    "GetDasAgentSSE": lambda client, sent: list(
        client.get_das_agent_ssewith_sse(das.GetDasAgentSSERequest().from_map(sent), OPTIONS)
    ),
    "ChatMessages": _rds_chat,
    "ChatMessagesTaskStop": lambda client, sent: client.chat_messages_task_stop_with_options(
        rds.ChatMessagesTaskStopRequest().from_map(sent), OPTIONS
    ),
    "ModifyMessagesFeedbacks": lambda client, sent: client.modify_messages_feedbacks_with_options(
        rds.ModifyMessagesFeedbacksRequest().from_map(sent), OPTIONS
    ),
    "GetMessages": lambda client, sent: client.get_messages_with_options(
        rds.GetMessagesRequest().from_map(sent), OPTIONS
    ),
    "GetConversations": lambda client, sent: client.get_conversations_with_options(
        rds.GetConversationsRequest().from_map(sent), OPTIONS
    ),
}

FRAMES = {
    "Chat": b'data:{"Type":"RUN_FINISHED"}\n\n',
    "GetDasAgentSSE": b'data:{"Id":"s","Answer":"","Event":"summary","Metadata":{}}\n\n',
    "ChatMessages": b'data: {"Event":"message_end"}\n\n',
}


LISTED = b'{"Data":[{"Id":"c/1 +~"}],"HasMore":"true"}'
"""A page of a list that has another one."""


async def answers(request: Any, writer: asyncio.StreamWriter) -> None:
    """A stream for what streams, and an empty JSON object for the rest."""
    action = request.headers["x-acs-action"]
    kind, body = ("text/event-stream", FRAMES[action]) if action in FRAMES else ("application/json", LISTED)
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode() + body)
    await writer.drain()


def key(token: str) -> Credentials:
    return Credentials("test-key-id", "test-key-secret", token, "static_sts" if token else "static_ak")


def sdk(action: str, endpoint: str, token: str) -> Any:
    credential = CredentialConfig(
        type="sts" if token else "access_key",
        access_key_id="test-key-id",
        access_key_secret="test-key-secret",
        security_token=token or None,
    )
    host = endpoint.removeprefix("http://")
    config = Config(credential=CredentialClient(credential), endpoint=host, protocol="HTTP")
    return (DasClient if action in ("Chat", "GetDasAgentSSE") else RdsClient)(config)


async def compare(server: Any, token: str) -> None:
    """Our request, the last that came, against what the SDK makes of its parameters."""
    ours = server.requests[-1]
    action = ours.headers["x-acs-action"]
    given = dict(parse_qsl(urlsplit(ours.target).query, keep_blank_values=True, strict_parsing=True))
    # The synchronous client: the other one lets aiohttp rewrite the escapes of the target on its way out.
    await asyncio.to_thread(SDK_CALLS[action], sdk(action, server.endpoint, token), dict(given))
    theirs = server.requests[-1]
    assert theirs is not ours
    assert (ours.method, ours.target, ours.body) == (theirs.method, theirs.target, theirs.body)
    for name in (set(ours.headers) | set(theirs.headers)) - PER_CALL - TRANSPORT:
        assert ours.headers.get(name) == theirs.headers.get(name), name
    assert _signed_names(ours) == _signed_names(theirs)
    for request in (ours, theirs):
        again = sign(
            endpoint=server.endpoint,
            action=action,
            version=request.headers["x-acs-version"],
            params=given,
            credentials=key(token),
            user_agent=request.headers["user-agent"],
            date=datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
            nonce=request.headers["x-acs-signature-nonce"],
        )
        assert again.headers["Authorization"] == request.headers["authorization"]
        assert again.target == request.target
    assert ours.headers["user-agent"] == USER_AGENT


def _signed_names(request: Any) -> str:
    return str(request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0])


def backend(name: str, endpoint: str, token: str) -> Backend:
    source = StaticCredentials(key(token))
    if name == "rds":
        return RdsCopilot(source, endpoint=endpoint, region="cn-hangzhou")
    return (DasChat if name == "das" else DasLegacy)(source, endpoint=endpoint)


@pytest.mark.parametrize("token", ["", TOKEN], ids=["ak", "sts"])
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("name", ["das", "das-legacy", "rds"])
async def test_questions(start_server: Any, name: str, ask: Ask, token: str) -> None:
    server = await start_server(answers)
    service = backend(name, server.endpoint, token)
    async with service.ask(ask) as events:
        read: list[Event] = [event async for event in events]
    await service.aclose()
    assert read
    # What goes as a form in DAS Chat is compared with the SDK's generic client, see test_acs3.
    assert server.requests[-1].body == b""
    await compare(server, token)


async def test_the_longest_question_to_rds_copilot(start_server: Any) -> None:
    server = await start_server(answers)
    service = backend("rds", server.endpoint, "")
    async with service.ask(Ask("慢" * service.limit)) as events:
        assert [event async for event in events]
    await service.aclose()
    assert len(server.requests[-1].target) > 72_000
    await compare(server, "")


@pytest.mark.parametrize("token", ["", TOKEN], ids=["ak", "sts"])
async def test_the_calls_of_rds_copilot(start_server: Any, token: str) -> None:
    server = await start_server(answers)
    service = backend("rds", server.endpoint, token)
    assert isinstance(service, RdsCopilot)
    await service.stop("01c3d43d-9466-4bd5~*+/?")
    await compare(server, token)
    await service.rate("yy9rkn6q-0001", "dislike", f"答非所问 {HARD}")
    await compare(server, token)
    await service.rate("yy9rkn6q-0001", "like", "")
    await compare(server, token)
    pages = service._conversations()
    await anext(pages)
    await compare(server, token)
    await anext(pages)
    assert "LastId=c%2F1+%2B~" in server.requests[-1].target
    await compare(server, token)
    await service._messages(SESSION)
    await compare(server, token)
    await service.aclose()
    assert {request.headers["x-acs-action"] for request in server.requests} == set(SDK_CALLS) - set(FRAMES)
