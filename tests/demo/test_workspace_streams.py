"""Streamed messages: what Slack takes, what it refuses, how long a stream lives and what readers see."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError
from slack_sdk.models.messages.chunk import TaskUpdateChunk
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import NO_LIMITS, NothingToClick, Workspace
from bot.demo.workspace.streams import STREAM_BYTES_MAX, Content

CHANNEL, ELSEWHERE, ANA, OLAF = "C0DBOPS001", "C0RANDOM01", "U0ANA00001", "U0OLAF0001"
BOT, TEAM, PARTNER = "U0DASBOT01", "T0DEMO00001", "T0OTHER0001"
DIRECT = "D0ANA00001"


def text(words: str) -> dict[str, Any]:
    return {"type": "markdown_text", "text": words}


def task(
    id: str = "t1", title: str = "GetSlowLog", status: str = "in_progress", **more: Any
) -> dict[str, Any]:
    return {"type": "task_update", "id": id, "title": title, "status": status, **more}


def section(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": words}, **more}


async def refusal(calling: Any) -> str:
    with pytest.raises(SlackApiError) as refused:
        await calling
    return str(refused.value.response["error"])


class Streamer:
    """A thread of Ana's with one stream in it."""

    def __init__(self, workspace: Workspace, client: AsyncWebClient) -> None:
        self.workspace, self.client = workspace, client
        self.thread = workspace.say(ANA, CHANNEL, "why?")
        self.ts = ""

    async def start(self, **more: Any) -> str:
        given = {"recipient_user_id": ANA, "recipient_team_id": TEAM, **more}
        started = await self.client.chat_startStream(channel=CHANNEL, thread_ts=self.thread, **given)
        self.ts = started["ts"]
        return self.ts

    async def append(self, *chunks: Any, **more: Any) -> None:
        given = {"chunks": list(chunks), **more} if chunks else more
        await self.client.api_call("chat.appendStream", json={"channel": CHANNEL, "ts": self.ts, **given})

    async def stop(self, **more: Any) -> None:
        await self.client.chat_stopStream(channel=CHANNEL, ts=self.ts, **more)

    async def update(self, words: str = "final") -> None:
        await self.client.chat_update(channel=CHANNEL, ts=self.ts, text=words, blocks=[section(words)])

    @property
    def message(self) -> Any:
        return self.workspace.messages.get(CHANNEL, self.ts)


@pytest.fixture
async def workspace(make_workspace: Any, fake_time: Any) -> Any:
    return await make_workspace(clock=fake_time.clock, sleep=fake_time.sleep, rates=NO_LIMITS)


@pytest.fixture
async def streamer(workspace: Workspace, client: AsyncWebClient) -> Streamer:
    return Streamer(workspace, client)


async def test_a_stream_grows_under_one_ts_and_every_state_is_on_record(
    streamer: Streamer, fake_time: Any
) -> None:
    await streamer.start(chunks=[text("The ")])
    for words in ("cause ", "is **found**."):
        await fake_time.advance(1)
        await streamer.append(text(words))
    await fake_time.advance(1)
    await streamer.stop(blocks=[{"type": "divider", "block_id": "end"}])
    message = streamer.message
    started = message.versions[0].t
    assert [(v.t - started, v.markdown) for v in message.versions] == [
        (0, "The "),
        (1, "The cause "),
        (2, "The cause is **found**."),
        (3, "The cause is **found**."),
    ]
    assert [block["type"] for block in message.blocks] == ["markdown", "divider"]
    assert message.edited is None
    assert (message.stream.ended, message.thread_ts) == ("stopped", streamer.thread)


async def test_a_card_is_replaced_where_it_stands_and_its_texts_go_on(streamer: Streamer) -> None:
    await streamer.start(chunks=[text("Looking."), task(details="a")])
    await streamer.append(text("Found it."), task("t2", "Explain"))
    await streamer.append(task(title="GetSlowLog · 1 s", status="complete", details="b", output="3 rows"))
    words, card, more, second = streamer.message.blocks
    assert (words["text"], more["text"], second["task_id"]) == ("Looking.", "Found it.", "t2")
    assert (card["title"], card["status"]) == ("GetSlowLog · 1 s", "complete")
    detail, output = ([e["text"] for e in card[n]["elements"][0]["elements"]] for n in ("details", "output"))
    assert (detail, output) == (["ab"], ["3 rows"])


async def test_in_a_plan_the_tasks_stand_together(streamer: Streamer) -> None:
    await streamer.start(task_display_mode="plan", chunks=[text("a"), task()])
    await streamer.append(
        text("b"), task("t2", status="pending"), {"type": "plan_update", "title": "Three steps"}
    )
    first, plan, second = streamer.message.blocks
    assert (first["text"], plan["type"], second["text"]) == ("a", "plan", "b")
    assert (plan["title"], [t["task_id"] for t in plan["tasks"]]) == ("Three steps", ["t1", "t2"])
    many = [task(f"m{i}", "x") for i in range(48)]
    await streamer.append(*many)
    assert await refusal(streamer.append(task("one-more"))) == "invalid_chunks"


async def test_who_it_is_for(workspace: Workspace, client: AsyncWebClient, streamer: Streamer) -> None:
    def start(channel: str = CHANNEL, thread: str = streamer.thread, **more: Any) -> Any:
        body = {"channel": channel, "thread_ts": thread, "chunks": [text("x")], **more}
        return client.api_call("chat.startStream", json=body)

    team = {"recipient_team_id": TEAM}
    assert await refusal(start(**team)) == "missing_recipient_user_id"
    assert await refusal(start(recipient_user_id=ANA)) == "missing_recipient_team_id"
    assert await refusal(start(recipient_user_id="U0NOBODY", **team)) == "user_not_found"
    assert await refusal(start(recipient_user_id=BOT, **team)) == "user_not_found"
    assert await refusal(start(recipient_user_id=OLAF, **team)) == "team_not_found"
    full = {"recipient_user_id": ANA, **team}
    assert await refusal(start(thread="", **full)) == "invalid_arguments"
    assert await refusal(start(thread="1.000001", **full)) == "thread_not_found"
    assert await refusal(start(ELSEWHERE, **full)) == "not_in_channel"
    assert await refusal(start("C0NOWHERE0", **full)) == "channel_not_found"
    assert await refusal(start(task_display_mode="list", **full)) == "invalid_arguments"
    workspace.channels[CHANNEL].is_archived = True
    assert await refusal(start(**full)) == "is_archived"
    assert [m.text for m in workspace.messages] == ["why?"], "what was refused left nothing"

    asked = workspace.say(OLAF, "C0SHARED01", "@das why?")
    started = await start("C0SHARED01", asked, recipient_user_id=OLAF, recipient_team_id=PARTNER)
    stream = workspace.messages.get("C0SHARED01", started["ts"]).stream
    assert stream is not None and stream.recipient == OLAF
    direct = workspace.say(ANA, DIRECT, "why?")
    assert (await start(DIRECT, direct))["ok"], "in a direct message it is plain who it is for"


async def test_a_workspace_may_refuse_streams(workspace: Workspace, streamer: Streamer) -> None:
    workspace.refuse_streams = "channel_type_not_supported"
    assert await refusal(streamer.start(chunks=[text("x")])) == "channel_type_not_supported"
    workspace.refuse_streams = ""
    await streamer.start(chunks=[text("x")])


@pytest.mark.parametrize(
    "chunk",
    [
        text(""),
        {"type": "markdown_text"},
        {"type": "text", "text": "x"},
        "x",
        task(title="x" * 257),
        task(title=""),
        task(status="done"),
        task(details="x" * 257),
        task(output="x" * 257),
        task(icon="x"),
        task(sources=[{"type": "url", "url": "https://example.com"}]),
        {"type": "task_update", "id": "t1", "status": "complete"},
        {"type": "plan_update", "title": "x" * 257},
        {"type": "blocks", "blocks": {}},
    ],
)
async def test_malformed_chunks(streamer: Streamer, chunk: Any) -> None:
    assert await refusal(streamer.start(chunks=[text("x"), chunk])) == "invalid_chunks"
    await streamer.start(chunks=[text("a")])
    assert await refusal(streamer.append(text("lost?"), chunk)) == "invalid_chunks"
    assert await refusal(streamer.stop(chunks=[chunk])) == "invalid_chunks"
    assert [v.markdown for v in streamer.message.versions] == ["a"], "a refused call changes nothing"


async def test_chunks_and_bare_markdown_do_not_mix(streamer: Streamer) -> None:
    both = {"chunks": [text("x")], "markdown_text": "x"}
    assert await refusal(streamer.start(**both)) == "invalid_arguments"
    await streamer.start(markdown_text="a")
    assert await refusal(streamer.append(text("x"))) == "streaming_mode_mismatch"
    assert await refusal(streamer.stop(chunks=[text("x")])) == "streaming_mode_mismatch"
    await streamer.append(markdown_text="b")
    assert await refusal(streamer.append()) == "no_text"
    await streamer.stop(markdown_text="c")
    assert streamer.message.text == "abc"
    await streamer.start(chunks=[text("a")])
    assert await refusal(streamer.append(markdown_text="b")) == "streaming_mode_mismatch"
    assert await refusal(streamer.append(markdown_text="b", chunks=[text("c")])) == "invalid_arguments"
    await streamer.start()
    await streamer.append(text("its first words decide"))
    assert await refusal(streamer.append(markdown_text="b")) == "streaming_mode_mismatch"


async def test_blocks_stand_where_they_came_at_most_fifty_and_fifty_more_at_the_end(
    workspace: Workspace, streamer: Streamer
) -> None:
    def blocks(*ids: str) -> dict[str, Any]:
        return {"type": "blocks", "blocks": [section(id, block_id=id) for id in ids]}

    await streamer.start(chunks=[text("a"), blocks("b0"), text("c")])
    assert [b.get("block_id") for b in streamer.message.blocks][1] == "b0"
    assert await refusal(streamer.append(blocks("b0"))) == "invalid_blocks", "ids hold for the whole message"
    wrong = {"type": "blocks", "blocks": [{"type": "section"}]}
    assert await refusal(streamer.append(wrong)) == "invalid_blocks"
    workspace.refuse_blocks("section")
    assert await refusal(streamer.append(blocks("b1"))) == "invalid_blocks"
    workspace.refuse_blocks()
    await streamer.append(blocks(*(f"b{i}" for i in range(1, 50))))
    assert await refusal(streamer.append(blocks("b50"))) == "msg_blocks_too_many"
    last = [section("e", block_id=f"e{i}") for i in range(51)]
    assert await refusal(streamer.stop(blocks=last)) == "invalid_blocks"
    await streamer.stop(blocks=last[:50])
    assert len(streamer.message.blocks) == 102


async def test_a_streamed_message_holds_only_so_much(streamer: Streamer) -> None:
    await streamer.start(chunks=[text("数" * 3_000)])
    assert streamer.message.stream.content.weight == 9_000
    await streamer.append(task(title="四个字节" * 10, details="x" * 200, output="y" * 240))
    assert streamer.message.stream.content.weight == 9_000 + 120 + 2 * (200 + 240)
    rest = STREAM_BYTES_MAX - 10_000
    assert await refusal(streamer.append(text("x" * (rest + 1)))) == "msg_too_long"
    assert await refusal(streamer.stop(chunks=[text("x" * (rest + 1))])) == "msg_too_long"
    assert await refusal(streamer.stop(blocks=[section("x" * (rest + 1))])) == "msg_too_long"
    assert streamer.message.stream.is_open
    await streamer.append(text("x" * (rest - 10)))
    await streamer.stop(chunks=[text("x" * 5)], blocks=[section("y" * 5)])
    assert await refusal(streamer.start(chunks=[text("x" * 10_801)])) == "msg_too_long"


async def test_a_stream_ends_after_five_minutes_however_busy(streamer: Streamer, fake_time: Any) -> None:
    await streamer.start(chunks=[text("a"), task()])
    for _ in range(299):
        await fake_time.advance(1)
        await streamer.append(text("."))
    assert await refusal(streamer.update()) == "streaming_state_conflict"
    await fake_time.advance(1)
    assert await refusal(streamer.append(text("late"))) == "message_not_in_streaming_state"
    assert await refusal(streamer.stop()) == "message_not_in_streaming_state"
    message = streamer.message
    assert (message.stream.ended, message.stream.looks_failed) == ("expired", True)
    assert message.versions[-1].markdown == "a" + "." * 299
    await streamer.update("final")
    assert [b["type"] for b in message.blocks] == ["section"]
    assert not message.stream.looks_failed, "what replaced it has no open card"
    assert await refusal(streamer.append(text("late"))) == "message_not_in_streaming_state"


@pytest.mark.parametrize(
    ("status", "failed"), [("pending", True), ("in_progress", True), ("complete", False), ("error", False)]
)
async def test_a_card_left_open_makes_the_message_look_failed(
    streamer: Streamer, status: str, failed: bool
) -> None:
    await streamer.start(chunks=[task(status=status)])
    assert not streamer.message.stream.looks_failed
    await streamer.stop()
    assert streamer.message.stream.looks_failed is failed
    assert streamer.message.stream.unfinished == (["t1"] if failed else [])


async def test_only_its_own_streaming_messages_can_be_appended_to(
    workspace: Workspace, client: AsyncWebClient, streamer: Streamer
) -> None:
    def append(ts: str, channel: str = CHANNEL) -> Any:
        return client.chat_appendStream(channel=channel, ts=ts, chunks=[text("x")])

    plain = (await client.chat_postMessage(channel=CHANNEL, text="x"))["ts"]
    assert await refusal(append(plain)) == "message_not_in_streaming_state"
    assert await refusal(append(streamer.thread)) == "message_not_owned_by_app"
    assert await refusal(append("1.1")) == "message_not_found"
    ts = await streamer.start(chunks=[text("a")])
    assert await refusal(append(ts, "C0ORDERS01")) == "message_not_found"
    await client.chat_delete(channel=CHANNEL, ts=ts)
    assert await refusal(append(ts)) == "message_not_found"


async def test_the_stop_of_slack_ends_the_streams_of_the_thread_and_is_final(
    workspace: Workspace, streamer: Streamer
) -> None:
    first = await streamer.start(chunks=[text("a")])
    other = workspace.say(ANA, CHANNEL, "something else")
    with pytest.raises(NothingToClick):
        workspace.press_stop(ANA, CHANNEL, other)
    assert workspace.press_stop(ANA, CHANNEL, streamer.thread) == [first]
    event = workspace.events[-1].payload["event"]
    assert {
        name: event[name] for name in ("type", "channel", "thread_ts", "user", "streaming_message_ts")
    } == {
        "type": "agent_session_stopped",
        "channel": CHANNEL,
        "thread_ts": streamer.thread,
        "user": ANA,
        "streaming_message_ts": [first],
    }
    assert await refusal(streamer.append(text("x"))) == "stopped_by_user"
    assert await refusal(streamer.stop()) == "message_not_in_streaming_state"
    assert streamer.message.text == "a"
    await streamer.update("stopped by Ana")
    assert streamer.message.text == "stopped by Ana"
    assert await refusal(streamer.append(text("x"))) == "stopped_by_user"


async def test_a_session_at_work_can_be_stopped_where_nothing_streams(
    workspace: Workspace, client: AsyncWebClient, streamer: Streamer, fake_time: Any
) -> None:
    session = {"channel_id": CHANNEL, "thread_ts": streamer.thread}
    await client.api_call("agents.sessions.setStatus", json={**session, "status": "processing"})
    await fake_time.advance(3_599)
    assert workspace.state.status(CHANNEL, streamer.thread) == "is working…"
    assert workspace.press_stop(ANA, CHANNEL, streamer.thread) == []
    await fake_time.advance(1)
    assert workspace.state.status(CHANNEL, streamer.thread) == ""
    await streamer.start(chunks=[text("a")])
    assert await refusal(streamer.stop(chunks=[text("b")], session_status="done")) == "invalid_status"
    assert streamer.message.text == "a"
    metadata = {"event_type": "das_reply", "event_payload": {"run": "01J"}}
    await streamer.stop(session_status="closed", metadata=metadata)
    assert workspace.state.session_status[CHANNEL, streamer.thread] == "closed"
    assert streamer.message.metadata == metadata


async def test_the_app_hears_of_the_start_and_the_end_but_not_of_every_piece(
    workspace: Workspace, streamer: Streamer
) -> None:
    heard = len(workspace.events)
    await streamer.start(chunks=[text("a")])
    for words in "bcd":
        await streamer.append(text(words))
    await streamer.stop()
    events = [delivery.payload["event"] for delivery in workspace.events[heard:]]
    assert [event.get("subtype") for event in events] == [None, "message_changed"]


async def test_an_append_that_was_applied_before_the_connection_broke(
    workspace: Workspace, streamer: Streamer
) -> None:
    await streamer.start(chunks=[text("a")])
    workspace.fail_next("chat.appendStream", reset=True)
    with pytest.raises(aiohttp.ClientError):
        await streamer.append(text("b"))
    assert streamer.message.text == "ab"
    workspace.fail_next("chat.appendStream", status=500)
    workspace.fail_next("chat.appendStream", retry_after=7)
    with pytest.raises(SlackApiError):
        await streamer.append(text("c"))
    assert await refusal(streamer.append(text("c"))) == "ratelimited"
    assert streamer.message.text == "ab"
    workspace.fail_next("chat.startStream", reset=True)
    with pytest.raises(aiohttp.ClientError):
        await streamer.start(chunks=[text("orphan")])
    assert [m.text for m in workspace.replies(CHANNEL, streamer.thread)] == ["ab", "orphan"]


@pytest.mark.parametrize(("method", "burst"), [("chat.startStream", 10), ("chat.appendStream", 50)])
async def test_streams_have_slacks_rates(
    make_workspace: Any, connect: Callable[..., AsyncWebClient], fake_time: Any, method: str, burst: int
) -> None:
    workspace = await make_workspace(clock=fake_time.clock, sleep=fake_time.sleep, rates={})
    streamer = Streamer(workspace, connect(workspace))
    await streamer.start()
    passed = 1 if method == "chat.startStream" else 0
    for _ in range(burst - passed):
        await (streamer.start() if passed else streamer.append(text("x")))
    again = streamer.start() if passed else streamer.append(text("x"))
    assert await refusal(again) == "ratelimited"


async def test_the_streamer_of_slacks_own_sdk_is_served(workspace: Workspace, client: AsyncWebClient) -> None:
    thread = workspace.say(ANA, CHANNEL, "why?")
    stream = await client.chat_stream(
        channel=CHANNEL, thread_ts=thread, recipient_user_id=ANA, recipient_team_id=TEAM, buffer_size=4
    )
    await stream.append(markdown_text="数据库 ")
    await stream.append(chunks=[TaskUpdateChunk(id="t1", title="look", status="in_progress")])
    await stream.append(chunks=[TaskUpdateChunk(id="t1", title="look", status="complete")])
    await stream.stop(markdown_text="is fine.", blocks=[section("below")])
    (message,) = workspace.replies(CHANNEL, thread)
    assert [block["type"] for block in message.blocks or []] == [
        "markdown",
        "task_card",
        "markdown",
        "section",
    ]
    assert message.text == "数据库 is fine." and message.stream and not message.stream.looks_failed


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=30))
def test_pieces_make_the_whole_text_and_weigh_its_bytes(pieces: list[str]) -> None:
    content = Content()
    for piece in pieces:
        content = content.with_chunks([text(piece)])
    whole = "".join(pieces)
    assert (content.text, content.weight) == (whole, len(whole.encode()))
    assert [block["text"] for block in content.blocks("timeline")] == [whole]
