"""What a test may put between the app and the workspace: hooks before calls and deliveries, and more addresses."""

import asyncio
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from bot.demo.das import SimulatedDas
from bot.demo.workspace import Call, Delivery, Workspace
from bot.demo.workspace.faults import Fault

CHANNEL, ANA = "C0DBOPS001", "U0ANA00001"


async def test_a_call_waits_for_its_hook_and_has_no_effect_before(workspace: Workspace, connect: Any) -> None:
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold(call: Call) -> None:
        held.set()
        await let_go.wait()

    workspace.before_calls(hold)
    posting = asyncio.create_task(connect(workspace).chat_postMessage(channel=CHANNEL, text="late"))
    await held.wait()
    assert not list(workspace.messages)
    let_go.set()
    assert (await posting)["ok"] and [message.text for message in workspace.messages] == ["late"]
    assert not workspace.calls[-1].spoiled


async def test_a_hook_may_say_what_goes_wrong(workspace: Workspace, connect: Any) -> None:
    async def spoil(call: Call) -> Fault:
        return Fault(error="internal_error")

    workspace.before_calls(spoil)
    with pytest.raises(SlackApiError, match="internal_error"):
        await connect(workspace).chat_postMessage(channel=CHANNEL, text="never")
    assert workspace.calls[-1].spoiled and not list(workspace.messages)


async def test_deliveries_may_overtake_each_other(workspace: Workspace) -> None:
    first = asyncio.Event()

    async def hold(delivery: Delivery) -> None:
        if delivery.payload["event"]["text"] == "one":
            await first.wait()

    workspace.before_deliveries(hold)
    workspace.say(ANA, CHANNEL, "one")
    workspace.say(ANA, CHANNEL, "two")
    one, two = workspace.deliveries
    await workspace.until(lambda: two.attempts)
    assert not one.attempts
    first.set()
    await workspace.until(lambda: one.attempts)


async def test_calls_are_told_apart_by_the_address_they_came_to(workspace: Workspace, connect: Any) -> None:
    client = connect(workspace)
    await client.auth_test()
    client.base_url = await workspace.another_address()
    await client.auth_test()
    first, second = [call.port for call in workspace.calls_of("auth.test")]
    assert first != second and f":{second}/" in client.base_url and f":{first}/" in workspace.api_url


async def test_a_service_has_more_addresses_too() -> None:
    das = SimulatedDas()
    await das.start()
    try:
        other = await das.another_address()
        assert other != das.url
        reader, writer = await asyncio.open_connection("127.0.0.1", int(other.rpartition(":")[2]))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        assert other.endswith(f":{das.requests[0].port}")
    finally:
        await das.stop()
