"""What stands around a reply's text: sources, thinking, what an agent asks, the status line, the footer, files."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.demo.workspace.blocks import block_errors
from bot.model import event as ev
from bot.model.ending import Ending, Progress
from bot.model.run import State
from bot.slack.reply import layout, limits, sources
from bot.slack.reply.asks import CONSOLE
from bot.slack.reply.draft import Draft, final_payloads
from bot.slack.reply.layout import Payload
from bot.slack.words import duration
from tests.judges.panel import judge

RUN = "0123456789abcdef0123456789abcdef"
DONE, PAUSED = Ending(State.ANSWERED), Ending(State.PAUSED)
PW = "S3cr3t-Hunter2"
BAD = f"password: {PW} <!channel> <@U1> @here"


def draft_of(*events: ev.Event, ending: Ending | None = None, **options: Any) -> Draft:
    draft = Draft(RUN, "en", "RDS Copilot", **options)
    draft.progress = Progress("working")
    for at, event in enumerate(events):
        draft.answer.apply(event, float(at))
    draft.ending = ending
    return draft


def shown(*events: ev.Event, ending: Ending = DONE) -> Payload:
    """The only message of an answer that has ended, after it was judged."""
    draft = draft_of(*events, ending=ending)
    while True:
        payload = final_payloads(draft)[-1]
        assert judge(payload) == []
        assert block_errors(payload["blocks"]) == []
        assert len(json.dumps(payload, ensure_ascii=False)) <= limits.PAYLOAD
        if not draft.step_down():
            draft.rung = 0
            return final_payloads(draft)[-1]


def kinds(payload: Payload) -> list[str]:
    return [block["type"] for block in payload["blocks"]]


def buttons(payload: Payload) -> list[tuple[str, str, str]]:
    rows = [block for block in payload["blocks"] if block["type"] == "actions"]
    return [(b["action_id"], b["text"]["text"], b["value"]) for row in rows for b in row["elements"]]


@pytest.mark.parametrize(
    ("seconds", "english", "chinese", "running"),
    [
        (0.04, "0.0 s", "0.0 秒", "0 s"),
        (9.94, "9.9 s", "9.9 秒", "9 s"),
        (9.96, "10 s", "10 秒", "9 s"),
        (59.4, "59 s", "59 秒", "59 s"),
        (59.6, "1 min 00 s", "1 分 00 秒", "59 s"),
        (119.7, "2 min 00 s", "2 分 00 秒", "1 min 59 s"),
        (301, "5 min 01 s", "5 分 01 秒", "5 min 01 s"),
        (3_599.9, "1 h 00 min", "1 小时 00 分", "59 min 59 s"),
        (3_661, "1 h 01 min", "1 小时 01 分", "1 h 01 min"),
    ],
)
def test_durations(seconds: float, english: str, chinese: str, running: str) -> None:
    assert duration(seconds, "en") == english and duration(seconds, "zh") == chinese
    assert duration(seconds, "en", running=True) == running


def test_large_counts_have_commas_and_chinese_measure_words() -> None:
    calls = [ev.ToolCallStart(f"c{n}", "sql") for n in range(1_000)]
    asked = ev.InterruptRaised("i", "要哪个实例？", tuple(f"选项{'很长' * 60}{n}" for n in range(8)))
    draft = draft_of(*calls, asked, ending=PAUSED)
    draft.language = "zh"
    said = json.dumps(final_payloads(draft), ensure_ascii=False)
    assert "1,000 次工具调用" in said and re.search(r"以及另外 \d 项", said)


def test_durations_are_in_the_askers_language() -> None:
    draft = Draft(RUN, "zh", "DAS Agent")
    step: list[ev.Event] = [ev.StepStarted("s", "诊断", "a"), ev.StepFinished("s", "completed", "a")]
    begun: list[ev.Event] = [*step, ev.ToolCallStart("c", "sql"), ev.ToolCallStart("d", "sql")]
    results: list[tuple[float, ev.Event]] = [
        (3.8, ev.ToolCallResult("c", "1")),
        (75.0, ev.ToolCallResult("d", "1")),
    ]
    for at, event in [*enumerate(begun), *results]:
        draft.answer.apply(event, at + 1.0)
    draft.progress, draft.elapsed = Progress("working"), 125.0
    told = json.dumps(draft.payload(0), ensure_ascii=False)
    assert "诊断 · 1.0 秒" in told and "sql · 1.8 秒" in told and "sql · 1 分 12 秒" in told
    assert " · 2 分 05 秒" in told
    draft.ending = Ending(State.ANSWERED)
    told += json.dumps(final_payloads(draft), ensure_ascii=False)
    assert "DAS Agent · 2 分 05 秒" in told
    assert re.search(r"\d (?:s|min)\b", told) is None


def call(n: int, result: str) -> list[ev.Event]:
    return [ev.ToolCallStart(f"c{n}", "sql"), ev.ToolCallResult(f"c{n}", result)]


# -- sources -------------------------------------------------------------------------------------------------


def source_line(*given: ev.Source) -> str:
    block = sources.line(list(given), "en")
    return block["elements"][0]["text"] if block else ""


def test_sources_are_links_and_the_rest_is_counted() -> None:
    given = [ev.Source(f"Page {n}", f"https://help.example.com/{n}?a=1&b=2") for n in range(11)]
    line = source_line(*given, given[0])
    assert line.startswith("*Sources:* <https://help.example.com/0?a=1&amp;b=2|Page 0> · <")
    assert line.endswith("|Page 5> · and 5 more")
    assert source_line() == ""


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (ev.Source("Guide", "javascript:alert(1)"), "Guide"),
        (ev.Source("Guide", "data:text/html,x"), "Guide"),
        (ev.Source("Guide", ""), "Guide"),
        (ev.Source("Guide", f"https://u:{PW}@x.com/"), "Guide"),
        (ev.Source("Guide", f"https://x.com/?password={PW}"), "Guide"),
        (ev.Source("Guide", "https://x.com/" + "a" * 500), "Guide"),
        (ev.Source("Guide", "https://[::1"), "Guide"),
        (ev.Source("", "https://x.com/a"), "<https://x.com/a|x.com>"),
        (ev.Source("see bank.com", "https://evil.com/a"), "<https://evil.com/a|see bank.com (evil.com)>"),
        (
            ev.Source("a|b> *c* <!here>", "https://x.com/|y>"),
            "<https://x.com/%7Cy%3E|a b&gt;  c  &lt;!here&gt;>",
        ),
        (ev.Source("索引", "https://x.com/索引"), "<https://x.com/%E7%B4%A2%E5%BC%95|索引>"),
        (ev.Source("Guide", "https://x.com/@channel"), "<https://x.com/%40channel|Guide>"),
    ],
)
def test_a_source_leads_only_where_it_says_and_only_to_the_web(source: ev.Source, line: str) -> None:
    assert source_line(source) == f"*Sources:* {line}"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.builds(ev.Source, st.text(max_size=90), st.text(max_size=40).map("https://a.b/".__add__))))
def test_any_sources_fit_and_hold_nothing_but_links(given: list[ev.Source]) -> None:
    line = source_line(*given)
    assert len(line) <= limits.SECTION
    assert not re.search(r"<(?!https://a\.b/[^<>|]*\|[^<>|]*>)", line)


def test_sources_stand_below_the_answer() -> None:
    payload = shown(ev.TextMessageContent("m", "Because."), ev.Source("Guide", "https://x.com/a"))
    assert kinds(payload) == ["markdown", "context", "context", "context_actions", "actions"]


# -- thinking ------------------------------------------------------------------------------------------------


def thoughts(payload: Payload) -> str:
    folds = [block for block in payload["blocks"] if block["type"] == "container"]
    named = [fold for fold in folds if fold["title"]["text"] == "What the agent thought"]
    assert all(fold["default_collapsed"] for fold in named)
    return json.dumps(named, ensure_ascii=False) if named else ""


def test_thinking_is_folded_redacted_and_cut() -> None:
    payload = shown(ev.Reasoning(f"Look. {BAD}\n" + "word " * 2_000), ev.TextMessageContent("m", "x"))
    assert "Look. password: [hidden]" in thoughts(payload) and PW not in json.dumps(payload)
    assert re.search(r"1,499 of 10,0\d\d characters shown", thoughts(payload))
    assert "<!channel>" not in json.dumps(payload)


def test_thinking_grows_by_whole_lines() -> None:
    draft = draft_of(ev.Reasoning("First the load.\nThen the lo"))
    draft.take_in()
    before = draft.signature(0)
    assert "Then" not in thoughts(draft.payload(0)) and "First the load." in thoughts(draft.payload(0))
    draft.answer.apply(ev.Reasoning("cks"), 2.0)
    draft.take_in()
    assert draft.signature(0) == before
    draft.ending = DONE
    assert "Then the locks" in thoughts(final_payloads(draft)[0])


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_no_secret_in_any_prefix_of_thinking(data: st.DataObject) -> None:
    text = f"a {BAD}\nb mysql://u:{PW}@h:3306/db c\n" * 2
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    draft = draft_of()
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        draft.answer.apply(ev.Reasoning(text[begin:end]), 0.0)
        if data.draw(st.booleans()):
            draft.answer.apply(ev.Activity("x"), 0.0)
        draft.take_in()
        assert PW[:-4] not in json.dumps(draft.payload(0))


# -- what the agent asks -------------------------------------------------------------------------------------

APPROVAL = ev.ApprovalAsked(
    "call-1", "r", "modify_parameter", json.dumps({"name": "x", "password": PW}), f"Raise it. {BAD}"
)


def test_an_approval_says_what_where_and_that_the_button_approves_nothing() -> None:
    payload = shown(ev.TextMessageContent("m", "I found it."), APPROVAL, ending=PAUSED)
    assert kinds(payload) == ["markdown", "alert", "container", "context", "actions", "context", "actions"]
    text = json.dumps(payload, ensure_ascii=False)
    assert "modify_parameter" in text and f"<{CONSOLE}|" in text and "approves nothing" in text
    assert PW not in text and "<!channel>" not in text
    assert payload["blocks"][2]["default_collapsed"]
    assert buttons(payload) == [
        ("run_continue", "Decided, continue", RUN),
        ("session_new", "New session", RUN),
    ]
    assert payload["text"].startswith("*The agent waits for a decision.*")


def test_colons_are_those_of_the_language() -> None:
    draft = Draft(RUN, "zh", "RDS Copilot")
    for event in (APPROVAL, ev.Source("计费", "https://example.com/a")):
        draft.answer.apply(event, 0.0)
    draft.ending = PAUSED
    told = json.dumps(final_payloads(draft), ensure_ascii=False)
    assert "*modify_parameter*：" in told and "*参考资料：*" in told


def test_the_console_is_a_parameter() -> None:
    draft = draft_of(APPROVAL, ending=PAUSED, console="https://console.example.com")
    assert "<https://console.example.com|" in json.dumps(final_payloads(draft))


def test_an_interrupt_offers_its_options() -> None:
    asked = ev.InterruptRaised("i", f"Which instance? {BAD}", ("rm-1", "rm-2"))
    payload = shown(asked, ending=PAUSED)
    assert kinds(payload) == ["alert", "actions", "context", "context", "actions"]
    assert buttons(payload)[:2] == [
        ("run_answer_0", "rm-1", f"{RUN}:0"),
        ("run_answer_1", "rm-2", f"{RUN}:1"),
    ]
    assert "Choose one, or answer in the thread." in json.dumps(payload)
    assert PW not in json.dumps(payload) and "1. rm-1" not in json.dumps(payload)


def test_more_or_longer_options_than_buttons_take_stand_in_the_text_too() -> None:
    many = shown(ev.InterruptRaised("i", "Which?", tuple(f"rm-{n}" for n in range(9))), ending=PAUSED)
    assert len(buttons(many)) == limits.SHOWN_OPTIONS + 1
    assert "\n9. rm-8" in many["blocks"][0]["text"]["text"]
    long = shown(ev.InterruptRaised("i", "Which?", ("x" * 120, "", "no")), ending=PAUSED)
    assert "1. " + "x" * 120 in long["blocks"][0]["text"]["text"]
    assert buttons(long)[2][:2] == ("run_answer_2", "no")


def test_an_interrupt_without_options_is_answered_in_the_thread() -> None:
    payload = shown(ev.InterruptRaised("i", "How long ago?"), ending=PAUSED)
    assert "Answer in the thread." in json.dumps(payload)
    assert [action for action, _, _ in buttons(payload)] == ["session_new"]


@pytest.mark.parametrize("sign", ["x", '"', "<", "字", "\n", "\ud83d"])
def test_whatever_is_asked_fits_beside_a_full_message(sign: str) -> None:
    many = [event for n in range(20) for event in call(n, sign * 3_000)]
    documents = [ev.Source(sign * 90, f"https://x.com/{n}" + "a" * 380) for n in range(20)]
    before = [*many, *documents, ev.TextMessageContent("m", "words " * 1_100)]
    shown(*before, ev.ApprovalAsked("c", "r", sign * 999, sign * 9_999, sign * 9_999), ending=PAUSED)
    asked = ev.InterruptRaised("i", sign * 9_999, tuple(sign * 300 for _ in range(30)))
    shown(*before, asked, ending=PAUSED)


# -- status and footer ---------------------------------------------------------------------------------------


def status(draft: Draft) -> str:
    draft.take_in()
    return str(draft.payload(0)["blocks"][0]["elements"][0]["text"]).removeprefix(":hourglass_flowing_sand: ")


def test_a_busy_service_says_when_it_is_asked_again() -> None:
    draft = draft_of()
    draft.progress = Progress("waiting_service", seconds=11.2)
    assert status(draft) == "The service is busy, trying again in 12 s"


def test_silence_is_told_and_ends_with_the_next_event() -> None:
    draft = draft_of(ev.ToolCallStart("c", "sql"))
    draft.elapsed = 185.0
    assert status(draft) == "Calling *sql* · 3 min 05 s"
    draft.elapsed = 244.0
    assert status(draft) == "Calling *sql* · 4 min 04 s"
    draft.elapsed = 245.0
    assert status(draft) == "Calling *sql* · still working, 4 min"
    draft.answer.apply(ev.Activity("x"), 246.0)
    draft.elapsed = 246.0
    assert status(draft) == "Calling *sql* · 4 min 06 s"


@pytest.mark.parametrize(
    ("ending", "usage", "told"),
    [
        (Ending(State.ANSWERED), None, ""),
        (Ending(State.ANSWERED, characters=1_204), None, " · 1,204 characters"),
        (Ending(State.ANSWERED, characters=1_234, estimated=True), None, " · ≈ 1,200 characters"),
        (Ending(State.ANSWERED, characters=7, estimated=True), None, " · ≈ 7 characters"),
        (Ending(State.ANSWERED, characters=31_337), 31_337, " · 31,337 characters"),
        # What was paused before cost something, too.
        (Ending(State.ANSWERED, characters=954), 935, " · 954 characters"),
        (Ending(State.ANSWERED, characters=1_954, estimated=True), 935, " · ≈ 2,000 characters"),
    ],
)
def test_the_footer_tells_the_cost_and_whether_it_is_known(
    ending: Ending, usage: int | None, told: str
) -> None:
    draft = draft_of(*([ev.Usage(usage)] if usage else []), ending=ending, agent="ag-x<y")
    (context,) = [b for b in final_payloads(draft)[0]["blocks"] if b["type"] == "context"]
    assert context["elements"][0]["text"] == f"RDS Copilot · ag-x&lt;y{told} · `0123-4567`"


def test_the_footer_of_what_never_had_an_agent_begins_with_no_dot() -> None:
    draft = Draft(RUN, "en", "")
    draft.ending = Ending(State.STOPPED)
    (context,) = [b for b in final_payloads(draft)[0]["blocks"] if b["type"] == "context"]
    assert context["elements"][0]["text"] == "`0123-4567`"


# -- folds ---------------------------------------------------------------------------------------------------


def test_an_error_that_is_the_result_as_well_is_shown_once() -> None:
    said = "SqlCollectorNotEnabled: it is off."
    payload = shown(ev.ToolCallStart("c", "sql"), ev.ToolCallResult("c", said, error=said))
    (fold,) = [block for block in payload["blocks"] if block["type"] == "container"]
    assert json.dumps(fold["child_blocks"]).count(said) == 1


@pytest.mark.parametrize(
    ("calls", "told"), [(0, "sub-agent"), (1, "sub-agent · 1 call"), (2, "sub-agent · 2 calls")]
)
def test_a_sub_agent_counts_the_calls_it_is_known_to_have_made(calls: int, told: str) -> None:
    made = [event for n in range(calls) for event in (ev.ToolCallStart(f"c{n}", "sql", "a"),)]
    payload = shown(ev.StepStarted("look", "Look", "a"), *made)
    (fold,) = [block for block in payload["blocks"] if block["type"] == "container"]
    assert fold["subtitle"]["text"] == told


def test_a_call_nobody_follows_any_more_does_not_look_at_work() -> None:
    draft = draft_of(*call(1, "1 row"), ev.ToolCallStart("c2", "explain"))
    draft.take_in()
    left = layout.recovered(draft.payload(0), draft.frame(), Ending(State.INTERRUPTED, "The bot restarted."))
    assert judge(left) == []
    folds = [(b["title"]["text"], b.get("subtitle")) for b in left["blocks"] if b["type"] == "container"]
    assert [title.split(" · ")[0] for title, _ in folds] == ["✓ sql", "– explain"]
    assert folds[1][1]["text"] == "did not finish"


# -- files ---------------------------------------------------------------------------------------------------


def test_a_result_that_no_fold_holds_is_in_a_file_whole_and_redacted() -> None:
    long = "row " * 6_000 + BAD
    draft = draft_of(*call(1, "ok"), *call(2, long), ending=DONE)
    payload = final_payloads(draft)[0]
    assert f"6,000 of {len(long):,} characters shown, all of them in the file below" in json.dumps(payload)
    (file,) = draft.attachments()
    assert (file.name, file.title) == ("tool-calls-0123-4567.txt", "All tool calls")
    assert "row " * 6_000 in file.text and "Result:\nok" in file.text and PW not in file.text


def test_calls_that_were_summed_up_are_in_a_file() -> None:
    draft = draft_of(*[event for n in range(300) for event in call(n, f"result {n}")], ending=DONE)
    (file,) = draft.attachments()
    assert all(f"Result:\nresult {n}\n" in file.text for n in range(300))


def test_a_file_does_not_grow_without_bound() -> None:
    events = [event for n in range(9) for event in call(n, "x" * 150_000)]
    (file,) = draft_of(*events, ending=DONE).attachments()
    assert len(file.text) < limits.FILE + 1_000 and "cut here: 150,000 characters in all" in file.text


def test_a_secret_at_the_place_where_a_file_is_cut_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it looks like nothing that has to be hidden."""
    monkeypatch.setattr(limits, "FILE", 9_000)
    monkeypatch.setattr(limits, "HIDDEN", 1_000)
    key = "LTAI5tFakeFakeFakeFake12"
    for before in range(8_960, 9_000):
        text = "x" * before + " " + key + " " + "y" * 3_000
        (file,) = draft_of(*call(1, text), ending=DONE).attachments()
        assert key[:8] not in file.text, before


def test_what_is_whole_in_the_message_needs_no_file() -> None:
    assert draft_of(*call(1, "ok"), ev.TextMessageContent("m", "x"), ending=DONE).attachments() == []
