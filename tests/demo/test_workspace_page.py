"""What the web page is told and what it can do."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import Command, Workspace, page_api

CHANNEL, ANA, BEN, OLAF = "C0DBOPS001", "U0ANA00001", "U0BEN00001", "U0OLAF0001"
BUTTON = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}


@pytest.fixture
async def workspace(make_workspace: Any) -> Any:
    """Nobody listens for events here, so commands and clicks fail at once."""
    return await make_workspace(
        commands=[Command("/das-ask", "Ask the database agent", "<question>")],
        event_url="http://127.0.0.1:9/",
        redelivery_delays=(),
    )


@pytest.fixture
async def page(workspace: Workspace) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=workspace.url) as session:
        yield session


async def get(page: aiohttp.ClientSession, path: str, **query: str) -> Any:
    async with page.get(path, params=query) as response:
        return await response.json()


async def post(page: aiohttp.ClientSession, path: str, **body: Any) -> Any:
    async with page.post(path, json=body) as response:
        return await response.json()


async def test_state(page: aiohttp.ClientSession) -> None:
    state = await get(page, "/page/state")
    assert state["team"] == {"id": "T0DEMO00001", "name": "Demo Inc."}
    assert state["bot"] == "U0DASBOT01"
    assert [user["real_name"] for user in state["users"]] == ["das", "Ana", "王芳", "Ben", "Olaf"]
    assert [user["id"] for user in state["users"] if user["is_stranger"]] == [OLAF]
    rooms = {channel["id"]: channel for channel in state["channels"]}
    assert rooms["C0SHARED01"]["is_ext_shared"] and not rooms["C0RANDOM01"]["bot_is_member"]
    assert rooms["D0ANA00001"]["user"] == ANA and "user" not in rooms[CHANNEL]
    assert state["commands"] == [
        {"command": "/das-ask", "usage_hint": "<question>", "description": "Ask the database agent"}
    ]


async def test_messages_of_a_channel_with_replies_and_own_ephemerals(
    page: aiohttp.ClientSession, workspace: Workspace, client: AsyncWebClient
) -> None:
    root = (await post(page, "/page/post", user=ANA, channel=CHANNEL, text="@das why?"))["ts"]
    reply = (await client.chat_postMessage(channel=CHANNEL, thread_ts=root, text="on it"))["ts"]
    await client.chat_update(
        channel=CHANNEL, ts=reply, text="done", blocks=[{"type": "divider", "block_id": "d"}]
    )
    await client.chat_postEphemeral(channel=CHANNEL, user=ANA, text="psst")
    seen = (await get(page, "/page/messages", channel=CHANNEL, user=ANA))["messages"]
    first, answer, secret = seen
    assert (first["text"], first["reply_count"], first["latest_reply"]) == ("<@U0DASBOT01> why?", 1, reply)
    assert (answer["thread_ts"], answer["text"], answer["versions"]) == (root, "done", 2)
    assert answer["blocks"] == [{"type": "divider", "block_id": "d"}] and answer["bot_id"] == "B0DASBOT01"
    assert (secret["text"], secret["ephemeral"]) == ("psst", True)
    for_ben = (await get(page, "/page/messages", channel=CHANNEL, user=BEN))["messages"]
    assert [m["ts"] for m in for_ben] == [root, reply]
    refused = await get(page, "/page/messages", channel=CHANNEL, user=OLAF)
    assert refused == {"ok": False, "error": "not_in_channel"}


async def test_refusals_are_told(page: aiohttp.ClientSession) -> None:
    empty = await post(page, "/page/post", user=ANA, channel=CHANNEL, text=" ")
    assert empty == {"ok": False, "error": "no_text"}
    nowhere = await post(page, "/page/post", user=ANA, channel="C0NOWHERE0", text="x")
    assert nowhere["error"] == "channel_not_found"
    async with page.post("/page/post", data={"user": ANA, "channel": CHANNEL, "text": "x"}) as response:
        assert (await response.json())["error"] == "invalid_content_type"


async def test_commands_and_clicks_tell_when_the_app_is_away(
    page: aiohttp.ClientSession, workspace: Workspace, client: AsyncWebClient
) -> None:
    used = await post(page, "/page/command", user=ANA, channel=CHANNEL, command="/das-ask", text="x")
    assert used == {"ok": False, "response": '/das-ask failed with the error "dispatch_failed"'}
    ts = (
        await client.chat_postMessage(
            channel=CHANNEL, text="x", blocks=[{"type": "actions", "block_id": "a", "elements": [BUTTON]}]
        )
    )["ts"]
    where = {"user": ANA, "channel": CHANNEL, "ts": ts, "block_id": "a"}
    assert await post(page, "/page/action", **where, action_id="go") == {
        "ok": False,
        "error": "dispatch_failed",
    }
    assert workspace.deliveries[-1].payload["actions"][0]["action_id"] == "go"
    assert "no element" in (await post(page, "/page/action", **where, action_id="stop"))["error"]


async def test_changes_arrive_live(
    page: aiohttp.ClientSession, workspace: Workspace, client: AsyncWebClient
) -> None:
    root = workspace.say(ANA, CHANNEL, "root")
    heard: list[dict[str, Any]] = []
    async with page.get("/page/events", params={"user": ANA}) as stream:
        assert stream.content_type == "text/event-stream"

        async def wait_for(count: int) -> list[dict[str, Any]]:
            async for line in stream.content:
                if line.startswith(b"data: "):
                    heard.append(json.loads(line[6:]))
                    if len(heard) == count:
                        break
            return heard

        assert (await stream.content.readline()).startswith(b":")
        await client.assistant_threads_setStatus(channel_id=CHANNEL, thread_ts=root, status="is thinking…")
        ts = (await client.chat_postMessage(channel=CHANNEL, thread_ts=root, text="on it"))["ts"]
        await client.chat_update(channel=CHANNEL, ts=ts, text="done")
        await client.chat_postEphemeral(channel=CHANNEL, user=BEN, text="not for Ana")
        workspace.say(BEN, "D0BEN00001", "nor this")
        await client.chat_delete(channel=CHANNEL, ts=ts)
        await asyncio.wait_for(wait_for(7), 10)
    status = {"type": "status", "channel": CHANNEL, "thread_ts": root}
    assert heard[:2] == [status | {"status": "is thinking…"}, status | {"status": ""}]
    shown = [(item["message"]["text"], item["message"].get("reply_count")) for item in heard[2:5]]
    assert shown == [("on it", None), ("root", 1), ("done", None)]
    assert heard[5] == {"type": "deleted", "channel": CHANNEL, "ts": ts}
    assert heard[6]["message"]["text"] == "root" and "reply_count" not in heard[6]["message"]


async def test_a_foreign_name_for_this_address_is_refused(page: aiohttp.ClientSession) -> None:
    async with page.get("/page/state", headers={"Host": "evil.example"}) as response:
        assert response.status == 403


async def test_open_streams_do_not_keep_the_workspace_from_stopping(make_workspace: Any) -> None:
    workspace = await make_workspace()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{workspace.url}/page/events?user={ANA}") as stream,
    ):
        await stream.content.readline()
        await asyncio.wait_for(workspace.stop(), 5)


async def test_the_bundle_is_served_and_nothing_beside_it(
    page: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    static = tmp_path / "static"
    monkeypatch.setattr(page_api, "STATIC", static)
    (tmp_path / "secret.txt").write_text("secret")
    async with page.get("/") as response:
        assert response.status == 404 and "not built" in await response.text()
    static.mkdir()
    (static / "index.html").write_text("<!doctype html>")
    (static / "app.js").write_text("1")
    async with page.get("/") as response:
        assert (response.status, response.content_type) == (200, "text/html")
    async with page.get("/static/app.js") as response:
        assert response.content_type in ("text/javascript", "application/javascript")
    for path in ("/static/none.js", "/static/..%2Fsecret.txt"):
        async with page.get(path) as response:
            assert response.status == 404 and await response.text() == "No such file.\n"


async def test_files_are_shown_as_text_only(
    page: aiohttp.ClientSession, workspace: Workspace, client: AsyncWebClient
) -> None:
    await client.files_upload_v2(channel=CHANNEL, filename="x.html", content="<script>alert(1)</script>")
    (message,) = workspace.messages.of(CHANNEL)
    async with page.get(message.files[0]["url_private"].removeprefix(workspace.url)) as response:
        assert response.content_type == "text/plain"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    async with page.get("/files/F0NONE/x") as response:
        assert response.status == 404
