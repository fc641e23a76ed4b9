"""The whole bot behind a Sentinel whose primary is killed in the middle of an answer: it goes on by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bot.store import connection, keys

if TYPE_CHECKING:
    from tests.fleet import Replicated

ANA, OPS = "U0ANA00001", "C0DBOPS001"


async def test_answers_go_on_and_questions_come_in_again(
    sentinels: Replicated, make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SOCKET_SECONDS", 1)
    # A slot that cannot be given back runs out by itself; the next question waits for that.
    monkeypatch.setattr(keys, "SLOT_LIFE", 500)
    house = await make_house(pace=0.05, redelivery_delays=[0.1] * 300, ack_deadline=0.5)
    await house.start(redis_url=sentinels.url)
    under_way = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(lambda: house.workspace.replies(OPS, under_way))
    await asyncio.to_thread(sentinels.wait_until_replicated)
    await asyncio.to_thread(sentinels.kill_primary)
    # Asked while there is no primary: Slack delivers it again until it can be written down.
    meanwhile = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0002 slow?")
    await house.workspace.until(lambda: house.workspace.replies(OPS, meanwhile), timeout=40)
    for asked in (under_way, meanwhile):
        await house.answer(OPS, asked)
    await house.workspace.delivered()
    for asked in (under_way, meanwhile):
        assert len([message for message in house.workspace.replies(OPS, asked) if message.bot_id]) == 1
