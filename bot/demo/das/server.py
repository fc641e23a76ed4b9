"""The simulated DAS Agent service: an HTTP server that checks signatures and plays scripted diagnoses."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from bot.demo.das.ask import Ask, check_action, parameters, read
from bot.demo.das.choose import plan
from bot.demo.das.faults import NONE, Faults, in_question
from bot.demo.das.memory import Sessions
from bot.demo.das.refusal import Refusal, Refused
from bot.demo.das.timeline import Run, Timed
from bot.demo.das.verify import Credential, Gate, RawRequest
from bot.demo.das.wire import Part, encode

DEMO_CREDENTIAL = Credential("demo-access-key-id", "demo-access-key-secret")

LONGEST_TARGET = 8190
"""Bytes of request target accepted; the usual limit of a gateway, and why long questions travel in the body."""

LARGEST_BODY = 1 << 20
"""Bytes of body accepted: 32,000 Chinese characters escaped are under 300 KB."""

KEPT_REQUESTS = 10_000
"""Requests kept in the record; a demo that runs for days must not grow."""


@dataclass(slots=True)
class Received:
    """One request as it was received, and what became of it.

    `at` and `ended` are Unix times in seconds; `ended` is 0 while it runs. `outcome` is "refused" (then `code`
    says why), "running", "finished", "cut" (by a fault) or "left" (the client closed the connection).
    """

    action: str
    at: float
    access_key_id: str = ""
    params: dict[str, str] = field(default_factory=dict)
    question: str = ""
    session_id: str = ""
    agent_id: str = ""
    request_id: str = ""
    outcome: str = "refused"
    code: str = ""
    frames_sent: int = 0
    ended: float = 0.0


class SimulatedDas:
    """DAS Agent's Chat interface with scripted answers.

    A question containing `demo:cut`, `demo:error`, `demo:unbound` or `demo:busy` shows how a stream that
    breaks, a run that fails, an agent without instances and a busy service look; "full report" gives an
    answer of about 30,000 characters.

    Args:
        credentials: the access keys it knows.
        pace: factor on the scripted times; 1 is a human pace (8 to 25 s a run), 0 does not wait at all.
        concurrency: runs open at once per agent; one more is refused with 429.
        clock: Unix time in seconds. sleep: waits so many seconds.
        seed: for the same ids and cuts every time.

    Attributes:
        faults: what goes wrong with every request. next_faults: what goes wrong with the next ones, one each.
        requests: all requests received, also refused ones. open_now, max_open: runs open at once.
    """

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
        self._sessions = Sessions()
        self._open: Counter[str] = Counter()
        self._resumed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def open_now(self) -> int:
        return self._open.total()

    @property
    def runs(self) -> list[Received]:
        """The requests that were answered with a stream."""
        return [request for request in self.requests if request.outcome != "refused"]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; `url` is the address afterwards. Port 0 takes a free one."""
        # A client that leaves must end its run at once, also while the script is silent.
        self._runner = web.AppRunner(
            self.app(),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.05,
            max_line_size=1 << 16,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"

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
        """Let the runs that a `silent_after` fault holds go on, and later ones pass."""
        self._resumed.set()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            request.headers.get("x-acs-action", ""), self._clock(), request_id=self._uuid().upper()
        )
        self.requests.append(received)
        if len(request.raw_path.encode()) > LONGEST_TARGET:
            received.code = "414"
            return _refuse(Refusal(414, "414", "Request-URI Too Large", "html"), received, request)
        try:
            body = await request.read()
            ask = self._check(await _raw(request, body), received)
            faults = self._faults(ask.question)
            if faults.refuse:
                received.code = faults.refuse.code
                return _refuse(faults.refuse, received, request)
            self._admit(ask.agent_id)
        except web.HTTPRequestEntityTooLarge:
            received.code = "413"
            return _refuse(Refusal(413, "413", "Request Entity Too Large", "html"), received, request)
        except Refused as refused:
            received.code = refused.refusal.code
            return _refuse(refused.refusal, received, request)
        try:
            return await self._stream(request, ask, faults, received)
        finally:
            self._open[ask.agent_id] -= 1
            received.ended = self._clock()
            if received.outcome == "running":
                received.outcome = "left"

    def _check(self, raw: RawRequest, received: Received) -> Ask:
        if raw.path != "/" or raw.method != "POST":
            message = "Specified api is not found, please check your url and method."
            raise Refused(404, "InvalidAction.NotFound", message)
        check_action(raw.headers)
        received.access_key_id = self._gate.check(raw).key_id
        received.params = parameters(raw)
        ask = read(received.params)
        received.question, received.agent_id = ask.question, ask.agent_id
        received.session_id = ask.session_id
        return ask

    def _faults(self, question: str) -> Faults:
        if self.next_faults:
            return self.next_faults.popleft()
        return in_question(question) or self.faults

    def _admit(self, agent_id: str) -> None:
        if self._open[agent_id] >= self.concurrency:
            message = (
                f"The agent already runs {self.concurrency} diagnosis at a time, the most its edition allows."
            )
            raise Refused(429, "Throttling.Concurrency", message)
        self._open[agent_id] += 1
        self.max_open = max(self.max_open, self.open_now)

    def _compose(self, ask: Ask, received: Received) -> list[Timed]:
        received.session_id = ask.session_id or self._uuid()
        chosen = plan(ask.question, self._sessions.recall(received.session_id))
        # Remembered at once: who stops listening and asks on still refers to what was found.
        self._sessions.keep(received.session_id, chosen.memory)
        run = Run(
            question=ask.question,
            actions=chosen.actions,
            instance=chosen.memory.instance,
            chinese=chosen.chinese,
            session_id=received.session_id,
            request_id=received.request_id,
            summary=ask.summary,
            started=self._clock(),
            dice=self._dice,
            # Without waiting the time stamps still tell the scripted times, so that durations look real.
            scale=self.pace or 1.0,
        )
        return run.compose()

    async def _stream(
        self, request: web.Request, ask: Ask, faults: Faults, received: Received
    ) -> web.StreamResponse:
        received.outcome = "running"
        frames = self._compose(ask, received)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream;charset=utf-8"})
        response.headers["x-acs-request-id"] = received.request_id
        response.headers["Cache-Control"] = "no-cache"
        await response.prepare(request)
        before = 0.0
        for part in encode(frames, faults):
            if received.frames_sent == faults.cut_after:
                received.outcome = "cut"
                return await _cut(request, response, faults)
            if received.frames_sent == faults.silent_after:
                await self._resumed.wait()
            if self.pace and part.at > before:
                await self._sleep((part.at - before) * self.pace)
                before = part.at
            await _write(response, part, faults)
            received.frames_sent += 1
        received.outcome = "finished"
        await response.write_eof()
        return response

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))


async def _raw(request: web.Request, body: bytes) -> RawRequest:
    headers: dict[str, str] = {}
    for name, value in request.raw_headers:
        headers[name.decode().lower()] = value.decode("utf-8", "surrogateescape").strip()
    return RawRequest(request.method, request.raw_path, headers, body)


def _refuse(refusal: Refusal, received: Received, request: web.Request) -> web.Response:
    content_type, text = refusal.body(received.request_id, request.host)
    headers = {"Content-Type": content_type, "x-acs-request-id": received.request_id, **refusal.headers}
    return web.Response(status=refusal.status, body=text.encode(), headers=headers)


async def _write(response: web.StreamResponse, part: Part, faults: Faults) -> None:
    size = faults.chunk_bytes or len(part.data)
    for start in range(0, len(part.data), size):
        await response.write(part.data[start : start + size])


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
