"""Redis away: nothing is acked that is not written down, and Slack's redelivery is accepted once."""

from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import ResponseError

ANA, OPS = "U0ANA00001", "C0DBOPS001"


@pytest.mark.parametrize("error", [RedisAway("away"), ResponseError("OOM command not allowed")])
@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_slack_delivers_again_and_it_is_one_run(
    make_house: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, mode: str
) -> None:
    house = await make_house(redelivery_delays=[0.0] * 50, ack_deadline=0.2)
    await house.start(**({"slack_app_token": ""} if mode == "http" else {}))
    execute: Any = Redis.execute_command
    refused: list[str] = []

    async def away(self: Redis, *args: Any, **options: Any) -> Any:
        # Only intake is hit: its first three tries.
        if args[0] in ("EVALSHA", "EXISTS") and "seen:message" in str(args) and len(refused) < 3:
            refused.append(args[0])
            raise error
        return await execute(self, *args, **options)

    monkeypatch.setattr(Redis, "execute_command", away)
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.answer(OPS, ts)
    await house.taken(1)
    assert len(refused) == 3
    # A slow machine may miss a deadline once more; it is one run all the same.
    assert sum(len(event.attempts) for event in house.workspace.events[:2]) >= 5
    assert house.workspace.ephemerals(ANA, OPS) == []


async def test_a_click_while_redis_is_away_is_not_acked(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    reply = await house.answer(OPS, ts)
    (run,) = await house.ended(1)
    monkeypatch.setattr(house.workspace._dispatcher, "_deadline", 0.05)
    execute: Any = Redis.execute_command

    async def away(self: Redis, *args: Any, **options: Any) -> Any:
        if args[0] == "HGETALL":
            raise RedisAway("away")
        return await execute(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Redis, "execute_command", away)
        done = await house.workspace.click(ANA, OPS, reply.ts, "run_again")
    assert not done.ok
    assert await house.runs() == [run]
