"""The fonts of the gallery's pictures: from npm by a lock file, so that no machine's own fonts decide how they look."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from playwright.async_api import Page, Route

from tests.node_packages import node_packages

SOURCE = Path(__file__).with_name("fonts")
SHEETS = (
    "@fontsource/lato/400.css",
    "@fontsource/lato/400-italic.css",
    "@fontsource/lato/700.css",
    "@fontsource/lato/900.css",
    "@fontsource/dejavu-mono/400.css",
    "@fontsource/dejavu-mono/700.css",
    "@fontsource-variable/noto-sans-sc/wght.css",
    "@fontsource/noto-sans-symbols-2/400.css",
    "@fontsource/noto-color-emoji/emoji-400.css",
)
"""Lato is what Slack writes in; the others have the letters, signs and pictures it lacks."""
_OTHERS = '"Noto Color Emoji", "Noto Sans SC Variable", "Noto Sans Symbols 2"'
_FAMILIES = f':root {{ --fonts: "Lato", {_OTHERS}; --mono: "DejaVu Mono", {_OTHERS}; }}'
_HOST = "https://fonts.test"
_LOADED = """async () => {
  do {
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    await document.fonts.ready;
  } while (document.fonts.status !== "loaded");
}"""


_SETTINGS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>/usr/local/share/fonts</dir>
  <dir prefix="xdg">fonts</dir>
  <cachedir>{cache}</cachedir>
  <match target="font">
    <edit name="antialias" mode="assign"><bool>true</bool></edit>
    <edit name="hinting" mode="assign"><bool>false</bool></edit>
    <edit name="autohint" mode="assign"><bool>false</bool></edit>
    <edit name="rgba" mode="assign"><const>none</const></edit>
  </match>
</fontconfig>
"""


def font_settings(folder: Path) -> Path:
    """A file for the browser's FONTCONFIG_FILE, written into `folder`: how letters are drawn, whatever the machine is
    set to. Without any font of the machine a browser lays nothing out, although it draws no letter in one."""
    file = folder / "fonts.conf"
    file.write_text(_SETTINGS.format(cache=escape(str(folder))), "utf-8")
    return file


async def use_pinned_fonts(page: Page) -> None:
    """Draw a page in them. The page's policy has to be lifted (`bypass_csp`) when its context is made."""
    why = "the gallery's looks were NOT compared"
    packages = node_packages(SOURCE, "gallery-fonts", why) / "node_modules"

    async def serve(route: Route) -> None:
        path = packages / route.request.url.removeprefix(f"{_HOST}/")
        await route.fulfill(path=path, headers={"Access-Control-Allow-Origin": "*"})

    await page.route(f"{_HOST}/**", serve)
    sheets = [_absolute(sheet, (packages / sheet).read_text("utf-8")) for sheet in SHEETS]
    await page.add_style_tag(content="\n".join([*sheets, _FAMILIES]))
    await page.evaluate(_LOADED)


def _absolute(sheet: str, style: str) -> str:
    return re.sub(r"url\(\./", f"url({_HOST}/{sheet.rpartition('/')[0]}/", style)


async def fonts_of_the_machine(page: Page) -> dict[str, int]:
    """Letters drawn in fonts that were not served to the page: none, when nothing is left to the machine."""
    session = await page.context.new_cdp_session(page)
    await session.send("DOM.enable")
    await session.send("CSS.enable")
    document: Any = await session.send("DOM.getDocument", {"depth": 0})
    found: Any = await session.send(
        "DOM.querySelectorAll", {"nodeId": document["root"]["nodeId"], "selector": ".message, .message *"}
    )
    foreign: dict[str, int] = {}
    for node in found["nodeIds"]:
        used: Any = await session.send("CSS.getPlatformFontsForNode", {"nodeId": node})
        for font in used["fonts"]:
            if not font["isCustomFont"]:
                name = font["familyName"]
                foreign[name] = foreign.get(name, 0) + int(font["glyphCount"])
    await session.detach()
    return foreign
