"""What people read when the service refuses: each documented code, from the wire to the thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from bot import app
from bot.demo.das import DEMO_CREDENTIAL, Faults, Refusal, SimulatedDas
from bot.demo.workspace import NO_LIMITS, Workspace
from bot.demo.workspace.messages import Message
from bot.settings import Settings
from bot.upstream.acs3 import Credentials
from bot.upstream.credentials import StaticCredentials

ANA, OPS = "U0ANA00001", "C0DBOPS001"
TRIES = 3
SECRET = "the service's own words"


@dataclass
class House:
    workspace: Workspace
    das: SimulatedDas

    async def ask(self, text: str) -> Message:
        """Asks, and waits until the reply has ended."""
        root = self.workspace.say(ANA, OPS, f"<@U0DASBOT01> {text}")
        await self.workspace.until(lambda: "run_again" in self._actions(root))
        (reply,) = self.workspace.replies(OPS, root)
        return reply

    def _actions(self, root: str) -> list[str]:
        blocks = [block for reply in self.workspace.replies(OPS, root) for block in reply.blocks or []]
        return [e["action_id"] for block in blocks if block["type"] == "actions" for e in block["elements"]]


@pytest.fixture
async def house(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """The bot in this process, with keys the service knows; it does not wait between its tries."""
    monkeypatch.setattr("bot.upstream.wire.BACKOFF", 0.0)
    monkeypatch.setattr("bot.relay.worker.READ_MS", 20)
    workspace, das = Workspace(rates=NO_LIMITS), SimulatedDas(pace=0)
    await workspace.start()
    await das.start()
    key = Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret)
    try:
        async with app.started(_settings(workspace, das, valkey_url), StaticCredentials(key)):
            yield House(workspace, das)
    finally:
        await das.stop()
        await workspace.stop()


def _settings(workspace: Workspace, das: SimulatedDas, redis_url: str) -> Settings:
    values: dict[str, Any] = {
        "slack_bot_token": workspace.bot_token,
        "slack_app_token": workspace.app_token,
        "slack_api_url": workspace.api_url,
        "das_endpoint": das.url,
        "redis_url": redis_url,
        "host": "127.0.0.1",
        "port": 0,
    }
    return Settings.model_validate(values)


def alert(reply: Message) -> str:
    (block,) = [block for block in reply.blocks or [] if block["type"] == "alert"]
    text: str = block["text"]["text"]
    return text


CODES = [
    (400, "InvalidParams", "did not accept the question as it was sent"),
    (403, "NoPermission", "has to grant it the RAM permission"),
    (404, "InstanceNotFound", "does not know this instance"),
    (504, "Timeout", "took too long and gave up"),
    (400, "SignatureDoesNotMatch", "rejected the bot's signature"),
    (400, "InvalidTimeStamp.Expired", "should set the machine's clock"),
    (404, "InvalidAccessKeyId.NotFound", "does not accept the bot's access key"),
    (400, "InvalidSecurityToken.Expired", "temporary credentials are no longer valid"),
    (503, "ServiceUnavailable", "not available at the moment"),
    (500, "InternalError", "failed inside the service (InternalError)"),
]
"""Documented codes of the service and its gateway, and the core of what the thread says."""


@pytest.mark.parametrize(("status", "code", "told"), CODES)
async def test_each_code_is_told_in_plain_words(house: House, status: int, code: str, told: str) -> None:
    house.das.next_faults.extend([Faults(refuse=Refusal(status, code, SECRET))] * TRIES)
    reply = await house.ask("why is rm-bp1demo0001 slow?")
    said = alert(reply)
    assert told in said
    assert "Reference " in said
    assert SECRET not in str(reply.blocks) + reply.text
    tries = [request.code for request in house.das.requests]
    assert tries == [code] * (TRIES if status == 503 else 1)


@pytest.mark.parametrize("form", ["json", "lower", "xml"])
async def test_every_form_of_a_refusal_is_read(house: House, form: Any) -> None:
    house.das.next_faults.append(Faults(refuse=Refusal(403, "NoPermission", SECRET, form)))
    assert "RAM permission" in alert(await house.ask("why is rm-bp1demo0001 slow?"))


async def test_a_refusal_with_status_200_is_no_answer(house: House) -> None:
    house.das.next_faults.append(Faults(refuse=Refusal(200, "InstanceNotFound", SECRET)))
    assert "does not know this instance" in alert(await house.ask("why is rm-bp1demo0001 slow?"))


async def test_a_proxy_s_page_is_not_shown(house: House) -> None:
    house.das.next_faults.extend([Faults(refuse=Refusal(502, "", "Bad Gateway", "html"))] * TRIES)
    reply = await house.ask("why is rm-bp1demo0001 slow?")
    assert "not available at the moment" in alert(reply)
    assert "Bad Gateway" not in str(reply.blocks)


async def test_a_moment_of_throttling_is_not_noticed(house: House) -> None:
    house.das.next_faults.append(Faults(refuse=Refusal(429, "Throttling.User", SECRET)))
    reply = await house.ask("why is rm-bp1demo0001 slow?")
    assert "alert" not in [block["type"] for block in reply.blocks or []]
    assert len(house.das.requests) == 2


async def test_a_chinese_question_is_refused_in_chinese(house: House) -> None:
    house.das.next_faults.append(Faults(refuse=Refusal(403, "NoPermission", SECRET)))
    said = alert(await house.ask("rm-bp1demo0001 为什么变慢了？"))
    assert "请管理员为其授予 RAM 权限" in said
    assert "编号" in said
