"""A clock tests move by hand, local workspaces that are stopped at the end, and node packages."""

import asyncio
import heapq
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, async_playwright
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import NO_LIMITS, Workspace
from tests.absent import absent
from tests.judges.watch import IsJudged
from tests.node_packages import node_packages

JS = Path(__file__).parent / "js"


@pytest.fixture
def is_judged(is_judged: IsJudged) -> IsJudged:
    """Here bad calls are made to see the workspace refuse them: what it lets pass must be good."""
    return lambda call: is_judged(call) and bool(call.response.get("ok"))


class FakeTime:
    """Seconds that pass only when `advance` is called; `sleep` waits for them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self._order = itertools.count()
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []
        self._fell_asleep = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self.now + seconds, next(self._order), future))
        self._fell_asleep.set()
        await future

    async def asleep_for(self, seconds: float) -> None:
        """Waits until somebody sleeps until `seconds` from now."""
        while not any(due == self.now + seconds and not f.done() for due, _, f in self._sleeping):
            self._fell_asleep.clear()
            await self._fell_asleep.wait()

    async def advance(self, seconds: float) -> None:
        """Lets `seconds` pass, waking each sleeper at its own moment."""
        end = self.now + seconds
        while self._sleeping and self._sleeping[0][0] <= end:
            due, _, future = heapq.heappop(self._sleeping)
            if future.done():
                continue
            self.now = due
            future.set_result(None)
            for _ in range(10):
                await asyncio.sleep(0)
        self.now = end


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


MakeWorkspace = Callable[..., Awaitable[Workspace]]


@pytest.fixture
async def make_workspace() -> AsyncIterator[MakeWorkspace]:
    """Starts workspaces, without rate limits unless `rates` is given, and stops them at the end."""
    started: list[Workspace] = []

    async def make(**options: Any) -> Workspace:
        workspace = Workspace(**{"rates": NO_LIMITS, **options})
        started.append(workspace)
        await workspace.start()
        return workspace

    yield make
    for workspace in started:
        await workspace.stop()


@pytest.fixture
async def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """A plain one."""
    return await make_workspace()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., AsyncWebClient]]:
    """Slack's own client for a workspace, with no retries of its own."""
    async with aiohttp.ClientSession() as session:

        def make(workspace: Workspace, token: str | None = None) -> AsyncWebClient:
            return AsyncWebClient(
                workspace.bot_token if token is None else token,
                base_url=workspace.api_url,
                session=session,
                retry_handlers=[],
            )

        yield make


@pytest.fixture
async def client(workspace: Workspace, connect: Callable[..., AsyncWebClient]) -> AsyncWebClient:
    """The bot's client for `workspace`."""
    return connect(workspace)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
BROWSER_ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        absent("chromium is not installed: the page was NOT tested in a browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGS)
        yield browser
        await browser.close()


Attach = Callable[[Workspace, AsyncApp], Awaitable[None]]


@pytest.fixture(params=["socket", "http"])
async def attach(request: pytest.FixtureRequest) -> AsyncIterator[Attach]:
    """Connects a Bolt app with a workspace, in each of the two ways Slack has."""
    async with AsyncExitStack() as ends:

        async def make(workspace: Workspace, app: AsyncApp) -> None:
            if request.param == "socket":
                handler = AsyncSocketModeHandler(app, workspace.app_token)
                ends.push_async_callback(handler.close_async)
                await handler.connect_async()
                await workspace.connected()
                return

            async def receive(incoming: web.Request) -> web.Response:
                return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(incoming)))

            server = web.Application()
            server.router.add_post("/slack/events", receive)
            runner = web.AppRunner(server)
            ends.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await workspace.configure_http(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")

        yield make


@pytest.fixture(scope="session")
def bolt_js() -> Path:
    """A folder with bot.js and its installed packages."""
    folder = node_packages(JS, "js-judge", "the workspace was NOT tested with the JavaScript Bolt")
    shutil.copy(JS / "bot.js", folder / "bot.js")
    return folder
