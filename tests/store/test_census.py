"""What the deployment's figures in the metrics say, against the store."""

from __future__ import annotations

from redis.asyncio import Redis

from bot import metrics
from bot.model.question import Question, Thread
from bot.model.run import State
from bot.store.census import Census
from bot.store.runs import Runs
from bot.store.slots import Kind, Slots


def read(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


def question(thread: str, ts: str) -> Question:
    return Question(Thread("T1", "C1", thread), ts, "U1", "T1", "why?", "mention")


async def test_the_figures_are_those_of_the_store(redis: Redis, runs: Runs) -> None:
    slots = Slots(redis)
    census = Census(redis, slots, "T1")
    for name, ts in (("1.0", "1.1"), ("1.0", "1.2"), ("2.0", "2.1")):
        await runs.accept(question(name, ts))
    [(entry, thread)] = await runs.next_entries(1, 10)
    lease = await runs.lease(entry, thread)
    assert lease
    run = await runs.get(lease.run_id)
    assert run
    run.state, run.asked_at = State.RUNNING, 7.0
    await runs.save(lease, run)
    kind = Kind("das", 1)
    assert [await slots.ask(kind, holder) for holder in ("a", "b", "c")] == [0, 1, 2]
    await census.take()
    assert read("das_bot_shared_waiting_runs") == 2
    oldest = read("das_bot_shared_oldest_waiting_seconds")
    assert oldest is not None and 0 <= oldest < 60
    assert read("das_bot_shared_threads", state="taken") == 1
    assert read("das_bot_shared_threads", state="waiting") == 1
    assert read("das_bot_shared_slots", agent="das", state="held") == 1
    assert read("das_bot_shared_slots", agent="das", state="waiting") == 2
    await redis.flushall()
    await census.take()
    assert read("das_bot_shared_waiting_runs") == read("das_bot_shared_oldest_waiting_seconds") == 0
    assert read("das_bot_shared_slots", agent="das", state="held") == 0
