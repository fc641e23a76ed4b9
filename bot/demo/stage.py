"""The demo: a local workspace, a simulated DAS Agent, and the real bot between them as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import webbrowser
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from bot.demo.das import DEMO_CREDENTIAL, SimulatedDas
from bot.demo.workspace import Command, Workspace

_GRACE_SECONDS = 15
"""Time the bot gets to end by itself."""


async def play(
    *,
    port: int,
    pace: float,
    concurrency: int,
    browser: bool,
    as_json: bool,
    data_dir: Path,
    commands: Iterable[tuple[str, str, str]],
) -> int:
    """Run the demo until interrupted, or until the bot ends by itself; returns its exit code then.

    Args:
        port: of the page; 0 takes a free one.
        pace: factor on the simulated agent's times.
        concurrency: runs the agent allows at once.
        browser: open one where there is one.
        as_json: print the addresses as one line of JSON.
        data_dir: where the bot's embedded server keeps its data.
        commands: name, usage hint and description of the bot's slash commands.

    Raises:
        OSError: when the port is taken.
    """
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        workspace = Workspace(commands=[Command(*command) for command in commands])
        await workspace.start(port=port)
        stack.push_async_callback(workspace.stop)
        das = SimulatedDas(pace=pace, concurrency=concurrency)
        await das.start()
        stack.push_async_callback(das.stop)
        bot = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", env=environment(workspace, das, concurrency, data_dir)
        )
        stack.push_async_callback(_end, bot)
        await _until_connected(workspace, bot)
        if bot.returncode is None:
            _announce(workspace.url, das.url, browser=browser, as_json=as_json)
        ended = asyncio.create_task(bot.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        code = bot.returncode or 0
        ended.cancel()
    return code


def environment(workspace: Workspace, das: SimulatedDas, concurrency: int, data_dir: Path) -> dict[str, str]:
    """The environment in which the real bot works against the two doubles. Only addresses and keys differ."""
    own = {
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_API_URL": workspace.api_url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "REDIS_URL": "embedded",
        "DATA_DIR": str(data_dir),
        "DAS_ENDPOINT": das.url,
        "DAS_CONCURRENCY": str(concurrency),
        "ALIBABA_CLOUD_ACCESS_KEY_ID": DEMO_CREDENTIAL.key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": DEMO_CREDENTIAL.secret,
        "DRAIN_SECONDS": "2",
    }
    # Nothing of a real workspace or account that may be set here shall reach the demo.
    foreign = ("SLACK_", "DAS_", "ALIBABA_CLOUD_", "ALLOWED_", "REDIS_", "ALLOW_EXTERNAL")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**clean, **own, "NO_PROXY": "127.0.0.1,localhost"}


async def _until_connected(workspace: Workspace, bot: asyncio.subprocess.Process) -> None:
    connected = asyncio.ensure_future(workspace.connected(timeout=86_400))
    ended = asyncio.ensure_future(bot.wait())
    await asyncio.wait({connected, ended}, return_when=asyncio.FIRST_COMPLETED)
    for waiting in (connected, ended):
        waiting.cancel()


def _announce(page: str, das: str, *, browser: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"page": page, "das": das}), flush=True)
    else:
        print(
            f"\n  The workspace is open at  {page}\n"
            "  Write there, for example:  @das why is rm-bp1demo0001 slow?\n"
            "  Ctrl-C ends the demo.\n",
            flush=True,
        )
    has_display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if browser and has_display:
        webbrowser.open(page)


async def _end(bot: asyncio.subprocess.Process) -> None:
    if bot.returncode is not None:
        return
    bot.terminate()
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await bot.wait()
    except TimeoutError:
        bot.kill()
        await bot.wait()
