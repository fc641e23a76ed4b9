"""The Web API as Slack's own Python client sees it: answers, refusals, faults, and the record of calls."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import Workspace
from bot.demo.workspace.web_api import METHODS

CHANNEL, ELSEWHERE, ANA, BOT = "C0DBOPS001", "C0RANDOM01", "U0ANA00001", "U0DASBOT01"


async def refusal(calling: Any) -> str:
    """The error code a call is refused with."""
    with pytest.raises(SlackApiError) as refused:
        await calling
    return str(refused.value.response["error"])


async def test_who_am_i(workspace: Workspace, client: AsyncWebClient) -> None:
    me = await client.auth_test()
    expected = ("T0DEMO00001", BOT, "B0DASBOT01", "das")
    assert (me["team_id"], me["user_id"], me["bot_id"], me["user"]) == expected
    assert me["url"] == f"{workspace.url}/"
    assert "chat:write" in me.headers["X-OAuth-Scopes"].split(",")


async def test_tokens_are_checked(workspace: Workspace, connect: Any) -> None:
    assert await refusal(connect(workspace, "xoxb-wrong").auth_test()) == "invalid_auth"
    assert await refusal(connect(workspace, "").auth_test()) == "not_authed"
    assert await refusal(connect(workspace, workspace.app_token).auth_test()) == "not_allowed_token_type"
    opening = connect(workspace).apps_connections_open(app_token=workspace.bot_token)
    assert await refusal(opening) == "not_allowed_token_type"
    opened = await connect(workspace).apps_connections_open(app_token=workspace.app_token)
    assert opened["url"].startswith("ws://127.0.0.1:")


async def test_unknown_methods_are_named(client: AsyncWebClient) -> None:
    assert await refusal(client.api_call("chat.shout")) == "unknown_method"


async def test_the_token_and_the_arguments_may_come_as_a_form(workspace: Workspace) -> None:
    blocks = [{"type": "divider"}]
    form = {
        "token": workspace.bot_token,
        "channel": CHANNEL,
        "text": "数据库 & <b>",
        "blocks": json.dumps(blocks),
        "unfurl_links": "false",
    }
    async with aiohttp.ClientSession() as session:
        async with session.post(workspace.api_url + "chat.postMessage", data=form) as response:
            answer = await response.json()
        async with session.get(
            workspace.api_url + "users.info", params={"token": workspace.bot_token, "user": ANA}
        ) as response:
            person = await response.json()
        async with session.post(
            workspace.api_url + "auth.test", data="{", headers={"Content-Type": "application/json"}
        ) as response:
            broken = await response.json()
    assert answer["ok"] and answer["message"]["text"] == "数据库 & <b>"
    assert answer["message"]["blocks"][0]["type"] == "divider"
    assert person["user"]["real_name"] == "Ana"
    assert broken == {"ok": False, "error": "invalid_json"}
    assert workspace.calls[0].args["blocks"] == blocks
    assert all("token" not in call.args for call in workspace.calls)


async def test_a_message_lives_under_one_ts(workspace: Workspace, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel=CHANNEL, text="on it")
    ts = posted["ts"]
    blocks = [{"type": "markdown", "text": "**done**"}]
    updated = await client.chat_update(channel=CHANNEL, ts=ts, text="done", blocks=blocks)
    assert updated["ts"] == ts and updated["text"] == "done"
    message = workspace.messages.get(CHANNEL, ts)
    assert [(v.text, v.blocks is None) for v in message.versions] == [("on it", True), ("done", False)]
    await client.chat_update(channel=CHANNEL, ts=ts, text="still here")
    assert message.blocks is not None, "blocks that are not given stay"
    await client.chat_update(channel=CHANNEL, ts=ts, text="bare", blocks=[])
    assert message.blocks is None
    await client.chat_delete(channel=CHANNEL, ts=ts)
    assert await refusal(client.chat_update(channel=CHANNEL, ts=ts, text="x")) == "message_not_found"
    assert len(message.versions) == 4, "what was said stays on record"


@pytest.mark.filterwarnings("ignore:The top-level `text` argument")
async def test_where_and_what_may_be_written(workspace: Workspace, client: AsyncWebClient) -> None:
    post = client.chat_postMessage
    assert await refusal(post(channel="C0NOWHERE0", text="x")) == "channel_not_found"
    assert await refusal(post(channel=ELSEWHERE, text="x")) == "not_in_channel"
    assert await refusal(post(channel=CHANNEL, text="  \n")) == "no_text"
    assert await refusal(post(channel=CHANNEL, text="x", thread_ts="1.000001")) == "thread_not_found"
    assert await refusal(post(channel=CHANNEL, markdown_text="x", text="x")) == "markdown_text_conflict"
    long = {"channel": CHANNEL, "markdown_text": "x" * 12_001}
    assert await refusal(client.api_call("chat.postMessage", json=long)) == "msg_too_long"
    assert await refusal(post(channel=CHANNEL, text="x", blocks="[")) == "invalid_blocks_format"
    assert await refusal(client.api_call("chat.postMessage", json={"text": "x"})) == "invalid_arguments"
    workspace.channels[CHANNEL].is_archived = True
    assert await refusal(post(channel=CHANNEL, text="x")) == "is_archived"
    assert list(workspace.messages) == []


async def test_reasons_come_with_the_place(client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel=CHANNEL, text="x", blocks=[{"type": "section"}])
    answer = refused.value.response
    assert answer["error"] == "invalid_blocks"
    messages = answer["response_metadata"]["messages"]
    assert messages == ["[ERROR] missing required field: text [json-pointer:/blocks/0]"]


async def test_a_workspace_may_not_know_a_kind_of_block_yet(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    fold = {
        "type": "container",
        "title": {"type": "plain_text", "text": "call"},
        "child_blocks": [{"type": "divider"}],
    }
    workspace.refuse_blocks("container")
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel=CHANNEL, text="x", blocks=[fold])
    (reason,) = refused.value.response["response_metadata"]["messages"]
    assert reason == "[ERROR] unsupported type: container [json-pointer:/blocks/0/type]"
    workspace.refuse_blocks()
    assert (await client.chat_postMessage(channel=CHANNEL, text="x", blocks=[fold]))["ok"]


@pytest.mark.bad_calls
async def test_long_texts_are_cut_when_posted_and_refused_when_updated(client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel=CHANNEL, text="x" * 40_001)
    assert len(posted["message"]["text"]) == 40_000
    update = client.chat_update
    assert (await update(channel=CHANNEL, ts=posted["ts"], text="y" * 4_000))["ok"]
    assert await refusal(update(channel=CHANNEL, ts=posted["ts"], text="y" * 4_001)) == "msg_too_long"


async def test_only_own_messages_can_be_changed(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = workspace.say(ANA, CHANNEL, "mine")
    assert await refusal(client.chat_update(channel=CHANNEL, ts=ts, text="x")) == "cant_update_message"
    assert await refusal(client.chat_delete(channel=CHANNEL, ts=ts)) == "cant_delete_message"


async def test_metadata_is_kept_and_returned_on_demand(workspace: Workspace, client: AsyncWebClient) -> None:
    metadata = {"event_type": "das_reply", "event_payload": {"run": "01J"}}
    ts = (await client.chat_postMessage(channel=CHANNEL, text="x", metadata=metadata))["ts"]
    await client.chat_update(channel=CHANNEL, ts=ts, text="y")
    plain = await client.conversations_history(channel=CHANNEL)
    assert "metadata" not in plain["messages"][0]
    full = await client.conversations_history(channel=CHANNEL, include_all_metadata=True)
    assert full["messages"][0]["metadata"] == metadata
    bad = client.chat_postMessage(channel=CHANNEL, text="x", metadata={"event_type": "x"})
    assert await refusal(bad) == "invalid_metadata_format"
    large = {"event_type": "x", "event_payload": {"text": "x" * 2_048}}
    assert (
        await refusal(client.chat_postMessage(channel=CHANNEL, text="x", metadata=large))
        == "metadata_too_large"
    )


async def test_threads_and_history_in_pages(workspace: Workspace, client: AsyncWebClient) -> None:
    root = workspace.say(ANA, CHANNEL, "root")
    replies = [
        (await client.chat_postMessage(channel=CHANNEL, text=str(i), thread_ts=root))["ts"] for i in range(5)
    ]
    other = workspace.say(ANA, CHANNEL, "other")

    history = await client.conversations_history(channel=CHANNEL)
    assert [m["ts"] for m in history["messages"]] == [other, root], "newest first, replies left out"
    assert history["messages"][1]["reply_count"] == 5
    assert history["messages"][1]["latest_reply"] == replies[-1]

    seen: list[str] = []
    async for page in await client.conversations_replies(channel=CHANNEL, ts=root, limit=2):
        assert page["messages"][0]["ts"] == root
        seen += [m["ts"] for m in page["messages"][1:]]
    assert seen == replies, "oldest first"
    later = await client.conversations_replies(channel=CHANNEL, ts=root, oldest=replies[3])
    assert [m["ts"] for m in later["messages"]] == [root, replies[4]]
    inclusive = await client.conversations_replies(
        channel=CHANNEL, ts=root, oldest=replies[3], inclusive=True
    )
    assert [m["ts"] for m in inclusive["messages"]] == [root, *replies[3:]]

    assert await refusal(client.conversations_replies(channel=CHANNEL, ts="1.1")) == "thread_not_found"
    assert await refusal(client.conversations_history(channel=CHANNEL, cursor="!")) == "invalid_cursor"
    assert await refusal(client.conversations_history(channel=ELSEWHERE)) == "not_in_channel"
    wrong = client.chat_postMessage(channel=CHANNEL, text="x", thread_ts=replies[0])
    assert await refusal(wrong) == "cannot_reply_to_message"


async def test_people_and_channels(client: AsyncWebClient) -> None:
    wang = (await client.users_info(user="U0WANG0001", include_locale=True))["user"]
    assert (wang["locale"], wang["tz"], wang["tz_offset"]) == ("zh-CN", "Asia/Shanghai", 28_800)
    assert "locale" not in (await client.users_info(user="U0WANG0001"))["user"]
    olaf = (await client.users_info(user="U0OLAF0001"))["user"]
    assert olaf["is_stranger"] and olaf["team_id"] == "T0OTHER0001"
    assert await refusal(client.users_info(user="U0NOBODY01")) == "user_not_found"
    assert len((await client.users_list())["members"]) == 5
    shared = (await client.conversations_info(channel="C0SHARED01"))["channel"]
    assert shared["is_ext_shared"] and shared["is_member"]
    assert not (await client.conversations_info(channel=ELSEWHERE))["channel"]["is_member"]
    names = [c["name"] for c in (await client.conversations_list())["channels"]]
    assert names == ["db-ops", "orders-oncall", "shared-partner", "random"]
    assert "U0OLAF0001" in (await client.conversations_members(channel="C0SHARED01"))["members"]
    assert (await client.conversations_open(users=ANA))["channel"]["id"] == "D0ANA00001"
    assert (await client.team_info())["team"]["name"] == "Demo Inc."
    assert (await client.bots_info(bot="B0DASBOT01"))["bot"]["user_id"] == BOT


async def test_ephemerals_are_for_one_person(workspace: Workspace, client: AsyncWebClient) -> None:
    await client.chat_postEphemeral(channel=CHANNEL, user=ANA, text="psst")
    assert [m.text for m in workspace.ephemerals(ANA, CHANNEL)] == ["psst"]
    assert workspace.ephemerals("U0BEN00001", CHANNEL) == []
    assert (await client.conversations_history(channel=CHANNEL))["messages"] == []
    stranger = client.chat_postEphemeral(channel=CHANNEL, user="U0OLAF0001", text="psst")
    assert await refusal(stranger) == "user_not_in_channel"
    outside = client.chat_postEphemeral(channel=ELSEWHERE, user=ANA, text="psst")
    assert await refusal(outside) == "not_in_channel"


async def test_permalinks_and_reactions(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = workspace.say(ANA, CHANNEL, "x")
    link = (await client.chat_getPermalink(channel=CHANNEL, message_ts=ts))["permalink"]
    assert link == f"{workspace.url}/archives/{CHANNEL}/p{ts.replace('.', '')}"
    await client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes")
    assert workspace.messages.get(CHANNEL, ts).reactions == {"eyes": [BOT]}
    assert (
        await refusal(client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes")) == "already_reacted"
    )
    await client.reactions_remove(channel=CHANNEL, timestamp=ts, name="eyes")
    assert await refusal(client.reactions_remove(channel=CHANNEL, timestamp=ts, name="eyes")) == "no_reaction"


async def test_a_file_is_uploaded_in_three_steps(workspace: Workspace, client: AsyncWebClient) -> None:
    root = workspace.say(ANA, CHANNEL, "x")
    await client.files_upload_v2(
        channel=CHANNEL,
        thread_ts=root,
        filename="result.csv",
        content="id;数\n1;2\n",
        initial_comment="all rows",
    )
    (reply,) = workspace.replies(CHANNEL, root)
    assert (reply.text, reply.subtype, reply.files[0]["name"]) == ("all rows", "file_share", "result.csv")
    async with aiohttp.ClientSession() as session, session.get(reply.files[0]["url_private"]) as response:
        assert await response.text() == "id;数\n1;2\n"
        assert response.content_type == "text/plain"
    again = client.files_completeUploadExternal(files=[{"id": reply.files[0]["id"]}], channel_id=CHANNEL)
    assert await refusal(again) == "file_not_found"


async def test_status_of_a_thread(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = workspace.say(ANA, CHANNEL, "x")
    set_status = client.assistant_threads_setStatus
    await set_status(channel_id=CHANNEL, thread_ts=ts, status="is thinking…")
    assert workspace.state.status(CHANNEL, ts) == "is thinking…"
    await client.chat_postMessage(channel=CHANNEL, thread_ts=ts, text="done")
    assert workspace.state.status(CHANNEL, ts) == "", "a message ends the status"
    wrong = set_status(channel_id=CHANNEL, thread_ts="1.1", status="x")
    assert await refusal(wrong) == "invalid_thread_ts"

    async def session(**arguments: str) -> Any:
        return await client.api_call("agents.sessions.setStatus", json={"channel_id": CHANNEL, **arguments})

    assert (await session(status="processing", thread_ts=ts))["ok"]
    assert workspace.state.session_status[CHANNEL, ts] == "processing"
    assert await refusal(session(status="busy", thread_ts=ts)) == "invalid_status"
    assert await refusal(session(status="active")) == "thread_ts_required"


async def test_a_home_view_is_published(workspace: Workspace, client: AsyncWebClient) -> None:
    view = {"type": "home", "blocks": [{"type": "divider"}]}
    shown = (await client.views_publish(user_id=ANA, view=view))["view"]
    assert workspace.state.homes[ANA]["id"] == shown["id"]
    assert await refusal(client.views_publish(user_id=ANA, view=view, hash="old")) == "hash_conflict"
    modal = {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": []}
    assert await refusal(client.views_open(trigger_id="1.2.3", view=modal)) == "invalid_trigger_id"


async def test_faults_on_demand(workspace: Workspace, client: AsyncWebClient) -> None:
    async def post(text: str) -> Any:
        return await client.chat_postMessage(channel=CHANNEL, text=text)

    workspace.fail_next("chat.postMessage", status=503)
    with pytest.raises(SlackApiError) as failed:
        await post("a")
    assert failed.value.response.status_code == 503
    workspace.fail_next("chat.postMessage", retry_after=7)
    with pytest.raises(SlackApiError) as limited:
        await post("b")
    assert limited.value.response.headers["Retry-After"] == "7"
    workspace.fail_next("chat.postMessage", times=2, error="internal_error")
    assert [await refusal(post("c")), await refusal(post("c"))] == ["internal_error"] * 2
    workspace.fail_next("chat.postMessage", reset=True)
    with pytest.raises(aiohttp.ClientError):
        await post("applied all the same")
    assert [m.text for m in workspace.messages] == ["applied all the same"]
    workspace.fail_next("chat.postMessage", error="internal_error")
    workspace.clear_faults()
    await post("fine")
    statuses = [call.status for call in workspace.calls_of("chat.postMessage")]
    assert statuses == [503, 429, 200, 200, 0, 200]


async def test_a_hanging_call_has_no_effect_and_does_not_keep_the_workspace_from_stopping(
    make_workspace: Any, connect: Any
) -> None:
    workspace = await make_workspace()
    workspace.fail_next("chat.postMessage", hang=True)
    hanging = asyncio.create_task(connect(workspace).chat_postMessage(channel=CHANNEL, text="x"))
    await workspace.until(lambda: workspace.calls_of("chat.postMessage"))
    await workspace.stop()
    with pytest.raises((SlackApiError, aiohttp.ClientError)):
        await hanging
    assert list(workspace.messages) == []


def test_every_method_says_which_it_is() -> None:
    for name, method in METHODS.items():
        assert (method.__doc__ or "").startswith(name), name
