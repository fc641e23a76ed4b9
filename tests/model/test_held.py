"""What is kept of texts that are too long: the beginning, a count of the rest, and no more than fits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import event as ev
from bot.model import record
from bot.model.answer import CALLS_MOST, PART_MOST, PARTS_MOST, SOURCES_MOST, TEXT_MOST, THINKING_MOST, Answer
from bot.model.held import Held, Room

MARK = re.compile(r"\n… \[\+([0-9,]+)\]$")


def lost(text: str) -> int:
    """How many characters a text says are missing."""
    found = MARK.search(text)
    return int(found[1].replace(",", "")) if found else 0


@given(st.lists(st.text("ab \n", max_size=30)), st.integers(41, 90), st.integers(0, 90))
def test_the_beginning_stays_and_the_rest_is_counted(pieces: list[str], most: int, room: int) -> None:
    shared = Room(room)
    held = Held(most, shared)
    for piece in pieces:
        held.add(piece)
    whole, text = "".join(pieces), held.text
    kept = MARK.sub("", text)
    assert whole.startswith(kept)
    assert len(kept) + lost(text) == len(whole)
    assert len(text) <= most + len("\n… [+2,700]") and shared.left >= 0
    if len(whole) <= min(most - 40, room):
        assert text == whole
    held.replace("")
    assert shared.left == room


def test_half_a_word_at_the_cut_goes_too() -> None:
    held = Held(100, Room(1_000))
    held.add("token: " + "s" * 400)
    assert held.text == "token: \n… [+400]"


def test_a_whole_result_takes_the_place_of_its_pieces() -> None:
    answer = Answer()
    answer.apply(ev.ToolCallChunk("c", "half of "), 0.0)
    answer.apply(ev.ToolCallResult("c", "all"), 1.0)
    answer.apply(ev.ToolCallChunk("c", "late"), 2.0)
    answer.apply(ev.ToolCallResult("c", "another"), 3.0)
    assert answer.calls["c"].result == "all"


def test_large_results_are_cut_each_and_together() -> None:
    answer = Answer()
    line = "SELECT 1;\n"
    for number in range(300):
        answer.apply(ev.ToolCallArgs(f"c{number}", line * 100_000), 0.0)
        answer.apply(ev.ToolCallResult(f"c{number}", line * 800_000), 0.0)
    calls = list(answer.calls.values())
    assert lost(calls[0].result) >= 8_000_000 - PART_MOST
    assert all(lost(call.result) and lost(call.arguments) for call in calls)
    held = sum(len(MARK.sub("", text)) for call in calls for text in (call.arguments, call.result))
    assert PARTS_MOST * 0.99 <= held <= PARTS_MOST
    assert not answer.is_cut  # Each says itself what is missing.


@pytest.mark.parametrize("replaced", [False, True])
def test_endless_text_is_cut_and_the_answer_knows(replaced: bool) -> None:
    answer = Answer()
    for _ in range(TEXT_MOST // 100_000):
        answer.apply(ev.TextMessageContent("m", "x" * 100_000), 0.0)
    assert not answer.is_cut
    if replaced:
        answer.apply(ev.TextMessageReplaced("m", "y" * (TEXT_MOST + 1)), 0.0)
    else:
        answer.apply(ev.TextMessageContent("n", "more"), 0.0)
    assert answer.is_cut
    assert answer.text == ("y" if replaced else "x") * TEXT_MOST


def test_endless_calls_are_cut_and_the_answer_knows() -> None:
    answer = Answer()
    for number in range(CALLS_MOST + 1):
        answer.apply(ev.ToolCallStart(f"c{number}", "das_api"), 0.0)
        assert answer.is_cut == (number == CALLS_MOST)
    assert len(answer.calls) == CALLS_MOST


def test_endless_thinking_is_cut() -> None:
    answer = Answer()
    for _ in range(100):
        answer.apply(ev.Reasoning("hm, " * 1_000), 0.0)
    assert len(MARK.sub("", answer.thinking)) <= THINKING_MOST
    assert lost(answer.thinking) >= 400_000 - THINKING_MOST


def test_what_was_cut_says_the_same_after_a_pause() -> None:
    answer = Answer()
    answer.apply(ev.ToolCallStart("c", "das_api"), 0.0)
    for _ in range(4):
        answer.apply(ev.ToolCallChunk("c", "row; " * 20_000), 0.0)
    answer.apply(ev.ToolCallResult("c"), 1.0)
    again = record.load(record.dump(answer, 0.0), 0.0)
    assert lost(answer.calls["c"].result) >= 400_000 - PART_MOST
    assert again.calls["c"].result == answer.calls["c"].result


def test_no_more_sub_agents_and_documents_than_anybody_reads() -> None:
    """Each new one is compared with all before: without end, a stream of them would stop the whole process."""
    answer = Answer()
    for number in range(CALLS_MOST + 1):
        answer.apply(ev.StepStarted(str(number)), 0.0)
        assert answer.is_cut == (number == CALLS_MOST)
    for number in range(SOURCES_MOST + 1):
        answer.apply(ev.Source(str(number)), 0.0)
    assert (len(answer.steps), len(answer.sources)) == (CALLS_MOST, SOURCES_MOST)
