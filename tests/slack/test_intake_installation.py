"""What Slack tells about the app itself: removed, its token revoked, its events limited."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

OPS = "C0DBOPS001"


def ready(house: Any) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{house.url}/readyz") as response:
            found: dict[str, Any] = json.loads(response.read())
    except urllib.error.HTTPError as error:
        found = json.loads(error.read())
    return found


async def tell(house: Any, event: dict[str, Any]) -> None:
    from bot.demo.workspace.events import event_callback

    payload = event_callback(house.workspace.state, event, house.workspace.channels[OPS])
    delivery = house.workspace._dispatcher.send("events_api", payload)
    await house.workspace._dispatcher.finished(delivery)
    assert delivery.acked


@pytest.mark.parametrize(
    ("event", "is_the_end"),
    [
        ({"type": "app_uninstalled"}, True),
        ({"type": "tokens_revoked", "tokens": {"bot": ["U0DASBOT01"], "oauth": []}}, True),
        ({"type": "tokens_revoked", "tokens": {"oauth": ["U0ANA00001"]}}, False),
        ({"type": "tokens_revoked"}, False),
    ],
)
async def test_a_bot_that_was_removed_is_not_ready_and_says_why(
    make_house: Any, event: dict[str, Any], is_the_end: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    house = await make_house()
    await house.start()
    await tell(house, event)
    assert (await asyncio.to_thread(ready, house))["slack"] is not is_the_end
    assert ("install" in "".join(capfd.readouterr())) is is_the_end


async def test_limited_events_are_logged_and_acked(
    make_house: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    house = await make_house()
    await house.start()
    house.workspace.limit_events()
    await house.workspace.delivered()
    assert all(delivery.acked for delivery in house.workspace.deliveries)
    assert "slack delivers no more events this minute" in "".join(capfd.readouterr())
