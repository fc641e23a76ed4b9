"""The page in headless Chromium on the real local workspace: streams, Stop, modals, files, long answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import NO_LIMITS, Command, Workspace

CHANNEL, ELSEWHERE, ANA, BEN = "C0DBOPS001", "C0RANDOM01", "U0ANA00001", "U0BEN00001"
WAIT_MS = 5_000

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def workspace() -> AsyncIterator[Workspace]:
    """Nobody listens for events; what people do is on record all the same."""
    workspace = Workspace(
        rates=NO_LIMITS, commands=[Command("/das-ask")], event_url="http://127.0.0.1:9/", redelivery_delays=()
    )
    await workspace.start()
    yield workspace
    await workspace.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def bot(workspace: Workspace) -> AsyncIterator[AsyncWebClient]:
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient(workspace.bot_token, base_url=workspace.api_url, session=session)


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, workspace: Workspace) -> AsyncIterator[Page]:
    opened = await chromium.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(WAIT_MS)
    failures: list[str] = []
    opened.on("pageerror", lambda error: failures.append(str(error)))
    await opened.goto(f"{workspace.url}/#{CHANNEL}/{ANA}")
    await expect(opened.get_by_test_id("composer-input")).to_be_visible()
    yield opened
    await opened.close()
    assert failures == []


async def in_thread(page: Page, workspace: Workspace) -> tuple[str, Locator]:
    """A thread of Ana's: its ts and the pane that shows it."""
    root = workspace.say(ANA, CHANNEL, "why is it slow?")
    await page.goto(f"{workspace.url}/#{CHANNEL}/{ANA}/{root}")
    pane = page.get_by_test_id("thread-pane")
    await expect(pane.get_by_test_id("message")).to_have_count(1)
    return root, pane


def text(words: str) -> dict[str, Any]:
    return {"type": "markdown_text", "text": words}


def task(status: str, title: str = "GetSlowLog", **more: Any) -> dict[str, Any]:
    return {"type": "task_update", "id": "t1", "title": title, "status": status, **more}


async def start(bot: AsyncWebClient, root: str, *chunks: Any, **more: Any) -> str:
    person = {"recipient_user_id": ANA, "recipient_team_id": "T0DEMO00001"}
    started = await bot.chat_startStream(channel=CHANNEL, thread_ts=root, chunks=chunks, **person, **more)
    return str(started["ts"])


LINES = """cell => {
  const tops = new Set();
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    for (const { top } of range.getClientRects()) tops.add(Math.round(top));
  }
  return tops.size;
}"""
"""On how many lines the text of a cell stands."""


async def until_gap(log: Locator, bound: str) -> None:
    """Waits, frame by frame, until so many pixels lie below what is in view."""
    look = f"list.scrollHeight - list.scrollTop - list.clientHeight {bound}"
    wait = f"new Promise(done => {{ const look = () => {look} ? done() : requestAnimationFrame(look); look(); }})"
    async with asyncio.timeout(WAIT_MS / 1000):
        await log.evaluate(f"list => {wait}")


async def test_a_stream_grows_before_the_reader_and_its_card_changes_in_place(
    page: Page, workspace: Workspace, bot: AsyncWebClient
) -> None:
    root, pane = await in_thread(page, workspace)
    ts = await start(bot, root, text("Looking at "), task("in_progress", details="last hour"))
    shown = pane.locator(f'[data-ts="{ts}"]')
    await expect(shown).to_have_attribute("data-streaming", "true")
    await expect(shown).to_contain_text("Looking at")
    card = shown.get_by_test_id("task")
    await expect(card.get_by_role("img", name="running")).to_be_visible()
    await card.get_by_role("button").click()
    await expect(card).to_contain_text("last hour")
    more = [task("complete", "GetSlowLog · 1.2 s", output="3 rows"), text("The cause is **one** query.")]
    await bot.chat_appendStream(channel=CHANNEL, ts=ts, chunks=more)
    await expect(card).to_have_count(1)
    await expect(card).to_contain_text("GetSlowLog · 1.2 s")
    await expect(card, "the fold stays open").to_contain_text("3 rows")
    await expect(card).to_have_attribute("data-status", "complete")
    await expect(shown.locator("strong")).to_have_text("one")
    await bot.chat_stopStream(channel=CHANNEL, ts=ts)
    await expect(shown).not_to_have_attribute("data-streaming", "true")
    await expect(shown).not_to_contain_text("(edited)")


async def test_a_plan_is_drawn_with_its_title_and_tasks(
    page: Page, workspace: Workspace, bot: AsyncWebClient
) -> None:
    root, pane = await in_thread(page, workspace)
    plan = {"type": "plan_update", "title": "Three checks"}
    ts = await start(bot, root, task("pending"), plan, task_display_mode="plan")
    shown = pane.locator(f'[data-ts="{ts}"]')
    await expect(shown.get_by_test_id("plan")).to_contain_text("Three checks")
    await expect(shown.get_by_test_id("plan").get_by_test_id("task")).to_have_text(["○GetSlowLog"])


async def test_slacks_own_stop_stands_where_something_streams(
    page: Page, workspace: Workspace, bot: AsyncWebClient
) -> None:
    root, pane = await in_thread(page, workspace)
    stop = pane.get_by_test_id("native-stop")
    await expect(stop).to_have_count(0)
    ts = await start(bot, root, text("It goes on and"), task("in_progress"))
    await stop.click()
    await expect(stop).to_have_count(0)
    event = workspace.events[-1].payload["event"]
    assert (event["type"], event["user"], event["streaming_message_ts"]) == (
        "agent_session_stopped",
        ANA,
        [ts],
    )
    await expect(pane.locator(f'[data-ts="{ts}"]')).to_contain_text("Ended with a task unfinished")


async def test_a_modal_is_filled_in_refused_and_cancelled(
    page: Page, workspace: Workspace, bot: AsyncWebClient
) -> None:
    def plain(words: str) -> dict[str, Any]:
        return {"type": "plain_text", "text": words}

    element = {"type": "plain_text_input", "action_id": "comment", "multiline": True, "min_length": 5}
    why = {
        "type": "static_select",
        "action_id": "why",
        "options": [{"text": plain("Wrong"), "value": "wrong"}],
    }
    asked = [("c", "What was wrong?", element), ("w", "Kind", why)]
    view = {
        "type": "modal",
        "title": plain("Your comment"),
        "submit": plain("Send"),
        "notify_on_close": True,
        "blocks": [
            {"type": "section", "text": plain("Thank you for rating.")},
            *({"type": "input", "block_id": b, "label": plain(words), "element": e} for b, words, e in asked),
        ],
    }
    await bot.views_open(trigger_id=workspace.state.new_trigger(BEN), view=view)
    modal = page.get_by_test_id("modal")
    await bot.views_open(trigger_id=workspace.state.new_trigger(ANA), view=view)
    await expect(modal).to_have_count(1)
    await expect(modal).to_contain_text("Thank you for rating.")
    await modal.get_by_label("What was wrong?").fill("meh")
    await modal.get_by_test_id("modal-submit").click()
    await expect(modal.get_by_role("alert").first).to_contain_text("5 to 3000")
    await expect(modal.get_by_role("alert").last).to_contain_text("required")
    await modal.get_by_label("What was wrong?").fill("数据不完整，少了一行")
    await modal.get_by_label("Kind").select_option("wrong")
    await modal.get_by_test_id("modal-submit").click()
    await expect(modal).to_contain_text("dispatch_failed")
    values = workspace.deliveries[-1].payload["view"]["state"]["values"]
    assert values["c"]["comment"]["value"] == "数据不完整，少了一行"
    assert values["w"]["why"]["selected_option"]["value"] == "wrong"
    await page.reload()
    await expect(modal).to_contain_text("Your comment")
    await page.keyboard.press("Escape")
    await expect(modal).to_have_count(0)
    assert workspace.deliveries[-1].payload["type"] == "view_closed"
    assert workspace.modal(BEN) is not None


async def test_a_file_can_be_fetched(page: Page, workspace: Workspace, bot: AsyncWebClient) -> None:
    root, pane = await in_thread(page, workspace)
    rows = "id,秒\n" + "1,2\n" * 500
    await bot.files_upload_v2(channel=CHANNEL, thread_ts=root, content=rows, filename="result.csv")
    await expect(pane).to_contain_text("2 KB")
    async with page.expect_download() as download:
        await pane.get_by_role("link", name="result.csv").click()
    fetched = await (await download.value).path()
    assert fetched.read_text() == rows


async def test_a_mention_where_the_bot_is_not_brings_a_private_hint_and_invite_helps(
    page: Page, workspace: Workspace
) -> None:
    await page.goto(f"{workspace.url}/#{ELSEWHERE}/{ANA}")
    box = page.get_by_test_id("composer-input")
    await box.fill("@das why?")
    await box.press("Enter")
    hint = page.get_by_test_id("ephemeral")
    await expect(hint).to_contain_text("Slackbot")
    await expect(hint).to_contain_text("/invite @das")
    await expect(page.get_by_test_id("thread-pane")).to_have_count(0)
    await box.fill("/invite @das")
    await box.press("Enter")
    await expect(box).to_have_value("")
    await workspace.until(lambda: "U0DASBOT01" in workspace.channels[ELSEWHERE].members)
    await box.fill("/archive")
    await box.press("Enter")
    await expect(page.get_by_text("This channel is archived.")).to_be_visible()
    await expect(box).to_have_count(0)


async def test_an_own_message_can_be_deleted(page: Page, workspace: Workspace) -> None:
    ts = workspace.say(ANA, CHANNEL, "wrong channel")
    other = workspace.say(BEN, CHANNEL, "mine")
    page.on("dialog", lambda dialog: dialog.accept())
    message = page.locator(f'[data-ts="{ts}"]')
    await message.hover()
    await message.get_by_test_id("delete").click()
    await expect(message).to_have_count(0)
    await expect(page.locator(f'[data-ts="{other}"]').get_by_test_id("delete")).to_have_count(0)
    assert workspace.messages.find(CHANNEL, ts) is None


GETS_SHORTER_THEN_LONGER = """list => new Promise(done => {
  const grown = document.createElement("div");
  const grow = pixels => { grown.style.height = `${pixels}px`; };
  const frames = (n, then) => requestAnimationFrame(() => (n > 1 ? frames(n - 1, then) : then()));
  const between = new MessageChannel();
  list.firstElementChild.append(grown);
  grow(2000);
  frames(3, () => {
    grow(1900);
    between.port1.onmessage = () => { grow(2600); frames(3, done); };
    between.port2.postMessage(0);
  });
})"""
"""The second change comes after a frame was drawn, and before the browser tells that it moved the list."""


async def test_a_growing_answer_stays_in_view_until_the_reader_scrolls_up_and_from_when_they_write(
    page: Page, workspace: Workspace, bot: AsyncWebClient
) -> None:
    root, pane = await in_thread(page, workspace)
    log, newer = pane.get_by_role("log"), pane.get_by_role("button", name="Newer below")

    async def show(lines: int) -> None:
        words = "\n\n".join(f"Line {n} of {lines}" for n in range(lines))
        block = {"type": "markdown", "text": words}
        await bot.chat_update(channel=CHANNEL, ts=ts, text="x", blocks=[block])
        await expect(pane.get_by_text(f"Line {lines - 1} of {lines}")).to_be_attached()

    ts = (await bot.chat_postMessage(channel=CHANNEL, thread_ts=root, text="on it"))["ts"]
    for lines in (40, 30, 60):
        await show(lines)
        await until_gap(log, "<= 2")
    await log.evaluate(GETS_SHORTER_THEN_LONGER)
    await until_gap(log, "<= 2")
    await expect(newer).to_have_count(0)

    await log.hover()
    await page.mouse.wheel(0, -30)
    await until_gap(log, "> 20")
    await show(61)
    await expect(newer).to_be_visible()
    await until_gap(log, "> 20")
    await newer.click()
    await until_gap(log, "<= 2")

    await log.hover()
    await page.mouse.wheel(0, -30)
    await until_gap(log, "> 20")
    box = pane.get_by_test_id("thread-composer-input")
    await box.fill("and since when?")
    await box.press("Enter")
    await expect(pane.get_by_text("and since when?")).to_be_in_viewport()
    await show(70)
    await until_gap(log, "<= 2")


async def test_a_number_and_its_unit_stay_on_one_line(
    page: Page, workspace: Workspace, bot: AsyncWebClient
) -> None:
    root, pane = await in_thread(page, workspace)
    long = "SELECT a very long statement " * 4
    cells = [("Statement", "Average", "平均"), (long, "1.84 s", "12.5 秒")]
    rows = "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], ("---",) * 3, *cells[1:]])
    table = {"type": "table", "rows": [[{"type": "raw_text", "text": c} for c in row] for row in cells]}
    blocks: list[dict[str, Any]] = [{"type": "markdown", "text": rows}, table]
    posted = await bot.chat_postMessage(channel=CHANNEL, thread_ts=root, text="x", blocks=blocks)
    shown = pane.locator(f'[data-ts="{posted["ts"]}"]')
    for value in ("1.84\u00a0s", "12.5\u00a0秒"):
        found = shown.locator("td", has_text=value)
        await expect(found).to_have_count(2)
        for cell in await found.all():
            assert await cell.evaluate(LINES) == 1, json.dumps(value)


async def test_errors_are_announced_at_once_and_other_notes_politely(
    page: Page, workspace: Workspace, bot: AsyncWebClient
) -> None:
    root, pane = await in_thread(page, workspace)
    blocks = [
        {"type": "alert", "level": level, "text": {"type": "plain_text", "text": level}}
        for level in ("error", "warning", "info")
    ]
    posted = await bot.chat_postMessage(channel=CHANNEL, thread_ts=root, text="x", blocks=blocks)
    shown = pane.locator(f'[data-ts="{posted["ts"]}"]')
    await expect(shown.get_by_role("alert")).to_have_text(["⊗error"])
    await expect(shown.get_by_role("status")).to_have_text(["⚠warning", "ⓘinfo"])
    await bot.reactions_add(channel=CHANNEL, timestamp=posted["ts"], name="eyes")
    await expect(shown).to_contain_text("👀 1")


async def test_a_thread_named_by_the_address_opens_whatever_the_page_is_at(
    page: Page, workspace: Workspace
) -> None:
    """The page keeps the address up to date itself, perhaps between somebody's change of it and hearing of it."""
    root = workspace.say(ANA, CHANNEL, "why is it slow?")
    await page.evaluate(
        """(hash) => {
          const before = location.hash;
          location.hash = hash;
          history.replaceState(null, "", before);
        }""",
        f"#{CHANNEL}/{ANA}/{root}",
    )
    await expect(page.get_by_test_id("thread-pane").get_by_test_id("message")).to_have_count(1)


async def test_a_thread_of_a_workspace_that_is_gone_is_not_open(page: Page, workspace: Workspace) -> None:
    """A tab that was left open while the demo ended and was started anew."""
    _, pane = await in_thread(page, workspace)
    await page.goto(f"{workspace.url}/#{CHANNEL}/{ANA}/1700000000.000001")
    await expect(pane).to_have_count(0)
    await page.reload()
    await expect(page.get_by_test_id("message")).to_have_count(1)
    await expect(pane).to_have_count(0)
