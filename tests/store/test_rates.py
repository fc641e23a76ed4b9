"""Slack's budget in Redis: two processes draw on one rate, a refusal closes it for both, nothing stays for ever."""

from __future__ import annotations

import redis as sync_redis

from bot.store.connection import connect
from bot.store.rates import SharedRates


async def test_two_processes_draw_on_one_burst_and_one_rate(redis_url: str) -> None:
    one, two = connect(redis_url), connect(redis_url)
    try:
        rates = [SharedRates(one, "T1"), SharedRates(two, "T1")]
        # An interval of an hour: no second token comes while this test runs, however slow the machine.
        granted = [await rates[n % 2].ask("chat.update", 3600, 3600 * 4, reserve=False) for n in range(8)]
        assert granted[:5] == [0, 0, 0, 0, 0]
        assert all(3000 < wait <= 3600 for wait in granted[5:])
        assert await SharedRates(two, "T2").ask("chat.update", 3600, 3600, reserve=False) == 0
    finally:
        await one.aclose()
        await two.aclose()


async def test_what_is_kept_for_urgent_calls_is_left_to_them(redis_url: str) -> None:
    client = connect(redis_url)
    try:
        rates = SharedRates(client, "T1")
        text = [await rates.ask("chat.update", 3600, 3600, reserve=False) for _ in range(4)]
        assert text[:2] == [0, 0] and text[2] > 0
        assert await rates.ask("chat.update", 3600, 3600 * 4, reserve=False) == 0
    finally:
        await client.aclose()


async def test_a_refusal_closes_the_lane_for_everybody_and_only_that_lane(redis_url: str) -> None:
    one, two = connect(redis_url), connect(redis_url)
    try:
        await SharedRates(one, "T1").close("chat.update", 1800, 10)
        await SharedRates(one, "T1").close("chat.update", 5, 10)  # a shorter one does not open it earlier
        assert 1700 < await SharedRates(two, "T1").ask("chat.update", 1, 10, reserve=False) <= 1800
        assert await SharedRates(two, "T1").ask("chat.postMessage:C1", 1, 10, reserve=False) == 0
        assert await SharedRates(two, "T1").is_closed("chat.update")
        assert not await SharedRates(two, "T1").is_closed("chat.postMessage:C1")
        store = sync_redis.Redis.from_url(redis_url, decode_responses=True)
        names = [str(name) for name in store.scan_iter()]
        assert names and all(int(store.pttl(name)) > 0 for name in names)
        assert all(name.startswith("{das-bot}:rate:T1:") for name in names)
    finally:
        await one.aclose()
        await two.aclose()


async def test_while_redis_is_away_every_process_has_its_own_pace(tmp_path: object) -> None:
    client = connect(f"unix://{tmp_path}/nobody.sock")
    try:
        rates = SharedRates(client, "T1")
        assert await rates.ask("chat.update", 3600, 3600, reserve=False) == 0
        await rates.close("chat.update", 60, 10)
    finally:
        await client.aclose()


async def test_reservations_are_served_in_their_order(redis_url: str) -> None:
    client = connect(redis_url)
    try:
        rates = SharedRates(client, "T1")
        waits = [await rates.ask("chat.update", 3600, 3600, reserve=True) for _ in range(5)]
        assert waits[:2] == [0, 0]
        assert [round(wait / 3600) for wait in waits[2:]] == [1, 2, 3]
    finally:
        await client.aclose()
