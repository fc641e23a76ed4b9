"""What people want of runs: whose "stop" means which run, and who let a paused one go on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.model.question import Question, Thread
from bot.model.run import State
from bot.store import keys
from bot.store import wishes as wishes_module
from bot.store.runs import Runs
from bot.store.wishes import StopTarget, Wishes

THREAD = Thread("T1", "C1", "1.0")
ANA, BEN, EVE = "U1", "U2", "U3"


async def queue(runs: Runs, *users: str) -> list[str]:
    """Runs of one thread by these people, the first one current; their ids."""
    accepted = [
        await runs.accept(Question(THREAD, f"1.{number}", user, "T1", "why?", "thread"))
        for number, user in enumerate(users)
    ]
    return [each.run_id for each in accepted]


@pytest.mark.parametrize(
    ("user", "rank", "means"),
    [
        (ANA, "unknown", 0),
        (ANA, "other", 0),
        (EVE, "admin", 0),
        (BEN, "admin", 0),
        (BEN, "other", 3),
        (EVE, "other", None),
    ],
)
async def test_whose_stop_means_which_run(
    redis: Redis, runs: Runs, user: str, rank: Any, means: int | None
) -> None:
    ids = await queue(runs, ANA, BEN, ANA, BEN)
    wishes = Wishes(redis)
    target = await wishes.stop_target(THREAD, "2.0", user, rank, addressed=False)
    wanted = "" if means is None else ids[means]
    assert target == StopTarget(wanted, "" if wanted else ANA, True)
    # Delivered again it means the same, whatever has happened since.
    await redis.lpop(keys.queue(THREAD.key))
    again = await wishes.stop_target(THREAD, "2.0", user, rank, addressed=False)
    assert (again.run_id, again.is_news) == (wanted, False)


async def test_somebody_of_unknown_rank_is_not_answered_yet(redis: Redis, runs: Runs) -> None:
    ids = await queue(runs, ANA, BEN)
    wishes = Wishes(redis)
    for _ in range(2):
        target = await wishes.stop_target(THREAD, "2.0", BEN, "unknown", addressed=True)
        assert target == StopTarget("", ANA, True)
    assert (await wishes.stop_target(THREAD, "2.0", BEN, "other", addressed=True)).run_id == ids[1]


async def test_a_second_stop_means_the_next_one_waiting(redis: Redis, runs: Runs) -> None:
    ids = await queue(runs, ANA, BEN, BEN)
    wishes = Wishes(redis)
    found = []
    for ts in ("2.0", "2.1", "2.2"):
        target = await wishes.stop_target(THREAD, ts, BEN, "other", addressed=True)
        found.append(target.run_id)
        await runs.stop(target.run_id, BEN)
    assert found == [ids[2], ids[1], ""]


async def test_a_stop_where_nothing_runs_is_answered_once_and_only_where_the_bot_is(redis: Redis) -> None:
    wishes = Wishes(redis)
    assert await wishes.stop_target(THREAD, "2.0", ANA, "unknown", addressed=False) == StopTarget(
        "", "", False
    )
    assert await wishes.stop_target(THREAD, "2.0", ANA, "unknown", addressed=True) == StopTarget("", "", True)
    assert await wishes.stop_target(THREAD, "2.0", ANA, "unknown", addressed=True) == StopTarget(
        "", "", False
    )


async def test_the_last_run_of_a_thread_when_it_is_paused(redis: Redis, runs: Runs) -> None:
    wishes = Wishes(redis)
    assert await wishes.paused_in(THREAD) == (False, "")
    first, second = await queue(runs, ANA, BEN)
    assert await wishes.paused_in(THREAD) == (True, "")
    await redis.hset(keys.run(second), "state", State.PAUSED)
    assert await wishes.paused_in(THREAD) == (True, second)
    await redis.hset(keys.run(second), "state", State.ANSWERED)
    await redis.hset(keys.run(first), "state", State.PAUSED)
    assert await wishes.paused_in(THREAD) == (True, "")
    await redis.delete(keys.run(second))
    assert await wishes.paused_in(THREAD) == (True, "")


async def test_a_paused_run_goes_on_once_and_who_decided_is_kept(redis: Redis, runs: Runs) -> None:
    (paused,) = await queue(runs, ANA)
    button = Question(THREAD, f"resume-{paused}", ANA, "T1", "go on", "resume", resumes=paused)
    message = replace(button, ts="1.7")
    verdicts = await asyncio.gather(
        *(runs.accept(button, decided_by=BEN) for _ in range(5)),
        *(runs.accept(message, event_id=f"Ev{n}", decided_by=EVE) for n in range(5)),
    )
    accepted = [each for each in verdicts if each.verdict == "accepted"]
    assert len(accepted) == 1
    record: Any = await redis.hgetall(keys.run(paused))
    assert record["decided_run"] == accepted[0].run_id
    assert record["decided_by"] in (BEN, EVE) and float(record["decided_at"]) > 1e9
    # Whoever came too late with words of their own may still ask them.
    late = {each.by for each in verdicts if each.verdict == "decided"}
    assert late == {record["decided_by"]}
    # A day later nobody remembers the click, but the run does.
    await redis.delete(keys.seen_message("T1", "C1", button.ts))
    again = await runs.accept(button, decided_by=EVE)
    assert (again.verdict, again.by) in (("decided", BEN), ("decided", EVE))
    # Asking the same again is another matter.
    assert (await runs.accept(replace(button, ts=f"again-{paused}"))).verdict == "accepted"
    resumed = await runs.get(accepted[0].run_id)
    assert resumed is not None and resumed.question.resumes == paused


async def test_a_decision_on_a_record_that_has_run_out_does_not_bring_it_back(
    redis: Redis, runs: Runs
) -> None:
    question = Question(THREAD, "resume-x", ANA, "T1", "go on", "resume", resumes="x")
    assert (await runs.accept(question, decided_by=BEN)).verdict == "accepted"
    assert not await redis.exists(keys.run("x"))


async def test_opinions_are_kept_with_the_run_and_the_last_one_counts(redis: Redis, runs: Runs) -> None:
    wishes = Wishes(redis)
    (run_id,) = await queue(runs, ANA)
    await wishes.rate(run_id, BEN, "like")
    await wishes.rate(run_id, BEN, "dislike")
    await wishes.comment(run_id, BEN, "the wrong table")
    record: Any = await redis.hgetall(keys.run(run_id))
    assert (record[f"rating:{BEN}"], record[f"comment:{BEN}"]) == ("dislike", "the wrong table")


async def test_the_newest_thread_at_work_is_found_among_many(
    redis: Redis, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wishes_module, "_LOOK", 2)
    wishes = Wishes(redis)
    threads = [Thread("T1", channel, f"{number}.0") for number in range(5) for channel in ("D1", "D12")]
    assert await wishes.newest_at_work("T1", "D1", ANA) == ""
    accepted = {}
    for number, thread in enumerate(threads):
        done = await runs.accept(Question(thread, f"9.{number}", ANA, "T1", "why?", "dm"))
        accepted[thread] = done.run_id
        await redis.hset(keys.run(done.run_id), "accepted_at", str(100 - number))
    first, *_, last = (thread for thread in threads if thread.channel == "D1")
    # A follow-up makes an old thread the newest; what was asked last does not, when it is older by its time.
    assert await wishes.newest_at_work("T1", "D1", ANA) == accepted[first]
    more = await runs.accept(Question(last, "9.99", ANA, "T1", "and now?", "dm"))
    await redis.hset(keys.run(more.run_id), "accepted_at", "200")
    assert await wishes.newest_at_work("T1", "D1", ANA) == accepted[last]
    assert await wishes.newest_at_work("T1", "D1", BEN) == ""
    await runs.stop(accepted[last], ANA)
    assert await wishes.newest_at_work("T1", "D1", ANA) == accepted[first]


async def test_a_redelivered_stop_means_the_run_it_meant_first(redis: Redis) -> None:
    wishes, place = Wishes(redis), Thread("T1", "D1", "5.0")
    assert await wishes.mean(place, "5.0", "one") == StopTarget("one", "", True)
    assert await wishes.mean(place, "5.0", "two") == StopTarget("one", "", False)
    assert await wishes.mean(place, "6.0", "") == StopTarget("", "", True)
    assert await wishes.mean(place, "6.0", "two") == StopTarget("", "", False)


async def test_a_command_that_opens_its_thread_meanwhile_is_found(
    redis: Redis, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await runs.accept(Question(Thread("T1", "D1", ""), "command-1", ANA, "T1", "why?", "command"))
    [(entry, thread)] = await runs.next_entries(1, 10)
    lease = await runs.lease(entry, thread)
    assert lease
    run = await runs.get(lease.run_id)
    assert run
    wishes = Wishes(redis)
    look = wishes._at_work

    async def look_then_open(prefix: str) -> list[str]:
        names = await look(prefix)
        if any("new-" in name for name in names):
            await runs.open_thread(lease, "7.0")
        return names

    monkeypatch.setattr(wishes, "_at_work", look_then_open)
    assert await wishes.newest_at_work("T1", "D1", ANA) == run.id


async def test_a_paused_run_is_answered_in_words_once(redis: Redis, runs: Runs) -> None:
    (run_id,) = await queue(runs, ANA)
    wishes = Wishes(redis)
    assert await wishes.answer(run_id, BEN)
    assert not await wishes.answer(run_id, ANA)
    record = await redis.hgetall(keys.run(run_id))
    assert record["decided_by"] == BEN and float(record["decided_at"]) > 1e9
    resumed = Question(THREAD, "3.0", ANA, "T1", "yes", "resume", resumes=run_id)
    assert (await runs.accept(resumed, decided_by=ANA)).verdict == "decided"
    assert not await wishes.answer("feedfacefeedface", ANA)
    assert not await redis.exists(keys.run("feedfacefeedface"))
