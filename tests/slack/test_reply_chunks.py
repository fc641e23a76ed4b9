"""What a stream is sent: it only grows, its sum is the answer, and nothing leaves before it is certain."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model import event as ev
from bot.model.answer import Answer
from bot.model.ending import Ending, Progress
from bot.model.question import Language
from bot.model.run import State
from bot.slack.reply import chunks
from bot.slack.reply.chunks import Sent, closing, news, opening
from bot.slack.reply.draft import Draft

RUN = "0123456789abcdef" * 2


def draft_of(*events: ev.Event, draft: Draft | None = None) -> Draft:
    draft = draft or Draft(RUN, "en", "DAS Agent")
    draft.progress = Progress("working")
    for event in events:
        draft.answer.apply(event, 1.0)
    draft.take_in()
    return draft


def text(delta: str) -> ev.Event:
    return ev.TextMessageContent("m", delta)


PIECES = st.lists(
    st.sampled_from(
        [
            "The lock ",
            "is held. ",
            "**bold",
            "** ",
            "`SELECT 1",
            "` ",
            "[docs](https://a.example.com) ",
            "[x](javascript:alert(1)) ",
            "<!channel> ",
            "<@U0ANA> ",
            "@here ",
            "LTAI5tQnXyZa",
            "BcDeFgHiJkLm ",
            "慢日志",
            "“引号”",
            "，见",
            "\n",
            "\n\n",
            "```sql\nSELECT 1\n```\n",
            "| a | b |\n|---|---|\n| 1 | 2 |\n",
            "- item\n",
            "👩‍👩‍👧 ",
        ]
    ),
    min_size=1,
    max_size=40,
)


def test_no_card_says_thinking_while_the_question_waits() -> None:
    draft = Draft(RUN, "en", "DAS Agent")
    draft.progress = Progress("waiting_slot", 2, 1)
    draft.take_in()
    waits = opening(draft, 0, RUN)
    assert waits and [card.title for card in waits.after.cards.values()] == ["On it"]
    draft.progress = Progress("working")
    works = news(draft, 0, waits.after, RUN)
    assert works and [card.title for card in works.after.cards.values()] == ["Thinking"]


@settings(max_examples=150, deadline=None)
@given(PIECES, st.data())
def test_the_pieces_are_the_answer_whatever_way_they_are_cut(pieces: list[str], data: st.DataObject) -> None:
    draft, sent, told = Draft(RUN, "en", "DAS Agent"), Sent(), ""
    draft.progress, draft.answer = Progress("working"), Answer()
    whole = "".join(pieces)
    while whole:
        size = data.draw(st.integers(1, 12))
        draft_of(text(whole[:size]), draft=draft)
        whole = whole[size:]
        piece = news(draft, 0, sent, RUN)
        if piece is None:
            return  # It goes on as an update, which replaces everything.
        told += "".join(chunk["text"] for chunk in piece.chunks if chunk["type"] == "markdown_text")
        sent = piece.after
        assert sent.text == told
        for danger in ("<!channel", "<@U0ANA", "@here", "](javascript:", "LTAI5tQnX"):
            assert danger not in json.dumps(piece.chunks, ensure_ascii=False)
    draft.ending = Ending(State.ANSWERED)
    draft.take_in()
    last = news(draft, 0, sent, RUN)
    if last is not None:
        added = "".join(chunk["text"] for chunk in last.chunks if chunk["type"] == "markdown_text")
        whole = draft.growing(0) or ""
        # What nobody can see is not worth a call.
        assert whole.startswith(told + added) and not whole[len(told + added) :].strip()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Held by **4711", "Held by "),
        ("Held by **4711** since ", "Held by **4711** since "),
        ("Run `SHOW PROC", "Run "),
        ("See [the docs", "See "),
        ("a line **with\nanother ", "a line **with\nanother "),
        ("x [1] is ", "x [1] is "),
    ],
)
def test_what_may_yet_open_something_is_held_back(raw: str, shown: str) -> None:
    assert chunks._settled(raw) == shown


def test_a_card_changes_in_place_and_its_output_is_added_once() -> None:
    draft = draft_of(ev.ToolCallStart("c", "das_api"))
    piece = opening(draft, 0, RUN)
    assert piece
    draft_of(ev.ToolCallResult("c", "", error="<!channel> denied"), draft=draft)
    failed = news(draft, 0, piece.after, RUN)
    assert failed
    (card,) = [chunk for chunk in failed.chunks if chunk["type"] == "task_update"]
    assert card["status"] == "error" and "denied" in card["output"] and "<!channel>" not in card["output"]
    draft_of(
        ev.ToolCallStart("c", "das_api"), draft=draft
    )  # a late twin: its revision grows, its card does not
    again = news(draft, 0, failed.after, RUN)
    assert again and not [chunk for chunk in again.chunks if "output" in chunk]


def test_every_open_card_is_closed_and_no_other() -> None:
    draft = draft_of(ev.ToolCallStart("a", "x"), ev.ToolCallResult("a", "1"), ev.ToolCallStart("b", "y"))
    piece = opening(draft, 0, RUN)
    assert piece
    closed = closing(piece.after)
    assert [chunk["title"] for chunk in closed] == ["y"] and {chunk["status"] for chunk in closed} == {
        "complete"
    }


def test_a_sub_agent_has_one_card_whatever_it_calls() -> None:
    draft = draft_of(
        ev.ToolCallStart("origin", "delegate"),
        ev.ToolCallStart("inner", "das_api", agent_id="sub"),
        ev.StepStarted("locks", "Lock expert", agent_id="sub", call_id="origin"),
    )
    piece = opening(draft, 0, RUN)
    assert piece
    titles = [card.title for card in piece.after.cards.values()]
    assert len(titles) == 2 and "Lock expert" in titles[1] and "1" in titles[1]


def test_too_much_ends_the_stream() -> None:
    draft = draft_of(text("慢" * 2_000 + "\n"))
    piece = news(draft, 0, Sent(), RUN)
    assert piece and piece.after.weight > 6_000
    draft_of(text("慢" * 1_100 + "\n"), draft=draft)
    assert news(draft, 0, piece.after, RUN) is None
    many = draft_of(*[ev.ToolCallStart(f"c{n}", "x") for n in range(50)])
    assert news(many, 0, Sent(), RUN) is None


def test_a_text_that_changed_in_its_middle_ends_the_stream() -> None:
    draft = draft_of(text("First.\nSecond.\n"))
    piece = news(draft, 0, Sent(), RUN)
    assert piece
    draft_of(ev.TextMessageReplaced("m", "Something else.\n"), draft=draft)
    assert news(draft, 0, piece.after, RUN) is None


def test_an_open_fence_stays_open_for_what_follows() -> None:
    draft = draft_of(text("```sql\nSELECT 1\n"))
    piece = news(draft, 0, Sent(), RUN)
    assert piece and piece.after.text == "```sql\nSELECT 1"
    draft_of(text("FROM t\n```\nDone.\n"), draft=draft)
    more = news(draft, 0, piece.after, RUN)
    assert more and more.after.text == "```sql\nSELECT 1\nFROM t\n```\nDone."


def test_nothing_is_sent_for_line_ends_alone() -> None:
    draft = draft_of(text("First.\n"))
    first = news(draft, 0, Sent(), RUN)
    assert first and first.after.text == "First."
    # What opens here may yet change; the line ends before it are all there is to add.
    draft_of(text("\n**bold words"), draft=draft)
    second = news(draft, 0, first.after, RUN)
    assert second and second.chunks == []
    draft_of(text("**\n"), draft=draft)
    third = news(draft, 0, second.after, RUN)
    assert third and third.chunks == [{"type": "markdown_text", "text": "\n\n**bold words**"}]


# -- the time in the plan's title ----------------------------------------------------------------------------


def titles(piece: chunks.Piece) -> list[str]:
    return [chunk["title"] for chunk in piece.chunks if chunk["type"] == "plan_update"]


@pytest.mark.parametrize(
    ("language", "told"), [("en", "Writing · 1 min 11 s"), ("zh", "正在回答 · 1 分 11 秒")]
)
def test_the_title_of_a_call_that_is_made_anyway_tells_the_time(language: Language, told: str) -> None:
    draft = draft_of(text("One.\n"), draft=Draft(RUN, language, "DAS Agent"))
    draft.elapsed = 12.0
    first = news(draft, 0, Sent(), RUN)
    assert first and titles(first)[0].endswith(("12 s", "12 秒"))
    draft.elapsed = 71.0
    nothing = news(draft, 0, first.after, RUN)
    assert nothing and nothing.chunks == [] and nothing.after == first.after
    second = news(draft_of(text("Two.\n"), draft=draft), 0, first.after, RUN)
    assert second and titles(second) == [told]
    assert [chunk["type"] for chunk in second.chunks] == ["markdown_text", "plan_update"]


def test_no_time_is_told_before_there_is_any_and_while_the_question_waits() -> None:
    draft = draft_of()
    began = news(draft, 0, Sent(), RUN)
    assert began and titles(began) == ["On it"]
    draft.elapsed, draft.progress = 30.0, Progress("waiting_slot", 2, 1)
    waits = news(draft, 0, began.after, RUN)
    assert waits and "place 2" in titles(waits)[0] and "30 s" not in titles(waits)[0]


def test_a_long_title_with_its_time_is_as_long_as_slack_takes() -> None:
    draft = draft_of(ev.ToolCallStart("c", "n" * 500))
    draft.elapsed = 3_600.0
    piece = news(draft, 0, Sent(), RUN)
    assert piece and len(titles(piece)[0]) <= 256 and titles(piece)[0].endswith(" · 1 h 00 min")
