"""What a process and the store carry: 1,000 answers at once, questions a second, and what one costs in Redis.

    python tests/bench/scale.py [--json] [--questions 1000]

The bot runs as in production, in processes of its own, against the doubles in another process, on one store. Slack's
rates are lifted on both sides, or they would be all that is measured; the bot still asks its shared budget before each
call. Bot, doubles and store share the machine's cores: the figures are a floor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from redis.asyncio import Redis

from bot import log
from bot.demo.workspace.cast import TEAM_ID
from bot.store.choices import Choices
from bot.store.sessions import Agent
from tests.bench import accepting
from tests.bench.crowd import PER_AGENT, channel

_HERE = Path(__file__).parent
AT_ONCE, AT_ONCE_RATE, AT_ONCE_PACE = 1_000, 40.0, 6.0
"""Answers open together, how many are asked a second, and the factor on the scripts' pace: so slow that the first has
not ended when the last one begins."""
AT_ONCE_CALLS, QUICK_CALLS = 3_000.0, 600_000.0
"""Calls of each method a minute. With the first, an update and an append, a thousand replies change six times a minute
each together: forty times what Slack lets one workspace do."""
QUICK, QUICK_RATE = 400, 1_000.0
"""Questions whose answers come at once, for what one costs, and how many are asked a second."""
PROCESSES = (1, 2, 4)
SPREAD_PACE, SPREAD_RUNS, SPREAD = 0.15, 10, 80
"""For throughput: answers of some two seconds, how many of them a process takes at once, and questions per process. So
few that the machine is not what is measured, but whether processes get into each other's way."""
ACCEPTED_RATE, ACCEPTED_SECONDS = 500.0, 20.0
_WARM = 5


@dataclass(slots=True)
class Stage:
    """Doubles, a store, and processes of the bot."""

    redis: Redis
    crowd: asyncio.subprocess.Process
    bots: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def ask(self, questions: int, rate: float) -> dict[str, Any]:
        """Let the crowd ask, and wait until all is answered."""
        assert self.crowd.stdin
        order = {"questions": questions, "rate": rate, "processes": len(self.bots)}
        self.crowd.stdin.write(json.dumps(order).encode() + b"\n")
        return await _line(self.crowd)

    async def end_bots(self) -> list[dict[str, float]]:
        """Tell the bots to end; what each measured of itself."""
        for bot in self.bots:
            bot.terminate()
        told = [await _line(bot) for bot in self.bots]
        for bot in self.bots:
            await bot.wait()
        self.bots.clear()
        return told


async def _line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the benchmark ended by itself: {await process.wait()}")
    found: dict[str, Any] = json.loads(line)
    return found


@asynccontextmanager
async def stage(
    processes: int, *, pace: float, calls: float, channels: int = 10, max_runs: int = AT_ONCE
) -> AsyncIterator[Stage]:
    """Everything started and connected."""
    async with accepting.valkey() as redis_url:
        crowd = await asyncio.create_subprocess_exec(
            sys.executable, str(_HERE / "crowd.py"), "--channels", str(channels), "--pace", str(pace),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        made = Stage(Redis.from_url(redis_url, decode_responses=True), crowd)
        try:
            environment = await _line(crowd) | {
                "REDIS_URL": redis_url,
                "MAX_RUNS": str(max_runs),
                "MAX_WAITING": "100000",
                "DRAIN_SECONDS": "0",
                "BENCH_CALLS_PER_MINUTE": str(calls),
            }
            for number in range(channels):
                agent = Agent("das", f"ag-bench{number}")
                await Choices(made.redis).set(TEAM_ID, channel(number), agent)
            for _ in range(processes):
                bot = await asyncio.create_subprocess_exec(
                    sys.executable,
                    str(_HERE / "measured_bot.py"),
                    env=environment,
                    stdout=asyncio.subprocess.PIPE,
                )
                made.bots.append(bot)
            yield made
        finally:
            for process in (*made.bots, crowd):
                if process.returncode is None:
                    process.kill()
                await process.wait()
            await made.redis.aclose()


async def at_once(questions: int) -> dict[str, Any]:
    """So many answers open at once in one process."""
    channels = -(-questions // PER_AGENT)
    async with stage(1, pace=AT_ONCE_PACE, calls=AT_ONCE_CALLS, channels=channels) as made:
        before = await _spent(made.redis)
        asked = await made.ask(questions, AT_ONCE_RATE)
        spent = _less(await _spent(made.redis), before)
        (bot,) = await made.end_bots()
        return {"load": os.getloadavg()[0], **asked, **bot, "redis": spent}


async def cost(questions: int) -> dict[str, Any]:
    """What a question costs whose answer comes at once: processor, calls, the store."""
    async with stage(1, pace=0, calls=QUICK_CALLS) as made:
        # The first ones load scripts and open connections.
        await made.ask(_WARM, QUICK_RATE)
        made.bots[0].send_signal(signal.SIGUSR1)
        before = await _spent(made.redis)
        asked = await made.ask(questions, QUICK_RATE)
        spent = _less(await _spent(made.redis), before)
        memory = await _memory(made.redis, questions + _WARM)
        (bot,) = await made.end_bots()
    return {
        "load": os.getloadavg()[0],
        "cpu_ms": 1000 * bot["cpu_seconds"] / questions,
        "slack_calls": asked["slack_calls"] / questions,
        "frames": asked["frames"] / questions,
        "redis": {name: value / questions for name, value in spent.items()},
        "redis_bytes": memory,
    }


async def throughput(processes: int) -> dict[str, Any]:
    """How many questions a second so many processes answer."""
    async with stage(processes, pace=SPREAD_PACE, calls=QUICK_CALLS, max_runs=SPREAD_RUNS) as made:
        await made.ask(_WARM, QUICK_RATE)
        asked = await made.ask(SPREAD * processes, QUICK_RATE)
        await made.end_bots()
    per_second = asked["answered"] / asked["seconds"]
    return {"load": os.getloadavg()[0], "processes": processes, "per_second": per_second}


async def _spent(redis: Redis) -> dict[str, float]:
    """What the store did so far: round trips by script and in all, commands in all, seconds of its processor."""
    statistics: dict[str, Any] = await redis.info("commandstats")
    cpu: dict[str, Any] = await redis.info("cpu")
    calls = {name.removeprefix("cmdstat_"): float(entry["calls"]) for name, entry in statistics.items()}
    return {
        "scripts": calls.get("evalsha", 0.0),
        "commands": sum(calls.values()),
        "cpu_ms": 1000 * (float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])),
    }


def _less(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in after.items()}


async def _memory(redis: Redis, runs: int) -> dict[str, float]:
    """Bytes of the store a run leaves behind, by kind of key."""
    found: Counter[str] = Counter()
    async for key in redis.scan_iter(count=1_000):
        kind = key.split(":")[1]
        found[kind] += int(await redis.memory_usage(key, samples=0) or 0)
    return {kind: size / runs for kind, size in found.most_common() if size / runs >= 1}


async def measure(questions: int = AT_ONCE) -> dict[str, Any]:
    """All of it."""
    return {
        "cores": os.cpu_count(),
        "at_once": await at_once(questions),
        "cost": await cost(QUICK),
        "throughput": [await throughput(processes) for processes in PROCESSES],
        "accepting": await accepting.measure(ACCEPTED_SECONDS, ACCEPTED_RATE),
    }


def show(results: dict[str, Any]) -> None:
    """Print what `measure` found."""
    row = results["at_once"]
    print(f"\nScale, {results['cores']} cores for bot, doubles and store together\n")
    print(f"{row['most_open']:,} answers at once in one process (load of the machine {row['load']:.1f}):")
    print(f"  event loop late by p50 {row['lag_p50_ms']:.1f} ms · p99 {row['lag_p99_ms']:.1f} ms", end="")
    print(f" · most {row['lag_most_ms']:.0f} ms")
    print(f"  memory {row['rss_before_mb']:.0f} MB idle, {row['rss_peak_mb']:.0f} MB at most", end="")
    print(f" · processor {row['cpu_seconds']:.0f} s of {row['seconds']:.0f} s")
    print(
        f"  answered {row['answered']:,} of {row['questions']:,}, each {row['run_seconds']:.0f} s long",
        end="",
    )
    print(
        f" · {row['frames'] / row['seconds']:,.0f} frames/s · {row['slack_calls'] / row['seconds']:.0f} calls/s"
    )
    print(f"  first sign p50 {row['sign']['p50']:.2f} s, p99 {row['sign']['p99']:.2f} s", end="")
    print(f" · first words p50 {row['words']['p50']:.2f} s, p99 {row['words']['p99']:.2f} s")
    row = results["cost"]
    spent = row["redis"]
    print(
        f"\nA question whose answer of {row['frames']:.0f} frames comes at once costs (load {row['load']:.1f}):"
    )
    print(
        f"  {row['cpu_ms']:.1f} ms of the bot's processor · {row['slack_calls']:.1f} calls of Slack", end=""
    )
    print(f" · {spent['scripts']:.1f} scripts, {spent['commands']:.0f} commands", end="")
    print(f" and {spent['cpu_ms']:.2f} ms of the processor in Redis")
    kinds = " · ".join(f"{kind} {size:,.0f}" for kind, size in row["redis_bytes"].items())
    print(f"  bytes left in Redis, by kind of key: {kinds}")
    print(f"\nThroughput, {SPREAD_RUNS} answers at once in a process, each of some two seconds:")
    for row in results["throughput"]:
        print(f"  {row['processes']} processes: {row['per_second']:.1f} a second (load {row['load']:.1f})")
    row = results["accepting"]
    print(f"\nAccepting {row['rate']:.0f} signed events/s: acked {row['acked']:.2%}", end="")
    print(f" · p50 {row['p50_ms']:.1f} ms · p99 {row['p99_ms']:.1f} ms", end="")
    print(f" · {row['cpu_ms']:.2f} ms of the bot's processor each")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What a process and the store carry.", allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument(
        "--questions", type=int, default=AT_ONCE, help=f"answers at once (default: {AT_ONCE})"
    )
    options = parser.parse_args()
    log.configure("critical")
    results = asyncio.run(measure(options.questions))
    if options.json:
        print(json.dumps(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
