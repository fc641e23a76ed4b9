"""Thumbs and comments: kept with the run, told to the service, and never in anybody's way."""

import asyncio
import json
from typing import Any

import pytest

from bot.slack import notices

ANA, BEN, OLAF = "U0ANA00001", "U0BEN00001", "U0OLAF0001"
OPS = "C0DBOPS001"
QUESTION = "@das why is rm-bp1demo0001 slow?"


async def answered(make_house: Any, *, rds: bool = False) -> tuple[Any, Any, str]:
    """A house with an answered question, its reply, and the run's id."""
    house = await make_house(rds=rds)
    await house.start(**({"default_agent": "rds"} if rds else {}))
    ts = house.workspace.say(ANA, OPS, QUESTION)
    reply = await house.answer(OPS, ts)
    await house.ended(1)
    return house, reply, await house.run_id()


async def rate(house: Any, reply: Any, run_id: str, rating: str, user: str = BEN) -> None:
    value = f"{rating}:{run_id}"
    assert (await house.workspace.click(user, OPS, reply.ts, "answer_feedback", value=value)).ok


async def test_a_thumb_up_is_kept_and_a_comment_offered(make_house: Any) -> None:
    house, reply, run_id = await answered(make_house)
    await rate(house, reply, run_id, "like")
    line = await house.private_line(BEN, OPS)
    assert (line.text, line.thread_ts) == ("Thank you, noted.", reply.thread_ts)
    assert (await house.runs())[0][f"rating:{BEN}"] == "like"
    assert house.workspace.modal(BEN) is None
    assert (await house.workspace.click(BEN, OPS, line.ts, "answer_comment")).ok
    await house.workspace.until(lambda: house.workspace.modal(BEN))
    assert (await house.workspace.submit_modal(BEN, {"text": "  found it at once  "})).ok
    (run,) = await house.runs()
    assert (run[f"rating:{BEN}"], run[f"comment:{BEN}"]) == ("like", "found it at once")
    assert (await house.private_line(BEN, OPS, 2)).text == "Thank you for the comment."


async def test_a_thumb_down_asks_why_and_the_service_hears_of_both(make_house: Any) -> None:
    house, reply, run_id = await answered(make_house, rds=True)
    await rate(house, reply, run_id, "dislike")
    await house.workspace.until(lambda: house.workspace.modal(BEN))

    def told() -> list[tuple[str, str]]:
        return [(each.rating, each.content) for each in house.rds.feedbacks.values()]

    async def has(*feedback: tuple[str, str]) -> None:
        async def says() -> bool:
            return told() == list(feedback)

        await house.eventually(says)

    await has(("dislike", ""))
    assert (await house.workspace.submit_modal(BEN, {"text": "表名不对"})).ok
    await has(("dislike", "表名不对"))
    (run,) = await house.runs()
    assert (run[f"rating:{BEN}"], run[f"comment:{BEN}"]) == ("dislike", "表名不对")


@pytest.mark.parametrize("typed", ["", "   "])
async def test_a_modal_sent_empty_adds_nothing(make_house: Any, typed: str) -> None:
    house, reply, run_id = await answered(make_house)
    await rate(house, reply, run_id, "dislike")
    await house.workspace.until(lambda: house.workspace.modal(BEN))
    assert (await house.workspace.submit_modal(BEN, {"text": typed})).ok
    (run,) = await house.runs()
    assert f"comment:{BEN}" not in run and run[f"rating:{BEN}"] == "dislike"
    assert house.workspace.modal(BEN) is None
    await house.private_line(BEN, OPS)


async def test_people_may_think_again(make_house: Any) -> None:
    house, reply, run_id = await answered(make_house)
    for rating in ("dislike", "like"):
        await rate(house, reply, run_id, rating)
    await rate(house, reply, run_id, "dislike", ANA)
    (run,) = await house.runs()
    assert (run[f"rating:{BEN}"], run[f"rating:{ANA}"]) == ("like", "dislike")


@pytest.mark.parametrize("fault", ["service", "slack"])
async def test_a_click_succeeds_whoever_else_fails(
    make_house: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    # The service is tried again for a while; the bot need not wait for that when it ends.
    monkeypatch.setattr(notices, "_DRAIN_SECONDS", 0)
    house, reply, run_id = await answered(make_house, rds=True)
    if fault == "service":
        await house.rds.stop()
    else:
        house.workspace.fail_next("views.open", error="expired_trigger_id")
        house.workspace.fail_next("chat.postEphemeral", error="internal_error")
    await rate(house, reply, run_id, "dislike")
    (run,) = await house.runs()
    assert run[f"rating:{BEN}"] == "dislike"


def submission(user: dict[str, str], about: object, text: str = "bad") -> dict[str, Any]:
    """A submitted modal of somebody's own making."""
    view = {
        "type": "modal",
        "callback_id": "answer_comment",
        "private_metadata": about if isinstance(about, str) else json.dumps(about),
        "state": {"values": {"comment": {"text": {"type": "plain_text_input", "value": text}}}},
    }
    return {"type": "view_submission", "team": {"id": "T0DEMO00001"}, "user": user, "view": view}


@pytest.mark.parametrize(
    ("user", "change", "said"),
    [
        ({"id": OLAF, "team_id": "T0OTHER0001"}, {}, ""),
        ({"id": BEN}, {}, "I answer only people of the company that runs me."),
        ({"id": BEN, "team_id": "T0DEMO00001"}, {"run": "feedface"}, "That run is already over."),
        ({"id": BEN, "team_id": "T0DEMO00001"}, {"channel": "C0ORDERS01"}, ""),
        ({"id": BEN, "team_id": "T0DEMO00001"}, {"rating": "best"}, ""),
        ({"id": BEN, "team_id": "T0DEMO00001"}, "[1]", ""),
    ],
)
async def test_a_forged_comment_changes_nothing(
    make_house: Any, user: dict[str, str], change: Any, said: str
) -> None:
    house, reply, run_id = await answered(make_house)
    (before,) = await house.runs()
    about = {"run": run_id, "rating": "dislike", "channel": OPS, "thread_ts": reply.thread_ts}
    payload = submission(user, change if isinstance(change, str) else about | change)
    delivery = house.workspace._dispatcher.send("interactive", payload)
    await house.workspace._dispatcher.finished(delivery)
    assert delivery.acked
    assert await house.runs() == [before]
    if said:
        await house.workspace.until(lambda: house.workspace.ephemerals(user["id"], OPS))
        assert house.workspace.ephemerals(user["id"], OPS)[-1].text == said


async def test_a_long_comment_is_cut(make_house: Any) -> None:
    house, reply, run_id = await answered(make_house)
    about = {"run": run_id, "rating": "like", "channel": OPS, "thread_ts": reply.thread_ts}
    payload = submission({"id": BEN, "team_id": "T0DEMO00001"}, about, "x" * 5_000)
    delivery = house.workspace._dispatcher.send("interactive", payload)
    await asyncio.wait_for(house.workspace._dispatcher.finished(delivery), 10)
    (run,) = await house.runs()
    assert run[f"comment:{BEN}"] == "x" * 1_000
