"""A crowd at the doubles, as a process of its own: people ask in many channels, and it is noted when they see what.

    python tests/bench/crowd.py --channels 10 --pace 4

Prints what the bot's environment has to be, then for each line {"questions": n, "rate": n a second} on its standard
input what came of them, each as a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.demo.das import SimulatedDas
from bot.demo.stage import environment
from bot.demo.workspace import NO_LIMITS, Channel, Workspace
from bot.demo.workspace.cast import BOT_USER_ID
from bot.demo.workspace.messages import Change

USER = "U0ANA00001"
PER_AGENT = 100
"""Runs of one agent at once, the most DAS_CONCURRENCY allows; each channel has an agent of its own."""
_LONGEST_SECONDS = 300.0


def channel(number: int) -> str:
    """The id of a channel of the crowd."""
    return f"C0BENCH{number:03d}"


@dataclass(slots=True)
class Seen:
    """When somebody asked, saw a first sign, the first words of the answer, and its end. Unix seconds, 0: not yet."""

    asked: float
    sign: float = 0.0
    words: float = 0.0
    end: float = 0.0


@dataclass(slots=True)
class Crowd:
    """People who watch their threads."""

    workspace: Workspace
    das: SimulatedDas
    channels: int
    threads: dict[str, Seen] = field(default_factory=dict)

    def watch(self, change: Change) -> None:
        """Note what a change of a message shows."""
        message = change.message
        seen = self.threads.get(message.thread_ts or "") if message and message.bot_id else None
        if message is None or seen is None:
            return
        now = time.time()
        seen.sign = seen.sign or now
        if not seen.words and message.versions[-1].markdown.strip():
            seen.words = now
        if not seen.end and any(block["type"] == "context_actions" for block in message.blocks or []):
            seen.end = now

    async def ask(self, questions: int, rate: float) -> dict[str, Any]:
        """Ask so many questions at so many a second, each in a thread of its own; returns when all are answered."""
        self.threads.clear()
        before, began = len(self.das.requests), time.time()
        self.das.max_open = 0
        for number in range(questions):
            await asyncio.sleep(max(0.0, began + number / rate - time.time()))
            text = f"@das why is rm-bench{number:05d} slow?"
            ts = self.workspace.say(USER, channel(number % self.channels), text)
            self.threads[ts] = Seen(time.time())
        deadline = time.time() + _LONGEST_SECONDS
        while any(not seen.end for seen in self.threads.values()) and time.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        answered = [seen for seen in self.threads.values() if seen.end]
        requests = list(self.das.requests)[before:]
        return {
            "questions": questions,
            "answered": len(answered),
            "seconds": max((seen.end for seen in answered), default=time.time()) - began,
            "most_open": self.das.max_open,
            "frames": sum(request.frames_sent for request in requests),
            "run_seconds": sum(request.ended - request.at for request in requests) / max(1, len(requests)),
            "slack_calls": len(self.workspace.calls),
            "sign": _quantiles([seen.sign - seen.asked for seen in answered]),
            "words": _quantiles([(seen.words or seen.end) - seen.asked for seen in answered]),
        }


def _quantiles(values: list[float]) -> dict[str, float]:
    values.sort()
    return {
        name: round(values[min(len(values) - 1, int(len(values) * part))], 3) if values else 0.0
        for name, part in (("p50", 0.5), ("p99", 0.99))
    }


async def live(channels: int, pace: float) -> None:
    """Start the doubles, then do what standard input says until it ends."""
    workspace = Workspace(rates=NO_LIMITS)
    await workspace.start()
    for number in range(channels):
        name = channel(number)
        workspace.channels[name] = Channel(name, f"bench-{number}", {USER, BOT_USER_ID})
    das = SimulatedDas(pace=pace, concurrency=PER_AGENT)
    await das.start()
    crowd = Crowd(workspace, das, channels)
    workspace.state.listen(crowd.watch)
    _say(environment(workspace, das, PER_AGENT, Path("unused")))
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            await workspace.connected(order["processes"], 60)
            workspace.calls.clear()
            _say(await crowd.ask(order["questions"], order["rate"]))
    finally:
        await das.stop()
        await workspace.stop()


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The doubles and a crowd that asks.", allow_abbrev=False)
    parser.add_argument("--channels", type=int, default=10)
    parser.add_argument("--pace", type=float, default=1.0)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    asyncio.run(live(arguments.channels, arguments.pace))
