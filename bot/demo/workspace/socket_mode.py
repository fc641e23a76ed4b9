"""Socket Mode: tickets, connections, envelopes and their acks."""

import asyncio
import contextlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from . import cast
from .bell import Bell
from .delivery import Delivery, Outcome
from .errors import SlackError
from .messages import Json

# An app may hold this many connections; one more is turned away.
MAX_CONNECTIONS = 10
# Clients reconnect when they hear no ping; Slack's come every few seconds.
PING_SECONDS = 10.0
# How long to wait for the other side to agree to a close; a killed one never does.
CLOSE_SECONDS = 1.0
APPROXIMATE_CONNECTION_SECONDS = 3_600


@dataclass(eq=False)
class Connection:
    """One websocket of the app and the envelopes it has not acked."""

    socket: web.WebSocketResponse
    request: web.Request
    waiting: dict[str, asyncio.Future[Outcome]] = field(default_factory=dict)


class SocketMode:
    """The server side of Socket Mode; each envelope goes to one connection, in turn."""

    timeout_reason = "timeout"

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.connections: list[Connection] = []
        self._tickets: set[str] = set()
        self._turn = 0

    def open(self, base_url: str) -> Json:
        """apps.connections.open: an address with a ticket good for one connection."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        address = base_url.replace("http", "ws", 1)
        return {"url": f"{address}/socket-mode/?ticket={ticket}&app_id={cast.APP_ID}"}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The websocket route."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.json_response(SlackError("invalid_ticket").body(), status=403)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(heartbeat=PING_SECONDS, timeout=CLOSE_SECONDS)
        await socket.prepare(request)
        if len(self.connections) >= MAX_CONNECTIONS:
            await socket.send_json(_disconnect("too_many_websockets"))
            await socket.close()
            return socket
        connection = Connection(socket, request)
        self.connections.append(connection)
        try:
            await socket.send_json(self._hello())
            self._bell.ring()
            await self._listen(connection)
        finally:
            self._gone(connection)
        return socket

    async def send(self, delivery: Delivery, number: int, reason: str) -> Outcome:
        """Sends an envelope to the next connection, waiting for one to come if there is none."""
        await self._bell.until(lambda: self.connections, timeout=None)
        self._turn += 1
        connection = self.connections[self._turn % len(self.connections)]
        envelope_id = secrets.token_hex(16)
        envelope: dict[str, Any] = {
            "envelope_id": envelope_id,
            "payload": delivery.payload,
            "type": delivery.kind,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": number, "retry_reason": reason}
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope_id] = answer
        try:
            await connection.socket.send_json(envelope)
            return await answer
        except ConnectionError:
            return Outcome(False, failure="connection_closed")
        finally:
            connection.waiting.pop(envelope_id, None)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tells every connection it will end: `warning` ahead of time, `refresh_requested` and closes."""
        for connection in list(self.connections):
            with contextlib.suppress(ConnectionError):
                await connection.socket.send_json(_disconnect(reason))
                if reason != "warning":
                    self._gone(connection)
                    await connection.socket.close()

    def drop(self) -> None:
        """Cuts every connection without a word."""
        for connection in list(self.connections):
            if connection.request.transport is not None:
                connection.request.transport.abort()
            self._gone(connection)

    async def stop(self) -> None:
        """Closes every connection."""
        connections = list(self.connections)
        for connection in connections:
            self._gone(connection)
        closing = (connection.socket.close() for connection in connections)
        await asyncio.gather(*closing, return_exceptions=True)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {
                "host": "local-workspace",
                "build_number": 1,
                "approximate_connection_time": APPROXIMATE_CONNECTION_SECONDS,
            },
            "connection_info": {"app_id": cast.APP_ID},
        }

    async def _listen(self, connection: Connection) -> None:
        async for frame in connection.socket:
            if frame.type != WSMsgType.TEXT:
                continue
            try:
                ack = json.loads(frame.data)
            except ValueError:
                continue
            envelope_id = ack.get("envelope_id") if isinstance(ack, dict) else None
            answer = connection.waiting.get(str(envelope_id))
            # A late ack finds nothing here: the envelope was already given to somebody else.
            if answer is not None and not answer.done():
                answer.set_result(Outcome(True, response=ack.get("payload") or None))

    def _gone(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
            self._bell.ring()
        for answer in connection.waiting.values():
            if not answer.done():
                answer.set_result(Outcome(False, failure="connection_closed"))


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "local-workspace"}}
