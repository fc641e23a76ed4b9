"""Takes the gallery's pictures and compares them. `python -m tests.e2e.camera` takes the kept ones anew."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Locator, Page, async_playwright

from bot.gallery.page import page as gallery_page
from bot.gallery.scenes import pictures
from tests.absent import absent
from tests.e2e.pinned_fonts import font_settings, use_pinned_fonts

KEPT = Path(__file__).with_name("gallery")
WIDTH, HEIGHT = 700, 900
PLAIN_TEXT = ("--disable-lcd-text", "--font-render-hinting=none")
"""Letters in grey, placed alike on every screen."""
_COMPARE = Path(__file__).with_name("compare.js")
_PALETTE = 256
"""Colours of a PNG with one byte a pixel."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two pictures: how many small and large squares look unlike (see compare.js), and how many pixels the
    sizes differ by."""

    marks: int
    areas: int
    higher: int
    wider: int


class Camera:
    """The gallery in a browser, and a second page that looks at pictures."""

    def __init__(self, shown: Page, tools: Page) -> None:
        self.shown, self._tools = shown, tools

    def message(self, name: str) -> Locator:
        """The last message of a state: the one that has its end."""
        return self.shown.locator(f'[data-user="U0{name.upper()}"]').last

    async def take(self, name: str) -> bytes:
        """The picture of a state."""
        return await self.message(name).screenshot(animations="disabled")

    async def compare(self, taken: bytes, kept: bytes) -> Difference:
        found: dict[str, int] = await self._tools.evaluate(
            "([a, b]) => compare(a, b)", [base64.b64encode(each).decode() for each in (taken, kept)]
        )
        return Difference(**found)

    async def small(self, png: bytes) -> bytes:
        """The picture with at most 256 colours, which is a quarter of its size."""
        image = await self._tools.evaluate("(png) => colours(png)", base64.b64encode(png).decode())
        return _png(image["colours"], image["width"], image["height"])


@asynccontextmanager
async def camera(*arguments: str) -> AsyncIterator[Camera]:
    """A camera before the gallery, drawn in the pinned fonts; `arguments` are the browser's, for its text."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        absent("chromium is not installed: the gallery was NOT drawn")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *quiet, *arguments]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gallery.html"
        file.write_text(gallery_page(pictures()), "utf-8")
        async with async_playwright() as playwright:
            environment: dict[str, str | float | bool] = {
                **os.environ,
                "FONTCONFIG_FILE": str(font_settings(Path(folder))),
            }
            browser = await playwright.chromium.launch(executable_path=chromium, args=flags, env=environment)
            # The gallery's policy lets it load nothing; the fonts are the test's.
            context = await browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, bypass_csp=True, locale="en-US"
            )
            shown = await context.new_page()
            await shown.goto(file.as_uri())
            await shown.get_by_test_id("message").first.wait_for()
            await use_pinned_fonts(shown)
            tools = await context.new_page()
            await tools.add_script_tag(path=_COMPARE)
            # A page behind another draws once a second, and a picture waits for several drawings.
            await shown.bring_to_front()
            yield Camera(shown, tools)
            await browser.close()


def _png(colours: list[int], width: int, height: int) -> bytes:
    """A PNG with a palette: the most frequent colours, the most frequent of other shades, for the rest the nearest."""
    counts = Counter(colours)
    shades: dict[tuple[int, ...], int] = {}
    for colour, _ in counts.most_common():
        shades.setdefault(tuple(channel >> 4 for channel in _channels(colour)), colour)
    frequent = [colour for colour, _ in counts.most_common(_PALETTE // 2)]
    palette = list(dict.fromkeys([*frequent, *shades.values()]))[:_PALETTE]
    places = {colour: place for place, colour in enumerate(palette)}
    for colour in counts:
        if colour not in places:
            places[colour] = min(range(len(palette)), key=lambda place: _distance(palette[place], colour))
    indices = bytes(places[colour] for colour in colours)
    rows = b"".join(b"\0" + indices[at : at + width] for at in range(0, len(indices), width))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(bytes(_channels(colour)) for colour in palette)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _channels(colour: int) -> tuple[int, int, int]:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _distance(one: int, other: int) -> int:
    return sum((a - b) ** 2 for a, b in zip(_channels(one), _channels(other), strict=True))


async def _take_all() -> dict[str, bytes]:
    """Every picture, by file name."""
    async with camera(*PLAIN_TEXT) as look:
        return {f"{p.name}.png": await look.small(await look.take(p.name)) for p in pictures()}


def main() -> None:
    """Take every picture anew."""
    taken = asyncio.run(_take_all())
    KEPT.mkdir(exist_ok=True)
    for old in KEPT.iterdir():
        old.unlink()
    for name, content in taken.items():
        (KEPT / name).write_bytes(content)


if __name__ == "__main__":
    main()
