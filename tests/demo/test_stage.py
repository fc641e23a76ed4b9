"""The demo's environment: the bot's addresses lead to the doubles."""

from pathlib import Path

import aiohttp

from bot.demo.das import SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.stage import environment
from bot.demo.workspace import Workspace


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
