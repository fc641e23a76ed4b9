"""One worker per thread: order, fencing, taking over, and no question left behind."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from bot import metrics
from bot.model.question import Question, Thread
from bot.model.run import Run, State
from bot.store import keys
from bot.store.runs import Lease, LeaseLostError, Runs
from bot.store.wishes import Wishes

THREAD = Thread("T1", "C1", "1.000100")


def question(ts: str, thread: Thread = THREAD) -> Question:
    return Question(thread, ts, "U1", "T1", f"question {ts}", "mention")


async def take(runs: Runs) -> Lease:
    [(entry, thread)] = await runs.next_entries(10, 10)
    lease = await runs.lease(entry, thread)
    assert lease is not None
    return lease


async def run_of(runs: Runs, lease: Lease) -> Run:
    run = await runs.get(lease.run_id)
    assert run is not None
    return run


async def end(runs: Runs, lease: Lease) -> None:
    run = await run_of(runs, lease)
    run.state = State.ANSWERED
    await runs.finish(lease, run)


async def look_dead(redis: Redis, lease: Lease, owner: str) -> None:
    """As if the holder had not been heard of for a minute."""
    await redis.delete(keys.lease(lease.thread.key))
    await redis.xclaim(keys.THREADS, keys.GROUP, owner, 0, [lease.entry], idle=60_000, justid=True)


async def test_runs_of_a_thread_come_in_order_one_at_a_time_and_threads_do_not_wait(
    runs: Runs, others: Runs
) -> None:
    asked = [await runs.accept(question(f"1.{n}")) for n in range(4)]
    other_thread = Thread("T1", "C1", "2.0")
    done: list[str] = []
    for number in range(4):
        worker = (runs, others)[number % 2]
        lease = await take(worker)
        assert await others.next_entries(10, 1) == []
        if number == 0:
            await runs.accept(question("2.0", other_thread))
            await end(others, await take(others))
        done.append(lease.run_id)
        await end(worker, lease)
    assert done == [accepted.run_id for accepted in asked]
    assert await runs.next_entries(10, 1) == []


async def test_a_beat_tells_who_waits_and_who_wants_it_stopped(runs: Runs) -> None:
    first, second, third = [(await runs.accept(question(f"1.{n}"))).run_id for n in range(3)]
    lease = await take(runs)
    assert (await runs.beat(lease)).waiting == [second, third]
    assert await runs.stop(first, "U7") == "stopping"
    assert await runs.stop(first, "U8") == "stopping"
    assert (await runs.beat(lease)).stop_by == "U7"
    await end(runs, lease)
    assert await runs.stop(first, "U7") == "answered"
    assert await runs.stop("unknown", "U7") == ""


async def test_beats_that_come_together_are_measured_as_they_are_done(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Putting them on a pipeline takes no time: counted each, they would hide a Redis that is slow."""
    leases = []
    for ts in ("1.0", "2.0"):
        await runs.accept(question(ts, Thread("T1", "C1", ts)))
        leases.append(await take(runs))
    now, execute = 0.0, Pipeline.execute

    async def slowly(self: Any, *args: Any) -> Any:
        nonlocal now
        now += 2.0
        return await execute(self, *args)

    def measured(name: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"das_bot_redis_seconds_{name}", {"script": "beat"}) or 0.0

    before = measured("count"), measured("sum")
    with monkeypatch.context() as slow:
        slow.setattr(metrics, "time", SimpleNamespace(perf_counter=lambda: now))
        slow.setattr(Pipeline, "execute", slowly)
        await runs.beat_all(leases)
    assert measured("count") - before[0] == 1
    assert measured("sum") - before[1] == pytest.approx(2.0)


async def test_a_run_that_waits_can_be_ended_where_it_stands(runs: Runs, redis: Redis) -> None:
    first, second, third = [(await runs.accept(question(f"1.{n}"))).run_id for n in range(3)]
    lease = await take(runs)
    waiting = await runs.get(second)
    assert waiting is not None
    waiting.state = State.STOPPED
    await runs.end_waiting(lease, waiting)
    assert (await runs.beat(lease)).waiting == [third]
    await end(runs, lease)
    assert (await take(runs)).run_id == third
    ended = await runs.get(second)
    assert ended is not None and ended.state is State.STOPPED
    assert lease.run_id == first


async def test_whoever_slept_through_its_lease_writes_nothing(runs: Runs, others: Runs, redis: Redis) -> None:
    await runs.accept(question("1.1"))
    await runs.accept(question("1.2"))
    old = await take(runs)
    sleeper = await run_of(runs, old)
    await look_dead(redis, old, "one")
    [(entry, thread)] = await others.abandoned_entries(10)
    new = await others.lease(entry, thread)
    assert new is not None and new.token > old.token and new.run_id == old.run_id
    sleeper.state, sleeper.shown = State.ANSWERED, "stale"
    for write in (
        runs.save(old, sleeper),
        runs.finish(old, sleeper),
        runs.finish(old, None),
        runs.end_waiting(old, sleeper),
        runs.open_thread(old, "9.9"),
        runs.beat(old),
    ):
        with pytest.raises(LeaseLostError):
            await write
    run = await run_of(others, new)
    assert (run.state, run.shown) == (State.QUEUED, "")
    await end(others, new)
    with pytest.raises(LeaseLostError):
        await runs.save(old, sleeper)
    assert await redis.llen(keys.queue(THREAD.key)) == 1


async def test_between_the_claim_and_the_new_lease_the_old_worker_is_out_already(
    runs: Runs, others: Runs, redis: Redis
) -> None:
    await runs.accept(question("1.1"))
    old = await take(runs)
    await look_dead(redis, old, "one")
    [(entry, thread)] = await others.abandoned_entries(10)
    with pytest.raises(LeaseLostError):
        await runs.beat(old)
    assert await others.lease(entry, thread) is not None


async def test_a_lease_that_ran_out_and_nobody_took_is_renewed(runs: Runs, redis: Redis) -> None:
    accepted = await runs.accept(question("1.1"))
    lease = await take(runs)
    await redis.delete(keys.lease(THREAD.key))
    run = await run_of(runs, lease)
    run.asked_at = 7.0
    await runs.save(lease, run)
    assert await redis.pttl(keys.lease(THREAD.key)) > 0
    await redis.delete(keys.lease(THREAD.key))
    await end(runs, lease)
    ended = await runs.get(accepted.run_id)
    assert ended is not None and (ended.state, ended.asked_at) == (State.ANSWERED, 7.0)


async def test_a_live_worker_is_not_robbed(runs: Runs, others: Runs, redis: Redis) -> None:
    await runs.accept(question("1.1"))
    lease = await take(runs)
    assert await others.abandoned_entries(10) == []
    # Its entry looks idle, its lease is there: whoever claims it comes away with nothing, and it goes on.
    await redis.xclaim(keys.THREADS, keys.GROUP, "one", 0, [lease.entry], idle=60_000, justid=True)
    [(entry, thread)] = await others.abandoned_entries(10)
    assert await others.lease(entry, thread) is None
    await runs.beat(lease)
    [pending] = await redis.xpending_range(keys.THREADS, keys.GROUP, "-", "+", 10)
    assert pending["consumer"] == "one"
    await end(runs, lease)


async def test_who_was_not_heard_because_redis_was_away_is_not_robbed(
    runs: Runs, others: Runs, redis: Redis
) -> None:
    """The store hung for a minute: no lease could be renewed, and none of its holders is dead for that."""
    await runs.accept(question("1.1"))
    lease = await take(runs)
    assert await others.abandoned_entries(10) == []
    others._looked_at -= 60_000
    await look_dead(redis, lease, "one")
    assert await others.abandoned_entries(10) == [] and others.looked_through
    assert await others.abandoned_entries(10) == []
    await runs.beat(lease)
    assert await redis.get(keys.lease(THREAD.key)) == str(lease.token)
    # Who says nothing for a lease's life from then on is dead after all.
    await look_dead(redis, lease, "one")
    others._not_before -= keys.LEASE_LIFE
    [(entry, _)] = await others.abandoned_entries(10)
    assert entry == lease.entry


async def test_asked_is_never_undone_by_a_save_that_was_held_up(runs: Runs) -> None:
    await runs.accept(question("1.1"))
    lease = await take(runs)
    early = await run_of(runs, lease)
    late = await run_of(runs, lease)
    late.asked_at, late.state = 7.0, State.RUNNING
    await runs.save(lease, late)
    await runs.save(lease, early)
    run = await run_of(runs, lease)
    assert (run.asked_at, run.state) == (7.0, State.RUNNING)


async def test_a_run_handed_over_keeps_its_place(runs: Runs, others: Runs) -> None:
    first = await runs.accept(question("1.1"))
    await runs.accept(question("1.2"))
    await runs.finish(await take(runs), None)
    assert (await take(others)).run_id == first.run_id


async def test_a_record_that_ran_out_does_not_block_its_thread(runs: Runs, redis: Redis) -> None:
    first = await runs.accept(question("1.1"))
    second = await runs.accept(question("1.2"))
    await redis.delete(keys.run(first.run_id))
    lease = await take(runs)
    assert await runs.get(lease.run_id) is None
    await runs.finish(lease, None)
    assert (await take(runs)).run_id == second.run_id


async def test_an_emptied_store_ends_the_work_instead_of_repeating_it_for_ever(
    runs: Runs, redis: Redis
) -> None:
    await runs.accept(question("1.1"))
    lease = await take(runs)
    run = await run_of(runs, lease)
    await redis.flushall()
    for write in (runs.beat(lease), runs.save(lease, run), runs.finish(lease, run)):
        with pytest.raises(LeaseLostError):
            await write
    assert await redis.keys() == []


async def test_a_command_moves_into_the_thread_its_root_opened(
    runs: Runs, others: Runs, redis: Redis
) -> None:
    asked = Question(Thread("T1", "C1", ""), "command-1", "U1", "T1", "why?", "command")
    accepted = await runs.accept(asked)
    lease = await take(runs)
    assert lease.thread.is_new
    opened = Thread("T1", "C1", "5.0")
    mention = await runs.accept(question("5.1", opened))
    assert await runs.first_time("T1", "C1", "5.9")
    await runs.open_thread(lease, "5.0")
    assert not await runs.first_time("T1", "C1", "5.0")
    assert await Wishes(redis).paused_in(opened) == (True, "")
    turns = []
    for _ in range(2):
        turn = await take(others)
        run = await run_of(others, turn)
        assert (turn.thread, run.question.thread) == (opened, opened)
        turns.append(turn.run_id)
        await end(others, turn)
    assert turns == [mention.run_id, accepted.run_id]
    assert not await redis.exists(keys.queue(lease.thread.key), keys.lease(lease.thread.key))


async def test_a_question_that_comes_as_the_last_one_ends_is_never_left_behind(redis: Redis) -> None:
    """Many people ask in few threads while eight workers finish as fast as they can."""
    chance = random.Random(7)
    threads = [Thread("T1", "C1", f"{n}.0") for n in range(3)]
    asked: dict[Thread, list[str]] = {thread: [] for thread in threads}
    done: dict[Thread, list[str]] = {thread: [] for thread in threads}
    working: set[Thread] = set()
    total = 240
    over = asyncio.Event()
    await Runs(redis, keys.Lives()).prepare()

    async def ask(person: int) -> None:
        intake = Runs(redis, keys.Lives())
        for n in range(total // 8):
            thread = chance.choice(threads)
            while (await intake.accept(question(f"{person}.{n}", thread))).verdict != "accepted":
                await asyncio.sleep(0)
                await redis.delete(keys.seen_message("T1", "C1", f"{person}.{n}"))
            asked[thread].append(f"{person}.{n}")

    async def work(number: int) -> None:
        runs = Runs(redis, keys.Lives(), f"w{number}")
        while not over.is_set():
            for entry, thread in await runs.next_entries(2, 5):
                lease = await runs.lease(entry, thread)
                assert lease is not None and thread not in working
                working.add(thread)
                run = await run_of(runs, lease)
                run.state = State.ANSWERED
                done[thread].append(run.question.ts)
                working.discard(thread)
                await runs.finish(lease, run)
            if sum(map(len, done.values())) == total:
                over.set()

    async with asyncio.timeout(20):
        await asyncio.gather(*(ask(n) for n in range(8)), *(work(n) for n in range(8)))
    assert {t: sorted(ts) for t, ts in done.items()} == {t: sorted(ts) for t, ts in asked.items()}
    for thread in threads:
        for person in range(8):
            own = [ts for ts in done[thread] if ts.startswith(f"{person}.")]
            assert own == [ts for ts in asked[thread] if ts.startswith(f"{person}.")]
    assert await redis.xlen(keys.THREADS) == 0
    assert not await redis.exists(*(keys.queue(thread.key) for thread in threads))


async def test_a_question_waits_for_a_slot_from_when_it_came_to_the_head_of_its_thread(
    runs: Runs, redis: Redis
) -> None:
    """On the store's clock, whose microseconds tell apart what was accepted by different replicas."""

    async def now() -> float:
        seconds, micros = await redis.time()
        return float(seconds) + float(micros) / 1e6

    before = await now()
    first = await runs.accept(question("1.1"))
    second = await runs.accept(question("1.2"))
    between = await now()
    lease = await take(runs)
    run = await run_of(runs, lease)
    assert (run.id, before < run.waits_since < between) == (first.run_id, True)
    waiting = await runs.get(second.run_id)
    assert waiting is not None and waiting.waits_since == 0
    await end(runs, lease)
    lease = await take(runs)
    run = await run_of(runs, lease)
    assert run.id == second.run_id and between < run.waits_since <= await now()
    # Handed over or saved, it keeps its place.
    since = run.waits_since
    await runs.save(lease, run)
    await runs.finish(lease, None)
    assert (await run_of(runs, await take(runs))).waits_since == since


async def test_a_command_waits_from_its_acceptance_unless_its_thread_is_busy_already(runs: Runs) -> None:
    new = Thread("T1", "C1", "")
    accepted = await runs.accept(question("command", new))
    lease = await take(runs)
    since = (await run_of(runs, lease)).waits_since
    assert since
    await runs.open_thread(lease, "7.0")
    run = await runs.get(accepted.run_id)
    assert run is not None and run.waits_since == since


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_thread_is_given_back_once_however_often_the_client_says_so(
    runs: Runs, others: Runs, redis: Redis, handed_over: bool
) -> None:
    """The answer is lost on its way, and the client sends the script again: that is no lost lease."""
    await runs.accept(question("1.0"))
    await runs.accept(question("1.1"))
    lease = await take(runs)
    run = await run_of(runs, lease)
    run.state = State.ANSWERED
    for _ in range(2):
        assert await runs.finish(lease, None if handed_over else run)
    next_lease = await take(others)
    assert (next_lease.run_id == lease.run_id) is handed_over
    assert await runs.finish(lease, None if handed_over else run)
    assert await redis.exists(keys.lease(THREAD.key)), "the thread stays with who has it now"
    with pytest.raises(LeaseLostError):
        await runs.save(lease, run)


async def test_a_save_renews_the_lease(runs: Runs, redis: Redis) -> None:
    await runs.accept(question("1.0"))
    lease = await take(runs)
    await redis.pexpire(keys.lease(THREAD.key), 3_000)
    await runs.save(lease, await run_of(runs, lease))
    assert await redis.pttl(keys.lease(THREAD.key)) > keys.LEASE_LIFE - 2_000


async def test_what_a_paused_run_had_said_is_written_once(runs: Runs, redis: Redis) -> None:
    await runs.accept(question("1.0"))
    lease = await take(runs)
    run = await run_of(runs, lease)
    run.carried = "x" * 200_000

    async def received() -> int:
        return int((await redis.info("stats"))["total_net_input_bytes"])

    before = await received()
    for _ in range(10):
        await runs.save(lease, run)
    once = await run_of(runs, lease)
    assert once.carried == run.carried
    for _ in range(10):
        await runs.save(lease, once)
    assert await received() - before < 2 * 200_000
    run.carried += "y"
    await runs.save(lease, run)
    assert (await run_of(runs, lease)).carried == run.carried
