"""One chaos run with a fixed seed, as everybody can run it; and the judge itself, held against broken records."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.demo.das import Received
from bot.demo.workspace import Call, Workspace
from bot.demo.workspace.delivery import Attempt, Delivery
from bot.demo.workspace.messages import Version, posted_by_app
from bot.model import event as ev
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.model.run import State
from bot.slack.reply.draft import Draft
from bot.slack.reply.line import METADATA_TYPE
from bot.slack.words import say

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chaos import rules  # noqa: E402
from tests.chaos.check import (  # noqa: E402
    Asked,
    Evidence,
    Generated,
    check,
    check_calls,
    ending,
    is_running,
    token,
)
from tests.chaos.doubles import SECRET  # noqa: E402
from tests.chaos.ground import Bot  # noqa: E402
from tests.chaos.late import STORE, WAYS, Late  # noqa: E402
from tests.chaos.plan import draw  # noqa: E402
from tests.chaos.reorder import THREADS, TWINS  # noqa: E402
from tests.chaos.visits import PLACES  # noqa: E402

SEED = 2026
ARGUMENTS = ("--questions", "40", "--processes", "3", "--seconds", "20", "--hurry", "--concurrency", "4")
LONGEST_SECONDS = 170
"""It takes half a minute; this is for a machine that is busy with something else, and for a run that fails."""


@pytest.mark.timeout(LONGEST_SECONDS + 60)
def test_nothing_is_lost_whatever_breaks() -> None:
    command = [sys.executable, str(ROOT / "tests" / "chaos" / "run.py"), "--seed", str(SEED), *ARGUMENTS]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    try:
        told, _ = running.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        # As Ctrl-C does: it ends the processes it started.
        running.send_signal(signal.SIGINT)
        told, _ = running.communicate(timeout=30)
    assert running.returncode == 0, told
    assert f"seed {SEED}" in told and "every invariant holds" in told
    assert all(f" {done}" in told for done in ("late", "reorder", "unwelcome", "kill", "kill_store"))


def test_a_seed_is_a_plan() -> None:
    plan = draw(7, 50, 60, pause=True)
    assert plan == draw(7, 50, 60, pause=True) != draw(8, 50, 60, pause=True)
    kinds = {step.kind for step in plan}
    assert kinds >= {"kill", "roll", "late", "kill_store", "drop_sockets", "slack", "das", "stop", "replay"}
    assert {step.what for step in plan if step.kind == "late"} == {
        "an update",
        "the store away when it wakes",
    }
    assert {step.what for step in plan if step.kind == "unwelcome"} == set(PLACES)
    assert {step.what for step in plan if step.kind == "reorder"} == {TWINS, THREADS}
    assert {step.what for step in draw(7, 300, 180, pause=True) if step.kind == "late"} == set(WAYS)
    scarce = draw(7, 30, 180, pause=True, scarce=True)
    assert 0 < sum(step.kind == "slack" for step in scarce) <= sum(step.kind == "slack" for step in plan)
    assert sum(step.kind in ("mention", "follow_up", "dm", "command") for step in plan) == 50


# -- the judge ---------------------------------------------------------------------------------------------

RUN = "0123456789abcdef"
BUTTON = {"type": "actions", "elements": [{"type": "button", "action_id": "run_stop"}]}
FEEDBACK = {"type": "context_actions", "elements": []}


def answer(number: int) -> list[dict[str, Any]]:
    return [{"type": "markdown", "text": f"About {token(number)}."}, FEEDBACK]


@pytest.fixture
def evidence() -> Evidence:
    """Two questions of a thread, asked, delivered and answered as they should be."""
    workspace = Workspace()
    root = _said(workspace, 0, "")
    asked = [root, _said(workspace, 1, root.ts)]
    requests = [
        Received("Chat", 100.0, question=asked[0].text, outcome="finished", ended=102.0),
        Received("Chat", 103.0, question=asked[1].text, outcome="finished", ended=104.0),
    ]
    found = Evidence(workspace, requests, asked, set(), [], [])
    for number, one in enumerate(asked):
        run_id = RUN[number:] + RUN[:number]
        found.runs[run_id] = {
            "text": one.text,
            "state": "answered",
            "thread_ts": root.ts,
            "channel": one.channel,
        }
        _reply(workspace, one.channel, root.ts, run_id, 0, answer(number))
    return found


def _said(workspace: Workspace, number: int, thread_ts: str) -> Asked:
    ts = f"{10 + number}.000001"
    delivery = Delivery(
        "events_api", {"event": {"ts": ts, "channel": "C0DBOPS001"}}, [Attempt(20.0 + number)]
    )
    delivery.acked, delivery.latency, delivery.finished = True, 0.1, True
    workspace.deliveries.append(delivery)
    text = f"why is {token(number)} slow?"
    return Asked(number, "mention", "U0ANA00001", "C0DBOPS001", text, 30.0 * number, ts, thread_ts)


def _reply(
    workspace: Workspace, channel: str, thread_ts: str, run_id: str, number: int, blocks: list[dict[str, Any]]
) -> None:
    message = posted_by_app(channel, workspace.messages.next_ts(), "…", blocks)
    message.thread_ts = thread_ts
    message.metadata = {"event_type": METADATA_TYPE, "event_payload": {"run": run_id, "message": number}}
    workspace.messages.add(message)


def _posted_twice(evidence: Evidence) -> None:
    one = evidence.asked[0]
    _reply(evidence.workspace, one.channel, one.ts, RUN, 0, answer(0))


def _still_running(evidence: Evidence) -> None:
    next(iter(evidence.workspace.messages)).blocks = [BUTTON]


def _another_end_recorded(evidence: Evidence) -> None:
    evidence.runs[RUN]["state"] = "interrupted"


def _anothers_answer(evidence: Evidence) -> None:
    next(iter(evidence.workspace.messages)).blocks = answer(1)


def _lost(evidence: Evidence) -> None:
    del evidence.runs[RUN]


def _accepted_twice(evidence: Evidence) -> None:
    evidence.runs["f" * 16] = dict(evidence.runs[RUN])


def _asked_twice(evidence: Evidence) -> None:
    evidence.requests = [*evidence.requests, replace(evidence.requests[0], at=110.0, ended=111.0)]


def _never_asked(evidence: Evidence) -> None:
    evidence.requests = evidence.requests[1:]


def _overlapping(evidence: Evidence) -> None:
    evidence.requests[0].ended = 103.9


def _in_the_wrong_order(evidence: Evidence) -> None:
    evidence.requests[0].at, evidence.requests[0].ended = 105.0, 106.0


def _never_acked(evidence: Evidence) -> None:
    evidence.workspace.deliveries[0].acked = False


def _in_another_thread(evidence: Evidence) -> None:
    next(iter(evidence.workspace.messages)).thread_ts = "99.000000"


def _something_left(evidence: Evidence) -> None:
    evidence.left.append("1 entries pending")


def _of_rds(evidence: Evidence, text: str, **record: str) -> None:
    evidence.requests[0].message_id, evidence.requests[0].outcome = "m1", "left"
    evidence.generated = {"m1": Generated("finished", text)}
    evidence.runs[RUN] |= {"session_id": "c1", **record}


def _half_an_answer(evidence: Evidence) -> None:
    _of_rds(evidence, f"About {token(0)}. And this is how it ends, in many more words.")


def _interrupted_though_it_could_be_fetched(evidence: Evidence) -> None:
    _of_rds(evidence, f"About {token(0)}.", state="interrupted")
    message = next(iter(evidence.workspace.messages))
    message.blocks = [{"type": "alert", "text": {"text": say("interrupted", "en")}}]
    evidence.disturbed = [(0.0, 200.0)]


def _files_twice(evidence: Evidence) -> None:
    one = evidence.asked[0]
    for _ in range(2):
        message = posted_by_app(one.channel, evidence.workspace.messages.next_ts(), "", None)
        message.files = [{"name": f"answer-{RUN[:4]}-{RUN[4:8]}.md"}]
        evidence.workspace.messages.add(message)


def test_the_judge_knows_streams_and_fetched_answers(evidence: Evidence) -> None:
    _of_rds(evidence, f"About {token(0)}.")
    message = next(iter(evidence.workspace.messages))
    message.metadata = None
    message.versions.insert(0, Version(0.0, "", [{"type": "plan", "block_id": f"stream-{RUN}-0"}]))
    assert check(evidence) == []


@pytest.mark.parametrize("state", [s for s in State if s.is_final and s is not State.PAUSED])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_judge_reads_replies_as_they_are_laid_out(state: State, language: Language) -> None:
    draft = Draft(RUN, language, "DAS Agent")
    draft.answer.apply(ev.TextMessageContent("m", "Because."), 0.0)
    draft.progress = Progress("working")
    draft.take_in()
    assert is_running(posted_by_app("C", "1.0", "", draft.payload(0)["blocks"]))
    reason = say("interrupted", language) if state is State.INTERRUPTED else "It failed."
    if state is State.STOPPED:
        reason = say("stopped", language, by="U0ANA00001")
    draft.ending = Ending(state, "" if state is State.ANSWERED else reason)
    draft.take_in()
    ended = posted_by_app("C", "1.0", "", draft.payload(0)["blocks"])
    assert not is_running(ended) and ending(ended) == state


def test_the_judge_finds_nothing_where_nothing_is_wrong(evidence: Evidence) -> None:
    assert check(evidence) == []


@pytest.mark.bad_calls
def test_the_judge_sees_a_message_that_is_not_well_formed(evidence: Evidence) -> None:
    assert check_calls(evidence.workspace) == []
    evidence.workspace.calls.append(Call("chat.update", {"text": "x", "blocks": [{"type": "banner"}]}, 0.0))
    assert check_calls(evidence.workspace)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_posted_twice, "one reply"),
        (_still_running, "a final state is shown"),
        (_another_end_recorded, "a final state is shown"),
        (_anothers_answer, "the final state is true"),
        (_lost, "nothing accepted is lost"),
        (_accepted_twice, "accepted once"),
        (_asked_twice, "asked upstream once"),
        (_never_asked, "the final state is true"),
        (_overlapping, "one run at a time"),
        (_in_the_wrong_order, "in order of asking"),
        (_never_acked, "Slack gets through"),
        (_in_another_thread, "in its thread"),
        (_something_left, "store at rest"),
        (_half_an_answer, "the answer is complete"),
        (_interrupted_though_it_could_be_fetched, "the final state is true"),
        (_files_twice, "files once"),
    ],
)
def test_the_judge_sees(evidence: Evidence, spoil: Callable[[Evidence], None], rule: str) -> None:
    spoil(evidence)
    assert rule in {violation.rule for violation in check(evidence)}


# -- the other rules ---------------------------------------------------------------------------------------


def _runs(*spans: tuple[float, float], port: int = 1) -> list[Received]:
    return [Received("Chat", at, outcome="finished", ended=ended, port=port) for at, ended in spans]


def test_more_runs_than_slots_are_seen() -> None:
    after_another = _runs((1.0, 2.0), (2.0, 3.0), (1.5, 4.0))
    assert list(rules.slots("DAS Agent", after_another, 2, {}, [])) == []
    together = _runs((1.0, 3.0), (2.0, 3.0), (2.5, 4.0))
    assert [one.rule for one in rules.slots("DAS Agent", together, 2, {}, [])] == ["slots"]
    assert list(rules.slots("DAS Agent", together, 2, {1: [(2.7, 2.9)]}, [])) == []
    assert list(rules.slots("DAS Agent", together, 2, {2: [(2.7, 2.9)]}, [])) != []
    assert list(rules.slots("DAS Agent", together, 2, {}, [(2.7, 2.9)])) == []


def test_a_refusal_for_rates_counts_but_where_it_was_asked_for_or_had_to_be() -> None:
    calls = [Call("chat.update", {}, 100.0, 429)]
    assert [one.rule for one in rules.rates(calls, [])] == ["within Slack's rates"]
    assert list(rules.rates(calls, [(90.0, 95.0)])) == []
    calls[0].spoiled = True
    assert list(rules.rates(calls, [])) == []


def test_harm_is_seen_wherever_it_went() -> None:
    for args in ({"text": f"it is {SECRET}"}, {"blocks": '[{"text": "<!channel> look"}]'}):
        assert len(list(rules.harmless([Call("chat.update", args, 0.0)], [], []))) == 1
    assert len(list(rules.harmless([], [SECRET.encode()], []))) == 1
    assert len(list(rules.harmless([], [], [f"a line with {SECRET}"]))) == 1
    assert list(rules.harmless([Call("chat.update", {"text": "@\u200beveryone"}, 0.0)], [b"x"], ["y"])) == []


def test_who_may_not_ask_is_told_once_and_gets_no_run(evidence: Evidence) -> None:
    asked = Asked(9000, "person", "U0BEN00001", "C0DBOPS001", f"why is {token(9000)} slow?", 50.0)
    visit = rules.Unwelcome(asked)
    assert [one.rule for one in rules.unwelcome(evidence, [visit])] == ["refused, and told so"]
    evidence.disturbed = [(55.0, 56.0)]
    assert list(rules.unwelcome(evidence, [visit])) == []
    visit.told_at = 51.0
    for _ in range(2):
        line = posted_by_app(asked.channel, evidence.workspace.messages.next_ts(), "no", None)
        line.ephemeral_for = asked.user
        evidence.workspace.messages.add(line)
    evidence.paused = [(50.5, 60.0)]
    assert list(rules.unwelcome(evidence, [visit])) == []
    evidence.paused = []
    assert [one.rule for one in rules.unwelcome(evidence, [visit])] == ["told once"]
    evidence.runs["e" * 16] = {"text": asked.text}
    assert "only who may" in {one.rule for one in rules.unwelcome(evidence, [visit])}


def test_a_write_by_who_lost_the_thread_is_seen(evidence: Evidence) -> None:
    bot = Bot(0, Path("log"), own={"SLACK_API_URL": "http://127.0.0.1:4711/api/"})
    late = Late(
        evidence.asked[0],
        STORE,
        bot,
        messages=frozenset({"1.0", "2.0"}),
        own=frozenset({"1.0"}),
        span=(10.0, 12.0),
    )
    calls = evidence.workspace.calls
    calls += [
        Call("chat.update", {"ts": "1.0"}, 11.0, 200, port=4712),
        Call("chat.update", {"ts": "1.0"}, 13.0, port=4711),
        Call("chat.update", {"ts": "2.0"}, 11.0, port=4711),
    ]
    assert list(rules.fenced(evidence.workspace, [late])) == []
    calls.append(Call("chat.update", {"ts": "1.0"}, 11.0, port=4711))
    assert [one.rule for one in rules.fenced(evidence.workspace, [late])] == ["fenced"]
    calls[-1] = Call("chat.update", {"ts": "2.0"}, 11.5, port=4711)
    assert [one.rule for one in rules.fenced(evidence.workspace, [late])] == ["fenced"]
