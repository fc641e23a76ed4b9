"""The demo's environment: the bot's addresses lead to the doubles."""

from pathlib import Path

import aiohttp
import pytest

from bot.demo.das import SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.stage import environment
from bot.demo.workspace import Workspace
from bot.settings import Settings

ABOUT_THE_MACHINE = {"LOG_LEVEL", "LOG_FORMAT", "TIMEZONE"}


async def test_nothing_of_a_real_workspace_nor_a_proxy_reaches_the_demo_s_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    for name in settings | {"http_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy", "ALIBABA_CLOUD_PROFILE"}:
        monkeypatch.setenv(name, "real")
    workspace, das = Workspace(), SimulatedDas()
    await workspace.start()
    await das.start()
    try:
        env = environment(workspace, das, 1, tmp_path)
    finally:
        await das.stop()
        await workspace.stop()
    # The lower-case no_proxy would count more than NO_PROXY.
    assert {name for name, value in env.items() if value == "real"} == ABOUT_THE_MACHINE
    assert env["NO_PROXY"] == "127.0.0.1,localhost"


async def test_the_console_the_replies_link_to_is_the_double_s_own_page(tmp_path: Path) -> None:
    workspace, das, rds = Workspace(), SimulatedDas(), SimulatedRds()
    for double in (workspace, das, rds):
        await double.start()
    try:
        console = environment(workspace, das, 1, tmp_path, rds)["RDS_CONSOLE_URL"]
        async with aiohttp.ClientSession() as client, client.get(console) as answer:
            assert answer.status == 200 and "Simulated console" in await answer.text()
    finally:
        for double in (rds, das, workspace):
            await double.stop()
