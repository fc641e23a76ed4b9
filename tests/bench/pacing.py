"""How soon one sees what was said: answers at once in one workspace, in virtual time.

    python tests/bench/pacing.py

The replies, the budget, the rules and the rates are the real ones; a call takes 60 to 140 ms. Beside 1, 10 and 50
answers of 35 to 55 s stand two ways others go, in the same run: one chat.update a second for each answer, and a stream
whose text is sent in pieces of 256 characters, as Slack's SDK buffers it. Both obey a 429 as it says. Then come shorter
and longer answers, and such as two replicas share over one store. What nobody can better is computed beside each, see
`tests.bench.bound`.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from redis.asyncio import Redis
from slack_sdk.errors import SlackApiError

from bot import log
from bot.demo.workspace.streams import Words
from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.run import Run, State
from bot.slack.budget import Budget
from tests.bench import accepting, virtual
from tests.bench.bound import bound
from tests.bench.ground import ANA, LATENCY_SECONDS, OPS, Slack
from tests.bench.virtual import VirtualRates, now

START, APPEND, STOP, UPDATE = "chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"

_THINK_SECONDS = (2.0, 6.0)
"""How long an agent thinks before its first words."""
_TOOLS, _TOOL_SECONDS = 3, (0.5, 2.5)
_LINE = (
    "事务 4711 持有 orders 表的锁，后面有三个语句在等待；"
    "the lock is held for **42 s** now, see `SHOW PROCESSLIST`。\n\n"
)
_DELTA = 6
"""Characters in one piece of text."""
_DELTA_SECONDS = 0.08
_LOOK_SECONDS = 0.05
"""How often what is seen is compared with what was said."""
_SDK_BUFFER = 256
_WORKING, _DONE = Progress("working"), Ending(State.ANSWERED)

Event = tuple[float, ev.Event]


@dataclass(frozen=True, slots=True)
class Load:
    """Answers at once in one workspace.

    Attributes:
        answers: how many.
        arrive: seconds within which their questions come.
        seconds: how long each writes, its tool calls included, at least and at most.
        replicas: how many processes share them.
    """

    answers: int
    arrive: float
    seconds: tuple[float, float]
    replicas: int = 1

    def delays(self) -> list[float]:
        """When the questions come."""
        rng = random.Random(self.answers)
        return sorted(rng.uniform(0, self.arrive) for _ in range(self.answers))

    def scripts(self) -> list[list[Event]]:
        """What comes of them."""
        return [script(number, self.seconds) for number in range(self.answers)]

    def bound(self) -> float:
        """The least p95 staleness in seconds."""
        said, ends = [], []
        for begin, events in zip(self.delays(), self.scripts(), strict=True):
            at, pieces = begin, []
            for pause, event in events:
                at += pause
                if isinstance(event, ev.TextMessageContent):
                    pieces.append((at, event.delta))
            said.append(pieces)
            ends.append(at)
        return bound(said, self.delays(), ends, sum(LATENCY_SECONDS) / 2)


_MIDDLE = (35.0, 55.0)
LOADS = (Load(1, 0.0, _MIDDLE), Load(10, 5.0, _MIDDLE), Load(50, 20.0, _MIDDLE))
"""Those every way is tried on."""
OTHER_LOADS = (
    Load(1, 0.0, (16.0, 24.0)),
    Load(10, 5.0, (16.0, 24.0)),
    Load(20, 10.0, (40.0, 60.0)),
    Load(1, 0.0, (100.0, 140.0)),
    Load(10, 5.0, (100.0, 140.0)),
    Load(10, 5.0, (320.0, 480.0)),
)
SHARED_LOADS = (Load(10, 5.0, _MIDDLE, replicas=2), Load(50, 20.0, _MIDDLE, replicas=2))


def script(seed: int, length: tuple[float, float]) -> list[Event]:
    """One answer: pauses and events. Text comes steadily for so many seconds, with tool calls in between."""
    rng = random.Random(seed)
    events: list[Event] = [(rng.uniform(*_THINK_SECONDS), ev.Activity("thinking"))]
    seconds, writes = rng.uniform(*length), 0
    text = _LINE * (int(seconds / _DELTA_SECONDS) * _DELTA // len(_LINE) + 1)
    calls = [seconds * (n + 1) / (_TOOLS + 1) for n in range(_TOOLS)]
    while seconds > 0:
        # An agent ends its paragraph before it calls a tool.
        if calls and seconds < calls[-1] and text[: writes * _DELTA].endswith("\n\n"):
            calls.pop()
            took, name = rng.uniform(*_TOOL_SECONDS), f"c{writes}"
            events += [(0.0, ev.ToolCallStart(name, "das_api")), (0.05, ev.ToolCallEnd(name))]
            events.append((took, ev.ToolCallResult(name, "[1, 2]")))
            seconds -= took
        events.append(
            (_DELTA_SECONDS, ev.TextMessageContent("m", text[writes * _DELTA : (writes + 1) * _DELTA]))
        )
        seconds -= _DELTA_SECONDS
        writes += 1
    return events


@dataclass(slots=True)
class _Watch:
    """What was said of one answer and when, and how much of it is seen."""

    said: list[tuple[float, int]] = field(default_factory=list)
    """When the text had come to how many characters, blanks not counted."""
    seen: int = 0
    first_said: float | None = None
    first_seen: float | None = None
    oldest: int = 0

    def say(self, characters: int) -> None:
        if characters and (not self.said or characters > self.said[-1][1]):
            self.said.append((now(), characters))
            self.first_said = self.first_said or now()

    def see(self, characters: int) -> None:
        self.seen = max(self.seen, characters)
        if self.seen and self.first_seen is None:
            self.first_seen = now()

    def staleness(self) -> float:
        """Seconds the oldest unseen character has waited; 0 when all is seen."""
        while self.oldest < len(self.said) and self.said[self.oldest][1] <= self.seen:
            self.oldest += 1
        return now() - self.said[self.oldest][0] if self.oldest < len(self.said) else 0.0


def _dense(text: str) -> int:
    return sum(not character.isspace() for character in text)


Way = Callable[[Slack, Run, list[Event], _Watch], Awaitable[None]]


async def ours(slack: Slack, run: Run, events: list[Event], watch: _Watch) -> None:
    """As the relay does it."""
    reply, answer = slack.reply(run), Answer()
    await reply.open(Progress("starting"))
    writing = asyncio.create_task(reply.keep_writing())
    characters = 0
    for pause, event in events:
        await asyncio.sleep(pause)
        answer.apply(event, now())
        if isinstance(event, ev.TextMessageContent):
            characters += _dense(event.delta)
            watch.say(characters)
        reply.show(answer, _WORKING)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    answer.close(now())
    await reply.finish(answer, _DONE)


async def _obeying(slack: Slack, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call that is made again after a 429, when Slack says so."""
    while True:
        try:
            return await slack._send(method, {"channel": OPS, **arguments}, None)
        except SlackApiError as error:
            response: Any = error.response
            if response.status_code != 429:
                raise
            await asyncio.sleep(float(response.headers["Retry-After"]))


async def every_second(slack: Slack, run: Run, events: list[Event], watch: _Watch) -> None:
    """A post, then one chat.update a second with all the text."""
    text, is_over = "", asyncio.Event()
    thread_ts = run.question.thread.thread_ts
    ts = (await _obeying(slack, "chat.postMessage", {"thread_ts": thread_ts, "text": "…"}))["ts"]

    def message() -> dict[str, Any]:
        return {"ts": ts, "text": "…", "blocks": [{"type": "markdown", "text": text or "…"}]}

    async def keep_updating() -> None:
        shown = ""
        while not is_over.is_set():
            if text != shown:
                shown = text
                await _obeying(slack, UPDATE, message())
            await asyncio.sleep(1)

    updating = asyncio.create_task(keep_updating())
    for pause, event in events:
        await asyncio.sleep(pause)
        if isinstance(event, ev.TextMessageContent):
            text += event.delta
            watch.say(_dense(text))
    is_over.set()
    await updating
    await _obeying(slack, UPDATE, message())


async def sdk_stream(slack: Slack, run: Run, events: list[Event], watch: _Watch) -> None:
    """A stream that is opened by, and sent in, pieces of 256 characters."""
    question = run.question
    ts, buffer, text = "", "", ""

    async def send() -> None:
        nonlocal ts, buffer
        piece = {"chunks": [{"type": "markdown_text", "text": buffer}]}
        buffer = ""
        if ts:
            await _obeying(slack, APPEND, {"ts": ts, **piece})
            return
        to = {"recipient_user_id": ANA, "recipient_team_id": question.user_team}
        answer = await _obeying(slack, START, {"thread_ts": question.thread.thread_ts, **to, **piece})
        ts = str(answer["ts"])

    queue: asyncio.Queue[str | None] = asyncio.Queue()

    async def speak() -> None:
        for pause, event in events:
            await asyncio.sleep(pause)
            if isinstance(event, ev.TextMessageContent):
                queue.put_nowait(event.delta)
                nonlocal text
                text += event.delta
                watch.say(_dense(text))
        queue.put_nowait(None)

    speaking = asyncio.create_task(speak())
    try:
        while (delta := await queue.get()) is not None:
            buffer += delta
            if len(buffer) >= _SDK_BUFFER:
                await send()
        if buffer:
            await send()
        await _obeying(slack, STOP, {"ts": ts})
    except SlackApiError:
        pass  # The rest of the text is lost, as it is there.
    finally:
        await speaking


WAYS: dict[str, Way] = {"ours": ours, "update each second": every_second, "sdk stream": sdk_stream}


@dataclass(slots=True)
class Result:
    """What one way of showing came to."""

    way: str
    answers: int
    replicas: int
    seconds: float
    """How long an answer writes, on average."""
    first_words: float
    """Seconds from the agent's first words until they are seen: the 95th percentile over the answers."""
    mean: float
    p95: float
    calls: dict[str, int]
    refused: int
    """Calls answered with 429."""
    invalid: int
    complete: int
    """Answers whose whole text is seen at the end."""
    bound: float = 0.0

    @property
    def by_bound(self) -> float:
        """p95 by the bound."""
        return self.p95 / self.bound


async def play(way: str, load: Load, store: str = "") -> Result:
    """One way at one load. `store` is the URL of the store that several replicas share."""
    slacks = [Slack()]
    slacks += [Slack(beside=slacks[0]) for _ in range(load.replicas - 1)]
    clients = [Redis.from_url(store) for _ in slacks] if load.replicas > 1 else []
    for slack, client in zip(slacks, clients, strict=False):
        # Every play begins at the same time: what another one left in the store would lie ahead.
        slack.budget = Budget(clock=now, shared=VirtualRates(client, f"T{load.answers}"))
    try:
        return await _watched(way, load, slacks)
    finally:
        for slack in slacks:
            await slack.budget.aclose()
        for client in clients:
            with virtual.outside():
                await client.aclose()


async def _watched(way: str, load: Load, slacks: list[Slack]) -> Result:
    slack = slacks[0]
    watches: list[_Watch] = []
    samples: list[float] = []
    is_over = asyncio.Event()
    by_thread: dict[str, tuple[_Watch, Run]] = {}

    def look(method: str, answer: dict[str, Any]) -> None:
        if method not in (START, APPEND, STOP, UPDATE, "chat.postMessage"):
            return
        message = slack.state.messages.get(OPS, str(answer["ts"]))
        watch, run = by_thread[str(message.thread_ts)]
        watch.see(sum(_dense(_text(each)) for each in slack.shown(run)))

    async def sample() -> None:
        while not is_over.is_set():
            samples.extend(stale for watch in watches if (stale := watch.staleness()) > 0)
            await asyncio.sleep(_LOOK_SECONDS)

    async def one(number: int, delay: float, events: list[Event]) -> None:
        await asyncio.sleep(delay)
        run, watch = slack.ask(number), _Watch()
        watches.append(watch)
        by_thread[run.question.thread.thread_ts] = (watch, run)
        await WAYS[way](slacks[number % len(slacks)], run, events, watch)

    for each in slacks:
        each.seen = look
    sampling = asyncio.create_task(sample())
    answers = zip(load.delays(), load.scripts(), strict=True)
    await asyncio.gather(*(one(number, *answer) for number, answer in enumerate(answers)))
    is_over.set()
    await sampling
    firsts = [w.first_seen - w.first_said for w in watches if w.first_seen and w.first_said]
    failed = [call.result for call in slack.failed()]
    return Result(
        way,
        load.answers,
        load.replicas,
        sum(load.seconds) / 2,
        _percentile(firsts, 0.95),
        sum(samples) / len(samples),
        _percentile(samples, 0.95),
        dict(slack.count()),
        failed.count("ratelimited"),
        len(failed) - failed.count("ratelimited"),
        sum(watch.seen >= watch.said[-1][1] for watch in watches),
    )


def _text(message: Any) -> str:
    """The answer's text as a message shows it."""
    if message.stream and not message.stream.replaced:
        return "".join(part.text for part in message.stream.content.parts if isinstance(part, Words))
    return "".join(block["text"] for block in message.blocks or [] if block["type"] == "markdown").strip("…")


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("inf")


def measure() -> list[dict[str, Any]]:
    """Every way at the middle loads, and ours at the others."""
    rows = [_row(way, load) for load in LOADS for way in WAYS] + [_row("ours", load) for load in OTHER_LOADS]
    # The store lives in a loop of its own: virtual time would end its start before it has begun.
    with asyncio.Runner() as real:
        stack = AsyncExitStack()
        store = real.run(stack.enter_async_context(accepting.valkey()))
        try:
            return rows + [_row("ours", load, store) for load in SHARED_LOADS]
        finally:
            real.run(stack.aclose())


def _row(way: str, load: Load, store: str = "") -> dict[str, Any]:
    began = time.perf_counter()
    result = virtual.run(lambda: play(way, load, store))
    result.bound = load.bound()
    row = {name: getattr(result, name) for name in Result.__slots__}
    return row | {"by_bound": result.by_bound, "ran_for": time.perf_counter() - began}


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    print("Pacing: answers at once in one workspace, virtual time, Slack's rates, 60-140 ms a call")
    print(
        "(seconds; staleness: how long the oldest unseen character has waited; bound: what the rates allow)\n"
    )
    print(f"{'answers':>8} {'of':>6} {'way':<20} {'first words':>12} {'mean':>7}", end="")
    print(f" {'p95':>7} {'bound':>7} {'p95/bound':>10}", end="")
    print(f" {'429s':>6} {'invalid':>8} {'complete':>9}  start/append/stop/update/post")
    for row in rows:
        calls = "/".join(
            str(row["calls"].get(m, 0)) for m in (START, APPEND, STOP, UPDATE, "chat.postMessage")
        )
        way = row["way"] if row["replicas"] == 1 else f"{row['way']}, {row['replicas']} replicas"
        print(f"{row['answers']:>8} {row['seconds']:>4.0f} s {way:<20}", end="")
        print(f" {row['first_words']:>12.2f} {row['mean']:>7.2f}", end="")
        print(
            f" {row['p95']:>7.2f} {row['bound']:>7.2f} {row['by_bound']:>10.2f} {row['refused']:>6}", end=""
        )
        print(f" {row['invalid']:>8} {row['complete']:>4}/{row['answers']:<4}  {calls}")


if __name__ == "__main__":
    log.configure("critical")
    show(measure())
