"""The simulated DAS Agent service: plays scripted diagnoses through Chat and the older GetDasAgentSSE."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Unpack

from aiohttp import web

from bot.demo.das import dialect
from bot.demo.das.ask import CHAT, LEGACY, VERSION, Ask, parameters, read
from bot.demo.das.choose import Plan, plan
from bot.demo.das.interrupt import WORD, Interrupt
from bot.demo.das.legacy import retell
from bot.demo.das.memory import Sessions
from bot.demo.das.timeline import Run
from bot.demo.upstream.faults import BUSY, Faults
from bot.demo.upstream.refusal import Refused
from bot.demo.upstream.service import DEMO_CREDENTIAL, Options, Received, Service
from bot.demo.upstream.verify import Credential, RawRequest
from bot.demo.upstream.wire import Dialect, Frame, Timed, spoil


class SimulatedDas(Service):
    """DAS Agent with scripted answers.

    A question containing `demo:cut`, `demo:error`, `demo:unbound` or `demo:busy` shows how a stream that
    breaks, a run that fails, an agent without instances and a busy service look; `demo:interrupt` makes the
    agent ask back (in Chat only), "full report" gives an answer of about 30,000 characters. `concurrency`
    counts per agent; at `pace` 1 a run takes 8 to 25 s.

    Args:
        credentials: the access keys it knows.
        cumulative: whether GetDasAgentSSE repeats the whole answer so far in every frame.
        options: pace, concurrency, faults, clock, sleep and seed, as `Service` takes them.
    """

    product = "hdm"
    version = VERSION
    actions = frozenset({CHAT, LEGACY})
    # The usual limit of a gateway, and why long questions travel in the body.
    longest_target = 8190
    by_word: ClassVar[Mapping[str, Faults]] = {
        "demo:cut": Faults(cut_after=40, cut_with="fin"),
        "demo:error": Faults(exception_after=40),
        "demo:unbound": Faults(error_after=6),
        "demo:busy": Faults(refuse=BUSY["Throttling.User"]),
    }

    def __init__(
        self,
        credentials: Sequence[Credential] = (DEMO_CREDENTIAL,),
        *,
        cumulative: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(credentials, **options)
        self.cumulative = cumulative
        self._sessions = Sessions()

    async def _serve(self, request: web.Request, raw: RawRequest, received: Received) -> web.StreamResponse:
        received.params = parameters(raw)
        ask = read(received.action, received.params)
        received.question, received.agent_id, received.session_id = ask.question, ask.agent_id, ask.session_id
        faults = self._faults_for(ask.question)
        self._check_session(ask, faults)
        many = f"The agent already runs {self.concurrency} diagnosis at a time, the most its edition allows."
        self._admit(ask.agent_id, Refused(429, "Throttling.Concurrency", many))
        try:
            frames, spelling = self._compose(ask, received, faults)
            return await self._stream(request, self._paced(frames, faults), spelling, faults, received)
        finally:
            self._release(ask.agent_id)

    def _check_session(self, ask: Ask, faults: Faults) -> None:
        if faults.session_expired or faults.session_replaced:
            self._sessions.forget(ask.session_id)
        if faults.session_expired and ask.session_id:
            raise Refused(400, "SessionExpired", "The session does not exist or has expired.")

    def _compose(self, ask: Ask, received: Received, faults: Faults) -> tuple[list[Timed], Dialect]:
        if faults.session_replaced or not ask.session_id:
            received.session_id = self._uuid()
        interrupt_id = f"int-{self._uuid()}"
        chosen = self._plan(ask, received, interrupt_id)
        frames = Run(
            question=ask.question,
            actions=chosen.actions,
            instance=chosen.memory.instance,
            chinese=chosen.chinese,
            session_id=received.session_id,
            request_id=received.request_id,
            summary=ask.summary,
            interrupt_id=interrupt_id,
            started=self._clock(),
            dice=self._dice,
            # Without waiting the time stamps still tell the scripted times, so that durations look real.
            scale=self.pace or 1.0,
        ).compose()
        if received.action == CHAT:
            return spoil(frames, faults, dialect.CHAT), dialect.CHAT
        told = retell(frames, received.request_id, cumulative=self.cumulative)
        signed = [
            Timed(at, {"Id": received.session_id, **frame})
            for at, frame in spoil(told, faults, dialect.LEGACY)
        ]
        return signed, dialect.LEGACY

    def _plan(self, ask: Ask, received: Received, interrupt_id: str) -> Plan:
        """What to answer; the session remembers it."""
        memory = self._sessions.recall(received.session_id)
        if ask.resumed and (memory is None or memory.interrupt != ask.resumed):
            raise Refused(400, "InvalidParams", "Resume names no interrupt that is open in the session.")
        question = ask.question if received.action == CHAT else ask.question.replace(WORD, "")
        if memory and ask.resumed:
            # The question that was interrupted, together with the answer.
            question = f"{memory.interrupted.replace(WORD, '')} {ask.value}"
        chosen = plan(question, memory)
        remembered = chosen.memory
        if any(isinstance(action, Interrupt) for action in chosen.actions):
            remembered = replace(remembered, interrupt=interrupt_id, interrupted=ask.question)
        # Remembered at once: who stops listening and asks on still refers to what was found.
        self._sessions.keep(received.session_id, remembered)
        return chosen

    async def _paced(self, frames: list[Timed], faults: Faults) -> AsyncIterator[Frame]:
        before = 0.0
        for number, (at, frame) in enumerate(frames):
            if number == faults.hang_after:
                await self._resumed.wait()
            await self._wait(before, at)
            before = at
            yield frame
