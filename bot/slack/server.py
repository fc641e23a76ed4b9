"""The HTTP server: Slack's requests in HTTP mode, and the health checks in both modes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from bot import metrics

BODY_MOST = 1_000_000
"""Bytes of a request; Slack's largest payloads are a tenth of it."""
BODY_SECONDS = 10.0
"""Longest wait for a body. Slack sends it at once, and gives up after 3 s."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
"""Seconds since 1970. Bolt answers 500 to anything that is no number."""

Ready = Callable[[], Awaitable[dict[str, bool]]]
"""Each part that must work, and whether it does; `ok` for the whole."""


@dataclass(slots=True)
class Door:
    """Where Slack's requests come in. `app` is None until the bot is ready; then Slack is told to come again."""

    signing_secret: str
    app: AsyncApp | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """One request: its signature first, before anything of it is parsed or could be logged."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            return web.Response(status=408, text="too slow", headers={"Connection": "close"})
        except web.RequestPayloadError:
            # Not what its Content-Encoding or Transfer-Encoding says.
            return web.Response(status=400, text="malformed body", headers={"Connection": "close"})
        if not self._is_signed(request.headers, body):
            return web.Response(status=401, text="signature missing or wrong")
        if self.app is None:
            return web.Response(status=503, text="starting")
        try:
            bolt_request = await to_bolt_request(request)
            if not isinstance(bolt_request.body, dict):
                raise ValueError("not an object")
        except (ValueError, AttributeError, RecursionError):
            # Bolt takes for granted that the body is a form, or a JSON object.
            return web.Response(status=400, text="malformed body")
        response: web.Response = await to_aiohttp_response(await self.app.async_dispatch(bolt_request))
        return response

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers.get("x-slack-request-timestamp", "")
        signature = headers.get("x-slack-signature", "")
        if not _TIMESTAMP.fullmatch(timestamp) or not signature.isascii():
            return False
        # Slack signs text only; bytes that are none match nothing.
        text = body.decode("utf-8", "replace")
        return bool(SignatureVerifier(self.signing_secret).is_valid(text, timestamp, signature))


def build(door: Door | None, ready: Ready, *, with_metrics: bool = False) -> web.Application:
    """The server's application. Without a door (in Socket Mode) only the health checks and metrics are served."""
    server = web.Application(client_max_size=BODY_MOST)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def readyz(_: web.Request) -> web.Response:
        parts = await ready()
        return web.json_response(parts, status=200 if parts["ok"] else 503)

    async def read_metrics(_: web.Request) -> web.Response:
        await ready()  # It brings its own gauges up to date.
        return web.Response(body=metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})

    if door is not None:
        server.router.add_post("/slack/events", door.handle)
    server.router.add_get("/healthz", healthz)
    server.router.add_get("/readyz", readyz)
    if with_metrics:
        server.router.add_get("/metrics", read_metrics)
    return server
