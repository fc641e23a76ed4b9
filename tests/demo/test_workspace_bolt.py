"""Slack's Python Bolt works with the local workspace, over Socket Mode and over signed HTTP."""

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.workspace import Command, Workspace

CHANNEL, ANA = "C0DBOPS001", "U0ANA00001"
BUTTON = {
    "type": "button",
    "action_id": "again",
    "text": {"type": "plain_text", "text": "Again"},
    "value": "q",
}


def small_bot(workspace: Workspace) -> AsyncApp:
    """Answers mentions and direct messages, a command and a button."""
    client = AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)
    app = AsyncApp(client=client, signing_secret=workspace.signing_secret)

    async def answer(event: dict[str, Any], client: AsyncWebClient, context: Any) -> None:
        posted = await client.chat_postMessage(
            channel=event["channel"], thread_ts=event.get("thread_ts", event["ts"]), text="on it"
        )
        assert context.bot_user_id == "U0DASBOT01" and context.team_id == "T0DEMO00001"
        blocks = [{"type": "actions", "elements": [BUTTON]}]
        await client.chat_update(channel=event["channel"], ts=posted["ts"], text="done", blocks=blocks)

    async def message(event: dict[str, Any], client: AsyncWebClient, context: Any) -> None:
        if event.get("channel_type") == "im" and "subtype" not in event:
            await answer(event, client, context)

    async def command(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        await ack()
        await respond(f"asked: {command['text']}", response_type="in_channel")

    async def again(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        user, channel = body["user"]["id"], body["channel"]["id"]
        await client.chat_postEphemeral(channel=channel, user=user, text=body["actions"][0]["value"])

    app.event("app_mention")(answer)
    app.event("message")(message)
    app.command("/das-ask")(command)
    app.action("again")(again)
    return app


@pytest.fixture
async def workspace(make_workspace: Any, attach: Any) -> Workspace:
    """A workspace with the bot connected in one of the two ways."""
    workspace: Workspace = await make_workspace(commands=[Command("/das-ask")])
    await attach(workspace, small_bot(workspace))
    return workspace


async def test_a_question_grows_into_an_answer_and_its_button_works(workspace: Workspace) -> None:
    asked = workspace.say(ANA, CHANNEL, "@das why is it slow?")
    await workspace.until(lambda: any(len(m.versions) == 2 for m in workspace.replies(CHANNEL, asked)))
    await workspace.delivered()
    (reply,) = workspace.replies(CHANNEL, asked)
    assert [version.text for version in reply.versions] == ["on it", "done"]
    assert all(event.acked and len(event.attempts) == 1 for event in workspace.events)
    assert (await workspace.click(ANA, CHANNEL, reply.ts, "again")).ok
    await workspace.until(lambda: workspace.ephemerals(ANA, CHANNEL))
    assert [m.text for m in workspace.ephemerals(ANA, CHANNEL)] == ["q"]


async def test_a_direct_message_is_answered(workspace: Workspace) -> None:
    asked = workspace.say(ANA, "D0ANA00001", "why?")
    await workspace.until(lambda: workspace.replies("D0ANA00001", asked))


async def test_a_command_is_answered_through_its_response_url(workspace: Workspace) -> None:
    done = await workspace.command(ANA, "C0RANDOM01", "/das-ask", "why?")
    assert done.ok
    await workspace.until(lambda: workspace.messages.of("C0RANDOM01"))
    (message,) = workspace.messages.of("C0RANDOM01")
    assert (message.text, message.ephemeral_for) == ("asked: why?", None)
