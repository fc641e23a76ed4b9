"""RDS Copilot's scripts: well-formed frames, the asker's language and clock, numbers that agree with the tools."""

from __future__ import annotations

import itertools
import json
import random
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.demo.rds.choose import plan
from bot.demo.rds.conversations import Conversation, Conversations, Message
from bot.demo.rds.scripts.performance import TOPIC
from bot.demo.rds.timeline import Run
from bot.demo.upstream.script import Intent, Topic
from bot.demo.upstream.wire import Timed

STARTED = 1_790_850_000.0
SLOW = "diagnose rm-bp1abc"
QUESTIONS = {
    "diagnosis": SLOW,
    "诊断": "rm-bp1abc 为什么这么慢？",
    "overview": "hello",
    "report": "full report for rm-bp1abc",
    "replaced": "rm-bp1abc demo:replace",
    "approval": "rm-bp1abc demo:approve",
}


def compose(
    question: str,
    language: str = "",
    instance: str = "",
    topic: Topic | None = None,
    *,
    thinking: bool = True,
    zone: str = "Asia/Shanghai",
) -> list[Timed]:
    chosen = plan(question, language, instance, topic)
    return Run(
        actions=chosen.actions,
        instance=chosen.instance,
        region="cn-hangzhou",
        chinese=chosen.chinese,
        thinking=thinking,
        approval="read_only",
        started=STARTED,
        zone=ZoneInfo(zone),
        dice=random.Random(1),
        ends=("workflow_finished",),
    ).compose()


def of(frames: list[Timed], event: str) -> list[dict[str, Any]]:
    return [frame for _, frame in frames if frame["Event"] == event]


def said(frames: list[Timed], event: str = "message") -> str:
    return "".join(frame["Answer"] for frame in of(frames, event))


def calls(frames: list[Timed]) -> list[dict[str, Any]]:
    return [json.loads(frame["Answer"]) for frame in of(frames, "tool_call")]


def chinese(text: str) -> int:
    return sum("\u4e00" <= letter <= "\u9fff" for letter in text)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_frames_are_well_formed(question: str) -> None:
    frames = compose(question)
    assert frames[0].frame["Event"] == "workflow_started"
    assert frames[-1].frame["Event"] == "workflow_finished"
    assert [at for at, _ in frames] == sorted(at for at, _ in frames)
    silences = [after.at - before.at for before, after in itertools.pairwise(frames)]
    assert max(silences) <= 2.5, "pings bridge every wait"
    states: dict[str, list[str]] = {}
    for call in calls(frames):
        states.setdefault(call["tool_call_id"], []).append(call["status"])
    assert all(
        order in (["start", "pending", "end"], ["start", "pending", "error"]) for order in states.values()
    )
    assert not re.search(r"\{(instance|region|clock|moment)", str(frames))


def test_a_diagnosis_has_everything_the_service_can_show() -> None:
    frames = compose(SLOW)
    events = {frame["Event"] for _, frame in frames}
    assert {"message", "tool_call", "doc", "thinking", "sub_task", "ping"} <= events
    (doc,) = of(frames, "doc")
    sources = json.loads(doc["Answer"])
    assert len(sources) == 2
    assert all(source["title"] and source["url"].startswith("https://") for source in sources)
    tasks = [json.loads(frame["Answer"]) for frame in of(frames, "sub_task")]
    assert [task["status"] for task in tasks] == ["start", "end"]
    assert len({task["task_id"] for task in tasks}) == 1
    places = [number for number, (_, frame) in enumerate(frames) if frame["Event"] == "sub_task"]
    within = calls(frames[places[0] : places[1]])
    assert {call["tool_call_name"] for call in within} == {
        "DescribeSlowLogRecords",
        "DescribeSQLLogReportList",
    }
    assert [call["status"] for call in calls(frames)].count("error") == 1
    assert 8 <= frames[-1].at <= 25


def test_thinking_can_be_switched_off() -> None:
    assert said(compose(SLOW), "thinking")
    assert not of(compose(SLOW, thinking=False), "thinking")


@pytest.mark.parametrize(
    ("question", "language", "in_chinese"),
    [
        (SLOW, "en-US", False),
        (SLOW, "zh-CN", True),
        (SLOW, "", False),
        ("诊断 rm-bp1abc", "", True),
        ("诊断 rm-bp1abc", "en-US", False),
    ],
)
def test_the_language_is_the_one_asked_for(question: str, language: str, in_chinese: bool) -> None:
    frames = compose(question, language)
    text = said(frames) + said(frames, "thinking") + of(frames, "doc")[0]["Answer"]
    assert chinese(text) > 100 if in_chinese else chinese(text) == 0


def test_clocks_are_the_askers() -> None:
    shanghai, berlin = compose(SLOW), compose(SLOW, zone="Europe/Berlin")
    clocks = [re.findall(r"\d\d:\d\d", said(frames)) for frames in (shanghai, berlin)]
    assert clocks[0] and clocks[0] != clocks[1]
    assert calls(shanghai) == calls(berlin), "tools get UTC"
    arguments = calls(shanghai)[4]["arguments"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", arguments["StartTime"])


def test_the_table_adds_up_and_agrees_with_the_tools() -> None:
    frames = compose(SLOW)
    row = re.compile(r"\| ([\d,]+) \| ([\d.]+) (ms|s) \| ([\d,]+) \| ([\d.]+) % \|")
    rows = [match.groups() for match in row.finditer(said(frames))]
    times = [
        int(runs.replace(",", "")) * float(average) * (0.001 if unit == "ms" else 1)
        for runs, average, unit, _, _ in rows
    ]
    assert len(rows) == 3
    for time, (*_, share) in zip(times, rows, strict=True):
        assert f"{100 * time / sum(times):.1f}" == share
    cores = int(calls(frames)[2]["response"]["DBInstanceCPU"])
    assert 100 * sum(times) / (3600 * cores) == pytest.approx(92.4, abs=0.5), "the CPU that the tool shows"
    slow = next(call["response"] for call in calls(frames) if "TotalRecordCount" in str(call.get("response")))
    assert f"{slow['TotalRecordCount']:,}" == rows[0][0]


@pytest.mark.parametrize(
    ("question", "intent"),
    [
        ("why?", Intent.WHY),
        ("is it safe?", Intent.SAFE),
        ("要多久？", Intent.DURATION),
        ("thanks", Intent.OTHER),
    ],
)
def test_follow_ups_refer_to_the_first_answer(question: str, intent: Intent) -> None:
    text = said(compose(question, "", "rm-bp1abc", TOPIC))
    assert text == TOPIC.replies[intent].tell(not question.isascii()).replace("{instance}", "rm-bp1abc")
    assert "c0ffee01" in text
    assert ("上文" if chinese(text) else "above") in text


@pytest.mark.parametrize("question", ["and yesterday?", "昨天呢？"])
def test_yesterday_is_looked_up(question: str) -> None:
    frames = compose(question, "", "rm-bp1abc", TOPIC)
    (pending,) = (call for call in calls(frames) if call["status"] == "pending")
    today = calls(compose(SLOW))[4]["arguments"]["StartTime"]
    assert pending["arguments"]["StartTime"][:10] < today[:10]
    assert "c0ffee01" in said(frames)


def test_another_instance_is_diagnosed_anew() -> None:
    frames = compose("why is rm-other9 slow?", "", "rm-bp1abc", TOPIC)
    assert "rm-other9" in said(frames)
    assert "above" not in said(frames)


def test_an_answer_taken_back() -> None:
    frames = compose("rm-bp1abc demo:replace")
    (replaced,) = of(frames, "message_replace")
    message = Message("m", "c", "t", "q", STARTED, frames=[frame for _, frame in frames])
    assert message.answer == replaced["Answer"]
    assert "password" in said(frames) and "password" not in message.answer


def test_full_report_is_long() -> None:
    assert 27_000 <= len(said(compose("full report for rm-f123 please"))) <= 33_000


def test_conversations_are_bounded() -> None:
    conversations = Conversations(kept=2)
    for name in ("a", "b", "a", "c"):
        conversations.keep(Conversation(name, STARTED, name))
    assert conversations.find("b") is None
    assert [found.id for found in conversations.latest_first()] == ["c", "a"]
