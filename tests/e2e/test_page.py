"""What a person sees: the real bot between the doubles, driven through the page in headless Chromium."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from bot.demo.das import Received
from bot.demo.stage import Stage
from bot.demo.workspace.messages import Message

BOT, ANA, OLAF = "U0DASBOT01", "U0ANA00001", "U0OLAF0001"
OPS, ORDERS, SHARED, RANDOM, DIRECT = "C0DBOPS001", "C0ORDERS01", "C0SHARED01", "C0RANDOM01", "D0ANA00001"
WAIT_MS = 15_000
"""Longest wait for something to appear. Far more than it takes: a busy machine is slow, not wrong."""
HUMAN = 0.3
"""Pace of answers that are watched while they run."""

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


class Thread:
    """The thread pane of the page."""

    def __init__(self, page: Page) -> None:
        self.pane = page.get_by_test_id("thread-pane")
        self.replies = self.pane.locator(f'[data-testid="message"][data-user="{BOT}"]')

    def reply(self, number: int = 0) -> Locator:
        return self.replies.nth(number)

    async def write(self, text: str) -> None:
        box = self.pane.get_by_test_id("thread-composer-input")
        await box.fill(text)
        await box.press("Enter")

    async def root_ts(self) -> str:
        return await self.pane.get_attribute("data-thread-ts") or ""


async def ask(page: Page, text: str, channel: str = OPS) -> Thread:
    """Asks in a channel; the thread opens beside it."""
    thread = Thread(page)
    await page.get_by_test_id(f"channel-{channel}").click()
    if await thread.pane.count():
        await page.get_by_test_id("thread-close").click()
    box = page.get_by_test_id("composer-input")
    await box.fill(text)
    await box.press("Enter")
    await expect(thread.pane).to_be_visible()
    return thread


async def ended(reply: Locator) -> None:
    await expect(reply.get_by_role("button", name=re.compile("^(Ask again|重新提问)$"))).to_be_visible()


def button(reply: Locator, name: str) -> Locator:
    return reply.get_by_role("button", name=name, exact=True)


def asked(stage: Stage, words: str) -> list[Received]:
    """What the simulated agent was asked with these words."""
    return [request for request in stage.das.requests if words in request.question]


async def message(stage: Stage, reply: Locator) -> Message:
    """The message behind what the page shows, with all its versions."""
    ts = await reply.get_attribute("data-ts")
    return next(m for m in stage.workspace.messages if m.ts == ts)


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, stage: Stage) -> AsyncIterator[Page]:
    """The page as Ana opens it. No script may fail, nothing is asked of another host, no answer is left running."""
    opened = await chromium.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    failures: list[str] = []
    foreign: list[str] = []
    home = (stage.workspace.url, "data:", "blob:")
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.on("request", lambda r: None if r.url.startswith(home) else foreign.append(r.url))
    await opened.goto(stage.workspace.url)
    await expect(opened.get_by_test_id("composer-input")).to_be_visible()
    pace = stage.das.pace
    yield opened
    stage.das.pace = pace
    await opened.close()
    assert (failures, foreign) == ([], [])
    assert stage.das.open_now == 0
    assert stage.bot is not None and stage.bot.returncode is None


async def test_one_reply_grows_in_place_and_the_thread_goes_on(page: Page, stage: Stage) -> None:
    stage.das.pace = HUMAN
    thread = await ask(page, "@das why is rm-bp1demo0001 slow?")
    reply = thread.reply()
    await expect(button(reply, "Stop")).to_be_visible()
    ts = await reply.get_attribute("data-ts")
    await expect(reply.get_by_test_id("container").first).to_contain_text("GetPerformanceMetrics")
    await ended(reply)
    await expect(thread.replies).to_have_count(1)
    assert await reply.get_attribute("data-ts") == ts
    grown = await message(stage, reply)
    assert len(grown.versions) >= 4
    assert all("⏳" not in (v.text or "") for v in grown.versions[-1:])
    await expect(button(reply, "Stop")).to_have_count(0)
    await expect(reply).to_contain_text("no index on orders.user_id")
    await expect(reply.locator("table")).to_contain_text("14,212")
    await expect(reply.locator("pre").first).to_contain_text("ADD INDEX idx_user_created")
    await expect(reply).to_contain_text(
        re.compile(r"DAS Agent · [\d.]+ s · 3 tool calls · [\d,]+ characters · \w{4}-\w{4}")
    )
    for name in ("Ask again", "New session"):
        await expect(button(reply, name)).to_be_visible()
    await expect(reply.get_by_role("button", name=re.compile("feedback|answer", re.I))).to_have_count(2)

    fold = reply.get_by_test_id("container").filter(has_text="GetSlowLogStatistic")
    header = fold.get_by_test_id("container-header")
    await expect(header).to_contain_text(re.compile(r"✓ das_api · GetSlowLogStatistic · [\d.]+ s"))
    await expect(header).to_have_attribute("aria-expanded", "false")
    await header.click()
    await expect(fold).to_contain_text("TotalTime")
    await expect(fold).to_contain_text("7f3a91c2")
    await header.click()
    await expect(header).to_have_attribute("aria-expanded", "false")
    await expect(fold).not_to_contain_text("7f3a91c2")

    stage.das.pace = 0.04
    await thread.write("is the index safe to add in production?")
    second = thread.reply(1)
    await ended(second)
    await expect(second).to_contain_text("the missing index on orders.user_id I described above")
    first, follow_up = asked(stage, "why is rm-bp1demo0001 slow"), asked(stage, "safe to add")
    assert [len(first), len(follow_up)] == [1, 1]
    assert first[0].session_id and first[0].session_id == follow_up[0].session_id


async def test_another_thread_is_another_session(page: Page, stage: Stage) -> None:
    thread = await ask(page, "@das is it safe, in a thread of its own?")
    await ended(thread.reply())
    await expect(thread.reply()).not_to_contain_text("described above")
    sessions = {request.session_id for request in stage.das.runs}
    assert asked(stage, "thread of its own")[0].session_id in sessions and len(sessions) >= 2


async def test_a_command_gets_a_thread_with_a_visible_root(page: Page, stage: Stage) -> None:
    await page.get_by_test_id(f"channel-{ORDERS}").click()
    box = page.get_by_test_id("composer-input")
    await box.fill("/das-diagnose rm-bp1demo0002 the disk is almost full")
    await box.press("Enter")
    root = page.get_by_role("log", name="# orders-oncall").get_by_test_id("message")
    await expect(root.last).to_contain_text("@Ana asked: Diagnose rm-bp1demo0002: the disk is almost full")
    reply = Thread(page).reply(1)  # The root is the bot's too.
    await ended(reply)
    await expect(reply).to_contain_text("rm-bp1demo0002")
    assert len(asked(stage, "rm-bp1demo0002")) == 1


@pytest.mark.parametrize("command", ["/das-diagnose", "/das-diagnose slow", "/das-ask"])
async def test_a_command_without_a_question_says_how_to_use_it(
    page: Page, stage: Stage, command: str
) -> None:
    before = len(stage.das.requests)
    box = page.get_by_test_id("composer-input")
    await box.fill(command)
    await box.press("Enter")
    await expect(page.get_by_test_id("ephemeral").last).to_contain_text(f"Usage: {command.split()[0]} <")
    assert len(stage.das.requests) == before


async def test_a_direct_message_needs_no_mention(page: Page, stage: Stage) -> None:
    thread = await ask(page, "who holds the locks on rm-bp1demo0003?", DIRECT)
    await ended(thread.reply())
    await expect(thread.reply()).to_contain_text("rm-bp1demo0003")


async def test_a_chinese_question_is_answered_in_chinese(page: Page, stage: Stage) -> None:
    thread = await ask(page, "@das rm-bp1demo0004 为什么变慢了？")
    reply = thread.reply()
    await ended(reply)
    await expect(reply).to_contain_text("变慢的原因是一条语句")
    await expect(reply).to_contain_text(re.compile(r"3 次工具调用 · [\d,]+ 字符"))
    for name in ("重新提问", "新会话"):
        await expect(button(reply, name)).to_be_visible()
    await expect(reply).not_to_contain_text(re.compile("Ask again|tool calls|Arguments"))


async def test_stop_keeps_what_had_come_and_ask_again_asks_anew(page: Page, stage: Stage) -> None:
    stage.das.pace = 1.0
    thread = await ask(page, "@das why is rm-bp1demo0005 slow?")
    reply = thread.reply()
    await expect(reply).to_contain_text("First the load of rm-bp1demo0005")
    await button(reply, "Stop").click()
    await ended(reply)
    await expect(reply.get_by_role("status")).to_contain_text("Stopped listening at @Ana's wish.")
    await expect(reply).to_contain_text("First the load of rm-bp1demo0005")
    await expect(button(reply, "Stop")).to_have_count(0)
    await expect(thread.replies).to_have_count(1)

    stage.das.pace = 0.04
    await button(reply, "Ask again").click()
    await ended(thread.reply(1))
    await expect(thread.reply(1)).to_contain_text("no index on orders.user_id")
    assert len(asked(stage, "rm-bp1demo0005")) == 2
    await button(reply, "Ask again").click()
    await expect(thread.pane.get_by_test_id("ephemeral")).to_contain_text("That was asked again already")
    assert len(asked(stage, "rm-bp1demo0005")) == 2


async def test_stop_can_be_written(page: Page, stage: Stage) -> None:
    stage.das.pace = 1.0
    thread = await ask(page, "@das why is rm-bp1demo0006 slow?")
    await expect(button(thread.reply(), "Stop")).to_be_visible()
    await stage.workspace.until(lambda: asked(stage, "rm-bp1demo0006"))
    await thread.write("stop")
    await ended(thread.reply())
    await expect(thread.reply()).to_contain_text("Stopped listening at @Ana's wish.")


async def test_a_thread_answers_in_order_and_others_wait_for_the_slot(page: Page, stage: Stage) -> None:
    stage.das.pace = HUMAN
    thread = await ask(page, "@das why is rm-bp1demo0007 slow?")
    await expect(button(thread.reply(), "Stop")).to_be_visible()
    await thread.write("and how long will the change take?")
    await expect(thread.reply(1)).to_contain_text("Waiting: 1 before this one in the thread")
    other = await ask(page, "@das who holds the locks on rm-bp1demo0008?", ORDERS)
    await expect(other.reply()).to_contain_text("Waiting: place 1 in the queue of this agent (1 at a time)")
    await expect(button(other.reply(), "Stop")).to_be_visible()
    stage.das.pace = 0.04
    await ended(other.reply())
    await page.get_by_test_id(f"channel-{OPS}").click()
    channel = page.get_by_role("log", name="# db-ops")
    root = channel.get_by_test_id("message").filter(has_text="rm-bp1demo0007")
    await root.get_by_test_id("replies").click()
    await ended(thread.reply(1))
    await expect(thread.reply(1)).to_contain_text("About one minute")
    session = asked(stage, "rm-bp1demo0007")[0].session_id
    questions = [request.question for request in stage.das.requests if request.session_id == session]
    assert questions == ["why is rm-bp1demo0007 slow?", "and how long will the change take?"]
    assert stage.das.max_open == 1
    assert not [request for request in stage.das.requests if request.outcome == "refused"]


async def test_a_stranger_gets_one_private_line_and_nothing_runs(page: Page, stage: Stage) -> None:
    before = len(stage.das.requests)
    await page.get_by_test_id("user-switch").select_option(OLAF)
    await page.get_by_test_id(f"channel-{SHARED}").click()
    box = page.get_by_test_id("composer-input")
    await box.fill("@das why is rm-bp1demo0009 slow?")
    await box.press("Enter")
    private = page.get_by_test_id("ephemeral")
    await expect(private.first).to_contain_text("I answer only people of the company that runs me.")
    await stage.workspace.delivered()
    assert len(stage.workspace.ephemerals(OLAF, SHARED)) == 1
    assert [m for m in stage.workspace.messages.of(SHARED) if m.user == BOT and not m.ephemeral_for] == []
    assert len(stage.das.requests) == before


async def test_a_command_where_the_bot_is_no_member_asks_for_an_invitation(page: Page, stage: Stage) -> None:
    before = len(stage.das.requests)
    await page.get_by_test_id(f"channel-{RANDOM}").click()
    box = page.get_by_test_id("composer-input")
    await box.fill("/das-ask why is rm-bp1demo0010 slow?")
    await box.press("Enter")
    await expect(page.get_by_test_id("ephemeral")).to_contain_text("Invite me with /invite @das")
    await expect(page.get_by_test_id("message")).to_have_count(0)
    assert len(stage.das.requests) == before


async def test_a_failed_tool_stands_open_with_its_error(page: Page, stage: Stage) -> None:
    thread = await ask(page, "@das why does the replica of rm-bp1demo0011 lag?")
    reply = thread.reply()
    await ended(reply)
    failed = reply.get_by_test_id("container").filter(has_text="✗")
    await expect(failed.first.get_by_test_id("container-header")).to_have_attribute("aria-expanded", "true")
    await expect(failed.first).to_contain_text("Error")
    worked = reply.get_by_test_id("container").filter(has_text="✓").first
    await expect(worked.get_by_test_id("container-header")).to_have_attribute("aria-expanded", "false")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("demo:cut", "The connection broke before the answer was complete. The question was not asked again"),
        ("demo:error", "The service ended the run with an error"),
        ("demo:unbound", "This agent is bound to no database instance"),
    ],
)
async def test_an_answer_that_fails_says_so(page: Page, stage: Stage, word: str, told: str) -> None:
    thread = await ask(page, f"@das why is rm-bp1demo0012 slow? {word}")
    reply = thread.reply()
    await ended(reply)
    await expect(reply.get_by_role("alert")).to_contain_text(told)
    await expect(reply.get_by_role("alert")).to_contain_text(re.compile(r"Reference \w{4}-\w{4}"))
    await expect(button(reply, "Stop")).to_have_count(0)
    assert len(asked(stage, word)) == 1


async def test_a_long_report_goes_on_in_more_messages_and_is_complete(page: Page, stage: Stage) -> None:
    thread = await ask(page, "@das a full report on rm-bp1demo0013, please")
    last = thread.replies.filter(has_text="permissions and the network were not examined")
    await ended(last)
    count = await thread.replies.count()
    assert count > 1
    await expect(thread.pane.get_by_role("button", name="Ask again")).to_have_count(1)
    texts = [await thread.reply(number).inner_text() for number in range(count)]
    headings = [int(n) for text in texts for n in re.findall(r"^(\d+)\. \w+$", text, re.M)]
    assert headings and headings == list(range(1, len(headings) + 1))
    assert "Goes on in the next message" in texts[0] and "Goes on from the message above" in texts[-1]
    assert len(asked(stage, "rm-bp1demo0013")) == 1
