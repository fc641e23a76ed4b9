"""The page in headless Chromium against a small double of the local workspace's page interface."""

import asyncio
import copy
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Locator, Page, expect

STATIC = Path(__file__).parents[2] / "bot" / "demo" / "static"
WAIT_MS = 5_000
FIRST_TS = 1_790_000_000
BOT, ANA, WANG, OLAF = "U0DASBOT01", "U0ANA00001", "U0WANG0001", "U0OLAF0001"
CHANNEL, DIRECT = "C0DBOPS001", "D0ANA00001"

Message = dict[str, Any]

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def person(user: str, name: str, real_name: str, color: str, **more: Any) -> dict[str, Any]:
    locale = "zh-CN" if user == WANG else "en-US"
    known = {"id": user, "name": name, "real_name": real_name, "color": color, "locale": locale}
    return known | {"is_bot": False, "is_stranger": False} | more


def room(channel: str, name: str, *members: str, **more: Any) -> dict[str, Any]:
    known = {"id": channel, "name": name, "topic": "", "is_im": False, "is_ext_shared": False}
    return known | {"members": members, "bot_is_member": BOT in members} | more


STATE: dict[str, Any] = {
    "team": {"id": "T0DEMO0001", "name": "Acme Data"},
    "bot": BOT,
    "users": [
        person(BOT, "das", "DAS", "0f766e", is_bot=True),
        person(ANA, "ana", "Ana", "8a4fbe"),
        person(WANG, "wangfang", "王芳", "b4551d"),
        person(OLAF, "olaf", "Olaf", "31708f", is_stranger=True),
    ],
    "channels": [
        room(CHANNEL, "db-ops", BOT, ANA, WANG, topic="Databases on call"),
        room("C0SHARED01", "shared-olaf", ANA, OLAF, is_ext_shared=True),
        room(DIRECT, "das", BOT, ANA, is_im=True, user=ANA),
    ],
    "commands": [
        {
            "command": "/das-diagnose",
            "usage_hint": "<instance> [what is wrong]",
            "description": "Diagnose an instance",
        },
        {"command": "/das-ask", "usage_hint": "<question>", "description": "Ask the agent"},
    ],
}


class Workspace:
    """Keeps messages, pushes them to listening pages and remembers what pages sent."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.received: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.queues: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self.refusal = ""

    async def heard(self) -> tuple[str, dict[str, Any]]:
        """What a page sent next: post, command or action, and its body."""
        return await asyncio.wait_for(self.received.get(), WAIT_MS / 1000)

    def push(self, event: dict[str, Any]) -> None:
        for queue in self.queues:
            queue.put_nowait(copy.deepcopy(event))

    def say(self, user: str, text: str, *, channel: str = CHANNEL, **more: Any) -> str:
        ts = f"{FIRST_TS + len(self.messages)}.000100"
        message = {"ts": ts, "channel": channel, "user": user, "text": text, "versions": 1, **more}
        if user == BOT:
            message["bot_id"] = "B0DASBOT01"
        self.messages[ts] = message
        self.push({"type": "message", "message": message})
        return ts

    def update(self, ts: str, **changes: Any) -> None:
        message = self.messages[ts]
        message.update(changes, versions=message["versions"] + 1)
        self.push({"type": "message", "message": message})

    def hang_up(self) -> None:
        for queue in self.queues:
            queue.put_nowait(None)

    async def read_state(self, request: web.Request) -> web.Response:
        return web.json_response(STATE)

    async def read_messages(self, request: web.Request) -> web.Response:
        channel = request.query["channel"]
        return web.json_response({"messages": [m for m in self.messages.values() if m["channel"] == channel]})

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.json()
        kind = request.path.rsplit("/", 1)[-1]
        self.received.put_nowait((kind, body))
        if self.refusal:
            return web.json_response({"ok": False, "error": self.refusal})
        if kind != "post":
            return web.json_response({"ok": True})
        text = body["text"].replace("@das", f"<@{BOT}>")
        thread = {"thread_ts": body["thread_ts"]} if body.get("thread_ts") else {}
        return web.json_response(
            {"ok": True, "ts": self.say(body["user"], text, channel=body["channel"], **thread)}
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.queues.add(queue)
        await response.write(b": open\n\n")
        try:
            while (event := await queue.get()) is not None:
                await response.write(f"data: {json.dumps(event)}\n\n".encode())
        finally:
            self.queues.discard(queue)
        return response

    async def index(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.index)
        app.router.add_get("/page/state", self.read_state)
        app.router.add_get("/page/messages", self.read_messages)
        app.router.add_get("/page/events", self.stream)
        for kind in ("post", "command", "action"):
            app.router.add_post(f"/page/{kind}", self.receive)
        app.router.add_static("/static", STATIC)
        return app


def container(title: str, version: int, *, collapsed: bool = True, child: str = "12 rows") -> dict[str, Any]:
    return {
        "type": "container",
        "block_id": f"tool-{title}-{version}",
        "title": {"type": "plain_text", "text": title},
        "width": "full",
        "is_collapsible": True,
        "default_collapsed": collapsed,
        "child_blocks": [{"type": "section", "text": {"type": "plain_text", "text": child}}],
    }


def context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def markdown(text: str) -> dict[str, Any]:
    return {"type": "markdown", "text": text}


def buttons(version: int, *elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "block_id": f"act-{version}", "elements": list(elements)}


STOP = {
    "type": "button",
    "action_id": "run_stop",
    "value": "run:01J",
    "style": "danger",
    "text": {"type": "plain_text", "text": "Stop"},
}


@pytest_asyncio.fixture(loop_scope="module")
async def workspace() -> Workspace:
    return Workspace()


@pytest_asyncio.fixture(loop_scope="module")
async def address(workspace: Workspace) -> AsyncIterator[str]:
    runner = web.AppRunner(workspace.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    workspace.hang_up()
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, address: str) -> AsyncIterator[Page]:
    """The open page; whatever a test did, nothing was asked of another host and no script failed."""
    opened = await chromium.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(WAIT_MS)
    asked: list[str] = []
    failures: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: failures.append(str(error)))
    await opened.goto(address)
    await expect(opened.get_by_test_id("composer-input")).to_be_visible()
    yield opened
    await opened.close()
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    assert failures == []


async def ask(page: Page, text: str) -> None:
    await page.get_by_test_id("composer-input").fill(text)
    await page.get_by_test_id("composer-input").press("Enter")


async def ask_in_thread(page: Page, workspace: Workspace) -> tuple[str, Locator]:
    """Asks the bot; returns the root's ts and the thread pane that opened."""
    await ask(page, "@das why is rm-bp1demo0001 slow?")
    pane = page.get_by_test_id("thread-pane")
    await expect(pane.get_by_test_id("message")).to_have_count(1)
    return next(iter(workspace.messages)), pane


async def test_a_growing_reply_keeps_its_place_and_its_open_fold(page: Page, workspace: Workspace) -> None:
    root, pane = await ask_in_thread(page, workspace)
    first = [
        context(":hourglass_flowing_sand: Calling *GetSlowLogRecords* · 2 s"),
        container("… das_api · GetSlowLogRecords", 1),
        container("… das_api · GetLocks", 1),
    ]
    reply = workspace.say(BOT, "", thread_ts=root, blocks=[*first, buttons(1, STOP)])
    shown = pane.locator(f'[data-ts="{reply}"]')
    await expect(shown).to_contain_text("⏳ Calling GetSlowLogRecords")
    slow = shown.get_by_test_id("container").filter(has_text="GetSlowLogRecords")
    locks = shown.get_by_test_id("container").filter(has_text="GetLocks")
    await slow.get_by_test_id("container-header").click()
    await expect(slow).to_contain_text("12 rows")
    drawn = await slow.element_handle()

    for version in range(2, 8):
        text = "CPU rose to **91 %**. " * version
        older = container("✓ das_api · ListInstances · 0.2 s", version)
        title = f"✓ das_api · GetSlowLogRecords · {version}.8 s"
        grown = [older, container(title, version), container("… das_api · GetLocks", version), markdown(text)]
        workspace.update(reply, blocks=[*grown, buttons(version, STOP)])
        await expect(shown).to_have_attribute("data-versions", str(version))
        await expect(slow.get_by_test_id("container-header")).to_have_attribute("aria-expanded", "true")
    await expect(slow).to_contain_text("12 rows")
    await expect(locks.get_by_test_id("container-header")).to_have_attribute("aria-expanded", "false")
    await expect(pane.get_by_test_id("message")).to_have_count(2)
    assert drawn is not None
    assert await drawn.evaluate("element => element.isConnected"), (
        "drawn anew instead of updated: it flickers"
    )

    conclusion = [markdown("Done."), *grown[:3]]
    workspace.update(reply, blocks=conclusion, edited={"user": BOT, "ts": "1"})
    await expect(slow).to_contain_text("12 rows")
    await expect(shown).to_contain_text("(edited)")
    await slow.get_by_test_id("container-header").press("Enter")
    await expect(slow).not_to_contain_text("12 rows")


async def test_a_fold_that_starts_open_is_drawn_open(page: Page, workspace: Workspace) -> None:
    failed = container("✗ das_api · GetLockWaits · 30.0 s", 1, collapsed=False, child="Timeout")
    workspace.say(BOT, "", blocks=[failed])
    header = page.get_by_test_id("container-header")
    await expect(header).to_have_attribute("aria-expanded", "true")
    await expect(page.get_by_test_id("container")).to_contain_text("Timeout")


async def test_a_click_is_sent_as_an_action(page: Page, workspace: Workspace) -> None:
    feedback = {
        "type": "context_actions",
        "block_id": "fb-1",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "answer_feedback",
                "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "like"},
                "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "dislike"},
            }
        ],
    }
    ts = workspace.say(BOT, "", blocks=[feedback, buttons(1, STOP)])
    workspace.say(BOT, "", blocks=[buttons(2, {**STOP, "value": "run:02K"})])
    shown = page.locator(f'[data-ts="{ts}"]')
    await shown.get_by_role("button", name="Stop").click()
    negative = shown.get_by_role("button", name="Negative feedback")
    await negative.click()
    await expect(negative).to_have_attribute("aria-pressed", "true")
    place = {"user": ANA, "channel": CHANNEL, "ts": ts}
    stop = {"block_id": "act-1", "action_id": "run_stop", "value": "run:01J"}
    dislike = {"block_id": "fb-1", "action_id": "answer_feedback", "value": "dislike"}
    assert await workspace.heard() == ("action", place | stop)
    assert await workspace.heard() == ("action", place | dislike)
    assert workspace.received.empty()


async def test_a_private_line_says_so(page: Page, workspace: Workspace) -> None:
    workspace.say(BOT, "You may not ask here.", ephemeral=True)
    private = page.get_by_test_id("ephemeral")
    await expect(private).to_contain_text("Only visible to you")
    await expect(private).to_contain_text("You may not ask here.")
    await expect(page.get_by_test_id("message")).to_have_count(0)


async def test_names_and_commands_are_completed(page: Page, workspace: Workspace) -> None:
    box = page.get_by_test_id("composer-input")
    await box.press_sequentially("@d")
    await expect(page.get_by_test_id("suggestion")).to_have_count(1)
    await box.press("Enter")
    await expect(box).to_have_value("@das ")
    await box.fill("")
    await box.press_sequentially("/das")
    await expect(page.get_by_test_id("suggestion")).to_have_count(2)
    await box.press("ArrowDown")
    await box.press("Tab")
    await expect(box).to_have_value("/das-ask ")
    await box.press_sequentially("what is slow?")
    await box.press("Enter")
    await expect(box).to_have_value("")
    sent = {"user": ANA, "channel": CHANNEL, "command": "/das-ask", "text": "what is slow?"}
    assert await workspace.heard() == ("command", sent)


async def test_an_unknown_command_stays_in_the_box(page: Page, workspace: Workspace) -> None:
    await ask(page, "/nothing here")
    await expect(page.get_by_test_id("composer-failure")).to_contain_text("/nothing is not a valid command")
    await expect(page.get_by_test_id("composer-input")).to_have_value("/nothing here")
    assert workspace.received.empty()


async def test_what_the_workspace_refuses_stays_in_the_box(page: Page, workspace: Workspace) -> None:
    workspace.refusal = "msg_too_long"
    await ask(page, "a long question")
    await expect(page.get_by_test_id("composer-failure")).to_contain_text("msg_too_long")
    await expect(page.get_by_test_id("composer-input")).to_have_value("a long question")


async def test_the_answer_to_a_command_opens_its_thread(page: Page, workspace: Workspace) -> None:
    await ask(page, "/das-ask what is slow?")
    await expect(page.get_by_test_id("composer-input")).to_have_value("")
    root = workspace.say(BOT, f"<@{ANA}> asked: what is slow?")
    pane = page.get_by_test_id("thread-pane")
    await expect(pane).to_have_attribute("data-thread-ts", root)
    await expect(pane).to_contain_text("@Ana asked: what is slow?")


async def test_a_hint_fills_the_composer(page: Page, workspace: Workspace) -> None:
    hints = page.get_by_test_id("hint-question")
    await hints.first.click()
    assert await hints.count() >= 6
    box = page.get_by_test_id("composer-input")
    await expect(box).to_have_value("@das why is rm-bp1demo0001 slow?")
    await box.press("Enter")
    await expect(page.get_by_test_id("thread-pane")).to_be_visible()
    await expect(hints).to_have_count(0)


async def test_a_follow_up_goes_into_the_thread_with_line_breaks(page: Page, workspace: Workspace) -> None:
    root, pane = await ask_in_thread(page, workspace)
    box = pane.get_by_test_id("thread-composer-input")
    await expect(box).to_be_focused()
    await box.press_sequentially("and now")
    await box.press("Shift+Enter")
    await box.press_sequentially("this?")
    await pane.get_by_test_id("thread-composer-send").click()
    await expect(pane.get_by_test_id("message")).to_have_count(2)
    sent = {"user": ANA, "channel": CHANNEL, "text": "and now\nthis?", "thread_ts": root}
    assert (await workspace.heard())[0] == "post"
    assert await workspace.heard() == ("post", sent)
    await pane.get_by_test_id("thread-close").click()
    await expect(page.get_by_test_id("replies")).to_contain_text("1 reply")


async def test_the_line_is_restored_and_what_was_missed_is_fetched(page: Page, workspace: Workspace) -> None:
    ts = workspace.say(ANA, "first version")
    await expect(page.get_by_test_id("message")).to_contain_text("first version")
    workspace.messages[ts].update(text="changed while away", versions=2)
    workspace.hang_up()
    await expect(page.get_by_test_id("message")).to_contain_text("changed while away")
    await expect(page.get_by_test_id("offline")).to_have_count(0)


async def test_who_one_is_decides_what_one_sees(page: Page, workspace: Workspace) -> None:
    await page.get_by_test_id(f"channel-{DIRECT}").click()
    await ask(page, "why is it slow?")
    await expect(page.get_by_test_id("thread-pane")).to_be_visible()
    assert (await workspace.heard())[1]["channel"] == DIRECT
    await page.get_by_test_id("user-switch").select_option(OLAF)
    await expect(page.get_by_test_id(f"channel-{CHANNEL}")).to_have_count(0)
    await expect(page.get_by_test_id(f"channel-{DIRECT}")).to_have_count(0)
    await ask(page, "@das hello")
    await expect(page.get_by_test_id("message").first).to_contain_text("@das hello")
    assert (await workspace.heard())[1] == {"user": OLAF, "channel": "C0SHARED01", "text": "@das hello"}


async def test_hostile_content_is_text_and_loads_nothing(page: Page, workspace: Workspace) -> None:
    link = {"type": "link", "url": "javascript:alert(1)", "text": "rich"}
    text = "![pic](https://outside.example/x.png) [bad](javascript:alert(1)) <img src='//outside.example/y'>"
    blocks = [
        markdown(text),
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [link]}]},
        {"type": "section", "text": {"type": "mrkdwn", "text": "<javascript:alert(1)|mrkdwn>"}},
        {"type": "image", "image_url": "https://outside.example/z.png", "alt_text": "chart"},
        {"type": "data_table", "rows": []},
        {"type": "table", "rows": "not rows"},
    ]
    ts = workspace.say(BOT, "", blocks=blocks)
    shown = page.locator(f'[data-ts="{ts}"]')
    await expect(shown.get_by_test_id("placeholder")).to_have_count(2)
    links = await shown.locator("a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert links == ["https://outside.example/x.png", "https://outside.example/z.png"]
    await expect(shown.locator("img")).to_have_count(0)


async def test_text_is_drawn_as_slack_would(page: Page, workspace: Workspace) -> None:
    mrkdwn = "*bold* _it_ `a*b*c` snake_case_name 2*3*4 &lt;tag&gt; <https://a.example|site> :tada: 中文*粗*"
    table = "| 名称 | Calls |\n|---|---:|\n| `orders` | 118 |"
    plain = {"type": "section", "text": {"type": "plain_text", "text": "# das_api_x *not bold* 1. :+1:"}}
    workspace.say(BOT, mrkdwn)
    workspace.say(BOT, "", blocks=[plain, markdown(table)])
    first, second = page.get_by_test_id("message").first, page.get_by_test_id("message").last
    expected = "bold it a*b*c snake_case_name 2*3*4 <tag> site 🎉 中文*粗*"
    await expect(first.locator(".message_body")).to_have_text(expected)
    await expect(first.get_by_role("link", name="site")).to_have_attribute("href", "https://a.example")
    await expect(second.locator(".section")).to_have_text("# das_api_x *not bold* 1. 👍")
    await expect(second.locator("th")).to_have_text(["名称", "Calls"])
    await expect(second.locator("td").last).to_have_css("text-align", "right")


async def test_the_view_follows_the_end_until_the_reader_scrolls_up(page: Page, workspace: Workspace) -> None:
    for number in range(30):
        workspace.say(ANA, f"message {number}")
    scroll = page.get_by_role("log")
    last = page.get_by_test_id("message").last
    await expect(last).to_contain_text("message 29")
    await expect(last).to_be_in_viewport()
    await scroll.evaluate("list => list.scrollTo(0, 0)")
    await expect(page.get_by_test_id("message").first).to_be_in_viewport()
    workspace.say(ANA, "one more")
    await expect(page.get_by_test_id("message")).to_have_count(31)
    await expect(page.get_by_test_id("message").first).to_be_in_viewport()
    await page.get_by_role("button", name="Newer below").click()
    await expect(page.get_by_test_id("message").last).to_be_in_viewport()


async def test_what_the_bot_is_doing_is_shown_under_the_thread(page: Page, workspace: Workspace) -> None:
    root, pane = await ask_in_thread(page, workspace)
    event = {"type": "status", "channel": CHANNEL, "thread_ts": root}
    workspace.push(event | {"status": "is thinking…"})
    await expect(pane.get_by_test_id("thread-status")).to_have_text("das is thinking…")
    workspace.push(event | {"status": ""})
    await expect(pane.get_by_test_id("thread-status")).to_have_count(0)


async def test_a_deleted_message_goes_and_another_channel_shows_news(
    page: Page, workspace: Workspace
) -> None:
    ts = workspace.say(ANA, "a slip")
    await expect(page.get_by_test_id("message")).to_have_count(1)
    workspace.push({"type": "deleted", "channel": CHANNEL, "ts": ts})
    await expect(page.get_by_test_id("message")).to_have_count(0)
    other = page.get_by_test_id("channel-C0SHARED01")
    workspace.say(OLAF, "hello from outside", channel="C0SHARED01")
    await expect(other.get_by_label("unread")).to_be_visible()
    await other.click()
    await expect(page.get_by_test_id("message")).to_contain_text("hello from outside")
    await expect(other.get_by_label("unread")).to_have_count(0)


async def test_a_file_is_a_link_and_the_time_tells_the_version(page: Page, workspace: Workspace) -> None:
    files = [{"name": "result.txt", "url": "/files/1"}, {"name": "odd", "url": "javascript:alert(1)"}]
    ts = workspace.say(BOT, "see the file", files=files)
    workspace.update(ts, text="see the files")
    shown = page.locator(f'[data-ts="{ts}"]')
    await expect(shown.get_by_role("link")).to_have_text("📄 result.txt")
    await expect(shown.locator("time")).to_have_attribute("title", re.compile(f"ts {ts} · version 2$"))
