"""The demo: a local workspace, simulated agents, and the real bot between them as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import webbrowser
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bot.demo.das import DEMO_CREDENTIAL, SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.workspace import Command, Workspace

DRAIN_SECONDS = 2
"""How long answers go on when the demo ends: nobody will read them."""
_GRACE_SECONDS = 15
"""Time the bot gets to end by itself."""
_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What ends the demo; SIGHUP comes when its terminal is closed."""


_COMMAND = (sys.executable, "-m", "bot.demo.leashed", "run", "--env-file", os.devnull)
"""The bot; a .env file that lies here is for a real workspace, and does not reach it."""

_FOREIGN = re.compile(
    r"(SLACK|DAS|RDS|ALIBABA_CLOUD|REDIS|METRICS|DEFAULT|AGENT|ALLOW|ALLOWED|ADMIN|APPROVER|DAILY|SESSION_RETENTION|"
    r"RUN_RETENTION|QUESTION|MAX|REDACT)_.*|.*_PROXY",
    re.IGNORECASE,
)
"""Variables of a real workspace or account, which shall not reach the demo's bot; and proxies, in either case."""


class Stage:
    """The doubles with the bot's process between them, for the demo and for tests.

    Args:
        data_dir: where the bot's embedded server keeps its data; whoever made the folder stops that server.
        commands: name, usage hint and description of the bot's slash commands.
        pace: factor on the simulated agents' times.
        concurrency: runs each agent allows at once, and the bot opens.
        env: more of the bot's environment, or another value for what `environment` gives.
        workspace: options of `Workspace`.
    """

    def __init__(
        self,
        data_dir: Path,
        commands: Iterable[tuple[str, str, str]],
        *,
        pace: float = 1.0,
        concurrency: int = 1,
        env: Mapping[str, str] | None = None,
        workspace: Mapping[str, Any] | None = None,
    ) -> None:
        known = [Command(name, description, usage) for name, usage, description in commands]
        self.workspace = Workspace(commands=known, **(workspace or {}))
        self.das = SimulatedDas(pace=pace, concurrency=concurrency)
        self.rds = SimulatedRds(pace=pace, concurrency=concurrency)
        self.bot: asyncio.subprocess.Process | None = None
        self._data_dir = data_dir
        self._env = env or {}

    async def start(self, port: int = 0) -> None:
        """Start the doubles; the page listens on `port`, 0 takes a free one.

        Raises:
            OSError: when the port is taken.
        """
        await self.workspace.start(port=port)
        await self.das.start()
        await self.rds.start()

    async def start_bot(self, log: int | None = None) -> asyncio.subprocess.Process:
        """Start the bot; returns when it is connected, or when it has ended by itself.

        Args:
            log: file descriptor for what it writes, or `DEVNULL`; None lets it write to ours.
        """
        env = environment(self.workspace, self.das, self.das.concurrency, self._data_dir, self.rds)
        env.update(self._env)
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the bot once.
        self.bot = bot = await asyncio.create_subprocess_exec(
            *_COMMAND,
            env=env,
            # Never written to: the bot ends when we are gone and it is closed.
            stdin=asyncio.subprocess.PIPE,
            stderr=log,
            stdout=log,
            start_new_session=True,
        )
        connected = asyncio.ensure_future(self.workspace.connected(timeout=86_400))
        ended = asyncio.ensure_future(bot.wait())
        try:
            await asyncio.wait({connected, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (connected, ended):
                waiting.cancel()
        return bot

    async def end_bot(self) -> None:
        """End the bot if it runs: first politely, then by force."""
        bot = self.bot
        if bot is None or bot.returncode is not None:
            return
        bot.terminate()
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                await bot.wait()
        except TimeoutError:
            bot.kill()
            await bot.wait()

    async def stop(self) -> None:
        """End the bot, then the doubles."""
        await self.end_bot()
        await self.das.stop()
        await self.rds.stop()
        await self.workspace.stop()


async def play(stage: Stage, *, port: int, browser: bool, as_json: bool) -> int:
    """Run the demo until interrupted (0), or until the bot ends by itself; returns its exit code then.

    Args:
        port: of the page; 0 takes a free one.
        browser: open one where there is one.
        as_json: print the addresses as one line of JSON.

    Raises:
        OSError: when the port is taken.
    """
    stop = asyncio.Event()
    for name in _ENDINGS:
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stage.stop)
        await stage.start(port)
        stopping = asyncio.create_task(stop.wait())
        playing = asyncio.create_task(_show(stage, browser=browser, as_json=as_json))
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (playing, stopping):
            task.cancel()
        code, _ = await asyncio.gather(playing, stopping, return_exceptions=True)
    if isinstance(code, int):
        return code
    if isinstance(code, Exception):
        raise code
    return 0


async def _show(stage: Stage, *, browser: bool, as_json: bool) -> int:
    """The bot's life between the doubles; its exit code, as a shell would tell it."""
    bot = await stage.start_bot()
    if bot.returncode is None:
        _announce(stage, browser=browser, as_json=as_json)
    code = await bot.wait()
    return code if code >= 0 else 128 - code


def environment(
    workspace: Workspace,
    das: SimulatedDas,
    concurrency: int,
    data_dir: Path,
    rds: SimulatedRds | None = None,
) -> dict[str, str]:
    """The environment in which the real bot works against the doubles. Only addresses and keys differ.

    Without `rds` the bot offers no RDS Copilot.
    """
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
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    if rds:
        own |= {"RDS_ENDPOINT": rds.url, "RDS_CONCURRENCY": str(concurrency)}
        # So that a demo can show how a change is approved; the default only reads.
        own["RDS_TOOL_APPROVAL"] = "manual"
        own["RDS_CONSOLE_URL"] = f"{rds.url}/console"
    clean = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    # Set all the same: without any such variable the proxy of a Mac's system settings would be asked.
    return {**clean, **own, "NO_PROXY": "127.0.0.1,localhost"}


def _announce(stage: Stage, *, browser: bool, as_json: bool) -> None:
    page = stage.workspace.url
    if as_json:
        print(json.dumps({"page": page, "das": stage.das.url, "rds": stage.rds.url}), flush=True)
    else:
        print(
            f"\n  The workspace is open at  {page}\n"
            "  Write there, for example:  @das why is rm-bp1demo0001 slow?\n"
            f"  What RDS Copilot wants to change is approved at  {stage.rds.url}/console\n"
            "  Ctrl-C ends the demo.\n",
            flush=True,
        )
    has_display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if browser and has_display:
        webbrowser.open(page)
