"""The page: one file without any address in it, drawn by the code of the demo's page.

That page asks its server for a workspace and listens for changes. Here a few lines stand in the server's place and hand
out a workspace that has one channel, in which each state is a message and its title the name of who wrote it.
"""

from __future__ import annotations

import json
from importlib.resources import files as resources
from typing import Any

from bot.gallery.making import Picture

_CHANNEL, _VIEWER = "C0GALLERY1", "U0ANA00001"
_EPOCH = 1_767_225_600
"""The first message's time, in Unix seconds; the page orders by it and does not show it here."""
_STREAM_SECONDS = 3_600
"""What a stream is said to live on; none ends while somebody looks."""

_SERVER = """
const gallery = JSON.parse(document.getElementById("gallery").textContent);
const answer = (path) => (path.startsWith("/page/state") ? gallery.state
  : path.startsWith("/page/messages") ? { ok: true, messages: gallery.messages }
  : { ok: false, error: "this is a gallery, nothing runs here" });
window.fetch = async (path) => new Response(JSON.stringify(answer(String(path))));
window.EventSource = class { constructor() { setTimeout(() => this.onopen?.()); } close() {} };
"""
_STYLE = """
html, body, #page { height: auto; }
body { overflow: auto; background: #efeef1; }
.sidebar, .bar, .composer, .day, .to_end, .message_head time, .reply_here { display: none !important; }
.page, .channel_view, .scroll_frame, .scroll, .scroll_content { display: block; height: auto; padding: 0;
  overflow: visible; background: none; }
.scroll_content { columns: 600px; column-gap: 20px; max-width: 1900px; margin: 0 auto; padding: 20px; }
.scroll_content > div { break-inside: avoid; padding-bottom: 20px; }
.message, .message:hover { padding: 14px 18px 16px; border: 1px solid var(--line); border-radius: 10px;
  background: var(--paper); }
"""
_CSP = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def page(pictures: list[Picture]) -> str:
    """The pictures as HTML."""
    static = resources("bot.demo") / "static"
    script = (static / "app.js").read_text("utf-8")
    style = (static / "app.css").read_text("utf-8")
    # No sign in it may be taken for the end of the element it stands in.
    data = json.dumps(_workspace(pictures), ensure_ascii=False).replace("<", "\\u003c")
    script = script.replace("</script", "<\\/script")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">',
            f"<title>das-bot · every state of a reply</title><style>{style}{_STYLE}</style></head>",
            '<body><div id="page"></div>',
            f'<script type="application/json" id="gallery">{data}</script>',
            f"<script>{_SERVER}</script><script>{script}</script></body></html>",
        ]
    )


def _workspace(pictures: list[Picture]) -> dict[str, Any]:
    """What the demo's page is told of a workspace and its messages."""
    users = [_person(_VIEWER, "Ana", is_bot=False)]
    messages: list[dict[str, Any]] = []
    for picture in pictures:
        user = f"U0{picture.name.upper()}"
        users.append(_person(user, f"das · {picture.title}", is_bot=True))
        for number, payload in enumerate(picture.payloads):
            messages.append(
                {
                    "ts": f"{_EPOCH + len(messages)}.000100",
                    "channel": _CHANNEL,
                    "user": user,
                    "bot_id": "B0DASBOT01",
                    "versions": 1,
                    **({"streaming": {"seconds_left": _STREAM_SECONDS}} if picture.streams else {}),
                    **payload,
                }
            )
            if number + 1 == len(picture.payloads) and picture.files:
                messages[-1]["files"] = [{"name": file.name, "title": file.title} for file in picture.files]
    channel = {"id": _CHANNEL, "name": "gallery", "topic": "", "members": [_VIEWER], "bot_is_member": True}
    state = {"team": {"id": "T0GALLERY1", "name": "Gallery"}, "bot": users[1]["id"], "users": users}
    return {"state": {**state, "channels": [channel], "commands": []}, "messages": messages}


def _person(user: str, name: str, *, is_bot: bool) -> dict[str, Any]:
    return {"id": user, "name": name, "real_name": name, "is_bot": is_bot, "color": "e0559b"}
