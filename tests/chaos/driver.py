"""Carries out a plan: people ask, things break, and in the end everything is held against the invariants."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from redis import RedisError

from bot.demo.workspace import NothingToClick, SlackError
from bot.demo.workspace.messages import Version
from tests.chaos import rules
from tests.chaos.check import (
    Asked,
    Evidence,
    Violation,
    acked_at,
    check,
    check_calls,
    is_running,
    outcomes,
    read_store,
    root_of,
    token,
)
from tests.chaos.ground import CHANNELS, PEOPLE, Bot, Ground, Options, now
from tests.chaos.late import Late, Wire
from tests.chaos.plan import DAS_FAULTS, RDS_FAULTS, SLACK_FAULTS, SLOW_FAULTS, Step, draw
from tests.chaos.reorder import Reorder, is_question
from tests.chaos.visits import Visits

Item = TypeVar("Item")

QUIET_SECONDS = 60.0
"""Every accepted question has its final state this soon after the last fault, as the bot promises."""
_LOOK_SECONDS = 0.5
_STILL_SECONDS = 1.5
"""How long it is watched afterwards: a late write of a dead worker must not spoil what was right."""
_LATEST_THREADS = 10
"""People ask on in threads that are alive."""
_MOST_IN_THREAD = 8
"""Questions of one thread; far below what the bot refuses."""
_SWAP_SECONDS = 10.0
"""How long a swap waits for something to swap."""
_LATE_TRIES = 3
"""Questions asked until one can be caught: its process may be killed, or be done, before."""
_HANG_UP_SECONDS = 1.0
"""What a process that wakes takes to learn that it lost its threads."""
_VERSIONS = 3
"""Versions of a message told from either end."""
_TEXTS = (
    "why is {} slow since this morning?",
    "are there lock waits on {}?",
    "is the disk of {} filling up?",
    "how is {} doing?",
    "give me a full report on {}",
    "实例 {} 为什么变慢了？",
)


@dataclass(slots=True)
class Outcome:
    """How a chaos run went."""

    seed: int
    asked: int
    outcomes: Counter[str]
    done: Counter[str]
    """What the plan did, by kind."""
    violations: list[Violation]
    seconds: float
    quiet_after: float
    """Seconds from the last step to the last final state."""
    peak: int
    """Most runs a service had open at once."""
    timeline: list[str] = field(default_factory=list)
    histories: dict[int, str] = field(default_factory=dict)
    """What happened in the threads of offending questions."""


async def run(folder: Path, options: Options, questions: int, seconds: float) -> Outcome:
    """Start the ground in `folder`, carry out the seed's plan, check, and end it all."""
    ground = Ground(folder, options)
    # A pause outlives a lease; with real times that needs a longer run.
    pause = seconds > 3 * options.lease_seconds
    steps = draw(options.seed, questions, seconds, pause=pause, scarce=options.strict)
    try:
        await ground.start()
        return await Driver(ground, steps).run()
    finally:
        await ground.stop()


class Driver:
    """One chaos run."""

    def __init__(self, ground: Ground, steps: list[Step]) -> None:
        self._ground = ground
        self._steps = steps
        self._asked: list[Asked] = []
        self._stops: set[tuple[str, str]] = set()
        self._disturbed: list[tuple[float, float]] = []
        self._paused: list[tuple[float, float]] = []
        self._asleep: dict[int, list[tuple[float, float]]] = defaultdict(list)
        """When the process behind a port slept."""
        self._forgotten: list[tuple[float, float]] = []
        """When the store was killed, which forgets up to a second."""
        self._lates: list[Late] = []
        self._late_turn = asyncio.Semaphore(max(1, ground.options.processes - 1))
        self._wire = Wire(ground)
        self._reordering = Reorder(ground.workspace)
        self._visits = Visits(ground)
        self._done: Counter[str] = Counter()
        self._timeline: list[str] = []
        self._began = 0.0

    async def run(self) -> Outcome:
        """All steps at their times, then quiet, then the verdict."""
        self._began = now()
        async with asyncio.TaskGroup() as group:
            for step in self._steps:
                group.create_task(self._at(step))
        # What has not gone wrong by now was planned for calls that nobody made.
        self._ground.workspace.clear_faults()
        self._ground.das.next_faults.clear()
        self._ground.rds.next_faults.clear()
        last = now()
        violations = await self._quiet(last + QUIET_SECONDS)
        quiet_after = now() - last
        await asyncio.sleep(_STILL_SECONDS)
        evidence = await self._evidence()
        violations = violations or self._judge(evidence) or check_calls(evidence.workspace)
        violations = [*violations, *self._judge_records(evidence)]
        return Outcome(
            seed=self._ground.options.seed,
            asked=len(self._asked),
            outcomes=outcomes(evidence),
            done=self._done,
            violations=violations,
            seconds=now() - self._began,
            quiet_after=quiet_after,
            peak=max(self._ground.das.max_open, self._ground.rds.max_open),
            timeline=self._timeline,
            histories=self._histories(evidence, violations),
        )

    async def _quiet(self, deadline: float) -> list[Violation]:
        """Wait until nothing is wrong any more; what is left at the deadline."""
        while True:
            violations = self._judge(await self._evidence())
            if not violations or now() > deadline:
                return violations
            await asyncio.sleep(_LOOK_SECONDS)

    async def _evidence(self) -> Evidence:
        try:
            runs, left = await read_store(self._ground.redis)
        except (RedisError, OSError) as error:
            runs, left = {}, [f"the store does not answer: {error}"]
        return Evidence(
            workspace=self._ground.workspace,
            requests=[*self._ground.das.requests, *self._ground.rds.requests],
            generated=self._ground.generated(),
            asked=self._asked,
            stops=self._stops,
            disturbed=self._disturbed,
            paused=self._paused,
            runs=runs,
            left=left,
        )

    def _judge(self, evidence: Evidence) -> list[Violation]:
        ground = self._ground
        found = check(evidence)
        found += [Violation("every process lives", line) for line in ground.dead()]
        if open_now := ground.das.open_now + ground.rds.open_now:
            found.append(Violation("nothing stays open upstream", f"{open_now} runs"))
        if undelivered := sum(not delivery.finished for delivery in ground.workspace.deliveries):
            found.append(Violation("everything is delivered", f"{undelivered} deliveries under way"))
        return found + [Violation("no fault of our own", line) for line in self._tracebacks()]

    def _judge_records(self, evidence: Evidence) -> list[Violation]:
        """What cannot be put right any more; for the end, as it reads all that was sent."""
        ground, limit = self._ground, self._ground.options.concurrency
        lost = [*self._paused, *self._forgotten]
        logs = (bot.log.read_text("utf-8", "replace") for bot in ground.bots)
        files = (file.content or b"" for file in ground.workspace.files.values())
        found = [
            *rules.slots("DAS Agent", ground.das.requests, limit, self._asleep, self._forgotten),
            *rules.slots("RDS Copilot", ground.rds.requests, limit, self._asleep, self._forgotten),
            *rules.unwelcome(evidence, self._visits.all),
            *rules.harmless(ground.workspace.calls, files, logs),
            *rules.fenced(ground.workspace, self._lates),
        ]
        if ground.options.strict:
            found += rules.rates(ground.workspace.calls, lost)
        return found

    def _tracebacks(self) -> list[str]:
        """What the bot logged with a traceback, or what ended a process: no fault from outside should lead to that."""
        found: Counter[str] = Counter()
        for bot in self._ground.bots:
            for line in bot.log.read_text("utf-8", "replace").splitlines():
                with suppress(ValueError):
                    entry = json.loads(line)
                    if trace := entry.get("exception"):
                        found[f"{entry.get('event')}: {str(trace).splitlines()[-1][:200]}"] += 1
                    continue
                if line and not line.startswith((" ", "Traceback")):
                    found[line[:200]] += 1
        return [f"{count} × {what}" for what, count in found.items()]

    # -- steps -----------------------------------------------------------------------------------------

    async def _at(self, step: Step) -> None:
        await asyncio.sleep(max(0.0, self._began + step.at - now()))
        kinds: dict[str, Callable[[Step], Awaitable[str | None]]] = {
            "mention": self._mention,
            "follow_up": self._follow_up,
            "dm": self._dm,
            "command": self._command,
            "stop": self._stop,
            "replay": self._replay,
            "reorder": self._reorder,
            "unwelcome": self._unwelcome,
            "kill": self._kill,
            "roll": self._roll,
            "pause": self._pause,
            "late": self._late,
            "kill_store": self._kill_store,
            "cut_store": self._cut_store,
            "slow_store": self._slow_store,
            "drop_sockets": self._drop_sockets,
            "slack": self._slack,
            "das": self._das,
            "rds": self._rds,
        }
        line = len(self._timeline)
        self._timeline.append(f"{now() - self._began:6.1f} s  {step.kind} {step.what}")
        done = await kinds[step.kind](step)
        if done is None:
            self._timeline[line] += "  (nothing to do it to)"
            return
        self._timeline[line] += f"  {done} · over at {now() - self._began:.1f} s"
        self._done[step.kind] += 1

    def _ask(self, kind: str, user: str, channel: str, step: Step, thread_ts: str = "") -> Asked:
        number = len(self._asked)
        text = _TEXTS[number % len(_TEXTS)].format(token(number))
        asked = Asked(number, kind, user, channel, f"{text} {step.what}".strip(), now(), thread_ts=thread_ts)
        self._asked.append(asked)
        return asked

    async def _mention(self, step: Step) -> str:
        asked = self._ask("mention", _one_of(PEOPLE, step.pick), _one_of(CHANNELS, step.pick * 7 % 1), step)
        asked.ts = self._ground.workspace.say(asked.user, asked.channel, f"@das {asked.text}")
        return f"question {asked.number}"

    async def _follow_up(self, step: Step) -> str | None:
        workspace = self._ground.workspace
        threads = [
            (asked, ts)
            for asked in self._asked
            if not asked.thread_ts
            and (ts := root_of(workspace, asked) if asked.kind == "command" else asked.ts)
            and (asked.kind == "command" or acked_at(workspace, asked))
            and sum(other.thread_ts == ts for other in self._asked) < _MOST_IN_THREAD
        ][-_LATEST_THREADS:]
        if not threads:
            return None
        root, ts = _one_of(threads, step.pick)
        user = root.user if root.channel.startswith("D") else _one_of(PEOPLE, step.pick * 11 % 1)
        asked = self._ask("follow_up", user, root.channel, step, ts)
        # Some people mention the bot in its own threads, too.
        mention = "@das " if step.pick * 13 % 1 < 0.25 else ""
        asked.ts = workspace.say(user, root.channel, mention + asked.text, ts)
        return f"question {asked.number} after question {root.number}"

    async def _dm(self, step: Step) -> str:
        user = _one_of(PEOPLE, step.pick)
        asked = self._ask("dm", user, f"D{user[1:]}", step)
        asked.ts = self._ground.workspace.say(user, asked.channel, asked.text)
        return f"question {asked.number}"

    async def _command(self, step: Step) -> str:
        asked = self._ask("command", _one_of(PEOPLE, step.pick), _one_of(CHANNELS, step.pick * 7 % 1), step)
        asked.verdict = "unknown"
        command = "/rds-ask" if step.pick * 19 % 1 < 0.4 else "/das-ask"
        done = await self._ground.workspace.command(asked.user, asked.channel, command, asked.text)
        if done.ok:
            response = done.response if isinstance(done.response, dict) else {"text": done.response}
            # A line that came with the ack says why not; but the store may have taken it and not answered.
            asked.verdict = "unknown" if response.get("text") else "accepted"
        return f"question {asked.number} by {command}: {asked.verdict}"

    async def _stop(self, step: Step) -> str | None:
        workspace = self._ground.workspace
        running = [m for m in workspace.messages if m.bot_id and not m.deleted and is_running(m)]
        if not running:
            return None
        message = _one_of(running, step.pick)
        self._stops.add((message.channel, message.thread_ts or ""))
        user = message.channel.replace("D", "U", 1) if message.channel.startswith("D") else PEOPLE[0]
        with suppress(NothingToClick, SlackError):
            if step.pick * 17 % 1 < 0.5:
                await workspace.click(user, message.channel, message.ts, "run_stop")
                return "by the button"
            workspace.say(user, message.channel, "stop", message.thread_ts)
        return "by a word"

    async def _replay(self, step: Step) -> str | None:
        mine = [
            n for n, delivery in enumerate(self._ground.workspace.events) if is_question(delivery.payload)
        ]
        if not mine:
            return None
        self._ground.workspace.replay_event(_one_of(mine, step.pick))
        return ""

    async def _kill(self, step: Step) -> str:
        bot = self._bot(step)
        await self._disturb(self._ground.kill_bot(bot, 0.3 + step.pick * 2), self._disturbed)
        return f"process {bot.number}"

    async def _roll(self, step: Step) -> str:
        for bot in self._ground.bots:
            await self._disturb(self._ground.restart_bot(bot), self._disturbed)
        return "all processes, one after the other"

    async def _pause(self, step: Step) -> str:
        bot, seconds = self._bot(step), self._ground.options.lease_seconds * 1.6
        began = now()
        await self._disturb(self._ground.pause_bot(bot, seconds), self._disturbed)
        self._slept(bot, began)
        return f"process {bot.number} for {seconds:.0f} s"

    async def _late(self, step: Step) -> str | None:
        # Somebody has to be there who takes the threads over.
        async with self._late_turn:
            for _ in range(_LATE_TRIES):
                if told := await self._one_late(step):
                    return told
        return None

    async def _one_late(self, step: Step) -> str | None:
        asked = self._ask("mention", PEOPLE[0], _one_of(CHANNELS, step.pick), replace(step, what=""))
        asked.ts = self._ground.workspace.say(asked.user, asked.channel, f"@das {asked.text}")
        late = Late(asked, step.what)
        self._lates.append(late)
        told = await self._disturb(self._wire.freeze(late), self._disturbed)
        if told and late.bot:
            self._slept(late.bot, late.froze)
        if late.span[1]:
            self._forgotten.append(late.span)
        return told and f"{told} · question {asked.number}"

    def _slept(self, bot: Bot, began: float) -> None:
        """A process has slept from then to now. Awake again, it hangs up on the service with its first beat."""
        span = (began, now() + _HANG_UP_SECONDS)
        self._paused.append(span)
        for port in bot.ports:
            self._asleep[port].append(span)

    async def _reorder(self, step: Step) -> str | None:
        return "" if await self._reordering.swap(step.what, _SWAP_SECONDS) else None

    async def _unwelcome(self, step: Step) -> str:
        return await self._visits.ask(step.what)

    async def _kill_store(self, step: Step) -> str:
        await self._disturb(self._ground.kill_store(0.3 + step.pick * 2), self._disturbed, self._forgotten)
        return ""

    async def _cut_store(self, step: Step) -> str:
        await self._ground.cut_store()
        return ""

    async def _slow_store(self, step: Step) -> str:
        # Too short to cost anybody a lease: nothing may be interrupted by it.
        seconds = self._ground.options.lease_seconds * (0.1 + 0.3 * step.pick)
        await self._ground.slow_store(seconds)
        return f"for {seconds:.1f} s"

    async def _drop_sockets(self, step: Step) -> str:
        self._ground.workspace.drop_sockets()
        return ""

    async def _slack(self, step: Step) -> str:
        method, options = {**SLACK_FAULTS, **SLOW_FAULTS}[step.what]
        self._ground.workspace.fail_next(method, times=1 + int(step.pick * 3), **options)
        return f"× {1 + int(step.pick * 3)}"

    async def _das(self, step: Step) -> str:
        self._ground.das.next_faults.append(DAS_FAULTS[step.what])
        return ""

    async def _rds(self, step: Step) -> str:
        self._ground.rds.next_faults.append(RDS_FAULTS[step.what])
        return ""

    def _bot(self, step: Step) -> Bot:
        return _one_of(self._ground.bots, step.pick * 5 % 1)

    async def _disturb(self, doing: Awaitable[Item], *spans: list[tuple[float, float]]) -> Item:
        began = now()
        for each in spans:
            each.append((began, float("inf")))
        done = await doing
        for each in spans:
            each.remove((began, float("inf")))
            each.append((began, now()))
        return done

    # -- telling ---------------------------------------------------------------------------------------

    def _histories(self, evidence: Evidence, violations: list[Violation]) -> dict[int, str]:
        named = {violation.question for violation in violations}
        return {
            a.number: self._history(evidence, a) for a in [a for a in self._asked if a.number in named][:5]
        }

    def _history(self, evidence: Evidence, asked: Asked) -> str:
        """Everything about a question and its thread, in order of time."""
        runs = {run_id: evidence.runs[run_id] for run_id in evidence.runs_of(asked)}
        places = {(asked.channel, asked.thread_ts or asked.ts)} | {
            (record["channel"], record["thread_ts"]) for record in runs.values()
        }
        lines: list[tuple[float, str]] = []
        for message in self._ground.workspace.messages:
            if (message.channel, message.thread_ts or message.ts) in places:
                who = f"{message.user} {json.dumps((message.metadata or {}).get('event_payload') or {})}"
                lines += [(v.t, f"{message.ts} {who}: {v.text[:90]!r}") for v in _ends(message.versions)]
        for request in evidence.requests_of(asked):
            what = f"upstream {request.outcome} {request.code} {request.frames_sent} frames, ended {request.ended:.3f}"
            lines.append((request.at, what))
        for bot in self._ground.bots:
            for entry in _entries(bot.log):
                if any(
                    run_id[:4] in json.dumps(entry) and run_id[4:8] in json.dumps(entry) for run_id in runs
                ):
                    lines.append(
                        (_seconds(entry["timestamp"]), f"process {bot.number}: {json.dumps(entry)[:400]}")
                    )
        told = [f"  {t - self._began:7.2f} s  {what}" for t, what in sorted(lines)]
        records = [
            f"  record {run_id}: { {k: v for k, v in r.items() if k != 'shown'} }"
            for run_id, r in runs.items()
        ]
        return "\n".join([f"question {asked.number}: {asked}", *records, *told])


def _ends(versions: list[Version]) -> list[Version]:
    """The first and the last few; what grew in between looks alike."""
    return versions if len(versions) <= 2 * _VERSIONS else versions[:_VERSIONS] + versions[-_VERSIONS:]


def _entries(log: Path) -> list[dict[str, str]]:
    entries = []
    for line in log.read_text("utf-8", "replace").splitlines():
        with suppress(ValueError):
            entries.append(json.loads(line))
    return [entry for entry in entries if isinstance(entry, dict) and "timestamp" in entry]


def _seconds(timestamp: str) -> float:
    """Unix time of a log line."""
    return datetime.fromisoformat(timestamp).timestamp()


def _one_of(items: Sequence[Item], pick: float) -> Item:
    return items[int(pick * len(items))]
