"""Every state of a reply looks as it did when somebody looked at it: pictures of the gallery beside committed ones.

The fonts come by a lock file (pinned_fonts.py), so the pictures are the same wherever Chromium is. `make gallery` takes
them anew, after a change that is meant to be seen.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.demo.workspace.blocks import block_errors
from bot.gallery.scenes import pictures
from tests.e2e.camera import KEPT, PLAIN_TEXT, Camera, Difference, camera
from tests.e2e.pinned_fonts import SOURCE, fonts_of_the_machine
from tests.judges.panel import judge

MOST_MARKS = 10
"""Small squares that may look different: what another Chromium's way of drawing edges of letters may change. Placing
all letters at whole pixels, a harsher change than any between two versions, changed 8 in the worst of the pictures."""
MOST_AREAS = 0
"""Large squares that may: the same change altered none."""
MOST_HIGHER = 2
"""Pixels by which the heights may differ: rounding, less than a tenth of a line."""
WHOLE_PIXELS = (*PLAIN_TEXT, "--disable-font-subpixel-positioning")

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

_OUTSIDE = """() => [...document.querySelectorAll(".message")].flatMap((message) => {
  const right = (one) => one.getBoundingClientRect().right;
  const scrolls = (one) => one.closest(".wide, pre, [class*=overflow]");
  return [...message.querySelectorAll("*")]
    .filter((one) => !scrolls(one) && right(one) > right(message) + 1)
    .map((one) => [message.dataset.user, one.className, one.textContent.slice(0, 40)]);
})"""
_BUTTON = """(message, [name]) =>
  [...message.querySelectorAll("button")].find((button) => button.textContent === name).style.visibility = "hidden";
"""
_STYLE = "(message, [selector, style]) => message.querySelector(selector).style.cssText += style"
_TEXT = "(message, [selector, text]) => { message.querySelector(selector).textContent = text }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def look() -> AsyncIterator[Camera]:
    async with camera(*PLAIN_TEXT) as opened:
        yield opened


def looks_alike(found: Difference) -> bool:
    alike = found.marks <= MOST_MARKS and found.areas <= MOST_AREAS
    return alike and found.higher <= MOST_HIGHER and found.wider == 0


def kept(name: str) -> bytes:
    return (KEPT / f"{name}.png").read_bytes()


@pytest.mark.parametrize("name", [picture.name for picture in pictures()])
async def test_a_state_looks_as_it_did(look: Camera, name: str) -> None:
    found = await look.compare(await look.take(name), kept(name))
    assert looks_alike(found), (
        f"{found}: if this is meant, run `make gallery`, look at the picture and commit it"
    )


async def test_no_font_of_the_machine_draws_a_letter(look: Camera) -> None:
    assert await fonts_of_the_machine(look.shown) == {}


@pytest.mark.parametrize(
    ("name", "spoil", "what"),
    [
        ("answered", _BUTTON, ["New session"]),
        ("starting", _BUTTON, ["Stop"]),
        ("answered", _STYLE, [".slack_blocks_to_jsx__feedback_buttons_element button", "visibility: hidden"]),
        ("failed", _STYLE, [".alert", "background: #fef5e5"]),
        ("failed", _STYLE, [".alert", "background: none"]),
        ("longer-than-one-message", _STYLE, ["li", "display: none"]),
        ("longer-than-one-message", _STYLE, ["li", "visibility: hidden"]),
        ("longer-than-one-message", _STYLE, [".markdown", "margin-left: 3px"]),
        ("starting", _TEXT, [".context span", "Working · 1 s"]),
        ("stopped", _STYLE, ["strong", "font-weight: 400"]),
        ("answered", _STYLE, [".slack_inline_code", "visibility: hidden"]),
        ("answered", _STYLE, ["table", "display: none"]),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
async def test_a_defect_is_seen(look: Camera, name: str, spoil: str, what: list[str]) -> None:
    """The tolerance is not so wide that it sees nothing."""
    message = await look.message(name).element_handle()
    assert message is not None
    whole = await message.inner_html()
    try:
        await message.evaluate(spoil, what)
        assert not looks_alike(await look.compare(await look.take(name), kept(name)))
    finally:
        await message.evaluate("(message, whole) => { message.innerHTML = whole }", whole)
    assert looks_alike(await look.compare(await look.take(name), kept(name)))


async def test_letters_placed_another_way_are_not_taken_for_a_defect() -> None:
    """The tolerance is not so narrow that another version of the browser breaks it."""
    async with camera(*WHOLE_PIXELS) as other:
        for name in ("chinese-tools-at-work", "chinese-waiting-for-an-approval"):
            found = await other.compare(await other.take(name), kept(name))
            assert found.marks > 0, "these letters are placed as they were"
            assert looks_alike(found)


async def test_everything_is_drawn_and_nothing_sticks_out(look: Camera) -> None:
    drawn = await look.shown.get_by_test_id("message").count()
    assert drawn == sum(len(picture.payloads) for picture in pictures())
    assert await look.shown.get_by_test_id("placeholder").count() == 0
    outside: list[Any] = await look.shown.evaluate(_OUTSIDE)
    assert outside == []


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)
async def test_slack_takes_every_state(picture: Any) -> None:
    for payload in picture.payloads:
        # A stream is sent no text beside its chunks.
        assert judge(payload | {"text": "…"} if picture.streams else payload) == []
        assert block_errors(payload["blocks"]) == []


async def test_every_kept_picture_is_of_a_state() -> None:
    assert sorted(path.stem for path in KEPT.glob("*.png")) == sorted(picture.name for picture in pictures())


async def test_the_lock_file_of_the_fonts_names_no_registry() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    packages = [about for path, about in lock["packages"].items() if path]
    assert packages and not any("resolved" in about for about in packages)
    assert all(about["integrity"].startswith("sha512-") for about in packages)
