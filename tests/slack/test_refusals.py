"""What a workspace refused is remembered as long as it is worth believing, and by all replicas."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from bot.slack.refusals import OwnMemory, Refusals
from bot.store import keys
from bot.store.refusals import Refusals as Stored


@pytest.mark.parametrize(
    ("code", "seconds"),
    [
        ("missing_scope", 6 * 3_600),
        ("feature_not_enabled", 6 * 3_600),
        ("a_code_of_next_year", 600),
        ("team_not_found", 0),
        ("invalid_blocks", 600),
        ("ratelimited", 0),
    ],
)
async def test_a_refused_stream_is_remembered_by_why(code: str, seconds: float) -> None:
    now = 0.0
    refusals = Refusals(OwnMemory(lambda: now))
    await refusals.stream(code)
    assert await refusals.streams() is bool(seconds)
    now = seconds - 1
    assert await refusals.streams() is bool(seconds)
    now = seconds + 1
    assert not await refusals.streams()


async def test_blocks_refused_in_a_stream_with_buttons_are_the_buttons() -> None:
    refusals = Refusals()
    await refusals.stream("invalid_blocks", had_buttons=True)
    assert await refusals.buttons() and not await refusals.streams()
    await refusals.stream("invalid_chunks", had_buttons=False)
    assert await refusals.streams()


async def test_blocks_are_remembered_only_when_slack_names_their_kind() -> None:
    refusals = Refusals()
    await refusals.blocks("invalid_blocks: [ERROR] must be less than 3001 characters", 2)
    assert await refusals.rung() == 0
    await refusals.blocks("invalid_blocks: [ERROR] unsupported type: container [json-pointer:/blocks/1]", 1)
    assert await refusals.rung() == 1


async def test_replicas_share_what_they_found(redis_url: str) -> None:
    redis: Redis = Redis.from_url(redis_url)
    one, other = (Refusals(Stored(redis, team)) for team in ("T1", "T1"))
    elsewhere = Refusals(Stored(redis, "T2"))
    await one.stream("missing_scope")
    await one.blocks("unsupported type: container", 1)
    assert await other.streams() and await other.rung() == 1
    assert not await elsewhere.streams() and await elsewhere.rung() == 0
    assert 0 < await redis.pttl(keys.refusal("T1", "streams")) <= 6 * 3_600_000
    await redis.aclose()


async def test_without_redis_nothing_is_remembered_and_nothing_fails() -> None:
    redis: Redis = Redis.from_url("redis://127.0.0.1:9")
    refusals = Refusals(Stored(redis, "T1"))
    await refusals.stream("missing_scope")
    assert not await refusals.streams() and await refusals.rung() == 0
    await redis.aclose()
