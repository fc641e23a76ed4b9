"""What the app hears, seen on a bare Socket Mode connection that acks everything."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import Command, NothingToClick, SlackError, Workspace

CHANNEL, ANA, BEN, OLAF, BOT = "C0DBOPS001", "U0ANA00001", "U0BEN00001", "U0OLAF0001", "U0DASBOT01"
COMMANDS = [Command("/das-ask"), Command("/das-escaped", should_escape=True)]


@pytest.fixture
async def workspace(make_workspace: Any) -> Any:
    return await make_workspace(commands=COMMANDS)


@pytest.fixture
async def heard(workspace: Workspace, connect: Any) -> AsyncIterator[list[dict[str, Any]]]:
    """Every envelope, in order; commands are acked with a message."""
    opened = await connect(workspace).apps_connections_open(app_token=workspace.app_token)
    envelopes: list[dict[str, Any]] = []

    async def listen(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            envelope = json.loads(frame.data)
            envelopes.append(envelope)
            if "envelope_id" in envelope:
                ack: dict[str, Any] = {"envelope_id": envelope["envelope_id"]}
                if envelope["type"] == "slash_commands":
                    ack["payload"] = {"text": "looking"}
                await socket.send_json(ack)

    async with aiohttp.ClientSession() as session, session.ws_connect(opened["url"]) as socket:
        listening = asyncio.create_task(listen(socket))
        await workspace.connected()
        yield envelopes
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def events(envelopes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item["payload"]["event"] for item in envelopes if item["type"] == "events_api"]


async def test_hello_comes_first(heard: list[dict[str, Any]], workspace: Workspace) -> None:
    workspace.say(ANA, CHANNEL, "x")
    await workspace.delivered()
    assert heard[0]["type"] == "hello" and heard[0]["num_connections"] == 1
    assert heard[0]["connection_info"]["app_id"] == "A0DASBOT01"


async def test_a_mention_arrives_twice_under_two_event_ids(
    heard: list[dict[str, Any]], workspace: Workspace
) -> None:
    ts = workspace.say(ANA, CHANNEL, "@das why?")
    await workspace.delivered()
    mention, twin = (item["payload"] for item in heard[1:])
    assert (mention["event"]["type"], twin["event"]["type"]) == ("app_mention", "message")
    assert mention["event_id"] != twin["event_id"]
    for payload in (mention, twin):
        event = payload["event"]
        assert (event["ts"], event["channel"], event["user"]) == (ts, CHANNEL, ANA)
        assert event["text"] == "<@U0DASBOT01> why?" and event["team"] == "T0DEMO00001"
        assert payload["team_id"] == "T0DEMO00001" and payload["api_app_id"] == "A0DASBOT01"
        assert payload["authorizations"][0]["user_id"] == BOT
        assert not payload["is_ext_shared_channel"]
    assert twin["event"]["channel_type"] == "channel"
    envelope = heard[1]
    assert (envelope["retry_attempt"], envelope["accepts_response_payload"]) == (0, False)


async def test_direct_messages_have_one_event(heard: list[dict[str, Any]], workspace: Workspace) -> None:
    workspace.say(ANA, "D0ANA00001", "@das why?")
    await workspace.delivered()
    (event,) = events(heard)
    assert (event["type"], event["channel_type"]) == ("message", "im")


async def test_nothing_is_heard_from_where_the_bot_is_not(
    heard: list[dict[str, Any]], workspace: Workspace
) -> None:
    workspace.say(ANA, "C0RANDOM01", "@das why?")
    await workspace.delivered()
    assert events(heard) == []


async def test_a_stranger_is_known_by_the_home_team(
    heard: list[dict[str, Any]], workspace: Workspace
) -> None:
    workspace.say(OLAF, "C0SHARED01", "@das why?")
    await workspace.delivered()
    assert all(item["payload"]["is_ext_shared_channel"] for item in heard[1:])
    for event in events(heard):
        teams = {event[name] for name in ("team", "user_team", "source_team")}
        assert teams == {"T0OTHER0001"}
    with pytest.raises(SlackError, match="not_in_channel"):
        workspace.say(OLAF, CHANNEL, "let me in")


async def test_replies_edits_and_deletions(heard: list[dict[str, Any]], workspace: Workspace) -> None:
    root = workspace.say(ANA, CHANNEL, "root")
    ts = workspace.say(BEN, CHANNEL, "reply", thread_ts=root)
    workspace.edit(BEN, CHANNEL, ts, "reply, better")
    workspace.delete(BEN, CHANNEL, ts)
    with pytest.raises(SlackError, match="cant_update_message"):
        workspace.edit(BEN, CHANNEL, root, "not mine")
    await workspace.delivered()
    _, reply, edited, deleted = events(heard)
    assert (reply["thread_ts"], reply["parent_user_id"]) == (root, ANA)
    assert (edited["subtype"], edited["hidden"]) == ("message_changed", True)
    assert (edited["message"]["text"], edited["previous_message"]["text"]) == ("reply, better", "reply")
    assert edited["message"]["edited"]["user"] == BEN
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", ts)


async def test_the_bot_hears_itself(
    heard: list[dict[str, Any]], workspace: Workspace, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel=CHANNEL, text="<@U0DASBOT01> is me")
    await client.chat_update(channel=CHANNEL, ts=posted["ts"], text="two")
    await client.chat_postEphemeral(channel=CHANNEL, user=ANA, text="not an event")
    await workspace.delivered()
    own, changed = events(heard)
    assert (own["type"], own["bot_id"], own["app_id"]) == ("message", "B0DASBOT01", "A0DASBOT01")
    assert changed["message"]["bot_id"] == "B0DASBOT01"


async def test_a_command_has_no_thread_and_an_answer_for_its_person(
    heard: list[dict[str, Any]], workspace: Workspace
) -> None:
    done = await workspace.command(ANA, "C0RANDOM01", "/das-ask", "why is @ana slow?")
    assert done.ok
    payload = heard[-1]["payload"]
    assert heard[-1]["accepts_response_payload"]
    assert (payload["command"], payload["text"]) == ("/das-ask", "why is @ana slow?")
    assert (payload["channel_id"], payload["channel_name"]) == ("C0RANDOM01", "random")
    assert "thread_ts" not in payload and payload["trigger_id"]
    assert [m.text for m in workspace.ephemerals(ANA, "C0RANDOM01")] == ["looking"]
    await workspace.command(ANA, "D0ANA00001", "/das-escaped", "@ben in #db-ops")
    escaped = heard[-1]["payload"]
    assert escaped["text"] == "<@U0BEN00001> in <#C0DBOPS001|db-ops>"
    assert escaped["channel_name"] == "directmessage"
    unknown = await workspace.command(ANA, CHANNEL, "/nope")
    assert not unknown.ok and "not a valid command" in unknown.error


async def respond(url: str, **body: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status, await response.text()


async def test_response_urls_answer_five_times(heard: list[dict[str, Any]], workspace: Workspace) -> None:
    await workspace.command(ANA, CHANNEL, "/das-ask")
    url = heard[-1]["payload"]["response_url"]
    for number in range(5):
        assert await respond(url, text=str(number), response_type="in_channel") == (200, "ok")
    status, text = await respond(url, text="one too many")
    assert (status, json.loads(text)["error"]) == (404, "used_url")
    assert [m.text for m in workspace.messages.of(CHANNEL)] == ["looking", *"01234"]


BLOCKS = [
    {
        "type": "actions",
        "block_id": "act-1",
        "elements": [
            {
                "type": "button",
                "action_id": "run_stop",
                "text": {"type": "plain_text", "text": "Stop"},
                "value": "run:1",
                "style": "danger",
            }
        ],
    },
    {
        "type": "context_actions",
        "block_id": "rate-1",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "rate",
                "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "good"},
                "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
            }
        ],
    },
]


async def test_clicks_carry_the_message_and_can_change_it(
    heard: list[dict[str, Any]], workspace: Workspace, client: AsyncWebClient
) -> None:
    root = workspace.say(ANA, CHANNEL, "root")
    posted = await client.chat_postMessage(channel=CHANNEL, text="x", blocks=BLOCKS, thread_ts=root)
    ts = posted["ts"]
    assert (await workspace.click(ANA, CHANNEL, ts, "run_stop")).ok
    payload = heard[-1]["payload"]
    assert (payload["type"], payload["user"]["id"], payload["team"]["id"]) == (
        "block_actions",
        ANA,
        "T0DEMO00001",
    )
    assert payload["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": CHANNEL,
        "is_ephemeral": False,
        "thread_ts": root,
    }
    assert payload["message"]["ts"] == ts and payload["message"]["blocks"] == BLOCKS
    (action,) = payload["actions"]
    assert (action["action_id"], action["block_id"], action["value"]) == ("run_stop", "act-1", "run:1")
    assert (action["type"], action["style"], action["text"]["text"]) == ("button", "danger", "Stop")

    await respond(payload["response_url"], text="stopped", replace_original=True)
    message = workspace.messages.get(CHANNEL, ts)
    assert (message.text, message.blocks) == ("stopped", None)
    await respond(payload["response_url"], delete_original=True)
    assert message.deleted


async def test_feedback_says_which_side_was_pressed(
    heard: list[dict[str, Any]], workspace: Workspace, client: AsyncWebClient
) -> None:
    ts = (await client.chat_postMessage(channel=CHANNEL, text="x", blocks=BLOCKS))["ts"]
    assert (await workspace.click(ANA, CHANNEL, ts, "rate", "rate-1", "bad")).ok
    (action,) = heard[-1]["payload"]["actions"]
    assert (action["type"], action["value"]) == ("feedback_buttons", "bad")
    with pytest.raises(NothingToClick):
        await workspace.click(ANA, CHANNEL, ts, "rate", value="so-so")
    with pytest.raises(NothingToClick):
        await workspace.click(ANA, CHANNEL, ts, "no_such")


async def test_a_trigger_opens_one_modal_within_three_seconds(
    make_workspace: Any, connect: Any, fake_time: Any
) -> None:
    workspace = await make_workspace(clock=fake_time.clock)
    client = connect(workspace)
    view = {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": []}
    trigger = workspace.state.new_trigger()
    assert (await client.views_open(trigger_id=trigger, view=view))["view"]["id"].startswith("V")
    late = workspace.state.new_trigger()
    fake_time.now += 3.1
    for trigger_id, error in ((trigger, "exchanged_trigger_id"), (late, "expired_trigger_id")):
        with pytest.raises(SlackApiError) as refused:
            await client.views_open(trigger_id=trigger_id, view=view)
        assert refused.value.response["error"] == error


async def test_an_event_can_be_played_again(heard: list[dict[str, Any]], workspace: Workspace) -> None:
    workspace.say(ANA, CHANNEL, "@das why?")
    await workspace.delivered()
    workspace.replay_event(0)
    await workspace.delivered()
    assert heard[-1]["payload"] == heard[1]["payload"]
    assert heard[-1]["envelope_id"] != heard[1]["envelope_id"]
