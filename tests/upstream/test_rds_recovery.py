"""A lost answer is fetched until its generation has ended: what is told when, and when it is given up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model.answer import Answer
from bot.model.event import (
    ApprovalAsked,
    Event,
    RunError,
    RunFinished,
    RunStarted,
    Source,
    TextMessageContent,
    TextMessageReplaced,
    ToolCallResult,
    ToolCallStart,
)
from bot.upstream.errors import UpstreamError
from bot.upstream.rds_records import Record, pick
from bot.upstream.rds_recovery import MISSING_WITHIN, Recovery
from bot.upstream.values import folded

ASKED = 1_763_986_004.0
BUSY = UpstreamError("Throttling.User", status=429)


class History:
    """A service's memory that looks different at every look; the last look stays."""

    def __init__(self, *looks: list[Record] | UpstreamError, status: str = "running") -> None:
        self.looks = list(looks)
        self.states: list[str | UpstreamError] = [status]
        self.pauses: list[float] = []
        self.asked = 0

    async def messages(self, session_id: str) -> list[Record]:
        assert session_id == "c1"
        look = self.looks[min(self.asked, len(self.looks) - 1)]
        self.asked += 1
        if isinstance(look, UpstreamError):
            raise look
        return look

    async def conversations(self) -> AsyncIterator[Record]:
        raise AssertionError("its conversation is known")
        yield {}

    async def others(self) -> frozenset[str] | None:
        raise AssertionError("its conversation is known")

    async def status(self, session_id: str) -> str:
        assert session_id == "c1"
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, UpstreamError):
            raise state
        return state

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def recover(self, message_id: str = "m1", within: float = 1800.0) -> list[Event]:
        recovery = Recovery(
            self.conversations,
            self.messages,
            self.status,
            sleep=self.sleep,
            clock=lambda: sum(self.pauses),
            within=within,
        )
        return [event async for event in recovery.events("c1", "why?", message_id, ASKED, self.others)]


def record(answer: str, status: str = "finished", **fields: Any) -> Record:
    whole = {"Id": "m1", "Query": "why?", "CreatedAt": str(int(ASKED)), "Answer": answer, **fields}
    return folded({**whole, "GenerationStatus": status})


def entry(event: str, answer: str = "", **fields: Any) -> dict[str, Any]:
    return {"event": event, "answer": answer, **fields}


STARTED = RunStarted(session_id="c1", message_id="m1")


async def test_a_finished_answer_comes_at_once() -> None:
    history = History([record("It is the disk.")])
    assert await history.recover() == [STARTED, TextMessageContent("m1", "It is the disk."), RunFinished()]
    assert history.pauses == []


async def test_text_grows_while_it_is_written_and_pauses_grow_to_five_seconds() -> None:
    looks = [[record(text, "running")] for text in ("", "It", "It is", "It is", "So it")]
    history = History(*looks, [record("So it is.")])
    assert await history.recover() == [
        STARTED,
        TextMessageContent("m1", "It"),
        TextMessageContent("m1", " is"),
        TextMessageReplaced("m1", "So it"),
        TextMessageContent("m1", " is."),
        RunFinished(),
    ]
    assert history.pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_events_are_told_once_though_they_are_listed_at_every_look() -> None:
    tool = '{"tool_call_name": "Show", "tool_call_id": "k", "status": "%s"}'
    first = [entry("tool_call", tool % "start")]
    second = [
        *first,
        entry("doc", '[{"title": "T"}]'),
        entry("tool_call", tool % "end"),
        entry("message", "Done."),
    ]
    history = History([record("", "running", Events=first)], [record("Done.", Events=second)])
    assert await history.recover() == [
        STARTED,
        ToolCallStart("k", "Show"),
        Source("T"),
        ToolCallResult("k"),
        TextMessageContent("m1", "Done."),
        RunFinished(),
    ]


async def test_an_entry_brought_up_to_date_in_place_is_read_again() -> None:
    tool = '{"tool_call_name": "Show", "tool_call_id": "k", "status": "%s"}'
    history = History(
        [record("", "running", Events=[entry("tool_call", tool % "start")])],
        [record("", Events=[entry("tool_call", tool % "end")])],
    )
    assert await history.recover() == [
        STARTED,
        ToolCallStart("k", "Show"),
        ToolCallResult("k"),
        RunFinished(),
    ]


async def test_text_that_grows_inside_an_event_is_not_repeated() -> None:
    history = History(
        [record("", "running", Events=[entry("message", "It")])],
        [record("", "running", Events=[entry("message", "It is")])],
        [record("It is.", Events=[entry("message", "It is.")])],
    )
    events = await history.recover()
    assert [e.delta for e in events if isinstance(e, TextMessageContent)] == ["It", " is", "."]


@pytest.mark.parametrize(
    ("answer", "events", "text"),
    [
        ("", [entry("message", "Do"), entry("message", "ne.")], "Done."),
        ("Done.", [entry("message", "Do")], "Done."),
        ("", [entry("message", "Bad"), entry("message_replace", "Good")], "Good"),
        ("", [entry("novelty", "Text.")], "Text."),
        ("Done.", "unreadable", "Done."),
        ("Done.", [7, None], "Done."),
    ],
)
async def test_text_is_never_lost(answer: str, events: Any, text: str) -> None:
    folding = Answer()
    for event in await History([record(answer, Events=events)]).recover():
        folding.apply(event, 0.0)
    assert (folding.text, folding.finished) == (text, True)


@pytest.mark.parametrize(
    ("status", "fields", "end"),
    [
        ("Completed", {}, RunFinished()),
        ("", {"GenerationFinishedAt": "1763986010"}, RunFinished()),
        ("failed", {}, RunError("failed", "")),
        ("failed", {"Events": [entry("error", '{"code": "X", "message": "m"}')]}, RunError("X", "m")),
        ("finished", {"Events": [entry("MysqlIOException")]}, RunError("MysqlIOException", "")),
        ("stopped", {}, RunError("Stopped", "stopped")),
    ],
)
async def test_how_it_ended(status: str, fields: dict[str, Any], end: Event) -> None:
    assert (await History([record("x", status, **fields)]).recover())[-1] == end


async def test_an_unknown_state_is_settled_by_the_conversation_s() -> None:
    history = History([record("x", "wonderful")])
    history.states = ["running", BUSY, "", "idle"]
    assert (await history.recover())[-1] == RunFinished()
    assert len(history.pauses) == 3


async def test_a_refusal_of_the_conversation_s_state_is_told() -> None:
    history = History([record("x", "wonderful")])
    history.states = [UpstreamError("NoPermission", status=403)]
    with pytest.raises(UpstreamError, match="NoPermission"):
        await history.recover()


async def test_an_answer_that_waits_for_a_decision_is_paused() -> None:
    asks = [entry("tool_approval", CallId="k", RoundId="r", ApprovalStatus="pending", ToolName="Modify")]
    history = History([record("May I?", "pending_approval", Events=asks)], status="pending_approval")
    assert (await history.recover())[1:] == [
        TextMessageContent("m1", "May I?"),
        ApprovalAsked("k", "r", "Modify"),
        RunFinished(),
    ]


async def test_decided_meanwhile_it_is_not_paused() -> None:
    asks = [entry("tool_approval", CallId="k", RoundId="r", ApprovalStatus="pending")]
    decided = [*asks, entry("tool_approval", CallId="k", RoundId="r", ApprovalStatus="approved")]
    history = History([record("", "running", Events=asks)], [record("Done.", Events=decided)])
    assert await history.recover() == [STARTED, TextMessageContent("m1", "Done."), RunFinished()]


async def test_a_character_cut_in_two_by_a_look_is_made_whole() -> None:
    history = History([record("a\ud83d", "running")], [record("a\ud83d\ude00")])
    folding = Answer()
    for event in await history.recover():
        folding.apply(event, 0.0)
    assert folding.text == "a😀"


@pytest.mark.parametrize(
    "error",
    [BUSY, *map(UpstreamError, ["Connect", "Timeout", "Cut"]), UpstreamError("InternalError", status=500)],
)
async def test_the_service_may_be_away_for_long(error: UpstreamError) -> None:
    history = History(*[error] * 10, [record("x")])
    assert (await history.recover())[-1] == RunFinished()
    assert sum(history.pauses) > MISSING_WITHIN


async def test_a_refusal_is_told_at_once() -> None:
    history = History(UpstreamError("NoPermission", status=403))
    with pytest.raises(UpstreamError, match="NoPermission"):
        await history.recover()
    assert history.pauses == []


async def test_an_answer_nobody_recorded_is_not_found_after_a_while() -> None:
    history = History([])
    with pytest.raises(UpstreamError, match="NotFound"):
        await history.recover()
    assert MISSING_WITHIN <= sum(history.pauses) < MISSING_WITHIN + 5
    late = History([], [], [record("x")])
    assert (await late.recover())[-1] == RunFinished()


async def test_what_never_ends_is_given_up_with_what_had_come() -> None:
    history = History([record("x", "running")])
    with pytest.raises(UpstreamError) as raised:
        await history.recover(within=60)
    assert (raised.value.code, raised.value.begun) == ("Deadline", True)
    assert 60 <= sum(history.pauses) < 66


LOOKS = st.lists(
    st.tuples(
        st.text("ab数😀\ud83d", max_size=6),
        st.lists(
            st.builds(
                entry,
                st.sampled_from(["tool_call", "doc", "thinking", "tool_approval", "error", "ping"]),
                st.sampled_from(["", "{}", '{"tool_call_name":"T"}', "[", '[{"title":"t"}]']),
                CallId=st.sampled_from([None, "k"]),
                ApprovalStatus=st.sampled_from([None, "pending", "approved", "rejected"]),
            ),
            max_size=4,
        ),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(LOOKS, st.text("ab数😀", max_size=8))
async def test_whatever_the_record_held_before_the_last_look_is_the_answer(
    looks: list[tuple[str, list[dict[str, Any]]]], text: str
) -> None:
    history = History(
        *[[record(said, "running", Events=events)] for said, events in looks], [record(text, Events=[])]
    )
    folding = Answer()
    for event in await history.recover():
        folding.apply(event, 0.0)
    assert folding.text == text
    assert folding.finished or folding.error


def asked(name: str, created: object, query: str = "why?") -> Record:
    return folded({"MessageId": name, "Query": query, "CreatedAt": created})


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([asked("old", ASKED - 600), asked("new", ASKED + 1)], "new"),
        ([asked("new", str(ASKED + 9)), asked("earlier", str(ASKED + 1))], "new"),
        ([asked("ms", (ASKED + 1) * 1000)], "ms"),
        ([asked("iso", "2025-11-24T12:06:45Z")], "iso"),
        ([asked("naive", "2025-11-24 12:06:45")], "naive"),
        ([asked("spaces", ASKED, " why?\n")], "spaces"),
        ([asked("clock behind", ASKED - 20)], "clock behind"),
        ([asked("first", ASKED - 9, "x"), asked("a", ASKED), asked("b", ASKED)], "b"),
        ([asked("b", ASKED), asked("a", ASKED), asked("first", ASKED - 9, "x")], "b"),
        ([asked("a", ASKED), asked("b", ASKED)], "b"),
        ([asked("old", ASKED - 600)], None),
        ([asked("when?", "yesterday"), asked("when?", None)], None),
        ([asked("other", ASKED, "who?")], None),
        ([], None),
    ],
)
def test_without_an_id_the_newest_answer_to_the_question_is_meant(
    records: list[Record], found: str | None
) -> None:
    picked = pick(records, "why?", "", ASKED)
    assert (picked["messageid"] if picked else None) == found


def test_an_id_is_enough() -> None:
    assert pick([asked("a", 0, "x"), asked("b", 0, "y")], "why?", "b", ASKED) == asked("b", 0, "y")
    assert pick([asked("a", ASKED)], "why?", "b", ASKED) is None
