"""The strict workspace without its HTTP: the real rules and rates, with latencies, in virtual time."""

from __future__ import annotations

import asyncio
import copy
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.demo.workspace.arguments import Arguments
from bot.demo.workspace.cast import TEAM_ID
from bot.demo.workspace.errors import SlackError
from bot.demo.workspace.messages import Message
from bot.demo.workspace.rates import Rates
from bot.demo.workspace.state import Call as Record
from bot.demo.workspace.state import State
from bot.demo.workspace.web_api import METHODS
from bot.model.question import Question, Thread
from bot.model.run import Run
from bot.slack.budget import Budget
from bot.slack.client import SlackClient
from bot.slack.reply.writer import SlackReply
from tests.bench.virtual import now

OPS, ANA = "C0DBOPS001", "U0ANA00001"
LATENCY_SECONDS = (0.06, 0.14)
"""How long a call takes there and back."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one call. `lost`: it is carried out, and the answer never comes."""

    error: str = ""
    retry_after: float = 0.0
    lost: bool = False


@dataclass(slots=True)
class Call:
    """One call as it was answered: "ok", "ratelimited", or Slack's error code."""

    method: str
    arguments: dict[str, Any]
    at: float
    result: str


@dataclass(slots=True)
class _Response:
    status_code: int
    data: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class Slack(SlackClient):
    """The client under test, its requests answered in this process. `beside` is one of the same workspace.

    Attributes:
        state: the workspace.
        calls: every call in order.
        faults: by method, what goes wrong with its next calls.
        seen: called after each call that was carried out, at the moment its effect shows.
    """

    def __init__(
        self, *, seed: int = 7, rates: Mapping[str, float] | None = None, beside: Slack | None = None
    ) -> None:
        super().__init__("", "", Budget(clock=now))
        self.state: State = beside.state if beside else State(now)
        self.calls: list[Call] = beside.calls if beside else []
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.seen: Callable[[str, dict[str, Any]], None] = lambda method, answer: None
        self.uploaded: dict[str, bytes] = {}
        self._rates: Rates = beside._rates if beside else Rates(now, rates)
        self._random = random.Random(seed)

    async def _send(
        self, method: str, arguments: dict[str, Any], on_answer: Callable[[dict[str, Any]], None] | None
    ) -> dict[str, Any]:
        there, back = (self._random.uniform(*LATENCY_SECONDS) / 2 for _ in range(2))
        arguments = copy.deepcopy(arguments)
        await asyncio.sleep(there)
        call = Call(method, arguments, now(), "ok")
        self.calls.append(call)
        self.state.calls.append(Record(method, arguments, call.at))
        fault = self.faults[method].popleft() if self.faults[method] else Fault()
        wait = fault.retry_after or self._rates.take(method, str(arguments.get("channel", "")))
        if wait:
            call.result = "ratelimited"
            await asyncio.sleep(back)
            raise SlackApiError("", _Response(429, {"error": "ratelimited"}, {"Retry-After": str(wait)}))
        try:
            if fault.error:
                raise SlackError(fault.error)
            answer = METHODS[method](self.state, Arguments(arguments))
        except SlackError as error:
            body = error.body()
            call.result = str(body["error"])
            await asyncio.sleep(back)
            raise SlackApiError("", _Response(200, body)) from None
        self.seen(method, answer)
        await asyncio.sleep(back)
        if fault.lost:
            call.result = "lost"
            raise aiohttp.ServerDisconnectedError
        if on_answer:
            on_answer(answer)
        return answer

    async def upload(self, url: str, content: bytes) -> None:
        """A file's bytes arrive."""
        file = self.state.files[url.rpartition("/")[2]]
        file.content = self.uploaded[file.name] = content

    # -- asking ----------------------------------------------------------------------------------------

    def ask(self, number: int = 0, *, streams: bool = True, text: str = "why?") -> Run:
        """A question in a thread of its own, and its run."""
        root = self.state.messages.next_ts()
        message = Message(ts=root, channel=OPS, user=ANA, text=text)
        self.state.post(message)
        question = Question(
            Thread(TEAM_ID, OPS, root), root, ANA, TEAM_ID if streams else "", text, "mention"
        )
        return Run(f"{number:08x}" + "0123456789abcdef" * 2, question, accepted_at=now())

    def reply(self, run: Run, **more: Any) -> SlackReply:
        """The reply to a run, in virtual time."""

        async def save() -> None:
            pass

        return SlackReply(self, run, save, {"": "DAS Agent"}, clock=now, **more)

    # -- what happened ---------------------------------------------------------------------------------

    def shown(self, run: Run) -> list[Message]:
        """The bot's messages in the run's thread, files aside."""
        thread = run.question.thread
        found = self.state.messages.thread(thread.channel, thread.thread_ts)
        return [message for message in found if message.bot_id and not message.files]

    def count(self) -> Counter[str]:
        """Calls by method."""
        return Counter(call.method for call in self.calls)

    def failed(self) -> list[Call]:
        """Calls that were not carried out, or whose answer was lost."""
        return [call for call in self.calls if call.result != "ok"]
