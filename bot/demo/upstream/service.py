"""A simulated service: an HTTP server that checks signatures, keeps a record of requests and sends streams."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import ClassVar, TypedDict

from aiohttp import web

from bot.demo.upstream.faults import NONE, Faults, in_question
from bot.demo.upstream.refusal import Refusal, Refused
from bot.demo.upstream.verify import Credential, Gate, RawRequest
from bot.demo.upstream.wire import Dialect, Frame, Wire

DEMO_CREDENTIAL = Credential("demo-access-key-id", "demo-access-key-secret")

LARGEST_BODY = 1 << 20
"""Bytes of body accepted: 32,000 Chinese characters escaped are under 300 KB."""

LONGEST_LINE = 1 << 17
"""Bytes of request line that the server reads at all; more than any service's `longest_target`."""

KEPT_REQUESTS = 10_000
"""Requests kept in the record; a demo that runs for days must not grow."""


@dataclass(slots=True)
class Received:
    """One request as it was received, and what became of it.

    `at` and `ended` are Unix times in seconds; `ended` is 0 while it runs and for refused requests. `outcome`
    is "refused" (then `code` says why), "answered" (with JSON), or of a stream: "running", "finished",
    "stopped" (on demand), "cut" (by a fault) or "left" (the client closed the connection). `session_id` is
    the conversation's id for RDS; only RDS has `message_id` and `task_id`. `port` is where it came in.
    """

    action: str
    at: float
    access_key_id: str = ""
    params: dict[str, str] = field(default_factory=dict)
    question: str = ""
    session_id: str = ""
    agent_id: str = ""
    message_id: str = ""
    task_id: str = ""
    request_id: str = ""
    outcome: str = "refused"
    code: str = ""
    frames_sent: int = 0
    ended: float = 0.0
    port: int = 0


class Options(TypedDict, total=False):
    """The options that a service passes on to `Service`."""

    pace: float
    concurrency: int
    faults: Faults
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    seed: int | None


class Service(ABC):
    """What is the same for every simulated service.

    Args:
        credentials: the access keys it knows.
        pace: factor on the scripted times; 1 is a human pace, 0 does not wait at all.
        concurrency: runs open at once; one more is refused with 429.
        clock: Unix time in seconds. sleep: waits so many seconds.
        seed: for the same ids and cuts every time.

    Attributes:
        faults: what goes wrong with every run. next_faults: what goes wrong with the next ones, one each.
        requests: all requests received, also refused ones. open_now, max_open: runs open at once.
        url: the address, once started.
    """

    product: ClassVar[str]
    version: ClassVar[str]
    actions: ClassVar[frozenset[str]]
    longest_target: int
    """Bytes of request target accepted; 414 beyond."""
    by_word: ClassVar[Mapping[str, Faults]]
    """Faults a person can see in the demo by putting the word into a question."""

    def __init__(
        self,
        credentials: Sequence[Credential] = (DEMO_CREDENTIAL,),
        *,
        pace: float = 1.0,
        concurrency: int = 1,
        faults: Faults = NONE,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seed: int | None = None,
    ) -> None:
        self.faults = faults
        self.next_faults: deque[Faults] = deque()
        self.requests: deque[Received] = deque(maxlen=KEPT_REQUESTS)
        self.max_open = 0
        self.pace = pace
        self.concurrency = concurrency
        self.url = ""
        self._gate = Gate(tuple(credentials), clock)
        self._clock = clock
        self._sleep = sleep
        self._dice = random.Random(seed)
        self._open: Counter[str] = Counter()
        self._resumed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def open_now(self) -> int:
        return self._open.total()

    @property
    def runs(self) -> list[Received]:
        """The requests that were answered with a stream."""
        return [request for request in self.requests if request.outcome not in ("refused", "answered")]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; `url` is the address afterwards. Port 0 takes a free one."""
        # A client that leaves must be noticed at once, also while the script is silent.
        self._runner = web.AppRunner(
            self.app(),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.05,
            max_line_size=LONGEST_LINE,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def another_address(self) -> str:
        """One more URL of the started service, by whose port (`Received.port`) one client's requests are known."""
        assert self._runner is not None
        known, host = len(self._runner.addresses), self._runner.addresses[0][0]
        await web.TCPSite(self._runner, host, 0).start()
        return f"http://{host}:{self._runner.addresses[known][1]}"

    async def stop(self) -> None:
        """Close the connections and stop listening. Runs still open are cut."""
        self._resumed.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def app(self) -> web.Application:
        """The service as an aiohttp application, for mounting into a server of one's own."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    def resume(self) -> None:
        """Let the runs that a `silent_after` or `hang_after` fault holds go on, and later ones pass."""
        self._resumed.set()

    @abstractmethod
    async def _serve(self, request: web.Request, raw: RawRequest, received: Received) -> web.StreamResponse:
        """Answer a request whose action and signature are right. Raises `Refused` before a stream begins."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            request.headers.get("x-acs-action", ""), self._clock(), request_id=self._uuid().upper()
        )
        if name := request.transport and request.transport.get_extra_info("sockname"):
            received.port = name[1]
        self.requests.append(received)
        if len(request.raw_path.encode()) > self.longest_target:
            return self._refuse(Refusal(414, "414", "Request-URI Too Large", "html"), received, request)
        try:
            raw = _raw(request, await request.read())
            self._check_action(raw)
            received.access_key_id = self._gate.check(raw).key_id
            return await self._serve(request, raw, received)
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(Refusal(413, "413", "Request Entity Too Large", "html"), received, request)
        except Refused as refused:
            return self._refuse(refused.refusal, received, request)

    def _check_action(self, raw: RawRequest) -> None:
        missing = "Specified api is not found, please check your url and method."
        if raw.path != "/" or raw.method != "POST":
            raise Refused(404, "InvalidAction.NotFound", missing)
        action = raw.headers.get("x-acs-action", "")
        if not action:
            raise Refused(400, "MissingAction", "Action is mandatory for this action.")
        if raw.headers.get("x-acs-version") != self.version:
            raise Refused(400, "InvalidVersion", "Specified parameter Version is not valid.")
        if action not in self.actions:
            raise Refused(404, "InvalidAction.NotFound", missing)

    def _refuse(self, refusal: Refusal, received: Received, request: web.Request) -> web.Response:
        received.code = refusal.code
        content_type, text = refusal.body(received.request_id, request.host, self.product)
        headers = {"Content-Type": content_type, "x-acs-request-id": received.request_id, **refusal.headers}
        return web.Response(status=refusal.status, body=text.encode(), headers=headers)

    def _faults_for(self, question: str) -> Faults:
        faults = (
            self.next_faults.popleft()
            if self.next_faults
            else in_question(question, self.by_word) or self.faults
        )
        if faults.refuse:
            raise Refused.of(faults.refuse)
        return faults

    def _admit(self, key: str, busy: Refused) -> None:
        """Count one more run of `key`. Raises `busy` when there are as many as allowed."""
        if self._open[key] >= self.concurrency:
            raise busy
        self._open[key] += 1
        self.max_open = max(self.max_open, self.open_now)

    def _release(self, key: str) -> None:
        self._open[key] -= 1

    async def _wait(self, before: float, at: float) -> None:
        """Let the scripted time from `before` to `at` pass."""
        if self.pace and at > before:
            await self._sleep((at - before) * self.pace)

    async def _stream(
        self,
        request: web.Request,
        frames: AsyncIterator[Frame],
        dialect: Dialect,
        faults: Faults,
        received: Received,
    ) -> web.StreamResponse:
        """Send `frames` as they come, with the faults of sending; tells how it ended in `received`."""
        received.outcome = "running"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream;charset=utf-8"})
        response.headers["x-acs-request-id"] = received.request_id
        response.headers["Cache-Control"] = "no-cache"
        try:
            await response.prepare(request)
            wire = Wire(dialect, faults)
            async with aclosing(_pieces(wire, frames)) as pieces:
                async for piece in pieces:
                    if _due(faults.cut_after, received, wire):
                        received.outcome = "cut"
                        return await _cut(request, response, faults)
                    if _due(faults.silent_after, received, wire):
                        await self._resumed.wait()
                    if _due(faults.endless_after, received, wire):
                        await self._beat_for_ever(response, wire, faults, received)
                    await _write(response, piece, faults)
                    received.frames_sent += 1
            received.outcome = "finished"
            await response.write_eof()
            return response
        finally:
            received.ended = self._clock()
            if received.outcome == "running":
                received.outcome = "left"

    async def _beat_for_ever(
        self, response: web.StreamResponse, wire: Wire, faults: Faults, received: Received
    ) -> None:
        while True:
            await self._sleep(faults.endless_every)
            await _write(response, wire.heartbeat(), faults)
            received.frames_sent += 1

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))


def _raw(request: web.Request, body: bytes) -> RawRequest:
    headers: dict[str, str] = {}
    for name, value in request.raw_headers:
        headers[name.decode().lower()] = value.decode("utf-8", "surrogateescape").strip()
    return RawRequest(request.method, request.raw_path, headers, body)


async def _pieces(wire: Wire, frames: AsyncIterator[Frame]) -> AsyncGenerator[bytes, None]:
    async for frame in frames:
        for piece in wire.encode(frame):
            yield piece
    for piece in wire.close():
        yield piece


def _due(after: int | None, received: Received, wire: Wire) -> bool:
    return after is not None and (received.frames_sent >= after or wire.ended)


async def _write(response: web.StreamResponse, data: bytes, faults: Faults) -> None:
    size = faults.chunk_bytes or len(data)
    for start in range(0, len(data), size):
        await response.write(data[start : start + size])


async def _cut(request: web.Request, response: web.StreamResponse, faults: Faults) -> web.StreamResponse:
    transport = request.transport
    if faults.cut_with == "end" or transport is None:
        await response.write_eof()
        return response
    if faults.cut_with == "rst":
        # A linger of zero seconds makes close() send RST instead of FIN.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    transport.close()
    return response
