"""The whole house for the end-to-end tests: the two doubles, the real bot as a process, a browser."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from bot.demo.stage import Stage
from bot.slack.intake.commands import COMMANDS
from bot.store import embedded
from tests.absent import absent

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
BROWSER_ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PACE = 0.04
"""Factor on the simulated agent's human pace: a diagnosis takes about half a second."""

MakeStage = Callable[..., Awaitable[Stage]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def make_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MakeStage]:
    """Starts stages with the bot on them, and ends them all; what the bots logged is printed if one is ill."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Stage:
            folder: Path = tmp_path_factory.mktemp("stage")
            stage = Stage(folder, COMMANDS, **{"pace": PACE, **options})
            stack.callback(embedded.stop, folder)
            stack.push_async_callback(stage.stop)
            await stage.start()
            bot = await stage.start_bot()
            assert bot.returncode is None, f"the bot ended by itself: exit code {bot.returncode}"
            return stage

        yield make


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(make_stage: MakeStage) -> Stage:
    """One bot for all tests of the page; the agent answers one question at a time."""
    return await make_stage()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        absent("chromium is not installed: the bot was NOT tested in a browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGS)
        yield browser
        await browser.close()
