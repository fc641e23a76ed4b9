"""Every state of a reply looks as it did when somebody looked at it: pictures of the gallery beside committed ones.

`python -m tests.e2e.test_gallery` takes them anew, after a change that is meant to be seen. They are compared in
squares of some pixels, by their mean colour: another edge of a letter passes, another line, fold or button does not.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from bot.demo.workspace.blocks import block_errors
from bot.gallery.page import page as gallery_page
from bot.gallery.scenes import pictures
from tests.absent import absent
from tests.judges.panel import judge

KEPT = Path(__file__).with_name("gallery")
FONTS = KEPT / "fonts.json"
"""How wide the fonts draw a line where the pictures were taken: with other fonts there is nothing to compare."""
PLAIN_TEXT = ["--disable-lcd-text", "--font-render-hinting=none"]
"""Letters in grey, placed alike on every screen."""
WIDTH, HEIGHT = 700, 900
MOST_UNLIKE = 0.004
"""Share of squares that may look different. One more line of text in a middling picture moves twenty times as many."""
MOST_HIGHER = 6
"""Pixels by which the heights may differ: less than a line."""

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

_TOOLS = """
const SQUARE = 8, FAR = 28;
const pixels = async (png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
};
/** Mean colour of each square. */
const squares = ({ data, width }, columns, rows) => {
  const sums = new Float64Array(columns * rows * 3);
  for (let y = 0; y < rows * SQUARE; y++)
    for (let x = 0; x < columns * SQUARE; x++)
      for (let c = 0; c < 3; c++)
        sums[((y / SQUARE | 0) * columns + (x / SQUARE | 0)) * 3 + c] += data[(y * width + x) * 4 + c] / SQUARE ** 2;
  return sums;
};
window.compare = async (one, other) => {
  const [a, b] = [await pixels(one), await pixels(other)];
  const columns = Math.min(a.width, b.width) / SQUARE | 0, rows = Math.min(a.height, b.height) / SQUARE | 0;
  const [p, q] = [squares(a, columns, rows), squares(b, columns, rows)];
  let unlike = 0;
  for (let i = 0; i < p.length; i += 3)
    unlike += [0, 1, 2].some((c) => Math.abs(p[i + c] - q[i + c]) > FAR);
  const [higher, wider] = [Math.abs(a.height - b.height), Math.abs(a.width - b.width)];
  return { unlike: unlike / (columns * rows), higher, wider };
};
window.colours = async (png) => {
  const { data, width, height } = await pixels(png);
  const colours = [];
  for (let i = 0; i < data.length; i += 4) colours.push(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return { colours, width, height };
};
"""
_WIDTHS = """() => {
  const wide = (font, text) => {
    const span = document.body.appendChild(document.createElement("span"));
    span.style = `font: 15px var(${font}); position: absolute`;
    span.textContent = text;
    const { width } = span.getBoundingClientRect();
    span.remove();
    return Math.round(width * 10) / 10;
  };
  return ["The quick brown fox", "慢查询", "✓ ✗ 👍 …"].flatMap((text) => [wide("--fonts", text), wide("--mono", text)]);
}"""
_OUTSIDE = """() => [...document.querySelectorAll(".message")].flatMap((message) => {
  const right = (one) => one.getBoundingClientRect().right;
  const scrolls = (one) => one.closest(".wide, pre, [class*=overflow]");
  return [...message.querySelectorAll("*")]
    .filter((one) => !scrolls(one) && right(one) > right(message) + 1)
    .map((one) => [message.dataset.user, one.className, one.textContent.slice(0, 40)]);
})"""
_PALETTE = 256
"""Colours of a PNG with one byte a pixel."""


class Camera:
    """The gallery in a browser, and a second page that looks at pictures."""

    def __init__(self, shown: Page, tools: Page) -> None:
        self.shown, self._tools = shown, tools

    @classmethod
    async def open(cls, browser: Browser, folder: Path) -> Camera:
        file = folder / "gallery.html"
        file.write_text(gallery_page(pictures()), "utf-8")
        shown = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        await shown.goto(file.as_uri())
        await shown.get_by_test_id("message").first.wait_for()
        tools = await browser.new_page()
        await tools.add_script_tag(content=_TOOLS)
        return cls(shown, tools)

    async def take(self, name: str) -> bytes:
        """The last message of a state: the one that has its end."""
        message = self.shown.locator(f'[data-user="U0{name.upper()}"]').last
        return await message.screenshot(animations="disabled")

    async def fonts(self) -> list[float]:
        """How wide the page's fonts draw a line, in pixels."""
        widths: list[float] = await self.shown.evaluate(_WIDTHS)
        return widths

    async def compare(self, taken: bytes, kept: bytes) -> dict[str, float]:
        found: dict[str, float] = await self._tools.evaluate(
            "([a, b]) => compare(a, b)", [base64.b64encode(each).decode() for each in (taken, kept)]
        )
        return found

    async def small(self, png: bytes) -> bytes:
        """The picture with at most 256 colours, which is a quarter of its size."""
        image = await self._tools.evaluate("(png) => colours(png)", base64.b64encode(png).decode())
        return _png(image["colours"], image["width"], image["height"])


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def camera(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Camera]:
    chromium = _chromium()
    if chromium is None:
        absent("chromium is not installed: the gallery was NOT drawn")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_arguments())
        yield await Camera.open(browser, tmp_path_factory.mktemp("gallery"))
        await browser.close()


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def _arguments() -> list[str]:
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    return ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *quiet, *PLAIN_TEXT]


@pytest.mark.parametrize("name", [picture.name for picture in pictures()])
async def test_a_state_looks_as_it_did(camera: Camera, name: str) -> None:
    if await camera.fonts() != json.loads(FONTS.read_text()):
        pytest.skip("other fonts than the pictures were taken with: the gallery's looks were NOT compared")
    kept = (KEPT / f"{name}.png").read_bytes()
    found = await camera.compare(await camera.take(name), kept)
    assert found["unlike"] <= MOST_UNLIKE, found
    assert found["higher"] <= MOST_HIGHER and found["wider"] == 0, found


async def test_a_changed_line_is_seen(camera: Camera) -> None:
    """The tolerance is not so wide that it sees nothing."""
    before = await camera.take("starting")
    line = camera.shown.locator('[data-user="U0STARTING"] .context span').first
    await line.evaluate("span => span.textContent = 'Working · 1 s'")
    after = await camera.take("starting")
    await line.evaluate("span => span.textContent = 'On it · 1 s'")
    assert (await camera.compare(after, before))["unlike"] > MOST_UNLIKE


async def test_everything_is_drawn_and_nothing_sticks_out(camera: Camera) -> None:
    drawn = await camera.shown.get_by_test_id("message").count()
    assert drawn == sum(len(picture.payloads) for picture in pictures())
    assert await camera.shown.get_by_test_id("placeholder").count() == 0
    outside: list[Any] = await camera.shown.evaluate(_OUTSIDE)
    assert outside == []


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)
async def test_slack_takes_every_state(picture: Any) -> None:
    for payload in picture.payloads:
        assert judge(payload) == []
        assert block_errors(payload["blocks"]) == []


async def test_every_kept_picture_is_of_a_state() -> None:
    assert sorted(path.stem for path in KEPT.glob("*.png")) == sorted(picture.name for picture in pictures())


async def _take_all(folder: Path) -> dict[str, bytes]:
    """Every picture and what is kept of the fonts, by file name. `folder` is a place for the page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_chromium(), args=_arguments())
        camera = await Camera.open(browser, folder)
        taken = {
            f"{picture.name}.png": await camera.small(await camera.take(picture.name))
            for picture in pictures()
        }
        taken[FONTS.name] = json.dumps(await camera.fonts()).encode() + b"\n"
        await browser.close()
    return taken


def main() -> None:
    """Take every picture anew."""
    with tempfile.TemporaryDirectory() as folder:
        taken = asyncio.run(_take_all(Path(folder)))
    KEPT.mkdir(exist_ok=True)
    for old in KEPT.iterdir():
        old.unlink()
    for name, content in taken.items():
        (KEPT / name).write_bytes(content)


if __name__ == "__main__":
    main()
