"""The scripted diagnoses: well-formed frames, the right topic, follow-ups that refer to the first answer."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from bot.demo.das.choose import plan
from bot.demo.das.memory import Memory, Sessions
from bot.demo.das.scripts import TOPICS
from bot.demo.das.timeline import Run
from bot.demo.upstream.script import Intent
from bot.demo.upstream.wire import Timed

STARTED = 1_790_850_000.0

QUESTIONS = {
    "slow SQL": ("why is rm-bp1abc slow?", "rm-bp1abc 为什么这么慢？"),
    "lock waits": ("updates on pc-abc123 are blocked, lock waits?", "pc-abc123 有锁等待"),
    "disk full": ("the disk of rm-x123 is almost full", "rm-x123 磁盘快写满了"),
    "connection spike": ("too many connections on rm-c123", "rm-c123 连接数暴涨"),
    "replication lag": ("the replica of rm-r123 lags", "rm-r123 只读实例延迟很大"),
    "full report": ("full report for rm-f123 please", "给 rm-f123 出一份完整报告"),
    "": ("what do you think of rm-g123?", "帮我看看 rm-g123"),
}
ALL = [(topic, question) for topic, pair in QUESTIONS.items() for question in pair]


def compose(question: str, memory: Memory | None = None, seed: int = 1) -> tuple[list[Timed], Memory]:
    chosen = plan(question, memory)
    run = Run(
        question=question,
        actions=chosen.actions,
        instance=chosen.memory.instance,
        chinese=chosen.chinese,
        session_id="5d7e1f2a-0000-4000-8000-000000000001",
        request_id="REQUEST",
        summary=True,
        interrupt_id="int-1",
        started=STARTED,
        dice=random.Random(seed),
    )
    return run.compose(), chosen.memory


def of_type(frames: list[Timed], kind: str) -> list[dict[str, Any]]:
    return [frame for _, frame in frames if frame["Type"] == kind]


def assistant_text(frames: list[Timed], *, root_only: bool = True) -> str:
    starts = {frame["MessageId"]: frame for frame in of_type(frames, "TEXT_MESSAGE_START")}
    said = ""
    for frame in of_type(frames, "TEXT_MESSAGE_CONTENT"):
        start = starts[frame["MessageId"]]
        if start["Role"] == "assistant" and not (root_only and "ParentAgentId" in start):
            said += frame["Delta"]
    return said


def test_every_topic_is_asked_for_in_both_languages() -> None:
    assert {topic.name for topic in TOPICS} | {""} == set(QUESTIONS)


@pytest.mark.parametrize(("topic", "question"), ALL)
def test_the_topic_fits_and_the_answer_is_about_the_instance(topic: str, question: str) -> None:
    frames, memory = compose(question)
    assert (memory.topic.name if memory.topic else "") == topic
    assert memory.instance in question
    assert memory.instance in assistant_text(frames)
    calls = [frame for frame in of_type(frames, "TOOL_CALL_START") if frame["ToolCallName"] == "das_api"]
    assert calls
    for call in calls:
        assert arguments(frames, call["ToolCallId"])["params"]["InstanceId"] == memory.instance


def arguments(frames: list[Timed], call: str) -> dict[str, Any]:
    pieces = [frame["Delta"] for frame in of_type(frames, "TOOL_CALL_ARGS") if frame["ToolCallId"] == call]
    assert len(pieces) > 1, "arguments come in pieces"
    value = json.loads("".join(pieces))
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(("topic", "question"), ALL)
def test_frames_are_well_formed(topic: str, question: str) -> None:
    frames, _ = compose(question)
    assert frames[0].frame["Type"] == "RUN_STARTED"
    assert frames[-1].frame["Type"] == "RUN_FINISHED"
    assert frames[0].frame["RunId"] == frames[-1].frame["RunId"]
    assert [at for at, _ in frames] == sorted(at for at, _ in frames)
    stamps = [frame["Timestamp"] for _, frame in frames if "Timestamp" in frame]
    assert stamps == sorted(stamps)
    for key, opens, fills, closes in (
        ("MessageId", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        ("ToolCallId", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"),
        ("ToolCallId", "TOOL_CALL_END", "TOOL_CALL_END", "TOOL_CALL_RESULT"),
        ("AgentId", "STEP_STARTED", "STEP_STARTED", "STEP_FINISHED"),
    ):
        started, finished = of_type(frames, opens), of_type(frames, closes)
        assert sorted(f[key] for f in started) == sorted(f[key] for f in finished)
        assert len({f[key] for f in started}) == len(started)
        for start in started:
            places = [
                (number, frame["Type"])
                for number, (_, frame) in enumerate(frames)
                if frame.get(key) == start[key] and frame["Type"] in (opens, fills, closes)
            ]
            assert places[0][1] == opens
            assert places[-1][1] == closes
    for call in of_type(frames, "TOOL_CALL_START"):
        arguments(frames, call["ToolCallId"])
    assert not [frame for _, frame in frames if "{instance}" in str(frame) or "{clock-" in str(frame)]


@pytest.mark.parametrize(("topic", "question"), ALL)
def test_the_question_is_echoed_and_the_bill_is_right(topic: str, question: str) -> None:
    frames, _ = compose(question)
    echo = of_type(frames, "TEXT_MESSAGE_START")[0]
    assert echo["Role"] == "user"
    assert of_type(frames, "TEXT_MESSAGE_CONTENT")[0] == {
        "Type": "TEXT_MESSAGE_CONTENT",
        "MessageId": echo["MessageId"],
        "Delta": question,
    }
    (summary,) = of_type(frames, "CUSTOM")
    value = summary["Value"]
    assert value["CharCount"] == len(question) + len(assistant_text(frames, root_only=False))
    assert value["Start"] == round(STARTED * 1000)
    assert value["End"] >= of_type(frames, "ACTIVITY_DELTA")[-1]["Timestamp"]
    assert value["SessionId"] == "5d7e1f2a-0000-4000-8000-000000000001"


@pytest.mark.parametrize(("topic", "question"), ALL)
def test_length_and_pace_are_a_humans(topic: str, question: str) -> None:
    frames, _ = compose(question)
    said = len(assistant_text(frames))
    if topic != "full report":
        assert 400 <= said <= 2500
    assert 8 <= frames[-1].at <= 25
    silences = [after.at - before.at for before, after in itertools.pairwise(frames)]
    assert max(silences) <= 2.5, "heartbeats bridge every wait"


@pytest.mark.parametrize(("topic", "question"), ALL)
def test_chinese_is_answered_in_chinese(topic: str, question: str) -> None:
    frames, _ = compose(question)
    said = assistant_text(frames, root_only=False)
    chinese = sum("\u4e00" <= letter <= "\u9fff" for letter in said)
    if question.isascii():
        assert chinese == 0
    else:
        assert chinese > 100


def test_slow_sql_has_a_table_and_a_statement_that_agree_with_the_tool() -> None:
    frames, _ = compose("why is rm-bp1abc slow?")
    said = assistant_text(frames)
    assert "|---|" in said
    assert "```sql\nALTER TABLE orders" in said
    slow = next(f for f in of_type(frames, "TOOL_CALL_RESULT") if '"Digest":"b04e6d15"' in f["Content"])
    items = json.loads(slow["Content"])["Items"]
    total = sum(item["Count"] * item["AvgSeconds"] for item in items)
    for item in items:
        assert f"| `{item['Digest']}` |" in said
        row = next(line for line in said.splitlines() if item["Digest"] in line)
        assert f"{item['Count']:,}" in row
        assert f"{item['AvgRowsExamined']:,}" in row
        assert f"{100 * item['Count'] * item['AvgSeconds'] / total:.1f} %" in row


def test_disk_numbers_add_up() -> None:
    frames, _ = compose("the disk of rm-x123 is almost full")
    space = json.loads(of_type(frames, "TOOL_CALL_RESULT")[0]["Content"])
    assert sum(space["Parts"].values()) == pytest.approx(space["UsedGB"])
    for size in space["Parts"].values():
        assert f"| {size} |" in assistant_text(frames)


def test_sub_agents_work_at_the_same_time_and_nest() -> None:
    frames, _ = compose("too many connections on rm-c123")
    steps = of_type(frames, "STEP_STARTED")
    root = frames[0].frame["AgentId"]
    assert [step["ParentAgentId"] == root for step in steps] == [True, True, False]
    assert steps[2]["ParentAgentId"] in {steps[0]["AgentId"], steps[1]["AgentId"]}
    tasks = {f["ToolCallId"] for f in of_type(frames, "TOOL_CALL_START") if f["ToolCallName"] == "task"}
    assert {step["OriginatingToolCallId"] for step in steps} == tasks
    speakers = [frame["AgentId"] for _, frame in frames if frame["Type"] == "TOOL_CALL_ARGS"]
    changes = sum(one != other for one, other in itertools.pairwise(speakers))
    assert changes > len(set(speakers)), "the agents' frames interleave"


def test_a_failed_tool_is_told_honestly() -> None:
    frames, _ = compose("the replica of rm-r123 lags")
    failed = [frame for frame in of_type(frames, "TOOL_CALL_RESULT") if "ToolCallError" in frame]
    assert len(failed) == 2
    assert "rm-r123" in failed[0]["ToolCallError"]
    assert "What I could not check" in assistant_text(frames)


def test_full_report_is_long() -> None:
    frames, _ = compose("full report for rm-f123 please")
    assert 27_000 <= len(assistant_text(frames)) <= 33_000


def test_without_an_instance_or_a_symptom_it_asks_back() -> None:
    frames, memory = compose("hello there")
    assert "Which instance" in assistant_text(frames)
    assert memory.instance == ""
    assert not of_type(frames, "TOOL_CALL_START")


def test_without_an_instance_it_says_which_it_picked() -> None:
    frames, memory = compose("we have slow queries")
    assert memory.instance.startswith("rm-")
    assert "You named no instance" in assistant_text(frames)


@pytest.mark.parametrize("instance", ["r-abc123", "dds-abc123"])
def test_mysql_advice_is_not_given_for_other_engines(instance: str) -> None:
    frames, memory = compose(f"why is {instance} slow?")
    assert memory.topic is None
    assert instance in assistant_text(frames)
    assert "ALTER TABLE" not in assistant_text(frames)


@pytest.mark.parametrize(
    ("question", "intent"),
    [
        ("why?", Intent.WHY),
        ("is it safe?", Intent.SAFE),
        ("will adding the index lock the table?", Intent.SAFE),
        ("how long will it take", Intent.DURATION),
        ("show me the SQL", Intent.SQL),
        ("thanks", Intent.OTHER),
        ("为什么？", Intent.WHY),
        ("安全吗？", Intent.SAFE),
        ("要多久", Intent.DURATION),
        ("语句怎么写", Intent.SQL),
    ],
)
def test_follow_up_refers_to_the_first_answer(question: str, intent: Intent) -> None:
    _, memory = compose("why is rm-bp1abc slow?")
    frames, after = compose(question, memory)
    said = assistant_text(frames)
    assert memory.topic is not None
    assert said == memory.topic.replies[intent].tell(not question.isascii()).replace(
        "{instance}", "rm-bp1abc"
    )
    assert "orders.user_id" in said
    assert "rm-bp1abc" in said
    assert ("above" if question.isascii() else "上文") in said
    assert after.turns == 2
    fresh, _ = compose(question)
    assert "described above" not in assistant_text(fresh)
    assert "上文" not in assistant_text(fresh)


@pytest.mark.parametrize("topic", list(TOPICS), ids=lambda topic: topic.name)
def test_every_topic_answers_every_follow_up(topic: Any) -> None:
    for intent in Intent:
        reply = topic.replies[intent]
        assert "above" in reply.en
        assert "上文" in reply.zh
        assert "{instance}" in reply.en and "{instance}" in reply.zh


def test_a_new_topic_in_the_session_stays_with_the_instance() -> None:
    _, memory = compose("why is rm-bp1abc slow?")
    frames, after = compose("and the disk?", memory)
    assert after.topic is not None and after.topic.name == "disk full"
    assert after.instance == "rm-bp1abc"
    assert "the missing index on orders.user_id above" in assistant_text(frames)


def test_another_instance_starts_afresh() -> None:
    _, memory = compose("why is rm-bp1abc slow?")
    frames, after = compose("why is rm-other9 slow?", memory)
    assert after.instance == "rm-other9"
    assert "above" not in assistant_text(frames)
    assert "rm-bp1abc" not in assistant_text(frames)


def test_sessions_are_bounded() -> None:
    sessions = Sessions(kept=2)
    for name in ("a", "b", "a", "c"):
        sessions.keep(name, Memory(name))
    assert sessions.recall("b") is None
    assert sessions.recall("a") == Memory("a")
