"""The composition root: builds the parts from the settings, starts them, and ends them in the right order."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from redis import RedisError
from redis.asyncio import Redis
from slack_sdk.errors import SlackApiError

from bot import log, metrics, open_files, traces
from bot.agents import Agents
from bot.health import Health
from bot.model.question import Asker
from bot.model.run import Run
from bot.relay.parts import Limits, Parts, Sentences
from bot.relay.worker import Worker
from bot.settings import Settings, SettingsError
from bot.slack import app as slack_app
from bot.slack import server
from bot.slack.access import Access
from bot.slack.allowance import Allowance
from bot.slack.budget import Budget
from bot.slack.client import SlackClient
from bot.slack.intake.agents import Catalogue
from bot.slack.intake.desk import Desk
from bot.slack.listener import MOST, MOST_PROBES, Listener
from bot.slack.notices import Notices
from bot.slack.people import People
from bot.slack.platform import SlackPlatform
from bot.slack.socket import Socket, refusal
from bot.slack.words import say
from bot.store import connection, embedded
from bot.store.census import Census
from bot.store.choices import Choices
from bot.store.connection import open_store
from bot.store.keys import DAY, Lives
from bot.store.rates import SharedRates
from bot.store.refusals import Refusals
from bot.store.runs import Runs
from bot.store.sessions import Sessions
from bot.store.slots import Slots
from bot.store.usage import Daily, Usage
from bot.store.wishes import Wishes
from bot.upstream.backend import Backend, Followed
from bot.upstream.credentials import CredentialsSource, DefaultChain
from bot.upstream.das import DasChat
from bot.upstream.das_legacy import DasLegacy
from bot.upstream.errors import UpstreamError
from bot.upstream.rds import RdsCopilot
from bot.upstream.sentences import explain
from bot.upstream.wire import Timeouts

logger = log.get(__name__)

_COLLECT = (100_000, 2, 2_000)
"""Thresholds of the garbage collector's generations. Hardly anything here refers to itself, so there is little to find,
but everything stops while it is looked for: 60 to 100 ms with 1,000 answers open, since what waits on a stream is made
anew with each piece and so is always young. With lower thresholds that is several times a second."""
_TIDY_SECONDS, _FEW = 60.0, 20
"""How often all is looked through, so that the little there is does not pile up, and with how many threads at work at
most: it takes 0.7 s with 1,000, and next to nothing with these."""
_SLACK_AWAY_SECONDS = 10.0
"""Longest pause between tries while Slack does not answer at start."""
_FIRST_PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class Running:
    """The started bot, as its owner sees it."""

    port: int
    worker: Worker
    bot_user: str
    team: str


def services(settings: Settings, credentials: CredentialsSource | None = None) -> dict[str, Backend]:
    """The services the settings describe, by key; credentials come from the default chain."""
    source = credentials or DefaultChain()
    das = Timeouts(silence=settings.das_silence_seconds, run=settings.das_deadline_minutes * 60)
    rds = Timeouts(silence=settings.rds_silence_seconds, run=settings.rds_deadline_minutes * 60)
    found: list[Backend] = [
        DasChat(source, endpoint=settings.das_endpoint, timeouts=das),
        DasLegacy(source, endpoint=settings.das_endpoint, timeouts=das),
    ]
    if settings.has_rds:
        copilot = RdsCopilot(
            source,
            region=settings.rds_region,
            endpoint=settings.rds_endpoint,
            approval=settings.rds_tool_approval,
            timeouts=rds,
        )
        found.append(copilot)
    return {backend.key: backend for backend in found}


async def run(settings: Settings) -> None:
    """Run the bot until SIGTERM or SIGINT; a second signal ends it without draining.

    Raises:
        SettingsError: when a token, address or port turns out to be wrong.
    """
    # What is there from the start stays, and need not be looked through.
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    open_files.make_room(settings.max_runs)
    stop = asyncio.Event()
    is_ready = False

    async def live() -> None:
        nonlocal is_ready
        async with started(settings) as running:
            is_ready = True
            mode = "Socket Mode" if settings.socket_mode else "HTTP"
            logger.info("ready", mode=mode, port=running.port, team=running.team, bot=running.bot_user)
            await stop.wait()
            logger.info("ending")

    life = asyncio.create_task(live())

    def told_to_end() -> None:
        # While it still waits for Redis or Slack there is nothing to drain.
        if stop.is_set() or not is_ready:
            life.cancel()
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told_to_end)
    try:
        await life
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


async def _tidy(worker: Worker) -> None:
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        if worker.busy <= _FEW:
            gc.collect()


@asynccontextmanager
async def started(settings: Settings, credentials: CredentialsSource | None = None) -> AsyncIterator[Running]:
    """The bot, started; on leaving it stops taking work, drains, and closes.

    Raises:
        SettingsError: when a token, address or port turns out to be wrong.
    """
    async with AsyncExitStack() as stack:
        health = Health()
        traces.configure()
        stack.push_async_callback(asyncio.to_thread, traces.shut_down)
        _keep_going(metrics.watch_loop(), stack)
        secret = settings.slack_signing_secret.get_secret_value()
        door = None if settings.socket_mode else server.Door(secret)
        # First of all, so that a taken port is told at once, and probes are answered while Redis or Slack is away.
        port = await _serve_all(settings, door, health, stack)
        source = credentials or DefaultChain()
        _keep_going(health.watch(source), stack)
        ground = await _ground(settings, source, health, stack)
        worker = _worker(ground)

        async def revoked() -> None:
            ground.client.shut_out("the workspace has removed the app")

        app = slack_app.build(ground.client, secret, _desk(ground, worker), revoked)
        await _prepare(ground.runs)
        if door:
            door.app, reaches_us = app, _always
        else:
            socket = Socket(app, settings.slack_app_token.get_secret_value())
            reaches_us = socket.is_connected
            await _connect(socket, stack)

        async def slack_works() -> bool:
            return not ground.client.is_shut_out and await reaches_us()

        health.slack = slack_works
        _keep_going(worker.run(), stack)
        _keep_going(_tidy(worker), stack)
        # Last in, first out: while it drains, questions still come in for other workers, and clicks on Stop work.
        stack.push_async_callback(worker.drain, settings.drain_seconds)
        stack.callback(setattr, health, "is_ending", True)
        yield Running(port, worker, ground.bot_user, ground.team)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the worker and the listeners both stand on."""

    settings: Settings
    redis: Redis
    client: SlackClient
    team: str
    bot_user: str
    backends: dict[str, Backend]
    notices: Notices
    access: Access
    people: People
    runs: Runs
    sessions: Sessions
    slots: Slots
    usage: Usage
    choices: Choices
    agents: Agents

    @property
    def daily(self) -> Daily:
        """What may be spent a day."""
        settings = self.settings
        return Daily(
            settings.daily_budget_workspace, settings.daily_budget_channel, settings.daily_budget_person
        )

    @property
    def names(self) -> dict[str, str]:
        """The services' names, by key."""
        return {key: backend.name for key, backend in self.backends.items()}


async def _ground(
    settings: Settings, source: CredentialsSource, health: Health, stack: AsyncExitStack
) -> _Ground:
    """Open the store, meet Slack, and build what needs no more than these."""
    redis = health.redis = await open_store(settings)
    stack.push_async_callback(redis.aclose)
    if settings.redis_url == "embedded":
        _keep_going(embedded.keep(settings.data_dir), stack)
    budget = Budget()
    stack.push_async_callback(budget.aclose)
    client = SlackClient(settings.slack_bot_token.get_secret_value(), settings.slack_api_url, budget)
    stack.push_async_callback(client.aclose)
    team, bot_user, enterprise = await _who_am_i(client)
    budget.shared = SharedRates(redis, team)
    client.refusals.memory = Refusals(redis, team)
    backends = services(settings, source)
    for backend in backends.values():
        stack.push_async_callback(backend.aclose)
    notices = Notices(client)
    stack.push_async_callback(notices.aclose)
    access = Access(
        team, enterprise, settings.allowed_channels, settings.allowed_users, settings.allow_external
    )
    people = People(client, access, settings.admin_users, settings.approver_users)
    stack.push_async_callback(people.aclose)
    slots, choices = Slots(redis), Choices(redis)
    _keep_going(Census(redis, slots, team).run(), stack)
    lives = Lives(int(settings.run_retention_days * DAY), int(settings.session_retention_days * DAY))
    return _Ground(
        settings=settings,
        redis=redis,
        client=client,
        team=team,
        bot_user=bot_user,
        backends=backends,
        notices=notices,
        access=access,
        people=people,
        runs=Runs(redis, lives, most_of_all=settings.max_waiting),
        sessions=Sessions(redis, lives),
        slots=slots,
        usage=Usage(redis, ZoneInfo(settings.timezone)),
        choices=choices,
        agents=Agents(settings, choices.both),
    )


def _worker(ground: _Ground) -> Worker:
    """What works on questions."""
    settings, people = ground.settings, ground.people

    async def asker(run: Run) -> Asker:
        person = await people.person(run.question.user)
        timezone = person.timezone if person else ""
        return Asker(person.locale if person else "", timezone or settings.timezone)

    allowance = Allowance(ground.usage, ground.daily)

    async def spent(run: Run) -> str:
        return await allowance.spent(run.question, run.question.language)

    parts = Parts(
        ground.backends,
        ground.sessions,
        ground.slots,
        Sentences(explain, say),
        choose=ground.agents.choose,
        asker=asker,
        count=ground.usage.count,
        limits=Limits(
            {"das": settings.das_concurrency, "rds": settings.rds_concurrency}, settings.agent_concurrency
        ),
        deadlines={
            "das": settings.das_deadline_minutes * 60,
            "das-legacy": settings.das_deadline_minutes * 60,
            "rds": settings.rds_deadline_minutes * 60,
        },
        max_age=settings.question_max_age_minutes * 60,
        resumes=settings.das_resume,
        spent=spent if ground.daily else None,
    )
    platform = SlackPlatform(
        ground.client, ground.notices, ground.names, ground.access, console=settings.rds_console_url
    )
    return Worker(ground.runs, platform, parts, max_runs=settings.max_runs, max_waiting=settings.max_waiting)


def _desk(ground: _Ground, worker: Worker) -> Desk:
    """Where questions and clicks come in."""
    settings, runs, agents = ground.settings, ground.runs, ground.agents

    async def stop_run(run_id: str, user: str) -> str:
        state = await runs.stop(run_id, user)
        worker.stop_run(run_id, user)
        return state

    async def rate(run: Run, rating: str, comment: str) -> None:
        backend = ground.backends.get(run.backend)
        if isinstance(backend, Followed) and run.message_id:
            try:
                await backend.rate(run.message_id, rating, comment)
            except UpstreamError as error:
                logger.warning("rating not passed on", run=run.reference, code=error.code)

    return Desk(
        team=ground.team,
        bot=ground.bot_user,
        runs=runs,
        sessions=ground.sessions,
        wishes=Wishes(ground.redis),
        usage=ground.usage,
        agents=Catalogue(
            ground.names, agents.default, agents.of, agents.of_service, agents.named, ground.choices
        ),
        access=ground.access,
        people=ground.people,
        notices=ground.notices,
        stop=stop_run,
        rate=rate,
        daily=ground.daily,
        resumes=settings.das_resume,
        many=settings.max_runs,
        is_full=lambda: worker.is_full,
    )


async def _prepare(runs: Runs) -> None:
    """Make what the store needs, and see whether it takes our writes."""
    try:
        await runs.prepare()
    except (RedisError, OSError) as error:
        if problem := connection.refusal(error):
            raise SettingsError([f"REDIS_URL: {problem}"]) from None
        # Gone again since it answered, or full; the worker makes the group when it finds none.


async def _always() -> bool:
    """Over HTTP, Slack calls us: there is no connection to lose."""
    return True


async def _who_am_i(client: SlackClient) -> tuple[str, str, str]:
    """Our workspace's id, the bot's user id and the enterprise's id, waiting while Slack is away."""
    wait = _FIRST_PAUSE_SECONDS
    while True:
        try:
            me = await client.web.auth_test()
            return str(me["team_id"]), str(me["user_id"]), str(me.get("enterprise_id") or "")
        except SlackApiError as error:
            if code := refusal(error):
                raise SettingsError([f"SLACK_BOT_TOKEN: Slack refuses it ({code})"]) from None
            reason = f"HTTP {getattr(error.response, 'status_code', '')}".strip()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = type(error).__name__
        logger.warning("slack is away, trying again", reason=reason, seconds=wait)
        await asyncio.sleep(wait)
        wait = min(wait * 2, _SLACK_AWAY_SECONDS)


async def _connect(socket: Socket, stack: AsyncExitStack) -> None:
    """Start the socket; wait until it stands, or Slack refuses the token."""
    running = asyncio.create_task(socket.run())
    stack.push_async_callback(_end, running)
    standing = asyncio.create_task(socket.stood.wait())
    try:
        await asyncio.wait({running, standing}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    except SlackApiError as error:
        raise SettingsError([f"SLACK_APP_TOKEN: Slack refuses it ({refusal(error)})"]) from None
    finally:
        standing.cancel()


async def _serve_all(
    settings: Settings, door: server.Door | None, health: Health, stack: AsyncExitStack
) -> int:
    """Listen for Slack and for probes, and for Prometheus there or on a port of its own; returns the first port."""
    here, elsewhere = settings.metrics_port == "", settings.metrics_port
    site = server.build(door, health.ready, with_metrics=here)
    # In Socket Mode nobody calls but probes.
    port = await _serve(settings, "PORT", settings.port, Listener(site, MOST if door else MOST_PROBES), stack)
    if isinstance(elsewhere, int):
        site = server.build(None, health.ready, with_metrics=True)
        await _serve(settings, "METRICS_PORT", elsewhere, Listener(site, MOST_PROBES), stack)
    return port


async def _serve(settings: Settings, name: str, port: int, listener: Listener, stack: AsyncExitStack) -> int:
    """Listen; returns the port."""
    try:
        port = await listener.start(settings.host, port)
    except OSError as error:
        raise SettingsError(
            [f"HOST, {name}: cannot listen on {settings.host}:{port} ({error.strerror})"]
        ) from None
    stack.push_async_callback(listener.aclose)
    return port


def _keep_going(work: Coroutine[Any, Any, None], stack: AsyncExitStack) -> None:
    """Do something until the stack is left."""
    stack.push_async_callback(_end, asyncio.create_task(work))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
