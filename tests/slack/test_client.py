"""Calls to Slack: each failure is of the right kind, a refusal is waited out, an answer is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.slack import client as module
from bot.slack.budget import Budget, Priority
from bot.slack.client import (
    ClosedPlaceError,
    FailedError,
    GoneError,
    RefusedBlocksError,
    SlackClient,
    SlackError,
    SlowDownError,
    StoppedError,
    StreamEndedError,
    StreamOpenError,
    TooBigError,
    UncertainError,
)
from bot.slack.notices import Notices

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def slack(handler: Handler) -> AsyncIterator[SlackClient]:
    """A client of a server that answers everything with `handler`; pauses take no time."""
    app = web.Application()
    app.router.add_route("*", "/api/{method}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    budget = Budget(clock=lambda: now, sleep=sleep)
    client = SlackClient("xoxb-test", f"http://127.0.0.1:{runner.addresses[0][1]}/api/", budget)
    try:
        yield client
    finally:
        await client.aclose()
        await budget.aclose()
        await runner.cleanup()


async def test_calls_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = []

    async def proxy(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.json_response({"ok": True})

    async with slack(proxy) as client:
        monkeypatch.setenv("HTTPS_PROXY", client._base_url.removesuffix("/api/"))
        client._base_url = "http://slack.invalid/api/"
        assert await call(client) == {"ok": True}
        await client.upload("http://files.invalid/api/upload", b"rows")
        await Notices(client).respond("http://hooks.invalid/api/commands", "No.")
    assert hosts == ["slack.invalid", "files.invalid", "hooks.invalid"]


async def call(client: SlackClient, **more: Any) -> dict[str, Any]:
    return await client.call("chat.update", "C", Priority.TEXT, "o", lambda: {"text": "x"}, **more)


def answers(*responses: Callable[[], web.Response]) -> Handler:
    waiting = list(responses)

    async def handle(_: web.Request) -> web.Response:
        return waiting.pop(0)()

    return handle


def error(code: str, status: int = 200, **headers: str) -> Callable[[], web.Response]:
    return lambda: web.json_response({"ok": False, "error": code}, status=status, headers=headers)


def OK() -> web.Response:
    return web.json_response({"ok": True, "ts": "1.2"})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_blocks", RefusedBlocksError),
        ("msg_too_long", TooBigError),
        ("msg_blocks_too_long", TooBigError),
        ("message_not_found", GoneError),
        ("edit_window_closed", SlackError),
        ("cant_update_message", SlackError),
        ("internal_error", FailedError),
        ("service_unavailable", UncertainError),
        ("not_in_channel", ClosedPlaceError),
        ("is_archived", ClosedPlaceError),
        ("token_revoked", ClosedPlaceError),
        ("message_not_in_streaming_state", StreamEndedError),
        ("streaming_mode_mismatch", StreamEndedError),
        ("streaming_state_conflict", StreamOpenError),
        ("stopped_by_user", StoppedError),
    ],
)
async def test_each_refusal_has_its_kind(code: str, kind: type[SlackError]) -> None:
    async with slack(answers(error(code))) as client:
        with pytest.raises(SlackError) as raised:
            await call(client)
    assert type(raised.value) is kind and raised.value.code == code


@pytest.mark.parametrize("status", [500, 502, 503, 200])
@pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/json", "application/gzip"])
async def test_an_answer_that_is_no_json_leaves_the_call_uncertain(status: int, content_type: str) -> None:
    page = lambda: web.Response(status=status, body=b"<html>bad gateway", content_type=content_type)  # noqa: E731
    async with slack(answers(page)) as client:
        with pytest.raises(UncertainError):
            await call(client)


async def test_a_json_list_or_an_empty_answer_is_uncertain_too() -> None:
    async with slack(answers(lambda: web.json_response([1]), lambda: web.Response(status=200))) as client:
        for _ in range(2):
            with pytest.raises(UncertainError):
                await call(client)


@pytest.mark.parametrize(
    "refusal",
    [
        error("ratelimited", 429, **{"Retry-After": "7"}),
        error("rate_limited", 200, **{"Retry-After": "7"}),
        lambda: web.Response(status=429, text="slow down", headers={"Retry-After": "7"}),
        error("ratelimited", 429, **{"Retry-After": "soon"}),
    ],
)
async def test_a_refusal_is_waited_out_with_arguments_made_anew(refusal: Callable[[], web.Response]) -> None:
    made = []
    async with slack(answers(refusal, OK)) as client:

        def make() -> dict[str, Any]:
            made.append(client.budget._clock())
            return {"text": "x"}

        answer = await client.call("chat.update", "C", Priority.TEXT, "o", make)
    assert answer["ts"] == "1.2"
    assert len(made) == 2 and made[1] - made[0] >= 5


async def test_endless_refusals_are_not_for_good() -> None:
    async with slack(answers(*[error("ratelimited", 429)] * 30)) as client:
        with pytest.raises(UncertainError):
            await call(client)


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_SECONDS", 0.05)
    stop = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await stop.wait()
        return web.Response()

    async with slack(hang) as client:
        with pytest.raises(UncertainError):
            await call(client)
        stop.set()


async def test_nobody_there() -> None:
    client = SlackClient("xoxb-test", "http://127.0.0.1:1/api/", Budget())
    with pytest.raises(UncertainError):
        await call(client)
    await client.aclose()


async def test_an_answer_is_kept_though_the_caller_is_cancelled() -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        arrived.set()
        await go.wait()
        return OK()

    kept: list[dict[str, Any]] = []
    async with slack(slow) as client:
        calling = asyncio.create_task(call(client, on_answer=kept.append))
        await arrived.wait()
        calling.cancel()
        await asyncio.sleep(0)
        assert not calling.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await calling
    assert kept[0]["ts"] == "1.2"


async def test_insist_repeats_only_what_is_uncertain() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def insist(client: SlackClient, tries: int) -> dict[str, Any]:
        return await client.insist(
            "chat.update", "C", Priority.TEXT, "o", lambda: {"text": "x"}, tries=tries, sleep=pause
        )

    async with slack(
        answers(error("internal_error"), error("internal_error"), OK, error("is_archived"))
    ) as client:
        assert (await insist(client, 3))["ok"]
        with pytest.raises(SlackError, match="is_archived"):
            await insist(client, 3)
    assert pauses == [0.5, 1.0]


async def test_arguments_go_as_json_to_methods_that_write_and_as_form_to_those_that_read() -> None:
    seen: list[tuple[str, str, str]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.match_info["method"], request.content_type, request.query_string))
        return OK()

    async with slack(note) as client:
        await call(client)
        await client.call("conversations.replies", "C", Priority.TEXT, "o", lambda: {"ts": "1.2"})
    assert seen[0] == ("chat.update", "application/json", "")
    assert seen[1][0] == "conversations.replies" and seen[1][1] != "application/json"


async def test_who_would_rather_do_something_else_is_told_at_once() -> None:
    async with slack(answers(error("ratelimited", 429, **{"Retry-After": "30"}))) as client:
        with pytest.raises(SlowDownError):
            await call(client, once=True)
        assert client.budget.expected_wait("chat.update", "C") > 29


async def test_who_waits_while_slack_closes_the_method_is_told_too() -> None:
    async with slack(answers()) as client:
        await client.budget.refused("chat.update", "C", 30)

        async def never(_: float) -> None:
            await asyncio.Event().wait()

        client.budget._sleep = never
        waiting = asyncio.create_task(call(client, once=True))
        while not client.budget._queue("chat.update", "C").waiters:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await client.budget.refused("chat.update", "C", 60)
        with pytest.raises(SlowDownError):
            await waiting


async def test_a_file_goes_where_slack_says_without_our_token() -> None:
    seen: list[tuple[bytes, str | None]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((await request.read(), request.headers.get("Authorization")))
        return web.Response(status=200 if len(seen) == 1 else 500)

    async with slack(take) as client:
        url = str(client.web.base_url) + "upload"
        await client.upload(url, "慢日志".encode())
        with pytest.raises(UncertainError):
            await client.upload(url, b"again")
        with pytest.raises(UncertainError):
            await client.upload("no address", b"")
    assert seen[0] == ("慢日志".encode(), None)


async def test_methods_for_files_name_the_channel_their_way() -> None:
    fields: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        fields.append({**request.query, **await request.post()})
        return OK()

    async with slack(take) as client:
        for method in ("files.getUploadURLExternal", "files.completeUploadExternal"):
            await client.call(method, "C", Priority.TOOL, "o", lambda: {"files": "[]"})
    assert [("channel" in each, each.get("channel_id")) for each in fields] == [(False, None), (False, "C")]
