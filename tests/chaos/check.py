"""The invariants, held against the records of the workspace, of the simulated service, and of the store.

Only which run a question became is taken from the bot's own store; what people saw and what was asked upstream is
judged by the other side's records.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from redis.asyncio import Redis

from bot.demo.das import Received
from bot.demo.workspace import Message, Workspace
from bot.slack.reply.line import METADATA_TYPE
from bot.slack.words import say
from bot.store import keys
from tests.judges.panel import judge_calls

TOKEN = re.compile(r"rm-chaos(\d{4})")
"""The instance a question is about: its own, so that it is known again wherever it appears."""
_STREAM = re.compile(r'"(?:stream-)?([0-9a-f]{16})-([0-9]+)(?:-begin)?"')
"""Block ids that name a run and the number of its message, in a stream."""
_REFERENCE = re.compile(r"-([0-9a-f]{4})-([0-9a-f]{4})\.")
"""A run's reference in the name of a file."""
SAME_TIME = 0.3
"""Seconds two runs may overlap in the service's record: it hears of a closed connection a moment later."""
_AFTERMATH = 5.0
"""Seconds after its stream ended in which an answer may still be lost to a crash: it is being written down."""
_LAST_WORDS = 40
"""Letters at the end of an answer by which it is known to be whole."""


@dataclass(slots=True)
class Asked:
    """One question as somebody asked it. `ts` and `thread_ts` are empty for a command, which has neither."""

    number: int
    kind: str
    user: str
    channel: str
    text: str
    said_at: float
    ts: str = ""
    thread_ts: str = ""
    verdict: str = ""
    """Of a command: "accepted", "refused", or "unknown" when the ack did not come."""

    @property
    def token(self) -> str:
        """What tells it from every other question."""
        return token(self.number)


def token(number: int) -> str:
    """The instance question `number` is about."""
    return f"rm-chaos{number:04d}"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant; `question` is its number where there is one."""

    rule: str
    detail: str
    question: int | None = None

    def __str__(self) -> str:
        about = "" if self.question is None else f" (question {self.question})"
        return f"{self.rule}{about}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer of RDS Copilot in its own record: "running", "finished", "failed" or "stopped", and the text."""

    status: str
    text: str


@dataclass(slots=True)
class Evidence:
    """All that is judged. `disturbed` are spans of time in which a process or the store was killed or slept."""

    workspace: Workspace
    requests: Sequence[Received]
    asked: list[Asked]
    stops: set[tuple[str, str]]
    """Threads in which somebody wanted something stopped."""
    disturbed: list[tuple[float, float]]
    paused: list[tuple[float, float]]
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    """The records of all runs, by id."""
    left: list[str] = field(default_factory=list)
    """What the store should not hold any more."""
    generated: Mapping[str, Generated] = field(default_factory=dict)
    """What RDS Copilot wrote, by the id of its message."""

    def runs_of(self, asked: Asked) -> list[str]:
        """The ids of the runs a question became: one, if all is well."""
        return [run_id for run_id, record in self.runs.items() if asked.token in record.get("text", "")]

    def requests_of(self, asked: Asked) -> list[Received]:
        """The requests upstream with a question, also refused ones."""
        return [request for request in self.requests if asked.token in request.question]

    def begun(self, asked: Asked) -> list[Received]:
        """The requests with a question that the service began to answer."""
        return [request for request in self.requests_of(asked) if request.outcome != "refused"]

    def generated_for(self, asked: Asked) -> Generated | None:
        """What RDS Copilot wrote for a question, if it was asked."""
        return next((self.generated[r.message_id] for r in self.begun(asked) if r.message_id), None)

    def is_accepted(self, asked: Asked) -> bool:
        """Whether Slack was told that the question arrived."""
        return asked.verdict == "accepted" if asked.kind == "command" else acked_at(self.workspace, asked) > 0

    def messages(self) -> Iterator[tuple[str, str, int, Message]]:
        """What the bot wrote for all to see: kind ("reply", "root" or "file"), run id, message number, message."""
        for message in self.workspace.messages:
            if message.bot_id and message.ephemeral_for is None and not message.deleted:
                yield *self._name(message), message

    def _name(self, message: Message) -> tuple[str, str, int]:
        """Kind, run id and number of a message. A stream has no metadata, what it began with names the run."""
        metadata = message.metadata or {}
        payload = metadata.get("event_payload") or {}
        if named := payload.get("run"):
            kind = "reply" if metadata.get("event_type") == METADATA_TYPE else "root"
            return kind, str(named), int(payload.get("message", 0))
        if message.files:
            found = _REFERENCE.search(str(message.files[0].get("name")))
            begin = found[1] + found[2] if found else "none"
            return "file", next((run_id for run_id in self.runs if run_id.startswith(begin)), ""), 0
        blocks = (json.dumps(version.blocks) for version in message.versions)
        marks = [mark for text in blocks for mark in _STREAM.findall(text)]
        return ("reply", marks[0][0], int(marks[0][1])) if marks else ("reply", "", 0)


def acked_at(workspace: Workspace, asked: Asked) -> float:
    """When Slack first heard that a message arrived; 0 when it never did."""
    times = [
        delivery.attempts[-1].t + (delivery.latency or 0.0)
        for delivery in workspace.events
        if delivery.acked
        and delivery.payload["event"].get("ts") == asked.ts
        and delivery.payload["event"].get("channel") == asked.channel
    ]
    return min(times, default=0.0)


def root_of(workspace: Workspace, asked: Asked) -> str:
    """The ts of the root message that was posted for a command, "" while there is none."""
    for message in workspace.messages:
        if (
            message.bot_id
            and not message.is_reply
            and not message.ephemeral_for
            and asked.token in message.text
        ):
            return message.ts
    return ""


async def read_store(redis: Redis) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The records of all runs, and what a store at rest should not hold."""
    runs: dict[str, dict[str, str]] = {}
    left: list[str] = []
    async for key in redis.scan_iter(count=1_000):
        if await redis.pttl(key) == -1:
            left.append(f"{key} never expires")
        if key.startswith(keys.run("")):
            record: Any = await redis.hgetall(key)
            runs[key.removeprefix(keys.run(""))] = record
        elif key.startswith((keys.queue(""), keys.lease(""))):
            left.append(f"{key} is still there")
    if await redis.exists(keys.THREADS):
        if length := await redis.xlen(keys.THREADS):
            left.append(f"{length} entries in the stream")
        if pending := (await redis.xpending(keys.THREADS, keys.GROUP))["pending"]:
            left.append(f"{pending} entries pending")
    return runs, left


def check(evidence: Evidence) -> list[Violation]:
    """Every invariant that is broken."""
    found = [Violation("store at rest", line) for line in evidence.left]
    replies: dict[str, list[tuple[int, Message]]] = {}
    roots: dict[str, list[Message]] = {}
    files: Counter[str] = Counter()
    for kind, run_id, number, message in evidence.messages():
        if run_id not in evidence.runs:
            found.append(Violation("every message has its run", f"{message.ts}: {message.text[:60]!r}"))
        elif kind == "file":
            files[run_id] += 1
        elif kind == "root":
            roots.setdefault(run_id, []).append(message)
        else:
            replies.setdefault(run_id, []).append((number, message))
    for asked in evidence.asked:
        found += _check_question(evidence, asked, replies, roots)
    found += [Violation("files once", f"{n} of {run_id}") for run_id, n in files.items() if n > 1]
    return [*found, *_check_order(evidence)]


def check_calls(workspace: Workspace) -> list[Violation]:
    """What the judges of messages find wrong with all that was sent; for the end, as it takes a while."""
    return [Violation("every message is well-formed", problem) for problem in judge_calls(workspace.calls)]


def _check_question(
    evidence: Evidence,
    asked: Asked,
    replies: dict[str, list[tuple[int, Message]]],
    roots: dict[str, list[Message]],
) -> Iterator[Violation]:
    def broken(rule: str, detail: str) -> Violation:
        return Violation(rule, detail, asked.number)

    runs = evidence.runs_of(asked)
    accepted = evidence.is_accepted(asked)
    if not accepted and asked.kind != "command":
        yield broken("Slack gets through", "the message was never acked")
    if len(runs) > 1:
        yield broken("accepted once", f"{len(runs)} runs: {', '.join(runs)}")
    if accepted and not runs:
        yield broken("nothing accepted is lost", "acked, but there is no run")
    if (begun := len(evidence.begun(asked))) > 1:
        yield broken("asked upstream once", f"the service began {begun} runs")
    if not runs:
        return
    written = sorted(replies.get(runs[0], []), key=lambda pair: pair[0])
    if not written:
        if not _told_privately(evidence, asked, runs[0]):
            yield broken("one reply", "no reply")
        return
    numbers = [number for number, _ in written]
    if numbers != list(range(len(numbers))):
        yield broken("one reply", f"messages {numbers}")
    if asked.kind == "command" and len(roots.get(runs[0], [])) != 1:
        yield broken("one root message", f"{len(roots.get(runs[0], []))} of them")
    places = {(message.channel, message.thread_ts) for _, message in written}
    if places != {_place(asked, roots.get(runs[0], []))}:
        yield broken("in its thread", f"replies in {places}")
    yield from (broken(rule, detail) for rule, detail in _check_end(evidence, asked, runs[0], written))


def _told_privately(evidence: Evidence, asked: Asked, run_id: str) -> bool:
    """Whether a command for which no thread could be opened ended with a line to the asker that says so."""
    reference = f"{run_id[:4]}-{run_id[4:8]}"
    lines = evidence.workspace.ephemerals(asked.user, asked.channel)
    failed = evidence.runs[run_id]["state"] == "failed" and asked.kind == "command"
    return failed and any(reference in line.text for line in lines)


def _place(asked: Asked, roots: list[Message]) -> tuple[str, str | None]:
    return asked.channel, roots[0].ts if roots else (asked.thread_ts or asked.ts)


def _check_end(
    evidence: Evidence, asked: Asked, run_id: str, written: list[tuple[int, Message]]
) -> Iterator[tuple[str, str]]:
    """The final state: shown, one only, that of the record, and true."""
    state = evidence.runs[run_id].get("state", "")
    if running := [number for number, message in written if is_running(message)]:
        yield "a final state is shown", f"messages {running} look as if it ran; its record says {state}"
        return
    shown = ending(written[-1][1])
    if shown != state:
        yield "a final state is shown", f"it shows {shown}, its record says {state}"
    yield from (("the final state is true", line) for line in _lies(evidence, asked, shown))
    if shown == "answered" and asked.token not in json.dumps([message.blocks for _, message in written]):
        yield "the final state is true", "the answer is not about this question"
    wanted = evidence.generated_for(asked)
    if shown == "answered" and wanted and not _has_end(wanted.text, [message for _, message in written]):
        yield "the answer is complete", f"it lacks the end of what the service wrote: {wanted.text[-80:]!r}"


def _has_end(text: str, messages: Sequence[Message]) -> bool:
    """Whether messages show the last words of a text, whatever became of its marks and spaces."""
    shown = " ".join(
        block["text"]
        for message in messages
        for block in message.blocks or []
        if "text" in block and isinstance(block["text"], str)
    )
    return _words(text)[-_LAST_WORDS:] in _words(shown)


def _words(text: str) -> str:
    return re.sub(r"\W+", "", text)


def is_running(message: Message) -> bool:
    """Whether a message has a status line or a Stop button."""
    blocks = json.dumps(message.blocks or [])
    return '"run_stop"' in blocks or ":hourglass_flowing_sand:" in blocks


def ending(message: Message) -> str:
    """The final state that a reply's last message shows."""
    blocks = message.blocks or []
    if any(block["type"] == "context_actions" for block in blocks):
        return "answered"
    notes = [block["text"]["text"] for block in blocks if block["type"] == "alert"]
    note = notes[-1] if notes else ""
    by = "\0"
    for state, key in _NOTES:
        for language in ("en", "zh"):
            before, _, after = say(key, language, by=by).partition(by)
            if note.startswith(before) and after in note:
                return state
    return "failed" if note else "nothing"


_NOTES = (
    ("interrupted", "interrupted"),
    ("stopped", "stopped"),
    ("stopped", "stopped_for_good"),
    ("stopped", "stopped_early"),
)
"""Final states and the sentences that say them."""


def _lies(evidence: Evidence, asked: Asked, shown: str) -> Iterator[str]:
    """What a shown final state claims that did not happen."""
    requests, begun = evidence.requests_of(asked), evidence.begun(asked)
    wrote = evidence.generated_for(asked)
    finished = any(request.outcome == "finished" for request in begun) or (
        wrote and wrote.status == "finished"
    )
    # A fault that was planned goes before the one a word asks for; RDS Copilot's own record tells.
    fails = "demo:error" in asked.text and not wrote
    if shown == "answered" and (fails or not finished):
        yield f"answered, but the service says {[request.outcome for request in requests]}"
    failed = any(
        request.outcome == "refused" or (request.outcome == "cut" and not wrote) for request in requests
    )
    if shown == "failed" and not ("demo:error" in asked.text or failed):
        yield f"failed, but the service says {[request.outcome for request in requests]}"
    if shown == "stopped" and not _was_stopped(evidence, asked):
        yield "stopped, but nobody wanted that"
    if shown == "interrupted" and wrote and _knew_conversation(evidence, asked):
        yield f"interrupted, but the answer could be fetched: it is {wrote.status}"
    elif shown == "interrupted":
        spans = [(request.at, (request.ended or request.at) + _AFTERMATH) for request in begun]
        begin = min((span[0] for span in spans), default=asked.said_at)
        # Where Slack is slow, a complete answer may be lost until its end is written down.
        ends = [float(evidence.runs[run_id].get("ended_at") or 0) for run_id in evidence.runs_of(asked)]
        end = max([*(span[1] for span in spans), *ends], default=float("inf"))
        if not any(one < end and begin < other for one, other in evidence.disturbed):
            yield "interrupted, but nothing was killed meanwhile"


def _knew_conversation(evidence: Evidence, asked: Asked) -> bool:
    """Whether the run's record names the conversation, so that whoever took over could find the answer in it."""
    return any(evidence.runs[run_id].get("session_id") for run_id in evidence.runs_of(asked))


def _was_stopped(evidence: Evidence, asked: Asked) -> bool:
    thread = asked.thread_ts or asked.ts
    return not thread or (asked.channel, thread) in evidence.stops


def _check_order(evidence: Evidence) -> Iterator[Violation]:
    """Runs of one thread never overlap upstream, and begin in order of asking."""
    threads: dict[tuple[str, str], list[tuple[Asked, Received]]] = {}
    for asked in evidence.asked:
        for request in evidence.begun(asked):
            for run_id in evidence.runs_of(asked)[:1]:
                place = (asked.channel, evidence.runs[run_id]["thread_ts"])
                threads.setdefault(place, []).append((asked, request))
    for pairs in threads.values():
        pairs.sort(key=lambda pair: pair[1].at)
        for (first, one), (second, other) in combinations(pairs, 2):
            over = one.ended - other.at
            if over > SAME_TIME and not _slept(evidence.paused, one):
                detail = f"{over:.2f} s before question {first.number} had ended"
                yield Violation("one run at a time", detail, second.number)
            # Slack may bring two questions in another order; what it had brought before the other was asked it had not.
            if second.ts and first.ts and 0 < acked_at(evidence.workspace, second) < first.said_at:
                yield Violation("in order of asking", f"ran after question {first.number}", second.number)


def _slept(paused: Iterable[tuple[float, float]], request: Received) -> bool:
    """Whether a process slept while a run was open: it cannot hang up on the service then."""
    return any(begin < (request.ended or end) and request.at < end for begin, end in paused)


def outcomes(evidence: Evidence) -> Counter[str]:
    """How many questions ended how, as shown."""
    last: dict[str, tuple[int, Message]] = {}
    for kind, run_id, number, message in evidence.messages():
        if kind == "reply" and number >= last.get(run_id, (0, message))[0]:
            last[run_id] = (number, message)
    count: Counter[str] = Counter()
    for asked in evidence.asked:
        runs = evidence.runs_of(asked)
        shown = last.get(runs[0]) if runs else None
        if not runs:
            count["not accepted" if not evidence.is_accepted(asked) else "lost"] += 1
        elif shown is None and _told_privately(evidence, asked, runs[0]):
            count["told privately"] += 1
        elif shown is None or is_running(shown[1]):
            count["open"] += 1
        else:
            count[ending(shown[1])] += 1
    return count
