"""A Redis without memory left: no question is acked, an answer under way ends, and afterwards all is as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from bot import metrics

if TYPE_CHECKING:
    from tests.fleet import Fleet

ANA, OPS = "U0ANA00001", "C0DBOPS001"


@pytest.fixture
def valkey_url(make_fleet: Callable[[str], Fleet]) -> str:
    """A server of this test's own: its memory is taken away."""
    return f"redis://127.0.0.1:{make_fleet('redis').start()}"


def refused() -> float:
    return metrics.REGISTRY.get_sample_value("das_bot_intake_failures_total") or 0.0


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_slack_delivers_again_until_there_is_memory(
    make_house: Any, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    house = await make_house(pace=0.02, redelivery_delays=[0.0] * 500, ack_deadline=0.2)
    await house.start(**({"slack_app_token": ""} if mode == "http" else {}))
    under_way = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.workspace.until(lambda: house.workspace.replies(OPS, under_way))
    await house.redis.config_set("maxmemory", 1)
    before = refused()
    kept_out = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0002 slow?")
    await house.answer(OPS, under_way)
    await house.workspace.until(lambda: refused() >= before + 3)
    assert not house.workspace.replies(OPS, kept_out)
    await house.redis.config_set("maxmemory", 0)
    await house.answer(OPS, kept_out)
    runs = await house.ended(2)
    assert len(runs) == 2
    assert "Redis is full: no question is accepted until it has memory again" in "".join(capfd.readouterr())
