"""Slack over HTTP: signatures first, then anything; and the truth about health."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from bot.demo.das import Faults
from bot.demo.workspace.http_delivery import signature
from bot.slack import server
from bot.slack.listener import Listener

ANA, OPS = "U0ANA00001", "C0DBOPS001"
SECRET = b"d0" * 16


@pytest.fixture
async def house(make_house: Any) -> Any:
    made = await make_house()
    await made.start(slack_app_token="")
    return made


async def post(house: Any, body: str, **headers: str) -> tuple[int, str]:
    """Send a request that is signed unless `headers` say otherwise."""
    stamp = headers.get("X-Slack-Request-Timestamp", str(int(time.time())))
    signed = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": signature(SECRET, stamp, body),
    }
    async with aiohttp.ClientSession() as session:
        url = f"{house.url}/slack/events"
        sent = {name: value for name, value in (signed | headers).items() if value}
        async with session.post(url, data=body.encode(), headers=sent) as response:
            return response.status, await response.text()


async def test_the_whole_way(house: Any) -> None:
    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    reply = await house.answer(OPS, ts)
    house.workspace.say(ANA, OPS, "and yesterday?", ts)
    await house.answer(OPS, ts, 2)
    assert (await house.workspace.click(ANA, OPS, reply.ts, "run_again")).ok
    done = await house.workspace.command(ANA, OPS, "/das-ask", "")
    assert done.response["text"].startswith("Usage")
    await house.taken(3)


async def test_while_it_ends_it_answers_but_wants_no_more(make_house: Any) -> None:
    house = await make_house()
    await house.start(slack_app_token="", drain_seconds=60)
    house.das.next_faults.append(Faults(hang_after=5))

    async def is_open() -> bool:
        return bool(house.das.open_now)

    ts = house.workspace.say(ANA, OPS, "@das why is rm-bp1demo0001 slow?")
    await house.eventually(is_open)
    leaving = asyncio.create_task(house.stack.aclose())
    async with aiohttp.ClientSession() as session:

        async def is_unready() -> bool:
            async with session.get(house.url + "/readyz") as response:
                return response.status == 503

        await house.eventually(is_unready)
    house.workspace.say(ANA, OPS, "and yesterday?", ts)
    await house.taken(2)
    house.das.resume()
    await leaving
    assert [run["state"] for run in await house.runs()] == ["answered", "queued"]


async def test_the_challenge(house: Any) -> None:
    status, text = await post(house, json.dumps({"type": "url_verification", "challenge": "c0ffee"}))
    assert status == 200 and "c0ffee" in text


UNSIGNED: Any = [
    {"X-Slack-Signature": "v0=" + "0" * 64},
    {"X-Slack-Signature": ""},
    {"X-Slack-Signature": "v0=é"},
    {"X-Slack-Request-Timestamp": ""},
    {"X-Slack-Request-Timestamp": "yesterday"},
    {"X-Slack-Request-Timestamp": "9" * 5000},
    {"X-Slack-Request-Timestamp": str(int(time.time()) - 3600)},
    {"X-Slack-Request-Timestamp": str(int(time.time()) + 3600)},
]


async def test_what_slack_did_not_sign(house: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for headers in UNSIGNED:
        body = {"type": "event_callback", "event": {"type": "app_mention", "text": "hunter2", "channel": OPS}}
        status, text = await post(house, json.dumps(body), **headers)
        assert status == 401
        assert "hunter2" not in text
        assert "hunter2" not in "".join(capfd.readouterr())
        assert await house.runs() == []


MALFORMED: Any = [
    ("{", "application/json"),
    ("[1, 2]", "application/json"),
    ('"text"', "application/json"),
    ("null", "application/json"),
    ("[" * 200_000, "application/json"),
    ("payload=%7Bhunter2", "application/x-www-form-urlencoded"),
    ("payload=[]", "application/x-www-form-urlencoded"),
]


async def test_a_malformed_body(house: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for body, kind in MALFORMED:
        status, text = await post(house, body, **{"Content-Type": kind})
        assert (status, text) == (400, "malformed body")
        assert "hunter2" not in "".join(capfd.readouterr())


POST = b"POST /slack/events HTTP/1.1\r\nHost: bot\r\n"
NO_HTTP = [
    b"GET /?token=hunter2 HTTP/1.1\r\nHost: bot\r\nContent-Length: hunter2\r\n\r\n",
    POST + b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nhunter2",
    POST + b"Transfer-Encoding: chunked\r\n\r\nhunter2\r\nhunter2\r\n",
    b"hunter2 / HTTP/9.9\r\n\r\n",
]


@pytest.mark.parametrize("request_", NO_HTTP)
async def test_what_is_no_proper_http(house: Any, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Anybody may send it: it is refused, and nothing of it stands in the log, nor a trace of frames."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.bot.port)
    writer.write(request_)
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    await house.stack.aclose()
    assert "hunter2" not in caplog.text and "Traceback" not in caplog.text
    assert all(record.levelname == "WARNING" for record in caplog.records if record.name == "aiohttp.server")


async def test_a_huge_body(house: Any) -> None:
    status, _ = await post(house, "x" * (server.BODY_MOST + 1))
    assert status == 413


async def test_a_body_that_does_not_come(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.bot.port)
    head = "POST /slack/events HTTP/1.1", "Host: bot", "Content-Type: application/json", "Content-Length: 9"
    writer.write("\r\n".join([*head, "", '{"a"']).encode())
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_other_addresses_and_methods(house: Any) -> None:
    async with aiohttp.ClientSession() as session:
        for path, status in (("/slack/events", 405), ("/", 404), ("/healthz", 200), ("/readyz", 200)):
            async with session.get(house.url + path) as response:
                assert response.status == status


async def test_before_the_bot_is_ready_slack_is_told_to_come_again() -> None:
    async def ready() -> dict[str, bool]:
        return {"ok": False, "redis": False, "slack": False}

    site = server.build(server.Door(SECRET.decode()), ready)
    listener = Listener(site)
    port = await listener.start("127.0.0.1", 0)
    try:

        class Place:
            url = f"http://127.0.0.1:{port}"

        assert (await post(Place, "{}"))[0] == 503
        async with aiohttp.ClientSession() as session, session.get(f"{Place.url}/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"ok": False, "redis": False, "slack": False}
    finally:
        await listener.aclose()
