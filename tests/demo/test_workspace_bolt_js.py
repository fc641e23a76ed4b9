"""Slack's official JavaScript Bolt works with the local workspace: neither is fitted to our own client."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.demo.workspace import Command, Workspace

pytestmark = pytest.mark.node
CHANNEL, ANA = "C0DBOPS001", "U0ANA00001"


@pytest.fixture
async def judged(
    bolt_js: Path, make_workspace: Callable[..., Awaitable[Workspace]]
) -> AsyncIterator[Workspace]:
    """A workspace with the JavaScript bot connected."""
    workspace = await make_workspace(commands=[Command("/judge")])
    environment = {
        "PATH": os.environ["PATH"],
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_API_URL": workspace.api_url,
    }
    node = await asyncio.create_subprocess_exec(
        "node",
        "bot.js",
        cwd=bolt_js,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert node.stdout is not None and node.stdin is not None
    try:
        assert await asyncio.wait_for(node.stdout.readline(), 30) == b"connected\n"
        yield workspace
    finally:
        node.stdin.close()
        try:
            await asyncio.wait_for(node.wait(), 10)
        except TimeoutError:
            node.kill()
            await node.wait()


async def test_the_javascript_bolt_answers_a_mention_a_command_and_a_click(judged: Workspace) -> None:
    asked = judged.say(ANA, CHANNEL, "@das why is it slow?")
    await judged.until(lambda: any(len(m.versions) == 2 for m in judged.replies(CHANNEL, asked)))
    (reply,) = judged.replies(CHANNEL, asked)
    assert [version.text for version in reply.versions] == ["on it", "done: <@U0DASBOT01> why is it slow?"]
    assert reply.metadata == {"event_type": "judge", "event_payload": {"asked": asked}}
    assert reply.blocks is not None and reply.blocks[0]["text"]["text"] == "done"

    # The JavaScript client sends forms with JSON inside; the record shows the structure.
    assert judged.calls_of("chat.update")[0].args["blocks"][0]["type"] == "section"
    assert json.dumps(judged.calls_of("chat.update")[0].response)

    done = await judged.command(ANA, CHANNEL, "/judge", "hello")
    assert done.ok and done.response == {"text": "you said hello in db-ops"}

    assert (await judged.click(ANA, CHANNEL, reply.ts, "judge")).ok
    await judged.until(lambda: len(judged.ephemerals(ANA, CHANNEL)) == 2)
    assert [m.text for m in judged.ephemerals(ANA, CHANNEL)] == ["you said hello in db-ops", "pressed seven"]


async def test_the_javascript_bolt_comes_back_when_slack_refreshes_its_connection(judged: Workspace) -> None:
    first = judged.sockets.connections[0]
    await judged.disconnect_sockets("refresh_requested")
    await judged.until(lambda: judged.sockets.connections and judged.sockets.connections[0] is not first)
    asked = judged.say(ANA, CHANNEL, "<@U0DASBOT01> again")
    await judged.until(lambda: judged.replies(CHANNEL, asked))
