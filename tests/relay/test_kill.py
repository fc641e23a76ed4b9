"""A worker's process killed with SIGKILL in the middle of an answer; another one ends the run."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from bot.store import keys

if TYPE_CHECKING:
    from tests.relay.conftest import Stage

_PROCESS = """
import asyncio, sys
from contextlib import asynccontextmanager
from bot.relay.parts import Parts, Sentences
from bot.relay.worker import Worker
from bot.store import keys
from bot.store.connection import connect
from bot.store.runs import Runs
from bot.store.sessions import Agent, Sessions
from bot.store.slots import Slots

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
    def show(self, *_): ...
    async def open(self, *_): ...
    async def keep_writing(self): ...

class Platform:
    def reply(self, run, save):
        return Reply()

async def main():
    redis = connect(sys.argv[1])
    slots, sessions = Slots(redis), Sessions(redis, keys.Lives())
    async def choose(question):
        return Agent("das")
    sentences = Sentences(None, lambda *_, **__: "")
    parts = Parts({"das": Backend()}, sessions, slots, sentences, choose, None, None)
    await Worker(Runs(redis, keys.Lives(), "doomed"), Platform(), parts, max_runs=5).run()

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
    process.kill()
    await process.wait()
    # A minute later: what the dead process held has run out.
    [pending] = await stage.redis.xpending_range(keys.THREADS, keys.GROUP, "-", "+", 10)
    assert pending["consumer"] == "doomed"
    await stage.redis.xclaim(
        keys.THREADS, keys.GROUP, "doomed", 0, [pending["message_id"]], idle=60_000, justid=True
    )
    await stage.redis.delete(keys.lease("T1:C1:1.0"), keys.slot("default", "held"))
    stage.worker()
    stage.worker()
    stage.backend.answer("b")
    await stage.until_state(run_id, "interrupted")
    await stage.until_state(following, "answered")
    assert stage.backend.asked == ["b"]
    assert len(stage.world.endings("a")) == 1
