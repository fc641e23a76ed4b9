"""Root messages of commands: one, whatever happens to the post, and a private line when there can be none."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from bot.store import keys
from bot.store.runs import Runs

ANA, OPS = "U0ANA00001", "C0DBOPS001"


def roots(house: Any) -> list[Any]:
    return [
        m for m in house.workspace.messages.of(OPS) if m.bot_id and not m.is_reply and not m.ephemeral_for
    ]


async def ask(house: Any, text: str = "why is rm-bp1demo0001 slow?") -> None:
    assert (await house.workspace.command(ANA, OPS, "/das-ask", text)).ok


async def test_a_post_that_arrived_unseen_is_not_repeated(house: Any) -> None:
    house.workspace.fail_next("chat.postMessage", reset=True)
    await ask(house)
    await house.ended(1)
    (root,) = roots(house)
    await house.answer(OPS, root.ts)


async def test_a_post_that_did_not_arrive_is_repeated(house: Any) -> None:
    house.workspace.fail_next("chat.postMessage", status=503)
    await ask(house)
    await house.ended(1)
    (root,) = roots(house)
    await house.answer(OPS, root.ts)


@pytest.mark.parametrize("code", ["is_archived", "restricted_action"])
async def test_what_slack_refuses_is_said_privately_with_a_reference(house: Any, code: str) -> None:
    house.workspace.fail_next("chat.postMessage", error=code)
    await ask(house)
    line = await house.private_line(ANA, OPS)
    assert line.text.startswith("Something went wrong on our side. Reference ")
    assert code not in line.text
    (run,) = await house.ended(1)
    assert run["state"] == "failed"
    assert roots(house) == []


async def test_a_post_that_arrived_is_found_behind_many_others(house: Any) -> None:
    house.workspace.fail_next("chat.postMessage", reset=True)
    # Slack lists the newest first; these come while the answer to the post is missing.
    house.workspace.fail_next("conversations.history", status=503)
    await ask(house)
    await house.workspace.until(lambda: roots(house))
    for number in range(250):
        house.workspace.say(ANA, OPS, f"meanwhile {number}")
    await house.ended(1)
    assert len(roots(house)) == 1
    assert len(house.workspace.calls_of("conversations.history")) >= 3


async def test_a_post_is_found_when_our_clock_is_ahead(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.runs.time", SimpleNamespace(time=lambda: time.time() + 300))
    house.workspace.fail_next("chat.postMessage", reset=True)
    await ask(house)
    await house.ended(1)
    assert len(roots(house)) == 1


async def test_where_slack_does_not_let_us_look_nothing_is_posted_again(house: Any) -> None:
    house.workspace.fail_next("chat.postMessage", reset=True)
    house.workspace.fail_next("conversations.history", error="missing_scope")
    await ask(house)
    line = await house.private_line(ANA, OPS)
    assert line.text.startswith("Something went wrong on our side. Reference ")
    (run,) = await house.ended(1)
    assert run["state"] == "failed" and len(roots(house)) == 1


async def test_roots_that_were_posted_late_are_taken_away(house: Any) -> None:
    await ask(house)
    await house.ended(1)
    (root,) = roots(house)
    platform = house.bot.worker._platform
    (name,) = [name async for name in house.redis.scan_iter(keys.run("*"))]
    run = await Runs(house.redis, keys.Lives()).get(name.removeprefix(keys.run("")))
    late = await platform._client.web.chat_postMessage(channel=OPS, text="late", metadata=root.metadata)
    await platform.withdraw_roots(run)
    assert [message.ts for message in roots(house)] == [root.ts] and late["ts"] != root.ts


async def test_the_root_cannot_ping_and_shows_the_beginning_of_a_long_question(house: Any) -> None:
    await ask(house, "<!channel> @here why? " + "x" * 5_000)
    await house.workspace.until(lambda: roots(house))
    (root,) = roots(house)
    assert "<!channel>" not in root.text
    assert len(root.text) < 2_700 and root.text.endswith("…")
    (run,) = await house.ended(1)
    assert len(run["text"]) > 5_000
