"""Takes pictures of the bot at work, one of each state: `python tests/e2e/screenshot.py FOLDER`.

`python tests/e2e/screenshot.py docs --only demo` takes the one in the README.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Locator, Page, ViewportSize, async_playwright, expect

from bot.demo.stage import Stage
from bot.slack.intake.commands import COMMANDS
from bot.store import embedded

BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
BROWSER_ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SIZE: ViewportSize = {"width": 1280, "height": 800}
LARGE: ViewportSize = {"width": 1280, "height": 1080}
WAIT_MS = 30_000
QUICK, HUMAN = 0.05, 0.5
"""Factors on the simulated agent's pace, for answers shown when they have ended and for those shown growing."""
OPS, ORDERS, SHARED = "C0DBOPS001", "C0ORDERS01", "C0SHARED01"
SLOW = "@das why is rm-bp1demo0001 slow?"


class Scene:
    """The page, and what a person does on it."""

    def __init__(self, page: Page, stage: Stage) -> None:
        self.page, self.stage = page, stage
        self.pane = page.get_by_test_id("thread-pane")
        self.reply = self.pane.locator('[data-testid="message"][data-user="U0DASBOT01"]').last

    async def ask(self, text: str, channel: str = OPS) -> None:
        await self.page.get_by_test_id(f"channel-{channel}").click()
        if await self.pane.count():
            await self.page.get_by_test_id("thread-close").click()
        await self._write("composer-input", text)

    async def ask_on(self, text: str) -> None:
        await self._write("thread-composer-input", text)

    async def _write(self, box: str, text: str) -> None:
        await self.page.get_by_test_id(box).fill(text)
        await self.page.get_by_test_id(box).press("Enter")

    def button(self, name: str) -> Locator:
        return self.reply.get_by_role("button", name=name, exact=True)

    async def ended(self) -> None:
        again = self.button("Ask again").or_(self.button("重新提问"))
        await expect(again).to_be_visible(timeout=WAIT_MS)


async def demo(scene: Scene) -> None:
    """A thread that goes on after its first answer, with one fold open: the picture in the README."""
    await scene.page.set_viewport_size(LARGE)
    scene.stage.das.pace = QUICK
    for before in ("@das who holds the locks on rm-bp1demo0002?", "@das rm-bp1demo0003 的磁盘快满了"):
        await scene.ask(before)
        await scene.ended()
    scene.stage.das.pace = HUMAN
    await scene.ask(SLOW)
    await scene.ended()
    await scene.ask_on("thanks! anything new in the last five minutes?")
    await expect(scene.reply).to_contain_text("I checked rm-bp1demo0001 again", timeout=WAIT_MS)
    await scene.ended()
    fold = scene.reply.get_by_test_id("container")
    await fold.get_by_test_id("container-header").click()
    await expect(fold).to_contain_text("96.2")
    await scene.pane.get_by_role("log").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    await expect(scene.page.get_by_role("button", name="Newer below")).to_have_count(0)


async def finished(scene: Scene) -> None:
    """A finished answer with one fold open."""
    scene.stage.das.pace = HUMAN
    await scene.ask(SLOW)
    await scene.ended()
    fold = scene.reply.get_by_test_id("container").filter(has_text="GetPerformanceMetrics")
    await fold.get_by_test_id("container-header").click()
    await expect(fold).to_contain_text("cpu_usage,active_session")
    log = scene.pane.get_by_role("log")
    await log.evaluate("list => list.scrollTo(0, 0)")


async def at_work(scene: Scene) -> None:
    """An answer that grows, with a tool at work."""
    scene.stage.das.pace = 1.0
    await scene.ask("@das rm-bp1demo0001 has a connection spike")
    await expect(scene.reply).to_contain_text("Calling", timeout=WAIT_MS)
    await expect(scene.reply.get_by_test_id("container").nth(1)).to_be_visible(timeout=WAIT_MS)


async def stopped(scene: Scene) -> None:
    """The one before, stopped."""
    scene.stage.das.pace = 1.0
    await scene.ask(SLOW)
    await expect(scene.reply).to_contain_text("First the load", timeout=WAIT_MS)
    await scene.button("Stop").click()
    await scene.ended()


async def chinese(scene: Scene) -> None:
    """A Chinese answer, from its top."""
    scene.stage.das.pace = QUICK
    await scene.ask("@das rm-bp1demo0001 为什么变慢了？")
    await scene.ended()
    await scene.pane.get_by_role("log").evaluate("list => list.scrollTo(0, 0)")


async def sub_agents(scene: Scene) -> None:
    """Sub-agents, one opened."""
    scene.stage.das.pace = QUICK
    await scene.ask("@das rm-bp1demo0001 has a connection spike")
    await scene.ended()
    await scene.reply.get_by_test_id("container-header").last.click()


async def waiting(scene: Scene) -> None:
    """One thread waits for its slot, with a question behind it."""
    scene.stage.das.pace = 1.0
    await scene.ask(SLOW, ORDERS)
    await expect(scene.button("Stop")).to_be_visible(timeout=WAIT_MS)
    await scene.ask("@das who holds the locks on rm-bp1demo0002?")
    await expect(scene.reply).to_contain_text("Waiting: place 1", timeout=WAIT_MS)
    await scene.ask_on("and since when?")
    await expect(scene.reply).to_contain_text("Waiting: 1 before", timeout=WAIT_MS)


async def failed(scene: Scene) -> None:
    """A tool that failed, and below a stream that was cut."""
    scene.stage.das.pace = QUICK
    await scene.ask("@das why does the replica of rm-bp1demo0001 lag?")
    await scene.ended()
    await scene.pane.get_by_role("log").evaluate("list => list.scrollTo(0, list.scrollHeight)")


async def cut(scene: Scene) -> None:
    """A stream that was cut."""
    scene.stage.das.pace = QUICK
    await scene.ask("@das why is rm-bp1demo0001 slow? demo:cut")
    await scene.ended()


async def outsider(scene: Scene) -> None:
    """Somebody of another company gets a private line."""
    await scene.page.get_by_test_id("user-switch").select_option("U0OLAF0001")
    await scene.ask(SLOW, SHARED)
    await expect(scene.page.get_by_test_id("ephemeral").first).to_be_visible(timeout=WAIT_MS)


ALL: tuple[Callable[[Scene], Awaitable[None]], ...] = (
    demo, finished, at_work, stopped, chinese, sub_agents, waiting, failed, cut, outsider
)  # fmt: skip


async def take(folder: Path, pictures: dict[str, Callable[[Scene], Awaitable[None]]]) -> None:
    """Take pictures: a fresh house for each, so that they do not depend on each other."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=BROWSER_ARGS)
        for name, picture in pictures.items():
            with tempfile.TemporaryDirectory() as data:
                stage = Stage(Path(data), COMMANDS)
                try:
                    await stage.start()
                    await stage.start_bot(asyncio.subprocess.DEVNULL)
                    page = await browser.new_page(viewport=SIZE)
                    await page.goto(stage.workspace.url)
                    await picture(Scene(page, stage))
                    await page.mouse.move(0, 0)
                    await page.screenshot(path=folder / name)
                    await page.close()
                finally:
                    await stage.stop()
                    embedded.stop(Path(data))
        await browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--only", help="one of: " + ", ".join(each.__name__ for each in ALL))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in ALL if given.only in (None, each.__name__)]
    asyncio.run(take(given.folder, {f"{each.__name__}.png": each for each in chosen}))
    return 0 if chosen else 2


if __name__ == "__main__":
    sys.exit(main())
