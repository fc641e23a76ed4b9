"""The real bot between a local workspace and a simulated agent, in this process, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.app import Running, started
from bot.demo.das import DEMO_CREDENTIAL, SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.workspace import NO_LIMITS, Command, Workspace
from bot.demo.workspace.messages import Message
from bot.model.run import State
from bot.relay import worker
from bot.settings import Settings
from bot.slack.intake import messages
from bot.slack.intake.commands import COMMANDS
from bot.store import keys
from bot.upstream.acs3 import Credentials
from bot.upstream.credentials import StaticCredentials

OPS, SHARED, RANDOM = "C0DBOPS001", "C0SHARED01", "C0RANDOM01"


@dataclass
class House:
    """A running bot and the two doubles around it."""

    workspace: Workspace
    das: SimulatedDas
    redis: Redis
    settings: dict[str, Any]
    rds: SimulatedRds | None = None
    bot: Running | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, **settings: Any) -> Running:
        """Start the bot. Over HTTP, Slack is pointed at it afterwards."""
        credentials = StaticCredentials(Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret))
        given = Settings(**{**self.settings, **settings})
        self.bot = await self.stack.enter_async_context(started(given, credentials))
        if given.socket_mode:
            await self.workspace.connected()
        else:
            await self.workspace.configure_http(f"{self.url}/slack/events")
        return self.bot

    @property
    def url(self) -> str:
        """The bot's own address."""
        assert self.bot
        return f"http://127.0.0.1:{self.bot.port}"

    async def runs(self) -> list[dict[str, str]]:
        """The records of all runs, oldest first."""
        names = [name async for name in self.redis.scan_iter(keys.run("*"))]
        records: list[Any] = [await self.redis.hgetall(name) for name in names]
        return sorted(records, key=lambda record: float(record["accepted_at"]))

    async def taken(self, count: int) -> list[dict[str, str]]:
        """Everything sent was delivered, and exactly so many runs came of it."""
        await self.workspace.delivered()
        assert all(delivery.acked for delivery in self.workspace.deliveries)
        runs = await self.runs()
        assert len(runs) == count, [run["text"] for run in runs]
        return runs

    async def ended(self, count: int) -> list[dict[str, str]]:
        """So many runs were taken, and the store has the final state of each."""
        final = {state for state in State if state.is_final}

        async def are_final() -> bool:
            return all(run["state"] in final for run in await self.runs())

        await self.taken(count)
        await self.eventually(are_final)
        return await self.runs()

    async def eventually(self, holds: Callable[[], Awaitable[object]]) -> None:
        """Looks again until `holds`, for what rings no bell."""
        async with asyncio.timeout(10):
            while not await holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def run_id(self, number: int = 0) -> str:
        """The id of a run; the oldest is number 0."""
        names = [str(name) async for name in self.redis.scan_iter(keys.run("*"))]
        at = {name: float(str(await self.redis.hget(name, "accepted_at"))) for name in names}
        return sorted(names, key=lambda name: at[name])[number].removeprefix(keys.run(""))

    async def private_line(self, user: str, channel: str, count: int = 1) -> Message:
        """The newest private line to somebody, once they got exactly so many."""

        def seen() -> list[Message]:
            return self.workspace.ephemerals(user, channel)

        await self.workspace.until(lambda: len(seen()) >= count)
        await self.workspace.delivered()
        assert len(seen()) == count, [message.text for message in seen()]
        return seen()[-1]

    async def answer(self, channel: str, thread_ts: str, number: int = 1) -> Message:
        """The n-th reply of the bot in a thread, once it is finished (its feedback buttons are there)."""

        def replies() -> list[Message]:
            return [m for m in self.workspace.replies(channel, thread_ts) if m.bot_id and not m.ephemeral_for]

        await self.workspace.until(
            lambda: len(replies()) >= number and "run_again" in str(replies()[number - 1].blocks)
        )
        return replies()[number - 1]


MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def make_house(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeHouse]:
    """Builds houses; `pace` is the agents', `rds` whether there is RDS Copilot. The bot is yet to be started."""
    # A worker ends with its last look for work, which takes as long as this when there is none.
    monkeypatch.setattr(worker, "READ_MS", 20)
    monkeypatch.setattr(messages, "_SECOND_LOOK_SECONDS", 0)
    async with AsyncExitStack() as stack:

        async def make(pace: float = 0, rds: bool = False, **options: Any) -> House:
            commands = [Command(name, text, hint, should_escape=True) for name, hint, text in COMMANDS]
            workspace = Workspace(rates=NO_LIMITS, commands=commands, **options)
            await workspace.start()
            stack.push_async_callback(workspace.stop)
            das = SimulatedDas(pace=pace)
            await das.start()
            stack.push_async_callback(das.stop)
            redis = Redis.from_url(valkey_url, decode_responses=True)
            stack.push_async_callback(redis.aclose)
            settings = {
                "slack_bot_token": workspace.bot_token,
                "slack_app_token": workspace.app_token,
                "slack_signing_secret": workspace.signing_secret,
                "slack_api_url": workspace.api_url,
                "das_endpoint": das.url,
                "redis_url": valkey_url,
                "host": "127.0.0.1",
                "port": 0,
                "drain_seconds": 0,
            }
            house = House(workspace, das, redis, settings)
            if rds:
                house.rds = SimulatedRds(pace=pace)
                await house.rds.start()
                stack.push_async_callback(house.rds.stop)
                settings["rds_endpoint"] = house.rds.url
            await stack.enter_async_context(house.stack)
            return house

        yield make


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    """A bot over Socket Mode with an agent that answers at once."""
    made = await make_house()
    await made.start()
    return made


async def send(house: House, event: dict[str, Any], channel: str = OPS, **body: Any) -> bool:
    """Deliver an event of our own making; returns whether it was acked."""
    from bot.demo.workspace.events import event_callback

    payload = event_callback(house.workspace.state, event, house.workspace.channels[channel]) | body
    delivery = house.workspace._dispatcher.send("events_api", payload)
    async with asyncio.timeout(10):
        await house.workspace._dispatcher.finished(delivery)
    return delivery.acked


@pytest.fixture
def deliver(house: House) -> Callable[..., Awaitable[bool]]:
    """Delivers an event of a test's own making to `house`; gives whether it was acked."""

    async def deliver_(event: dict[str, Any], channel: str = OPS, **body: Any) -> bool:
        return await send(house, event, channel, **body)

    return deliver_
