"""Our signature against the official SDK's: live over a socket, and against recorded vectors."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from alibabacloud_credentials.client import Client as CredentialClient
from alibabacloud_credentials.models import Config as CredentialConfig
from alibabacloud_das20200116.client import Client as DasClient
from alibabacloud_das20200116.models import ChatRequest
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from bot.upstream.acs3 import Credentials, SignedRequest, canonical_request, sign, string_to_sign

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "wire_vectors.json"
HARD = "慢 SQL on rm-1 * ~tilde ? #frag / é😀 a+b&c=d;e=f \"q\" 's' (x) !$@ [y] %41 \\ \n\t end"
TOKEN = "token/with+specials==&=~*"
TRANSPORT_HEADERS = {"accept-encoding", "connection", "content-length"}


def load_vectors() -> list[dict[str, Any]]:
    return json.loads(VECTORS.read_text("utf-8")) if VECTORS.exists() else []


@pytest.mark.parametrize("vector", load_vectors(), ids=lambda vector: vector["name"])
def test_recorded_vectors(vector: dict[str, Any]) -> None:
    recorded, key = vector["request"], vector["credentials"]
    sent = recorded["headers"]
    form = recorded.get("form")
    params = form or recorded["query"]
    provider = sent["x-acs-credentials-provider"]
    signed = sign(
        endpoint=f"{recorded['scheme']}://{recorded['host']}",
        action=sent["x-acs-action"],
        version=sent["x-acs-version"],
        params={**params, "Absent": None},
        credentials=Credentials(key["ak"], key["sk"], key.get("sts", ""), provider),
        user_agent=sent["user-agent"],
        date=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        nonce=sent["x-acs-signature-nonce"],
        form=form is not None,
    )
    assert signed.headers == {**sent, "Authorization": vector["authorization"]}
    assert signed.target == vector["target"]
    assert signed.body.decode() == recorded["body"]
    own = {name: value for name, value in signed.headers.items() if name != "Authorization"}
    canonical = canonical_request(
        signed.method, {} if form else params, own, signed.headers["x-acs-content-sha256"]
    )
    assert canonical == vector["canonical_request"]
    assert string_to_sign(canonical) == vector["string_to_sign"]


def sdk_client(endpoint: str, token: str) -> DasClient:
    kind = "sts" if token else "access_key"
    key = CredentialConfig(
        type=kind,
        access_key_id="test-key-id",
        access_key_secret="test-key-secret",
        security_token=token or None,
    )
    host = endpoint.removeprefix("http://")
    return DasClient(Config(credential=CredentialClient(key), endpoint=host, protocol="HTTP"))


def call_sdk(client: DasClient, message: str, form: bool) -> int:
    """Ask through the SDK, and count the frames it read."""
    if form:
        request = OpenApiRequest(body={"AgentId": "ag-1", "Message": message, "SessionId": ""})
        params = Params(
            action="Chat", version="2020-01-16", protocol="HTTP", pathname="/", method="POST", auth_type="AK",
            style="RPC", req_body_type="formData", body_type="json",
        )  # fmt: skip
        return len(list(client.call_sseapi(params, request, RuntimeOptions())))
    chat = ChatRequest(agent_id="ag-1", message=message, session_id="")
    return len(list(client.chat_with_sse(chat, RuntimeOptions())))


async def one_frame(_request: Any, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        b'data:{"Type":"RUN_FINISHED"}\n\n'
    )
    await writer.drain()


@pytest.mark.parametrize("token", ["", TOKEN], ids=["ak", "sts"])
@pytest.mark.parametrize("form", [False, True], ids=["query", "form"])
@pytest.mark.parametrize("text", ["hello", HARD, HARD * 40], ids=["plain", "hard", "long"])
async def test_what_the_official_sdk_sends(start_server: Any, token: str, form: bool, text: str) -> None:
    server = await start_server(one_frame)
    message = json.dumps({"text": text}, ensure_ascii=False)
    client = sdk_client(server.endpoint, token)
    # The synchronous client: the other one lets aiohttp rewrite the escapes of the target on its way out.
    assert await asyncio.to_thread(call_sdk, client, message, form) == 1

    sent = server.requests[0]
    assert bool(sent.body) == form
    ours = sign(
        endpoint=server.endpoint,
        action="Chat",
        version="2020-01-16",
        params={"SessionId": "", "Message": message, "AgentId": "ag-1", "Resume": None},
        credentials=Credentials(
            "test-key-id", "test-key-secret", token, sent.headers["x-acs-credentials-provider"]
        ),
        user_agent=sent.headers["user-agent"],
        date=datetime.strptime(sent.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
        nonce=sent.headers["x-acs-signature-nonce"],
        form=form,
    )
    assert sent.method == ours.method
    assert sent.target == ours.target
    assert sent.body == ours.body
    theirs = {name: value for name, value in sent.headers.items() if name not in TRANSPORT_HEADERS}
    assert theirs == {name.lower(): value for name, value in ours.headers.items()}


def test_none_is_omitted_and_empty_is_sent() -> None:
    signed = sign_hello(params={"A": None, "B": "", "C": "x"})
    assert parse_qsl(urlsplit(signed.url).query, keep_blank_values=True) == [("B", ""), ("C", "x")]


def test_secrets_and_the_question_stay_out_of_repr() -> None:
    credentials = Credentials("key-id", "the-secret", "the-token")
    shown = repr(credentials) + repr(sign_hello(params={"Message": "the-question"}, credentials=credentials))
    assert not [word for word in ("the-secret", "the-token", "the-question", "Signature") if word in shown]


@pytest.mark.parametrize(
    "endpoint",
    ["example.com", "ftp://example.com", "https://", "https://a/b", "https://u:p@a", "https://a?b=c"],
)
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ValueError):
        sign_hello(endpoint=endpoint)


def test_a_date_without_zone_is_refused() -> None:
    with pytest.raises(ValueError):
        sign_hello(date=datetime(2026, 1, 2))


def sign_hello(**changes: Any) -> SignedRequest:
    call: dict[str, Any] = {
        "endpoint": "https://example.com",
        "action": "Chat",
        "version": "2020-01-16",
        "params": {},
        "credentials": Credentials("id", "secret"),
        "user_agent": "test",
        "date": datetime(2026, 1, 2, tzinfo=UTC),
        "nonce": "0" * 32,
    }
    return sign(**{**call, **changes})
