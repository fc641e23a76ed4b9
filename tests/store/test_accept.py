"""Taking questions in: once, durably, or not at all."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC
from typing import Any

import pytest
from redis import RedisError
from redis.asyncio import Redis

from bot.model.question import Question, Thread
from bot.model.run import State
from bot.store import keys
from bot.store.choices import Choices
from bot.store.runs import MOST_WAITING, Accepted, Runs
from bot.store.sessions import Agent, Sessions
from bot.store.slots import Kind, Slots
from bot.store.usage import Usage
from bot.store.wishes import Wishes

THREAD = Thread("T1", "C1", "1.000100")


def question(ts: str = "1.000100", thread: Thread = THREAD, text: str = "why slow?") -> Question:
    return Question(thread, ts, "U1", "T1", text, "mention")


async def held(runs: Runs) -> Any:
    """A lease of the thread, taken as a worker takes it."""
    [(entry, thread)] = await runs.next_entries(10, 10)
    lease = await runs.lease(entry, thread)
    assert lease is not None
    return lease


async def test_a_question_is_kept_as_it_was_asked(redis: Redis, runs: Runs) -> None:
    asked = Question(
        THREAD, "1.000100", "U1", "T2", "实例 rm-1 为什么慢？\n:fire: <x>", "command", "https://r"
    )
    accepted = await runs.accept(asked, event_id="Ev1")
    run = await runs.get(accepted.run_id)
    assert run is not None and run.question == asked and run.state is State.QUEUED
    assert await runs.current(THREAD) == accepted.run_id
    assert await Wishes(redis).paused_in(THREAD) == (True, "")


@pytest.mark.parametrize("same", ["event", "message"])
async def test_a_redelivery_and_a_twin_are_duplicates(runs: Runs, redis: Redis, same: str) -> None:
    first = await runs.accept(question(), event_id="Ev1")
    again = (
        await runs.accept(question(ts="2.0"), event_id="Ev1")
        if same == "event"
        else await runs.accept(question(), event_id="Ev2")
    )
    assert (first.verdict, again.verdict, again.run_id) == ("accepted", "duplicate", first.run_id)
    assert await redis.llen(keys.queue(THREAD.key)) == 1
    assert await redis.xlen(keys.THREADS) == 1


async def test_many_clients_at_once_accept_a_message_once(redis: Redis) -> None:
    everybody = [Runs(redis, keys.Lives(), f"w{n}") for n in range(40)]
    verdicts = await asyncio.gather(
        *(runs.accept(question(), event_id=f"Ev{n % 2}") for n, runs in enumerate(everybody))
    )
    assert [v.verdict for v in verdicts].count("accepted") == 1
    assert len({v.run_id for v in verdicts}) == 1
    assert await redis.llen(keys.queue(THREAD.key)) == 1


async def test_a_burst_waits_for_connections(redis: Redis) -> None:
    runs = Runs(redis, keys.Lives(), "one", most_of_all=600)
    answers = await asyncio.gather(
        *(runs.accept(question(ts=f"{n}.0", thread=Thread("T1", "C1", f"{n}.0"))) for n in range(600))
    )
    assert {a.verdict for a in answers} == {"accepted"}


async def test_a_script_sent_twice_by_the_client_is_one_acceptance(
    runs: Runs, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection may break between the server's work and its answer; the client then repeats the script."""
    script = runs._script

    async def twice(name: str, names: list[str], args: list[str | int]) -> Any:
        await script(name, names, args)
        return await script(name, names, args)

    monkeypatch.setattr(runs, "_script", twice)
    accepted = await runs.accept(question(), event_id="Ev1")
    assert (accepted.verdict, accepted.ahead) == ("accepted", 0)
    assert await redis.llen(keys.queue(THREAD.key)) == 1
    for n in range(MOST_WAITING - 1):
        await runs.accept(question(ts=f"2.{n}"))
    assert (await runs.accept(question(ts="3.0"))).verdict == "full"


async def test_a_click_that_found_the_thread_full_may_be_made_again(runs: Runs) -> None:
    first = await runs.accept(question())
    for n in range(MOST_WAITING - 1):
        await runs.accept(question(ts=f"2.{n}"))
    click = question(ts=f"again-{first.run_id}")
    assert [(await runs.accept(click)).verdict for _ in range(2)] == ["full", "full"]
    twins = [await runs.accept(question(ts="3.0"), event_id=event_id) for event_id in ("Ev1", "Ev2")]
    assert [twin.verdict for twin in twins] == ["full", "duplicate"]
    ((entry, thread),) = await runs.next_entries(1, 10)
    lease = await runs.lease(entry, thread)
    assert lease is not None
    run = await runs.get(lease.run_id)
    assert run is not None
    run.state = State.ANSWERED
    await runs.finish(lease, run)
    assert (await runs.accept(click)).verdict == "accepted"


async def test_nothing_is_half_done_when_memory_is_full(runs: Runs, redis: Redis) -> None:
    await runs.accept(question(ts="0.5", thread=Thread("T1", "C1", "0.5")))
    before = set(await redis.keys())
    await redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(RedisError, match="maxmemory"):
            await runs.accept(question(), event_id="Ev1")
        assert set(await redis.keys()) == before
    finally:
        await redis.config_set("maxmemory", "0")
    accepted = await runs.accept(question(), event_id="Ev1")
    assert accepted.verdict == "accepted"


async def test_a_full_thread_refuses_once_and_stays_silent_then(runs: Runs, redis: Redis) -> None:
    for n in range(MOST_WAITING):
        assert (await runs.accept(question(ts=f"1.{n}"))).ahead == n
    refused = await runs.accept(question(ts="9.9"), event_id="Ev9")
    twin = await runs.accept(question(ts="9.9"), event_id="Ev10")
    assert (refused.verdict, twin.verdict) == ("full", "duplicate")
    assert await redis.llen(keys.queue(THREAD.key)) == MOST_WAITING
    other = await runs.accept(question(ts="9.8", thread=Thread("T1", "C1", "9.8")))
    assert other.verdict == "accepted"


async def test_a_crowded_workspace_refuses_until_questions_are_asked(redis: Redis) -> None:
    runs = Runs(redis, keys.Lives(), "one", most_of_all=3)
    await runs.prepare()

    async def ask(n: int, team: str = "T1", event_id: str = "") -> Accepted:
        return await runs.accept(question(f"{n}.0", Thread(team, "C1", f"{n}.0")), event_id=event_id)

    assert [(await ask(n)).waiting for n in range(3)] == [0, 1, 2]
    refused, twin = await ask(9, event_id="Ev1"), await ask(9, event_id="Ev2")
    assert (refused.verdict, refused.waiting, twin.verdict) == ("crowded", 3, "duplicate")
    assert (await ask(0, "T2")).verdict == "accepted"
    [(entry, thread)] = await runs.next_entries(1, 10)
    lease = await runs.lease(entry, thread)
    assert lease is not None
    run = await runs.get(lease.run_id)
    assert run is not None
    await runs.save(lease, run)
    assert (await ask(10)).verdict == "crowded"
    run.state = State.RUNNING
    await runs.save(lease, run)
    assert (await ask(11)).verdict == "accepted"
    run.state = State.ANSWERED
    await runs.finish(lease, run)
    assert (await ask(12)).verdict == "crowded"


@pytest.mark.parametrize("how", ["ended unasked", "stopped while it waits", "record ran out", "long ago"])
async def test_who_waits_no_longer_leaves_the_crowd(runs: Runs, redis: Redis, how: str) -> None:
    first = await runs.accept(question())
    second = await runs.accept(question("1.1"))
    [(entry, thread)] = await runs.next_entries(1, 10)
    lease = await runs.lease(entry, thread)
    ids = {"stopped while it waits": second.run_id}.get(how, first.run_id)
    run = await runs.get(ids)
    assert lease and run and second.waiting == 1
    run.state = State.FAILED
    match how:
        case "ended unasked":
            await runs.finish(lease, run)
        case "stopped while it waits":
            await runs.end_waiting(lease, run)
        case "record ran out":
            await redis.delete(keys.run(run.id))
            await runs.finish(lease, None)
        case "long ago":
            await redis.zadd(keys.waiting("T1"), {run.id: 1.0})
    assert (await runs.accept(question("9.9", Thread("T1", "C1", "9.9")))).waiting == 1


async def test_a_refusal_is_said_once(runs: Runs) -> None:
    assert await runs.first_time("T1", "C1", "1.0")
    assert not await runs.first_time("T1", "C1", "1.0")
    assert (await runs.accept(question(ts="1.0"))).verdict == "duplicate"


async def test_every_key_has_a_life_and_the_hash_tag_and_stands_in_the_list(
    runs: Runs, others: Runs, redis: Redis
) -> None:
    sessions, slots, wishes = Sessions(redis, keys.Lives()), Slots(redis), Wishes(redis)
    usage, choices = Usage(redis, UTC), Choices(redis)
    await choices.set("T1", "C1", Agent("rds"))
    await choices.both("T1", "C1")
    await runs.accept(question(), event_id="Ev1")
    await runs.accept(question(ts="1.2"), event_id="Ev2")
    await runs.accept(question(ts="1.2"), event_id="Ev3")
    await runs.accept(question(ts="command-1", thread=Thread("T1", "C2", "")))
    await runs.first_time("T1", "C1", "7.0")
    entries = await runs.next_entries(10, 10)
    leases = [lease for entry, thread in entries if (lease := await runs.lease(entry, thread))]
    for lease in leases:
        run = await runs.get(lease.run_id)
        assert run is not None
        await runs.beat(lease)
        if lease.thread.is_new:
            await runs.open_thread(lease, "8.0")
            continue
        await runs.stop(run.id, "U2")
        await wishes.rate(run.id, "U2", "like")
        session = await sessions.session_of(lease.thread, Agent("das"), named_by_service=False)
        await sessions.adopt(lease.thread, session, "other", "m1")
        await slots.ask(Kind("das:", 1), "r1")
        await slots.ask(Kind("das:", 1), "r2")
        run.state, run.asked_at, run.shown = State.RUNNING, 5.0, "{}"
        await runs.save(lease, run)
        run.state = State.ANSWERED
        await usage.count(run)
        await runs.finish(lease, run)
        assert await sessions.move(lease.thread, Agent("rds"), "9.0")
        await wishes.stop_target(lease.thread, "9.1", "U1", "other", addressed=True)
    # What comes late, after the records ran out, must not bring them back without a life.
    await redis.delete(keys.run(leases[0].run_id), keys.thread(THREAD.key))
    await wishes.rate(leases[0].run_id, "U2", "like")
    assert run is not None
    await usage.count(run)
    await runs.stop(leases[0].run_id, "U2")
    await sessions.adopt(THREAD, session, "other", "m1")
    await sessions.note_words(run)
    known = [
        keys.seen_event("x"), keys.seen_message("x", "x", "x"), keys.run("x"), keys.queue("x"), keys.thread("x"),
        keys.lease("x"), keys.slot("x", "x"), keys.THREADS, keys.FENCE,
        keys.choices("x"), keys.usage("x", "x"), keys.waiting("x"), keys.same_words("x"),
    ]  # fmt: skip
    pattern = re.compile("|".join(re.escape(key).replace(":x", ":[^:].*") for key in known))
    found = [str(key) for key in await redis.keys()]
    assert len(found) >= 17
    for key in found:
        assert key.startswith("{das-bot}:") and pattern.fullmatch(key), key
        assert await redis.pttl(key) > 0, key
    assert not [key for key in found if "thread:T1:C2:new-" in key]


async def test_a_record_that_ran_out_is_not_brought_back_in_half(runs: Runs, redis: Redis) -> None:
    accepted = await runs.accept(question())
    lease = await held(runs)
    run = await runs.get(accepted.run_id)
    assert run is not None
    await redis.delete(keys.run(run.id))
    await runs.save(lease, run)
    run.state = State.ANSWERED
    await runs.finish(lease, run)
    assert not await redis.exists(keys.run(run.id), keys.queue(THREAD.key))


async def test_a_worker_long_gone_is_forgotten_unless_it_left_work(
    runs: Runs, others: Runs, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await runs.accept(question())
    await others.next_entries(10, 10)
    await redis.xgroup_createconsumer(keys.THREADS, keys.GROUP, "idle")
    monkeypatch.setattr("bot.store.runs._WORKER_GONE", -1)
    await runs.prepare()
    assert {c["name"] for c in await redis.xinfo_consumers(keys.THREADS, keys.GROUP)} == {"two"}


async def test_a_stream_that_runs_out_while_it_is_read_is_made_anew(runs: Runs, redis: Redis) -> None:
    reading = asyncio.create_task(runs.next_entries(10, 4_000))
    while not (await redis.info("clients"))["blocked_clients"]:  # noqa: ASYNC110 (the server has no event for it)
        await asyncio.sleep(0)
    await redis.delete(keys.THREADS)
    assert await reading == []
    await runs.accept(question())
    assert len(await runs.next_entries(10, 10) or await runs.next_entries(10, 10)) == 1
