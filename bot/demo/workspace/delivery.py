"""Bringing events, commands and clicks to the app: attempts, deadline, redelivery, and the record."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .bell import Bell
from .messages import Json

_log = logging.getLogger(__name__)

Kind = Literal["events_api", "slash_commands", "interactive"]
Sleep = Callable[[float], Awaitable[None]]

# Slack waits three seconds for an ack, then delivers again at once, after a minute and after five.
ACK_DEADLINE_SECONDS = 3.0
REDELIVERY_DELAYS_SECONDS = (0.0, 60.0, 300.0)


@dataclass
class Attempt:
    """One try; `reason` says why it was needed, empty for the first."""

    t: float
    reason: str = ""


@dataclass
class Delivery:
    """Something the app was to hear, and what became of it."""

    kind: Kind
    payload: Json
    attempts: list[Attempt] = field(default_factory=list)
    acked: bool = False
    latency: float | None = None
    """Seconds from the attempt that was acked to its ack."""
    response: Any = None
    """What came back with the ack: an object, or None."""
    failure: str = ""
    """Why the last attempt failed."""
    finished: bool = False
    """True once acked or given up."""

    @property
    def event_id(self) -> str:
        """The event_id, empty for commands and clicks."""
        return str(self.payload.get("event_id", ""))


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: acked, or why not."""

    acked: bool
    response: Any = None
    failure: str = ""
    may_retry: bool = True


class Transport(Protocol):
    """Socket Mode or HTTP."""

    timeout_reason: str
    """What Slack calls a missed deadline on this way."""

    async def send(self, delivery: Delivery, number: int, reason: str) -> Outcome:
        """Makes one attempt and returns once it was acked or failed; cancelled at the deadline."""
        ...


class Dispatcher:
    """Owns a task per delivery in flight; events are tried again, commands and clicks are not."""

    def __init__(
        self,
        clock: Callable[[], float],
        sleep: Sleep,
        bell: Bell,
        delays: Sequence[float] = REDELIVERY_DELAYS_SECONDS,
        deadline: float = ACK_DEADLINE_SECONDS,
    ) -> None:
        self.transport: Transport | None = None
        self.before: Callable[[Delivery], Awaitable[None]] | None = None
        self.deliveries: list[Delivery] = []
        self._clock = clock
        self._sleep = sleep
        self._bell = bell
        self._delays = delays
        self._deadline = deadline
        self._tasks: set[asyncio.Task[None]] = set()
        self.in_flight = 0
        """Deliveries neither acked nor given up."""

    def send(self, kind: Kind, payload: Json) -> Delivery:
        """Starts a delivery and returns its record at once."""
        delivery = Delivery(kind, payload)
        self.deliveries.append(delivery)
        task = asyncio.create_task(self._deliver(delivery), name=f"deliver {kind} {delivery.event_id}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self.in_flight += 1
        return delivery

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a delivery broke: %s", task.get_name(), exc_info=task.exception())

    async def finished(self, delivery: Delivery) -> None:
        """Returns once a delivery was acked or given up."""
        await self._bell.until(lambda: delivery.finished, timeout=None)

    async def stop(self) -> None:
        """Gives up everything in flight."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, delivery: Delivery) -> None:
        delays = self._delays if delivery.kind == "events_api" else ()
        try:
            if self.before:
                await self.before(delivery)
            for number in range(len(delays) + 1):
                if number:
                    await self._sleep(delays[number - 1])
                attempt = Attempt(self._clock(), delivery.failure)
                delivery.attempts.append(attempt)
                self._bell.ring()
                outcome = await self._attempt(delivery, number)
                if outcome.acked:
                    delivery.acked = True
                    delivery.latency = self._clock() - attempt.t
                    delivery.response = outcome.response
                    return
                delivery.failure = outcome.failure
                if not outcome.may_retry:
                    return
        finally:
            delivery.finished = True
            self.in_flight -= 1
            self._bell.ring()

    async def _attempt(self, delivery: Delivery, number: int) -> Outcome:
        """One attempt against the deadline, on the injected clock."""
        if self.transport is None:
            return Outcome(False, failure="no_transport")
        sending = asyncio.ensure_future(self.transport.send(delivery, number, delivery.failure))
        deadline = asyncio.ensure_future(self._sleep(self._deadline))
        try:
            await asyncio.wait({sending, deadline}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                return sending.result()
            return Outcome(False, failure=self.transport.timeout_reason)
        finally:
            for task in (sending, deadline):
                task.cancel()
            await asyncio.gather(sending, deadline, return_exceptions=True)
