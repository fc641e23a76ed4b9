"""The states: each is made of the events an agent would send, and drawn by the code that draws real replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bot.gallery import texts
from bot.model import event as ev
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.model.run import State
from bot.slack.reply.draft import Draft, final_payloads
from bot.slack.reply.files import File
from bot.slack.reply.ladder import Payload
from bot.slack.words import say

RUN_ID = "7f3a19c25e80456cb1d2a3948576fe01"
Timed = tuple[float, ev.Event]


@dataclass(frozen=True, slots=True)
class Picture:
    """One state: its name for files, its title for people, and what Slack is given."""

    name: str
    title: str
    payloads: list[Payload]
    files: list[File] = field(default_factory=list)


def pictures() -> list[Picture]:
    """All states, in the order of a run's life."""
    return [make() for make in _ALL]


# -- before the answer ---------------------------------------------------------------------------------------


def waiting_thread() -> Picture:
    return _running("waiting in its thread", progress=Progress("waiting_thread", place=2))


def waiting_slot() -> Picture:
    return _running("waiting for the agent", progress=Progress("waiting_slot", place=3, limit=1))


def waiting_service() -> Picture:
    return _running("the service is busy", progress=Progress("waiting_service", seconds=12))


def starting() -> Picture:
    return _running("starting", elapsed=1)


# -- while it runs -------------------------------------------------------------------------------------------


def thinking() -> Picture:
    return _running("thinking", [(1, ev.Reasoning(texts.THOUGHTS)), (6, ev.Activity("thinking"))], elapsed=7)


def tools() -> Picture:
    events = [
        *_call(1, "GetPerformanceMetrics", texts.METRICS, 1, 2.8),
        (3, ev.TextMessageContent("m", texts.FIRST_WORDS)),
        *_call(2, "GetSlowLogRecords", texts.SLOW_LOG, 3.5, 5.1),
        *_call(3, "DescribeIndexAdvice", "", 6, None),
    ]
    return _running("tools at work", events, elapsed=9)


def chinese_tools() -> Picture:
    events: list[Timed] = [
        (0.5, ev.Reasoning(texts.CHINESE_THOUGHTS)),
        (1, ev.StepStarted("a", "性能诊断", "sub-1")),
        *_call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1.5, 3.1, agent="sub-1"),
        (8.4, ev.StepFinished("a", "completed", "sub-1")),
        (9, ev.TextMessageContent("m", texts.CHINESE_FIRST_WORDS)),
        *_call(2, "GetLockWaits", "", 10, 70, error="Timeout: the instance did not answer in 60 s"),
        *_call(3, "DescribeIndexAdvice", "", 71, None),
    ]
    return _running("Chinese, tools at work", events, elapsed=75, language="zh")


def sub_agents() -> Picture:
    events = [
        (1, ev.StepStarted("a", "Performance diagnosis (MySQL)", "sub-1")),
        *_call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1.5, 3.1, agent="sub-1"),
        *_call(2, "GetLockWaits", "[]", 3.2, 4.0, agent="sub-1"),
        (8.4, ev.StepFinished("a", "completed", "sub-1")),
        (8.5, ev.StepStarted("b", "Space analysis", "sub-2")),
        *_call(3, "GetTableSpace", "", 9, None, agent="sub-2"),
    ]
    return _running("sub-agents", events, elapsed=12)


def quiet() -> Picture:
    events = [*_call(1, "GetFullSqlReport", "", 2, None)]
    return _running("quiet for minutes", events, elapsed=250, heard=4)


# -- when it has ended ---------------------------------------------------------------------------------------


def answered() -> Picture:
    return _ended("answered", _diagnosis())


def sources() -> Picture:
    documents = [(9.0, source) for source in texts.SOURCES]
    words = [(10.0, ev.TextMessageContent("m", texts.FROM_DOCUMENTS))]
    return _ended("with sources", [(1, ev.Reasoning(texts.THOUGHTS)), *documents, *words], agent="ag-billing")


def table() -> Picture:
    return _ended("a table and nested lists", [(3, ev.TextMessageContent("m", texts.TABLE))])


def chinese() -> Picture:
    events = [*_call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1, 2.6)]
    return _ended("Chinese", [*events, (4, ev.TextMessageContent("m", texts.CHINESE))], language="zh")


def failed_tool() -> Picture:
    events = [
        *_call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1, 2.8),
        *_call(2, "GetLockWaits", "", 3, 33, error="Timeout: the instance did not answer in 30 s"),
        (34, ev.TextMessageContent("m", texts.WITHOUT_LOCKS)),
    ]
    return _ended("a tool failed", events)


def many_calls() -> Picture:
    calls = [timed for n in range(300) for timed in _call(n, f"CheckTable{n:03}", "ok", n, n + 0.8)]
    words = (301.0, ev.TextMessageContent("m", "All 300 tables are consistent; none needs a repair.\n"))
    return _ended("300 tool calls", [*calls, words], elapsed=302)


def long_answer() -> Picture:
    parts = [texts.CHAPTER.format(number=number) for number in range(1, 16)]
    return _ended("longer than one message", [(60, ev.TextMessageContent("m", "".join(parts)))], elapsed=95)


def with_files() -> Picture:
    rows = [{"id": n, "user": f"app_{n % 7}", "seconds": n % 90} for n in range(400)]
    events = [
        *_call(1, "DescribeProcessList", json.dumps(rows), 1, 2.2),
        (
            4,
            ev.TextMessageContent(
                "m", "400 sessions are open; 57 of them have waited for more than a minute.\n"
            ),
        ),
    ]
    return _ended("a result as a file", events)


def approval() -> Picture:
    asked = ev.ApprovalAsked(
        "c", "r", "modify_parameter", texts.WRITE, "raise innodb_buffer_pool_size to 24 GB"
    )
    events = [*_diagnosis()[:-1], (12.0, asked)]
    return _ended("waiting for an approval", events, Ending(State.PAUSED), backend="RDS Copilot")


def chinese_approval() -> Picture:
    asked = ev.ApprovalAsked(
        "c", "r", "modify_parameter", texts.WRITE, "将 innodb_buffer_pool_size 调整为 24 GB"
    )
    events: list[Timed] = [(4.0, ev.TextMessageContent("m", texts.CHINESE_FIRST_WORDS)), (5.0, asked)]
    paused = Ending(State.PAUSED)
    return _ended("Chinese, waiting for an approval", events, paused, language="zh", backend="RDS Copilot")


def chinese_stopped() -> Picture:
    reason = say("stopped", "zh", by="U0ANA00001")
    events: list[Timed] = [
        *_call(1, "GetSlowLogRecords", "", 1, None),
        (4, ev.TextMessageContent("m", texts.CHINESE_FIRST_WORDS)),
    ]
    return _ended("Chinese, stopped", events, Ending(State.STOPPED, reason, by="U0ANA00001"), language="zh")


def interrupt() -> Picture:
    asked = ev.InterruptRaised(
        "i", "Two instances are named *orders*. Which one do you mean?", texts.INSTANCES
    )
    return _ended("asking back", [(4.0, asked)], Ending(State.PAUSED))


def stopped() -> Picture:
    reason = say("stopped", "en", by="U0ANA00001")
    return _ended("stopped", _diagnosis()[:-3], Ending(State.STOPPED, reason, by="U0ANA00001"))


def interrupted() -> Picture:
    reason = say("interrupted", "en")
    return _ended("interrupted by a restart", _diagnosis()[:-3], Ending(State.INTERRUPTED, reason))


def failed() -> Picture:
    reason = "The connection broke before the answer was complete. What had come is kept."
    return _ended("failed", _diagnosis()[:-3], Ending(State.FAILED, reason))


_ALL: tuple[Callable[[], Picture], ...] = (
    waiting_thread, waiting_slot, waiting_service, starting, thinking, tools, sub_agents, quiet, answered, sources,
    table, failed_tool, many_calls, long_answer, with_files, approval, interrupt, stopped, interrupted, failed,
    chinese, chinese_tools, chinese_approval, chinese_stopped,
)  # fmt: skip


# -- how they are made ---------------------------------------------------------------------------------------


def _call(
    number: int, api: str, result: str, begun: float, ended: float | None, *, agent: str = "", error: str = ""
) -> list[Timed]:
    """A call of a tool, from its start to its result, or to its being at work when `ended` is None."""
    name = f"c{number}"
    arguments = json.dumps({"command": "execute", "api": api, "params": {"InstanceId": "rm-bp1demo0001"}})
    events: list[Timed] = [
        (begun, ev.ToolCallStart(name, "das_api", agent)),
        (begun, ev.ToolCallArgs(name, arguments, agent)),
        (begun, ev.ToolCallEnd(name, agent)),
    ]
    return events if ended is None else [*events, (ended, ev.ToolCallResult(name, result, agent, error))]


def _diagnosis() -> list[Timed]:
    return [
        (1, ev.StepStarted("a", "Performance diagnosis (MySQL)", "sub-1")),
        *_call(1, "GetPerformanceMetrics", texts.METRICS, 1.2, 2.6, agent="sub-1"),
        *_call(2, "GetSlowLogRecords", texts.SLOW_LOG, 2.8, 4.4, agent="sub-1"),
        (8.4, ev.StepFinished("a", "completed", "sub-1")),
        (9, ev.TextMessageContent("m", texts.FIRST_WORDS)),
        *_call(3, "DescribeIndexAdvice", texts.ADVICE, 9.5, 10.4),
        (11, ev.TextMessageContent("m", texts.DIAGNOSIS)),
        (19, ev.Usage(characters=1_204)),
    ]


def _draft(events: Iterable[Timed], language: Language, backend: str, agent: str = "") -> Draft:
    draft = Draft(RUN_ID, language, backend, agent=agent)
    for at, event in events:
        draft.answer.apply(event, at)
    return draft


def _running(
    title: str,
    events: Iterable[Timed] = (),
    *,
    progress: Progress = Progress("working"),  # noqa: B008 - frozen
    elapsed: float = 0.0,
    heard: float | None = None,
    language: Language = "en",
) -> Picture:
    """A state of a run that goes on; `heard` is when its last event came, in seconds after it was asked."""
    draft = _draft(events, language, "DAS Agent")
    draft.progress = progress
    draft.take_in()
    if heard is not None:
        draft.elapsed = heard
        draft.payload(0)
    draft.elapsed = elapsed
    return Picture(_name(title), title, [draft.payload(number) for number in range(draft.count)])


def _ended(
    title: str,
    events: list[Timed],
    ending: Ending | None = None,
    *,
    elapsed: float = 19.0,
    language: Language = "en",
    backend: str = "DAS Agent",
    agent: str = "",
) -> Picture:
    draft = _draft(events, language, backend, agent)
    draft.answer.close(elapsed)
    draft.elapsed = elapsed
    draft.ending = ending or Ending(State.ANSWERED, characters=1_234, estimated=True)
    return Picture(_name(title), title, final_payloads(draft), draft.attachments())


def _name(title: str) -> str:
    return title.lower().replace(",", "").replace(" ", "-")
