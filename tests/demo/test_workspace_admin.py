"""What happens around the app: removed, archived, uninstalled, revoked, limited, a root deleted, scopes."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import Workspace

CHANNEL, ELSEWHERE, ANA, BEN, BOT = "C0DBOPS001", "C0RANDOM01", "U0ANA00001", "U0BEN00001", "U0DASBOT01"


async def refusal(calling: Any) -> str:
    with pytest.raises(SlackApiError) as refused:
        await calling
    return str(refused.value.response["error"])


def heard(workspace: Workspace) -> list[str]:
    """The types of the events so far."""
    return [delivery.payload["event"]["type"] for delivery in workspace.events]


async def test_a_removed_bot_is_refused_until_it_is_invited_again(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    root = workspace.say(ANA, CHANNEL, "root")
    ts = (await client.chat_postMessage(channel=CHANNEL, thread_ts=root, text="on it"))["ts"]
    stream = {"channel": CHANNEL, "thread_ts": root}
    person = {"recipient_user_id": ANA, "recipient_team_id": "T0DEMO00001"}
    streamed = (
        await client.chat_startStream(**stream, **person, chunks=[{"type": "markdown_text", "text": "a"}])
    )["ts"]
    assert (await workspace.command(ANA, CHANNEL, "/remove", "@das")).ok
    assert heard(workspace)[-1] == "member_left_channel"
    assert (
        await refusal(client.chat_postMessage(channel=CHANNEL, thread_ts=root, text="x")) == "not_in_channel"
    )
    assert await refusal(client.chat_update(channel=CHANNEL, ts=ts, text="x")) == "channel_not_found"
    assert await refusal(client.conversations_replies(channel=CHANNEL, ts=root)) == "not_in_channel"
    more = [{"type": "markdown_text", "text": "b"}]
    append = client.api_call("chat.appendStream", json={"channel": CHANNEL, "ts": streamed, "chunks": more})
    assert await refusal(append) == "not_in_channel"
    workspace.say(ANA, CHANNEL, "does it still hear?")
    assert heard(workspace)[-1] == "member_left_channel"
    assert (await workspace.command(ANA, CHANNEL, "/invite", "@das")).ok
    assert heard(workspace)[-1] == "member_joined_channel"
    assert (await client.chat_update(channel=CHANNEL, ts=ts, text="back"))["ok"]


async def test_who_mentions_an_absent_bot_is_told_in_private_how_to_invite_it(workspace: Workspace) -> None:
    workspace.say(ANA, ELSEWHERE, "@das why?")
    (hint,) = workspace.ephemerals(ANA, ELSEWHERE)
    assert "/invite @das" in hint.text and hint.user == "USLACKBOT"
    assert workspace.ephemerals(BEN, ELSEWHERE) == []
    workspace.say(ANA, ELSEWHERE, "nobody is meant; `@das` is code")
    workspace.say(ANA, CHANNEL, "@das why?")
    assert len(workspace.ephemerals(ANA, ELSEWHERE)) == 1 and workspace.ephemerals(ANA, CHANNEL) == []


async def test_slacks_own_commands(workspace: Workspace) -> None:
    for channel, command, text, why in (
        ("D0ANA00001", "/invite", "@das", "direct messages"),
        (ELSEWHERE, "/invite", "@ben", "@das only"),
        (ELSEWHERE, "/remove", "", "@das only"),
    ):
        done = await workspace.command(ANA, channel, command, text)
        assert not done.ok and why in done.error
    assert workspace.deliveries == []


async def test_an_archived_channel_takes_nothing(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel=CHANNEL, text="x"))["ts"]
    assert (await workspace.command(BEN, CHANNEL, "/archive")).ok
    assert workspace.events[-1].payload["event"]["type"] == "channel_archive"
    assert await refusal(client.chat_postMessage(channel=CHANNEL, text="x")) == "is_archived"
    assert await refusal(client.chat_update(channel=CHANNEL, ts=ts, text="x")) == "is_inactive"
    assert (await client.conversations_info(channel=CHANNEL))["channel"]["is_archived"]
    workspace.archive(BEN, CHANNEL, False)
    assert heard(workspace)[-1] == "channel_unarchive"
    assert (await client.chat_update(channel=CHANNEL, ts=ts, text="x"))["ok"]


async def test_an_uninstalled_app_hears_of_it_and_nothing_more(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    workspace.uninstall_app()
    assert heard(workspace) == ["app_uninstalled", "tokens_revoked"]
    tokens = workspace.events[-1].payload["event"]["tokens"]
    assert tokens == {"oauth": [], "bot": [BOT]} and workspace.events[-1].payload["team_id"] == "T0DEMO00001"
    assert await refusal(client.chat_postMessage(channel=CHANNEL, text="x")) == "account_inactive"
    assert await refusal(client.auth_test()) == "account_inactive"
    workspace.say(ANA, CHANNEL, "@das why?")
    assert len(workspace.events) == 2
    workspace.reinstall_app()
    assert (await client.auth_test())["ok"]


async def test_a_revoked_token_is_dead(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.revoke_tokens()
    assert heard(workspace) == ["tokens_revoked"]
    assert await refusal(client.chat_postMessage(channel=CHANNEL, text="x")) == "token_revoked"


async def test_too_many_events_are_told_by_the_minute(make_workspace: Any, fake_time: Any) -> None:
    workspace = await make_workspace(clock=fake_time.clock, sleep=fake_time.sleep)
    workspace.limit_events()
    payload = workspace.events[0].payload
    assert (payload["type"], payload["team_id"]) == ("app_rate_limited", "T0DEMO00001")
    assert payload["minute_rate_limited"] == fake_time.now // 60 * 60
    assert "event" not in payload and workspace.events[0].event_id == ""


async def test_a_deleted_root_leaves_a_tombstone_where_it_had_replies(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    root = workspace.say(ANA, CHANNEL, "root")
    lonely = workspace.say(ANA, CHANNEL, "lonely")
    await client.chat_postMessage(channel=CHANNEL, thread_ts=root, text="on it")
    workspace.delete(ANA, CHANNEL, root)
    workspace.delete(ANA, CHANNEL, lonely)
    buried, deleted = (delivery.payload["event"] for delivery in workspace.events[-2:])
    assert (buried["subtype"], buried["message"]["subtype"]) == ("message_changed", "tombstone")
    assert buried["previous_message"]["text"] == "root"
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", lonely)
    assert (await client.chat_postMessage(channel=CHANNEL, thread_ts=root, text="goes on"))["ok"]
    assert (
        await refusal(client.chat_postMessage(channel=CHANNEL, thread_ts=lonely, text="x"))
        == "thread_not_found"
    )


async def test_a_missing_scope_is_named(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.scopes.remove("files:write")
    with pytest.raises(SlackApiError) as refused:
        await client.files_getUploadURLExternal(filename="x.csv", length=3)
    answer = refused.value.response
    assert (answer["error"], answer["needed"]) == ("missing_scope", "files:write")
    assert "files:write" not in answer["provided"] and "files:write" not in answer.headers["X-OAuth-Scopes"]
    workspace.scopes.discard("channels:history")
    root = workspace.say(ANA, CHANNEL, "root")
    assert (await client.conversations_replies(channel=CHANNEL, ts=root))["ok"], (
        "im:history is one of those needed"
    )


async def test_people_are_told_apart(client: AsyncWebClient) -> None:
    async def shown(user: str) -> dict[str, Any]:
        answer = await client.users_info(user=user, include_locale=True)
        names = ("locale", "tz", "tz_offset", "is_admin", "is_owner", "is_stranger", "is_bot")
        return {name: answer["user"][name] for name in names}

    plain = {"is_admin": False, "is_owner": False, "is_stranger": False, "is_bot": False}
    ana, wang, ben, olaf = [await shown(u) for u in (ANA, "U0WANG0001", BEN, "U0OLAF0001")]
    assert ana == {"locale": "en-US", "tz": "Europe/Madrid", "tz_offset": 3_600, **plain}
    assert wang == {"locale": "zh-CN", "tz": "Asia/Shanghai", "tz_offset": 28_800, **plain}
    assert (ben["is_admin"], ben["is_owner"]) == (True, False)
    assert (olaf["is_stranger"], olaf["is_admin"]) == (True, False)
    without = await client.users_info(user=ANA)
    assert "locale" not in without["user"]
