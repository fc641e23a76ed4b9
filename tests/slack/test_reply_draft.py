"""The payloads of a reply: what Slack takes, whatever the answer; nothing of the text is lost between messages."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.demo.workspace.blocks import block_errors
from bot.model import event as ev
from bot.model.ending import Ending, Progress
from bot.model.run import State
from bot.slack.reply import layout, limits
from bot.slack.reply.characters import shortened, whole_until
from bot.slack.reply.draft import Draft, final_payloads
from bot.slack.reply.folds import Folds
from bot.slack.reply.ladder import RUNGS, as_mrkdwn
from bot.slack.reply.pages import Pages
from bot.slack.reply.safe import mrkdwn
from bot.slack.reply.sizes import cost
from tests.judges import panel

RUN = "0123456789abcdef0123456789abcdef"
DONE = Ending(State.ANSWERED)
FAILED = Ending(State.FAILED, "The service broke off. " + "x" * 3_000)


def draft_of(*events: ev.Event, language: Any = "en") -> Draft:
    draft = Draft(RUN, language, "DAS Agent")
    draft.progress = Progress("working")
    for at, event in enumerate(events):
        draft.answer.apply(event, float(at))
    return draft


def ended(draft: Draft, ending: Ending = DONE) -> list[layout.Payload]:
    draft.answer.close(1_000.0)
    draft.ending = ending
    return final_payloads(draft)


def _walk(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [b for block in blocks for b in [block, *_walk(block.get("child_blocks", []))]]


def judge(payload: layout.Payload) -> None:
    """Slack's limits: by three judges, and by the workspace that plays Slack."""
    assert panel.judge(payload) == []
    assert block_errors(payload["blocks"]) == []
    assert payload["text"].strip()
    assert len(json.dumps(payload, ensure_ascii=False)) <= limits.PAYLOAD
    json.dumps(payload, ensure_ascii=False).encode()


def judge_all(draft: Draft, ending: Ending = DONE) -> list[layout.Payload]:
    """Every message running, then ended; the first and the last on every rung. Returns the final ones."""
    draft.take_in()
    for number in range(draft.count):
        judge(draft.payload(number))
    for number in {0, draft.count - 1}:
        for rung in RUNGS[1:]:
            judge(rung(draft.payload(number)))
        judge(layout.recovered(draft.payload(number), draft.frame(), FAILED))
    final = ended(draft, ending)
    for payload in final:
        judge(payload)
    for rung in RUNGS[1:]:
        judge(rung(final[0]))
        judge(rung(final[-1]))
    return final


def markdown(payloads: list[layout.Payload]) -> list[str]:
    return ["".join(b["text"] for b in payload["blocks"] if b["type"] == "markdown") for payload in payloads]


def containers(payload: layout.Payload) -> list[dict[str, Any]]:
    return [block for block in payload["blocks"] if block["type"] == "container"]


def call(
    n: int,
    *,
    name: str = "das_api",
    arguments: str = "{}",
    result: str = "ok",
    error: str = "",
    agent: str = "",
) -> list[ev.Event]:
    return [
        ev.ToolCallStart(f"c{n}", name, agent),
        ev.ToolCallArgs(f"c{n}", arguments, agent),
        ev.ToolCallEnd(f"c{n}", agent),
        ev.ToolCallResult(f"c{n}", result, agent, error),
    ]


def text(value: str) -> ev.Event:
    return ev.TextMessageContent("m", value)


def in_pieces(value: str, size: int) -> list[ev.Event]:
    return [text(value[at : at + size]) for at in range(0, len(value), size)]


# -- what a reply may have to show ---------------------------------------------------------------------------


def test_three_hundred_calls_are_summed_up_and_the_newest_shown() -> None:
    events = [
        event for n in range(300) for event in call(n, arguments=f'{{"api": "Get{n}"}}', result="r" * 900)
    ]
    final = judge_all(draft_of(*events, text("The end.")))
    folds = containers(final[0])
    assert 2 <= len(folds) <= limits.SHOWN_CALLS + 1
    assert re.match(r"✓ 2\d\d earlier tool calls", folds[0]["title"]["text"])
    assert "Get299" in folds[-1]["title"]["text"]


@pytest.mark.parametrize("name", ["n" * 5_000, '"\\' * 300, "名" * 400, "a\nb"])
def test_huge_names_arguments_results_and_errors(name: str) -> None:
    events = [
        *call(1, name=name, arguments=json.dumps({"sql": "x" * 100_000}), result='["\\ud83d"]'),
        *call(2, name=name, arguments="[" * 19_000, result="[" * 19_000),
        *call(3, name=name, arguments='"' * 50_000, result="\n" * 50_000, error="e\n" * 9_000),
        ev.StepStarted("s", name, "x"),
        *call(4, name=name, agent="x", result="\\" * 9_999),
    ]
    judge_all(draft_of(*events))
    judge_all(draft_of(*events, text("z" * 30_000)), FAILED)
    running = draft_of(*events, ev.ToolCallStart("open", name))
    judge(running.payload(0))


def test_a_failed_call_stays_open_and_says_why() -> None:
    (payload,) = judge_all(draft_of(*call(1), *call(2, error="Forbidden.RAM: no\npermission")))
    good, bad = containers(payload)
    assert good["default_collapsed"] and not bad["default_collapsed"]
    assert bad["title"]["text"].startswith("✗ ") and bad["subtitle"]["text"] == "Forbidden.RAM: no permission"


def test_a_call_without_an_end_is_marked_when_the_run_is_over() -> None:
    (payload,) = judge_all(draft_of(ev.ToolCallStart("c", "sql")))
    (fold,) = containers(payload)
    assert fold["title"]["text"].startswith("– sql") and fold["subtitle"]["text"] == "did not finish"


def test_sub_agents_group_their_calls_also_nested_and_sent_out_twice() -> None:
    events: list[ev.Event] = [
        *call(1, name="task"),
        ev.StepStarted("s", "Space", "x", "root", "c1"),
        *call(2, name="inner", agent="x"),
        ev.StepStarted("t", "Deep", "y", "x"),
        *[event for n in range(10, 30) for event in call(n, name=f"deep{n}", agent="y")],
        ev.StepFinished("t", "failed", "y"),
        ev.StepFinished("s", "completed", "x"),
        ev.StepStarted("s", "Space", "x", "root"),
        *call(3, name="again", agent="x"),
    ]
    draft = draft_of(*events)
    (payload,) = judge_all(draft)
    titles = [fold["title"]["text"].split(" · ")[0] for fold in containers(payload)]
    assert titles == ["✓ Space", "✗ Deep", "– Space"]
    first, deep, second = (json.dumps(fold, ensure_ascii=False) for fold in containers(payload))
    assert "inner" in first and "again" not in first and "again" in second and "deep29" not in first
    assert "… and" in deep or "deep29" in deep


def test_steps_without_ids_begun_at_the_same_moment_are_told_apart() -> None:
    draft = Draft(RUN, "en", "DAS Agent")
    for label in ("One", "Two"):
        draft.answer.apply(ev.StepStarted("s", label), 1.0)
    judge_all(draft)


def test_a_long_chinese_answer_is_complete() -> None:
    answer = "".join(f"第{n}段：慢查询主要由缺少索引引起，建议添加组合索引。\n\n" for n in range(1_100))
    assert len(answer) > 30_000
    final = judge_all(draft_of(*in_pieces(answer, 701), language="zh"))
    assert len(final) > 3
    assert _bare("".join(markdown(final))) == _bare(answer)


@pytest.mark.parametrize("unit", ["x", "字", "👩‍👩‍👧‍👦", "🇨🇳", "é"])
def test_one_line_of_fifty_thousand_characters_is_complete_and_no_character_is_cut(unit: str) -> None:
    answer = unit * (50_000 // len(unit))
    final = judge_all(draft_of(*in_pieces(answer, 997)))
    pages = markdown(final)
    assert "".join(pages) == answer
    assert all(len(page) % len(unit) == 0 and page == unit * (len(page) // len(unit)) for page in pages)


def test_a_table_of_three_hundred_rows_keeps_its_head_on_every_page() -> None:
    head = "| SQL | Time |\n|---|---|\n"
    rows = [f"| SELECT {n} FROM orders WHERE status = 'open' AND n = {n} | {n} s |" for n in range(300)]
    final = judge_all(draft_of(text(head + "\n".join(rows))))
    pages = markdown(final)
    assert len(pages) > 2 and all(page.startswith(head) for page in pages)
    assert [row for page in pages for row in page.replace(head, "").split("\n") if row] == rows
    # A page may hold more short rows than Slack's tables take: then a second table begins.
    for table in [table for page in pages for table in page.split("\n\n")]:
        assert len(table.splitlines()) - 1 <= limits.TABLE_ROWS


def test_a_table_of_more_columns_than_slack_takes_is_code() -> None:
    head = "|" + "|".join(f" c{n} " for n in range(25)) + "|\n"
    table = head + "|" + "---|" * 25 + "\n" + head * 40
    pages = markdown(judge_all(draft_of(text(f"Look:\n{table}\nDone."))))
    assert pages[0].startswith(f"Look:\n```\n{head}") and pages[-1].endswith("|\n```\n\nDone.")
    assert all(_balanced(page) for page in pages)
    assert "".join(pages).replace("```\n", "").count(head) == 41


def test_headings_do_not_make_more_blocks_than_a_message_may_have() -> None:
    answer = "".join(f"## Part {n}\n\nOne sentence.\n\n" for n in range(80))
    final = judge_all(draft_of(*[event for n in range(12) for event in call(n)], text(answer)))
    assert "".join(markdown(final)).count("## Part") == 80
    for payload in final:
        # Each heading and each run of text between headings becomes a block of its own in Slack.
        items = sum(2 * block.get("text", "").count("## ") for block in payload["blocks"] if "text" in block)
        assert items + len(payload["blocks"]) <= limits.ITEMS


def test_code_over_several_pages_is_closed_and_opened_again() -> None:
    lines = [f"SELECT {n} FROM t; -- comment number {n}" for n in range(600)]
    final = judge_all(draft_of(text("Run:\n```sql\n" + "\n".join(lines) + "\n```\nDone.")))
    pages = markdown(final)
    assert len(pages) > 2
    for page in pages[1:]:
        assert page.startswith("```sql\n")
    assert all(_balanced(page) for page in pages)
    shown = [line for page in pages for line in page.split("\n") if line.startswith("SELECT")]
    assert shown == lines


def test_code_deep_in_a_list_is_moved_left_when_it_goes_on() -> None:
    lines = [f"    SELECT {n} FROM t; -- comment number {n}" for n in range(400)]
    final = judge_all(draft_of(text("1. Run\n    ```sql\n" + "\n".join(lines) + "\n    ```\n2. Rest")))
    first, second, *_ = markdown(final)
    assert first.endswith("\n    ```") and second.startswith(" ```sql\n SELECT ")
    assert markdown(final)[-1].endswith("```\n2. Rest")


def test_a_list_that_goes_on_deep_inside_does_not_become_code() -> None:
    items = [f"- Top {n}\n  - Middle {n}\n" + f"    - Deep {n} " * 20 + "\n" for n in range(200)]
    pages = markdown(judge_all(draft_of(text("".join(items)))))
    assert len(pages) > 5
    assert not [page for page in pages if page.startswith(" ")]
    assert "\n    - Deep" in pages[1] and "\n- Top" in pages[1]
    assert _bare("".join(pages)) == _bare("".join(items))


def test_an_empty_answer_still_is_a_message() -> None:
    (payload,) = judge_all(draft_of())
    assert [block["type"] for block in payload["blocks"]] == ["context", "context_actions", "actions"]


def test_an_answer_beyond_all_messages_shows_its_end_and_is_a_file() -> None:
    answer = "".join(f"Line {n} of a very long answer, which goes on.\n" for n in range(6_000))
    draft = draft_of(*in_pieces(answer, 5_000))
    draft.take_in()
    assert "Line 5999" in json.dumps(draft.payload(draft.count - 1)) and draft.attachments() == []
    final = judge_all(draft, Ending(State.ANSWERED))
    assert len(final) == limits.MESSAGES
    *body, end = markdown(final)
    shown = "".join(page + "\n" for page in body)
    assert answer.startswith(shown) and answer.endswith(end.replace("\n\n", "\n") + "\n")
    match = re.search(r"([\d,]+) characters are left out", json.dumps(final[-1]["blocks"]))
    assert match is not None
    assert abs(len(answer) - len(shown) - len(end) - int(match[1].replace(",", ""))) <= 100
    assert "Goes on in the next message" in json.dumps(final[0]["blocks"])
    (file,) = draft.attachments()
    assert (file.name, file.title, file.text) == ("answer-0123-4567.md", "The whole answer", answer)
    # What goes on brings them when it ends: in one reply they are there once.
    draft.ending = Ending(State.PAUSED)
    assert draft.attachments() == []


def test_work_stands_above_while_running_and_below_when_done() -> None:
    draft = draft_of(*call(1), text("Because of a lock.\n"))
    draft.take_in()
    running = [block["type"] for block in draft.payload(0)["blocks"]]
    assert running == ["context", "container", "markdown", "actions"]
    final = [block["type"] for block in ended(draft)[0]["blocks"]]
    assert final == ["markdown", "container", "context", "context_actions", "actions"]


def test_the_text_beside_the_blocks_carries_the_answer_and_cuts_no_escape() -> None:
    (payload,) = judge_all(draft_of(text("a < b & c")))
    assert payload["text"] == "a &lt; b &amp; c"
    long = judge_all(draft_of(text("<" * 4_000)))[0]["text"]
    assert long.endswith("&lt;…") and limits.FALLBACK <= cost(long) <= limits.TEXT


def test_folds_written_later_fit_beside_a_full_first_message() -> None:
    draft = draft_of(text("word " * 3_000))
    draft.take_in()
    for n in range(40):
        for event in call(n, name='"quoted"' * 20, result='"' * 3_000):
            draft.answer.apply(event, float(n))
        draft.take_in()
        judge(draft.payload(0))
    judge_all(draft)


def test_a_late_piece_of_an_earlier_message_rewrites_the_pages() -> None:
    draft = draft_of(ev.TextMessageStart("a"), ev.TextMessageContent("b", "second\n" * 2_000))
    draft.take_in()
    draft.answer.apply(ev.TextMessageContent("a", "first\n"), 9.0)
    assert markdown(ended(draft))[0].startswith("first\n\n")


def test_seconds_alone_change_no_signature() -> None:
    draft = draft_of(text("x\n"))
    draft.take_in()
    before = draft.signature(0)
    draft.elapsed = 50.0
    draft.payload(0)
    assert draft.signature(0) == before
    draft.answer.apply(text("y\n"), 9.0)
    draft.take_in()
    assert draft.signature(0) != before


def test_secrets_and_mentions_reach_no_part_of_a_payload() -> None:
    secret = "S3cr3t-Hunter2"
    bad = f"password: {secret} <!channel> <@U1>"
    events = [
        *call(1, name=bad, arguments=json.dumps({"password": secret, "api": bad}), result=bad, error=bad),
        ev.StepStarted("s", bad, "x"),
        *call(2, agent="x", result=bad * 500),
        text(bad),
    ]
    draft = draft_of(*events)
    for payload in [draft.payload(0), *judge_all(draft, Ending(State.FAILED, "sorry"))]:
        assert secret not in json.dumps(payload)
        for block in _walk(payload["blocks"]):
            if block["type"] in ("markdown", "section", "context", "alert"):
                assert "<!" not in json.dumps(block) and "<@" not in json.dumps(block)


TELLING = ["Hunter2", "abcDEF123", "xoxb-1234", "LTAI5tFak", "eyJhbGciOi"]
IN_CHUNKS = [
    ("conn: mysql://root:Hunter2Sec", "ret9@db:3306/x"),
    ("id LTAI5tFakeFakeFakeFake12 secret ", "abcDEF123ghiJKL456mnoPQR789stu"),
    ("t xoxb-1234", "567890-abc"),
    ("k LTAI5tFak", "eFakeFakeFake12"),
    ('{"jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi', 'JIUzI1NiJ9.abcabc"}'),
]


@pytest.mark.parametrize("pieces", IN_CHUNKS)
def test_half_a_result_shows_no_half_of_a_secret_at_work_nor_cut_off(pieces: tuple[str, str]) -> None:
    draft = draft_of(ev.ToolCallStart("c", "das_api"), ev.ToolCallEnd("c"))
    for piece in pieces:
        draft.answer.apply(ev.ToolCallChunk("c", piece), 2.0)
        assert not [part for part in TELLING if part in json.dumps(draft.payload(0))]
    for event in (ev.ToolCallChunk("c", pieces[0]), ev.ToolCallArgs("c", pieces[0]), text(pieces[0])):
        draft = draft_of(ev.ToolCallStart("c", "das_api"), event)
        final = json.dumps([ended(draft, Ending(State.STOPPED)), [f.text for f in draft.attachments()]])
        assert not [part for part in TELLING if part in final]


def test_what_is_cut_off_loses_nothing_that_is_plain() -> None:
    draft = draft_of(*call(1)[:3], ev.ToolCallChunk("c1", "42 rows so far"), text("The lock is held by trx"))
    shown = json.dumps(ended(draft, Ending(State.STOPPED)))
    assert "42 rows so far" in shown and "held by trx" in shown


def test_the_text_alone_is_complete_too() -> None:
    answer = "".join(f"Line {n} of **an answer** with `a < b`.\n" for n in range(400))
    calls = [event for n in range(20) for event in call(n, result="r" * 900)]
    draft = draft_of(*calls, text(answer))
    draft.take_in()
    before = draft.count
    while draft.step_down():
        pass
    assert draft.count > before
    final = ended(draft)
    for payload in final:
        judge(payload)
    assert [file.title for file in draft.attachments()] == ["All tool calls"]
    shown = "".join(payload["text"] + "\n" for payload in final)
    assert shown == answer.replace("**", "*").replace("<", "&lt;")


def test_the_text_alone_says_what_is_left_out_of_it() -> None:
    draft = draft_of(text("".join(f"Line {n} of a very long answer, which goes on.\n" for n in range(2_000))))
    while draft.step_down():
        pass
    *body, last = ended(draft)
    assert "characters are left out here" in last["text"] and "Line 1999" in last["text"]
    assert not any("left out" in payload["text"] for payload in body)


def test_older_types_show_bold_and_headings_in_their_own_markup() -> None:
    (payload,) = ended(draft_of(text("## Why\n\n**One** index, `a ** b ** c`\n")))
    (section,) = [block for block in layout.plain(payload)["blocks"] if block["type"] == "section"]
    assert section["text"]["text"] == "*Why*\n\n*One* index, `a ** b ** c`"


def test_older_types_close_long_code_and_open_it_again() -> None:
    lines = [f"SELECT {n} FROM orders WHERE a < b;" for n in range(120)]
    (payload,) = ended(draft_of(text("Run:\n\n```sql\n" + "\n".join(lines) + "\n```\nDone.\n")))
    sections = [b["text"]["text"] for b in layout.plain(payload)["blocks"] if b["type"] == "section"]
    assert len(sections) > 1 and all(part.count("```") == 2 for part in sections)
    shown = "\n".join(sections).replace("&lt;", "<").split("\n")
    assert [line for line in shown if line.startswith("SELECT")] == lines


@pytest.mark.parametrize("letter", ["&", "\\", "w "])
def test_older_types_say_where_escaping_left_no_room(letter: str) -> None:
    page = "```\n" + (letter * 60 + "\n") * 60 + "```"
    payload = layout.plain({"text": page, "blocks": [{"type": "markdown", "text": page}]})
    judge(payload)
    sections = [block["text"]["text"] for block in payload["blocks"]]
    assert all(part.count("```") == 2 for part in sections)
    assert (len("".join(sections)) < len(mrkdwn(page))) is ("…" in sections[-1])


@pytest.mark.parametrize(
    "text", ["a<b," * 1_000, "值&" * 1_000, "w&a;lt;" * 500], ids=["less", "and", "no sign"]
)
def test_older_types_cut_no_sign_that_is_escaped(text: str) -> None:
    blocks = layout.plain({"text": "…", "blocks": [{"type": "markdown", "text": text}]})["blocks"]
    sections = [block["text"]["text"] for block in blocks]
    assert len(sections) > 1 and "".join(sections) == mrkdwn(text)
    assert all(html.escape(html.unescape(part), quote=False) == part for part in sections)


def test_older_types_show_a_long_table_whole_and_its_head_once() -> None:
    head = "| " + " | ".join(f"column_{n}_of_a_wide_table" for n in range(18)) + " |\n|" + "---|" * 18 + "\n"
    rows = "".join(f"| {n} | " + "7 | " * 17 + "\n" for n in range(80))
    blocks = layout.plain({"text": "…", "blocks": [{"type": "markdown", "text": head + rows}]})["blocks"]
    sections = [block["text"]["text"] for block in blocks]
    assert len(sections) > 1 and "\n".join(sections) == (head + rows).strip("\n")


@pytest.mark.parametrize("most", [2, 3, 7])
def test_folds_keep_to_their_number(most: int) -> None:
    answer = draft_of(ev.Reasoning("Hm.\n"), *[event for n in range(20) for event in call(n)]).answer
    assert len(Folds("en", "k").draw(answer, limits.PAGE, most, is_over=True).blocks) == most


def test_a_fold_says_how_many_rows_came() -> None:
    (payload,) = judge_all(draft_of(*call(1, result='[{"a": 1}, {"a": 2}]'), *call(2, result='[{"a": 1}, ')))
    assert [fold.get("subtitle", {}).get("text") for fold in containers(payload)] == ["2 rows", None]


# -- any answer ----------------------------------------------------------------------------------------------

_LINES = [
    "words and more words of a paragraph\n",
    "\n",
    "- a list\n",
    "```sql\n",
    "```\n",
    "~~~\n",
    "    ```\n",
    "```not a fence```\n",
    "| a | b |\n",
    "|---|---|\n",
    "長い行" * 900 + "\n",
    "w " * 2_100 + "\n",
    "y" * 4_100,
    "line\n" * 400,
    "😀" * 50 + "\n",
    '"\\' * 700 + "\n",
]
_answers = st.lists(st.sampled_from(_LINES), max_size=14).map("".join)


def _bare(value: str) -> str:
    return re.sub(r"\s", "", value)


def _balanced(page: str) -> bool:
    """Whether the page leaves no code open."""
    tokens = MarkdownIt("commonmark", {"html": False}).parse(f"{page}\nBEHIND")
    return not [token for token in tokens if token.type == "fence" and "BEHIND" in token.content]


@settings(deadline=None, max_examples=20)
@given(_answers, st.integers(300, 6_000), st.integers(0, 3))
def test_any_answer_fits_and_is_complete(answer: str, size: int, calls: int) -> None:
    events = [event for n in range(calls) for event in call(n, result="r" * 2_000)]
    draft = draft_of(*events)
    for at, event in enumerate(in_pieces(answer, size)):
        draft.answer.apply(event, float(at))
        if at % 7 == 0:
            draft.take_in()
    final = judge_all(draft)
    pages = markdown(final)
    assert all(_balanced(page) for page in pages)
    # Openers and table heads may be repeated between pages; nothing of the answer may be missing, in its order.
    shown = iter(_bare("".join(pages)))
    assert all(character in shown for character in _bare(answer))
    repeated = _bare("".join(pages)).replace("`", "").replace("~", "")
    assert len(repeated) <= len(_bare(answer)) + len(pages) * limits.PAGE // 8


@settings(deadline=None, max_examples=20)
@given(_answers, st.lists(st.integers(1, 9_000), max_size=12), st.integers(0, 3))
def test_an_answer_is_whole_at_every_moment(answer: str, cuts: list[int], calls: int) -> None:
    draft = draft_of(*[event for n in range(calls) for event in call(n)])
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(answer)], strict=True):
        draft.answer.apply(text(answer[begin:end]), 1.0)
        draft.take_in()
        payload = draft.payload(draft.count - 1)
        judge(payload)
        (page,) = markdown([payload])
        assert _balanced(page) and "``````" not in page
        # A row of the table that is being written has all its cells.
        last = page.split("\n")[-1]
        assert not last.startswith("| ") or last.endswith("|")


@settings(deadline=None, max_examples=25)
@given(_answers, st.integers(800, 3_000))
def test_pages_of_any_capacity_hold_every_line(answer: str, capacity: int) -> None:
    pages = Pages()
    for line in answer.splitlines(keepends=True):
        pages.add(line, capacity)
    texts = [*pages.sealed, pages.text()]
    assert all(cost(page) <= capacity for page in texts)
    assert all(_balanced(page) for page in texts)
    shown = iter(_bare("".join(texts)))
    assert all(character in shown for character in _bare(answer))


@given(st.text(alphabet="ae\u0301😀\u200d👩🏽\ufe0f🇨🇳 ", min_size=1, max_size=30), st.integers(0, 40))
def test_a_cut_is_inside_and_moves_forward(value: str, at: int) -> None:
    place = whole_until(value, at)
    assert 1 <= place <= max(1, at)
    assert len(shortened(value, max(2, at))) <= max(2, at)


def test_the_ladder_ends_with_plain_text() -> None:
    draft = draft_of(*call(1), text("**x**\n"))
    draft.take_in()
    rungs = [draft.payload(0)]
    while draft.step_down():
        rungs.append(draft.payload(0))
    assert [[block["type"] for block in rung["blocks"]] for rung in rungs] == [
        ["context", "container", "markdown", "actions"],
        ["context", "plan", "markdown", "actions"],
        ["context", "context", "section", "actions"],
        [],
    ]
    (task,) = rungs[1]["blocks"][1]["tasks"]
    assert (task["title"], task["status"]) == ("das_api · 3.0 s", "complete")
    assert "Result" in json.dumps(task["details"])


def test_older_blocks_do_not_show_the_language_of_code() -> None:
    assert as_mrkdwn("a\n```sql\nSELECT 1;\n```\n``x``\n") == "a\n```\nSELECT 1;\n```\n``x``\n"
