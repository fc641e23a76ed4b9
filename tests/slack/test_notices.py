"""What is said beside the replies: in a flood of questions it has an end, and one failure does not silence it."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest

from bot.demo.workspace import NO_LIMITS, Workspace
from bot.slack import notices as module
from bot.slack.budget import Budget
from bot.slack.client import SlackClient
from bot.slack.notices import Notices

OPS, ANA = "C0DBOPS001", "U0ANA00001"


class Slack(SlackClient):
    """Takes calls, and answers them once it is open."""

    def __init__(self) -> None:
        super().__init__("", "", Budget())
        self.open = asyncio.Event()
        self.told: list[str] = []

    async def call(
        self, method: str, channel: str, priority: Any, owner: str, make: Any, *_: Any, **__: Any
    ) -> dict[str, Any]:
        await self.open.wait()
        self.told.append(make()["text"])
        return {}


async def test_more_private_lines_than_slack_takes_soon_are_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LINES", 3)
    logged = Mock()
    monkeypatch.setattr(module, "logger", logged)
    slack = Slack()
    notices = Notices(slack)
    for number in range(10):
        notices.tell("C1", "U1", f"line {number}")
    notices.say("C1", "1.0", "for everybody")
    slack.open.set()
    await notices.aclose()
    assert slack.told == ["line 0", "line 1", "line 2", "for everybody"]
    assert logged.warning.call_count == 1
    notices.tell("C1", "U1", "when they were shown there is room again")
    await notices.aclose()
    assert len(slack.told) == 5


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}, {"error": "internal_error"}])
async def test_a_private_line_is_said_again_and_a_public_one_is_not(fault: dict[str, Any]) -> None:
    workspace, pauses = Workspace(rates=NO_LIMITS), list[float]()
    await workspace.start()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    budget = Budget()
    client = SlackClient(workspace.bot_token, workspace.api_url, budget)
    notices = Notices(client, sleep)
    for method in ("chat.postEphemeral", "chat.postMessage"):
        workspace.fail_next(method, times=1, **fault)
    notices.tell(OPS, ANA, "You have used up today's budget.")
    notices.say(OPS, "", "for everybody")
    await notices.aclose()
    assert workspace.ephemerals(ANA, OPS)
    assert len(workspace.calls_of("chat.postEphemeral")) == 2
    assert len(workspace.calls_of("chat.postMessage")) == 1
    assert len(pauses) == 1
    await client.aclose()
    await budget.aclose()
    await workspace.stop()
