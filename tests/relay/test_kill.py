"""A worker's process killed with SIGKILL in the middle of an answer; another one ends the run."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from bot.demo.rds import DEMO_CREDENTIAL, Faults, SimulatedRds
from bot.model.question import Thread
from bot.store import keys
from bot.upstream.acs3 import Credentials
from bot.upstream.credentials import StaticCredentials
from bot.upstream.rds import RdsCopilot

from .conftest import THREAD

if TYPE_CHECKING:
    from tests.relay.conftest import Stage

_PROCESS = """
import asyncio, sys
from contextlib import asynccontextmanager
from bot.model.question import Asker
from bot.relay.parts import Parts, Sentences
from bot.relay.worker import Worker
from bot.store import keys
from bot.store.connection import connect
from bot.store.runs import Runs
from bot.store.sessions import Agent, Sessions
from bot.store.slots import Slots
from bot.upstream.acs3 import Credentials
from bot.upstream.credentials import StaticCredentials
from bot.upstream.rds import RdsCopilot

class Backend:
    key, name, limit, names_sessions = "das", "silent", 1000, False
    @asynccontextmanager
    async def ask(self, ask):
        print("asked", ask.text, flush=True)
        yield self.read()
    async def read(self):
        await asyncio.Event().wait()
        yield

class Reply:
    wrote_late = False
    refused = ""
    def show(self, *_): ...
    async def open(self, *_): ...
    async def ended(self): ...
    async def keep_writing(self): ...

class Platform:
    def reply(self, run, save):
        return Reply()

async def main():
    redis = connect(sys.argv[1])
    slots, sessions = Slots(redis), Sessions(redis, keys.Lives())
    backends = {"das": Backend()}
    if sys.argv[2:]:
        url, key_id, secret = sys.argv[2:]
        backends = {"rds": RdsCopilot(StaticCredentials(Credentials(key_id, secret)), endpoint=url)}
    async def choose(question):
        return Agent(*backends)
    async def asker(run):
        return Asker()
    sentences = Sentences(None, lambda *_, **__: "")
    parts = Parts(backends, sessions, slots, sentences, choose, asker, None)
    await Worker(Runs(redis, keys.Lives(), "doomed"), Platform(), parts, max_runs=2).run()

asyncio.run(main())
"""


async def test_a_killed_process_leaves_an_interrupted_run_and_the_next_one_goes_on(
    stage: Stage, valkey_url: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROCESS, valkey_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    run_id = await stage.ask("a")
    while (line := await process.stdout.readline()) and not line.startswith(b"asked"):
        pass
    following = await stage.ask("b")
    await kill(process, stage, keys.slot("default", "held"))
    stage.worker()
    stage.worker()
    stage.backend.answer("b")
    await stage.until_state(run_id, "interrupted")
    await stage.until_state(following, "answered")
    assert stage.backend.asked == ["b"]
    assert len(stage.world.endings("a")) == 1


async def test_a_process_killed_before_the_first_frame_leaves_an_answer_that_is_found(
    stage: Stage, valkey_url: str
) -> None:
    """RDS Copilot had begun a conversation nobody knew the name of; the thread's next question goes on in it."""
    rds = SimulatedRds(pace=0)
    await rds.start()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    key = Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret)
    copilot = RdsCopilot(StaticCredentials(key), endpoint=rds.url, sleep=pause, clock=lambda: sum(pauses))
    try:
        rds.next_faults.append(Faults(silent_after=0))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROCESS, valkey_url, rds.url, key.access_key_id, key.access_key_secret
        )
        run_id = await stage.ask("why is rm-bp1demo0001 slow?", backend="rds")
        await stage.until(lambda: rds.runs)
        await kill(process, stage, keys.slot("rds", "held"))
        stage.followed = copilot  # type: ignore[assignment]
        stage.worker()
        await stage.until_state(run_id, "answered", "interrupted")
        await stage.until_state(await stage.ask("and now?"), "answered")
    finally:
        await copilot.aclose()
        await rds.stop()
    [ending] = stage.world.endings("why is rm-bp1demo0001 slow?")
    assert ending.startswith("END answered") and "order_detail" in ending
    first, second = rds.runs
    assert (first.outcome, first.frames_sent) == ("left", 0)
    assert second.session_id == first.session_id
    assert second.params["ParentMessageId"] == first.message_id


async def kill(process: asyncio.subprocess.Process, stage: Stage, slot: str) -> None:
    """With SIGKILL; a minute later what the process held has run out."""
    process.kill()
    await process.wait()
    [pending] = await stage.redis.xpending_range(keys.THREADS, keys.GROUP, "-", "+", 10)
    assert pending["consumer"] == "doomed"
    await stage.redis.xclaim(
        keys.THREADS, keys.GROUP, "doomed", 0, [pending["message_id"]], idle=60_000, justid=True
    )
    await stage.redis.delete(keys.lease(THREAD.key), slot)


async def test_two_processes_contend_for_one_slot_and_one_is_killed(stage: Stage, valkey_url: str) -> None:
    """Its run ends, its slot comes free, and who waited in it keeps the place before those of the other process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROCESS, valkey_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    threads = {text: Thread("T1", "C1", f"{number}.0") for number, text in enumerate("abcd", start=1)}
    slot = {part: keys.slot("default", part) for part in ("held", "waiting", "alive")}

    async def waiting() -> list[str]:
        """The runs in the agent's queue, first one first."""
        return [str(holder).split(":")[0] for holder in await stage.redis.zrange(slot["waiting"], 0, -1)]

    async def ask(text: str) -> str:
        """Ask, and wait until it stands in the agent's queue."""
        run_id = await stage.ask(text, threads[text])
        async with asyncio.timeout(30):
            while run_id not in await waiting():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return run_id

    holding = await stage.ask("a", threads["a"])
    while (line := await process.stdout.readline()) and not line.startswith(b"asked"):
        pass
    second = await ask("b")
    run = await stage.runs.get(second)
    async with asyncio.timeout(30):
        while run is None or not run.waits_since:
            run = await stage.runs.get(second)
    stage.worker()
    stage.worker()
    third, fourth = await ask("c"), await ask("d")
    process.kill()
    await process.wait()
    # Half a minute later: what the dead process held, and its place in the queue, have run out.
    await stage.redis.delete(*(keys.lease(threads[text].key) for text in "ab"))
    for pending in await stage.redis.xpending_range(
        keys.THREADS, keys.GROUP, "-", "+", 10, consumername="doomed"
    ):
        entry = pending["message_id"]
        await stage.redis.xclaim(keys.THREADS, keys.GROUP, "doomed", 0, [entry], idle=60_000, justid=True)
    [dead] = [h for h in await stage.redis.zrange(slot["waiting"], 0, -1) if str(h).startswith(second)]
    await stage.redis.zadd(slot["alive"], {str(dead): 1})
    await stage.until_state(holding, "interrupted")
    async with asyncio.timeout(30):
        while (await waiting())[:3] != [second, third, fourth]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert stage.backend.asked == []
    await stage.redis.delete(slot["held"])
    for text in "bcd":
        stage.backend.answer(text)
    for run_id in (second, third, fourth):
        await stage.until_state(run_id, "answered")
    assert stage.backend.asked == ["b", "c", "d"]
    assert stage.backend.most_open == 1
    assert len(stage.world.endings("a")) == 1
