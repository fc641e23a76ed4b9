"""The HTTP server: Slack's requests in HTTP mode, and the health checks in both modes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp

from bot import log

logger = log.get(__name__)

BODY_MOST = 1_000_000
"""Bytes of a request; Slack's largest payloads are a tenth of it."""

Ready = Callable[[], Awaitable[dict[str, bool]]]
"""Each part that must work, and whether it does."""


def build(app: AsyncApp | None, ready: Ready) -> web.Application:
    """The server's application. Without `app` (in Socket Mode) only the health checks are served."""
    server = web.Application(client_max_size=BODY_MOST)

    async def slack(request: web.Request) -> web.Response:
        assert app is not None
        if not request.headers.get("x-slack-request-timestamp", "").isdecimal():
            # Bolt would answer 500, and log it as a fault of ours.
            return web.Response(status=401, text="signature missing")
        response: web.Response = await to_aiohttp_response(
            await app.async_dispatch(await to_bolt_request(request))
        )
        return response

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def readyz(_: web.Request) -> web.Response:
        parts = await ready()
        ok = all(parts.values())
        return web.json_response({"ok": ok, **parts}, status=200 if ok else 503)

    if app is not None:
        server.router.add_post("/slack/events", slack)
    server.router.add_get("/healthz", healthz)
    server.router.add_get("/readyz", readyz)
    return server


async def serve(server: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Start listening; returns what to clean up, and the port.

    Raises:
        OSError: when the port is taken.
    """
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, int(runner.addresses[0][1])
