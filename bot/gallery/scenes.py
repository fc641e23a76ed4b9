"""The states, in the order of a run's life."""

from __future__ import annotations

import json
from collections.abc import Callable

from bot.gallery import texts
from bot.gallery.making import Picture, Timed, call, ended, running, streamed
from bot.model import event as ev
from bot.model.ending import Ending, Progress
from bot.model.run import State
from bot.slack.words import say


def pictures() -> list[Picture]:
    """All states, in the order of a run's life."""
    return [make() for make in _ALL]


# -- before the answer ---------------------------------------------------------------------------------------


def waiting_thread() -> Picture:
    return running("waiting in its thread", progress=Progress("waiting_thread", place=2))


def waiting_slot() -> Picture:
    return running("waiting for the agent", progress=Progress("waiting_slot", place=3, limit=1))


def waiting_service() -> Picture:
    return running("the service is busy", progress=Progress("waiting_service", seconds=12))


def starting() -> Picture:
    return running("starting", elapsed=1)


# -- while it runs -------------------------------------------------------------------------------------------


def thinking() -> Picture:
    return running("thinking", [(1, ev.Reasoning(texts.THOUGHTS)), (6, ev.Activity("thinking"))], elapsed=7)


def tools() -> Picture:
    events = [
        *call(1, "GetPerformanceMetrics", texts.METRICS, 1, 2.8),
        (3, ev.TextMessageContent("m", texts.FIRST_WORDS)),
        *call(2, "GetSlowLogRecords", texts.SLOW_LOG, 3.5, 5.1),
        *call(3, "DescribeIndexAdvice", "", 6, None),
    ]
    return running("tools at work", events, elapsed=9)


def chinese_tools() -> Picture:
    events: list[Timed] = [
        (0.5, ev.Reasoning(texts.CHINESE_THOUGHTS)),
        (1, ev.StepStarted("a", "性能诊断", "sub-1")),
        *call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1.5, 3.1, agent="sub-1"),
        (8.4, ev.StepFinished("a", "completed", "sub-1")),
        (9, ev.TextMessageContent("m", texts.CHINESE_FIRST_WORDS)),
        *call(2, "GetLockWaits", "", 10, 70, error="Timeout: the instance did not answer in 60 s"),
        *call(3, "DescribeIndexAdvice", "", 71, None),
    ]
    return running("Chinese, tools at work", events, elapsed=75, language="zh")


def sub_agents() -> Picture:
    events = [
        (1, ev.StepStarted("a", "Performance diagnosis (MySQL)", "sub-1")),
        *call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1.5, 3.1, agent="sub-1"),
        *call(2, "GetLockWaits", "[]", 3.2, 4.0, agent="sub-1"),
        (8.4, ev.StepFinished("a", "completed", "sub-1")),
        (8.5, ev.StepStarted("b", "Space analysis", "sub-2")),
        *call(3, "GetTableSpace", "", 9, None, agent="sub-2"),
    ]
    return running("sub-agents", events, elapsed=12)


def quiet() -> Picture:
    events = [*call(1, "GetFullSqlReport", "", 2, None)]
    return running("quiet for minutes", events, elapsed=250, heard=4)


# -- while it runs, as a stream: what most people see --------------------------------------------------------


def stream_starting() -> Picture:
    return streamed("stream, starting", [], elapsed=2)


def stream_tools() -> Picture:
    events = [
        *call(1, "GetPerformanceMetrics", texts.METRICS, 1, 2.8),
        *call(2, "GetLockWaits", "", 3, 33, error="Timeout: the instance did not answer in 30 s"),
        (34, ev.TextMessageContent("m", texts.FIRST_WORDS)),
        *call(3, "GetSlowLogRecords", "", 35, None),
    ]
    return streamed("stream, tools at work", events, elapsed=38)


def stream_table() -> Picture:
    """The last row has not come to its end."""
    said = texts.TABLE[: texts.TABLE.index(" 17.9 GB")]
    return streamed("stream, in a table", [(3, ev.TextMessageContent("m", said))], elapsed=6)


def stream_code() -> Picture:
    """The fence is open."""
    said = texts.FIRST_WORDS + texts.DIAGNOSIS[: texts.DIAGNOSIS.index(" ON orders (user_id)")]
    events = [*call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1, 2.8), (4, ev.TextMessageContent("m", said))]
    return streamed("stream, in code", events, elapsed=7)


def stream_chinese() -> Picture:
    events: list[Timed] = [
        (1, ev.StepStarted("a", "性能诊断", "sub-1")),
        *call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1.5, 3.1, agent="sub-1"),
        (8.4, ev.StepFinished("a", "completed", "sub-1")),
        (8.5, ev.TextMessageContent("m", texts.CHINESE_FIRST_WORDS)),
        (9, ev.StepStarted("b", "空间分析", "sub-2")),
        *call(2, "GetTableSpace", "", 9.5, None, agent="sub-2"),
    ]
    return streamed("stream, Chinese with sub-agents", events, elapsed=12, language="zh")


# -- when it has ended ---------------------------------------------------------------------------------------


def answered() -> Picture:
    return ended("answered", _diagnosis())


def sources() -> Picture:
    documents = [(9.0, source) for source in texts.SOURCES]
    words = [(10.0, ev.TextMessageContent("m", texts.FROM_DOCUMENTS))]
    return ended("with sources", [(1, ev.Reasoning(texts.THOUGHTS)), *documents, *words], agent="ag-billing")


def table() -> Picture:
    return ended("a table and nested lists", [(3, ev.TextMessageContent("m", texts.TABLE))])


def chinese() -> Picture:
    events = [*call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1, 2.6)]
    return ended("Chinese", [*events, (4, ev.TextMessageContent("m", texts.CHINESE))], language="zh")


def failed_tool() -> Picture:
    events = [
        *call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1, 2.8),
        *call(2, "GetLockWaits", "", 3, 33, error="Timeout: the instance did not answer in 30 s"),
        (34, ev.TextMessageContent("m", texts.WITHOUT_LOCKS)),
    ]
    return ended("a tool failed", events)


def many_calls() -> Picture:
    calls = [timed for n in range(300) for timed in call(n, f"CheckTable{n:03}", "ok", n, n + 0.8)]
    words = (301.0, ev.TextMessageContent("m", "All 300 tables are consistent; none needs a repair.\n"))
    return ended("300 tool calls", [*calls, words], elapsed=302)


def long_answer() -> Picture:
    parts = [texts.CHAPTER.format(number=number) for number in range(1, 16)]
    return ended("longer than one message", [(60, ev.TextMessageContent("m", "".join(parts)))], elapsed=95)


def with_files() -> Picture:
    rows = [{"id": n, "user": f"app_{n % 7}", "seconds": n % 90} for n in range(400)]
    events = [
        *call(1, "DescribeProcessList", json.dumps(rows), 1, 2.2),
        (
            4,
            ev.TextMessageContent(
                "m", "400 sessions are open; 57 of them have waited for more than a minute.\n"
            ),
        ),
    ]
    return ended("a result as a file", events)


def approval() -> Picture:
    asked = ev.ApprovalAsked(
        "c", "r", "modify_parameter", texts.WRITE, "raise innodb_buffer_pool_size to 24 GB"
    )
    events = [*_diagnosis()[:-1], (12.0, asked)]
    return ended("waiting for an approval", events, Ending(State.PAUSED), backend="RDS Copilot")


def chinese_approval() -> Picture:
    asked = ev.ApprovalAsked(
        "c", "r", "modify_parameter", texts.WRITE, "将 innodb_buffer_pool_size 调整为 24 GB"
    )
    events: list[Timed] = [(4.0, ev.TextMessageContent("m", texts.CHINESE_FIRST_WORDS)), (5.0, asked)]
    paused = Ending(State.PAUSED)
    return ended("Chinese, waiting for an approval", events, paused, language="zh", backend="RDS Copilot")


def chinese_stopped() -> Picture:
    reason = say("stopped", "zh", by="U0ANA00001")
    events: list[Timed] = [
        *call(1, "GetSlowLogRecords", "", 1, None),
        (4, ev.TextMessageContent("m", texts.CHINESE_FIRST_WORDS)),
    ]
    return ended("Chinese, stopped", events, Ending(State.STOPPED, reason, by="U0ANA00001"), language="zh")


def interrupt() -> Picture:
    asked = ev.InterruptRaised(
        "i", "Two instances are named *orders*. Which one do you mean?", texts.INSTANCES
    )
    return ended("asking back", [(4.0, asked)], Ending(State.PAUSED))


def stopped() -> Picture:
    reason = say("stopped", "en", by="U0ANA00001")
    return ended("stopped", _diagnosis()[:-3], Ending(State.STOPPED, reason, by="U0ANA00001"))


def interrupted() -> Picture:
    reason = say("interrupted", "en")
    return ended("interrupted by a restart", _diagnosis()[:-3], Ending(State.INTERRUPTED, reason))


def failed() -> Picture:
    reason = "The connection broke before the answer was complete. What had come is kept."
    return ended("failed", _diagnosis()[:-3], Ending(State.FAILED, reason))


def chinese_sub_agents() -> Picture:
    events: list[Timed] = [
        (1, ev.StepStarted("a", "性能诊断", "sub-1")),
        *call(1, "GetSlowLogRecords", texts.SLOW_LOG, 1.5, 3.1, agent="sub-1"),
        *call(2, "GetLockWaits", "", 3.2, 33.2, agent="sub-1", error="Timeout: no answer in 30 s"),
        (34, ev.StepFinished("a", "completed", "sub-1")),
        (34, ev.StepStarted("b", "空间分析", "sub-2")),
        *call(3, "GetTableSpace", "[]", 35, 36, agent="sub-2"),
        (38, ev.StepFinished("b", "completed", "sub-2")),
        (40, ev.TextMessageContent("m", texts.CHINESE)),
    ]
    return ended("Chinese, sub-agents", events, elapsed=46, language="zh")


# -- where a workspace does not know the newest blocks --------------------------------------------------------


def without_folds() -> Picture:
    return ended("answered, without folds", _diagnosis(), rung=1)


def without_plans() -> Picture:
    return ended("answered, in the oldest blocks", _diagnosis(), rung=2)


def without_blocks() -> Picture:
    return ended("answered, as text alone", _diagnosis(), rung=3)


_ALL: tuple[Callable[[], Picture], ...] = (
    waiting_thread, waiting_slot, waiting_service, starting, thinking, tools, sub_agents, quiet, stream_starting,
    stream_tools, stream_table, stream_code, answered, sources, table, failed_tool, many_calls, long_answer, with_files,
    approval, interrupt, stopped, interrupted, failed, without_folds, without_plans, without_blocks, chinese,
    chinese_tools, chinese_sub_agents, chinese_approval, chinese_stopped, stream_chinese,
)  # fmt: skip


# -- what several of them tell ---------------------------------------------------------------------------------


def _diagnosis() -> list[Timed]:
    return [
        (1, ev.StepStarted("a", "Performance diagnosis (MySQL)", "sub-1")),
        *call(1, "GetPerformanceMetrics", texts.METRICS, 1.2, 2.6, agent="sub-1"),
        *call(2, "GetSlowLogRecords", texts.SLOW_LOG, 2.8, 4.4, agent="sub-1"),
        (8.4, ev.StepFinished("a", "completed", "sub-1")),
        (9, ev.TextMessageContent("m", texts.FIRST_WORDS)),
        *call(3, "DescribeIndexAdvice", texts.ADVICE, 9.5, 10.4),
        (11, ev.TextMessageContent("m", texts.DIAGNOSIS)),
        (19, ev.Usage(characters=len(texts.FIRST_WORDS + texts.DIAGNOSIS))),
    ]
