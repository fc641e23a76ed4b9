"""Characters that come in two halves, and halves that stay alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model.event import (
    Event,
    InterruptRaised,
    Reasoning,
    RunFinished,
    TextMessageContent,
    TextMessageReplaced,
    ToolCallArgs,
    ToolCallChunk,
    Unknown,
)
from bot.upstream.halves import Halves

HIGH, LOW = "\ud83d", "\ude00"


def join(*events: Event) -> list[Event]:
    halves = Halves()
    return [*map(halves.join, events), *halves.rest()]


def said(*deltas: str) -> list[Event]:
    return [TextMessageContent("m", delta) for delta in deltas]


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["a" + HIGH, LOW + "b"], ["a", "😀b"]),
        ([HIGH, LOW], ["", "😀"]),
        ([HIGH, "", LOW], ["", "", "😀"]),
        ([HIGH + LOW], ["😀"]),
        ([HIGH, "x"], ["", "\ufffdx"]),
        ([HIGH + HIGH, LOW], ["\ufffd", "😀"]),
        ([LOW, "x" + LOW + "y"], ["\ufffd", "x\ufffdy"]),
        (["a", HIGH], ["a", "", "\ufffd"]),
    ],
)
def test_pieces_of_one_text(pieces: list[str], joined: list[str]) -> None:
    assert join(*said(*pieces)) == said(*joined)


def test_texts_that_interleave_are_told_apart() -> None:
    assert join(
        TextMessageContent("m", HIGH),
        ToolCallArgs("m", HIGH),
        ToolCallChunk("m", HIGH),
        Reasoning(HIGH),
        TextMessageContent("n", HIGH),
        TextMessageContent("m", LOW),
        ToolCallArgs("m", LOW),
        ToolCallChunk("m", LOW),
        Reasoning(LOW),
        TextMessageContent("n", LOW),
    )[5:] == [
        TextMessageContent("m", "😀"),
        ToolCallArgs("m", "😀"),
        ToolCallChunk("m", "😀"),
        Reasoning("😀"),
        TextMessageContent("n", "😀"),
    ]


def test_every_text_of_an_event_is_made_whole() -> None:
    assert join(InterruptRaised("i", HIGH + "!", ("a" + LOW, "b"))) == [
        InterruptRaised("i", "\ufffd!", ("a\ufffd", "b"))
    ]
    assert join(Unknown(HIGH), RunFinished()) == [Unknown("\ufffd"), RunFinished()]


def test_text_that_is_replaced_takes_its_half_along() -> None:
    events = join(*said("a" + HIGH), TextMessageReplaced("m", "b"), *said("c"))
    assert events == [*said("a"), TextMessageReplaced("m", "b"), *said("c")]
    events = join(TextMessageReplaced("m", "b" + HIGH), *said(LOW))
    assert events == [TextMessageReplaced("m", "b"), *said("😀")]


@given(st.lists(st.text(st.sampled_from([HIGH, LOW, "a", "数", "😀"]), max_size=4), max_size=8))
def test_whatever_comes_can_be_written_and_nothing_is_lost(pieces: list[str]) -> None:
    text = "".join(event.delta for event in join(*said(*pieces)) if isinstance(event, TextMessageContent))
    assert text == "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
