"""Private lines: in a flood of questions they have an end."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest

from bot.slack import notices as module
from bot.slack.budget import Budget
from bot.slack.client import SlackClient
from bot.slack.notices import Notices


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
