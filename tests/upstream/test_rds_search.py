"""A lost answer whose conversation has no known name is looked for by its words and its time, and never guessed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.model.event import Event, RunFinished, RunStarted, TextMessageContent
from bot.upstream.backend import SAME_TIME
from bot.upstream.errors import UpstreamError
from bot.upstream.rds_records import CLOCKS_APART, Record
from bot.upstream.rds_recovery import MISSING_WITHIN, SETTLES_WITHIN, Recovery
from bot.upstream.rds_search import TAKEN_WITHIN
from bot.upstream.values import folded

ASKED = 1_763_986_004.0
BUSY = UpstreamError("Throttling.User", status=429)
NOBODY: frozenset[str] = frozenset()


def conversation(name: str, began: object = ASKED, updated: object = ASKED + 1) -> Record:
    return folded({"Id": name, "CreatedAt": began, "UpdatedAt": updated, "Status": "running"})


def message(name: str, query: str = "why?", at: object = ASKED, status: str = "finished") -> Record:
    whole = {"Id": name, "Query": query, "CreatedAt": at, "Answer": f"said in {name}"}
    return folded({**whole, "GenerationStatus": status})


Look = list[Record] | UpstreamError


class Account:
    """What a service remembers of all its conversations; the list looks different at every look, the last one stays."""

    def __init__(self, *looks: Look, **messages: list[Record]) -> None:
        self.looks = list(looks)
        self.told: list[frozenset[str] | None] = [NOBODY]
        self.of = messages
        self.pauses: list[float] = []
        self.read: list[str] = []
        self.listed = 0
        self.given = 0

    async def conversations(self) -> AsyncIterator[Record]:
        look = self.looks[min(self.listed, len(self.looks) - 1)]
        self.listed += 1
        if isinstance(look, UpstreamError):
            raise look
        for found in look:
            self.given += 1
            yield found

    async def messages(self, session_id: str) -> list[Record]:
        self.read.append(session_id)
        return self.of.get(session_id, [])

    async def status(self, session_id: str) -> str:
        return "idle"

    async def others(self) -> frozenset[str] | None:
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def recover(self, within: float = 1800.0) -> list[Event]:
        recovery = Recovery(
            self.conversations,
            self.messages,
            self.status,
            sleep=self.sleep,
            clock=lambda: sum(self.pauses),
            within=within,
        )
        return [event async for event in recovery.events("", "why?", "", ASKED, self.others)]


FOUND = [
    RunStarted(session_id="ours", message_id="m1"),
    TextMessageContent("m1", "said in m1"),
    RunFinished(),
]


async def test_the_only_one_that_fits_is_taken_and_its_names_are_told() -> None:
    account = Account(
        [conversation("ours"), conversation("hello")], ours=[message("m1")], hello=[message("m2", "hello")]
    )
    assert await account.recover() == FOUND
    assert sum(account.pauses) == SETTLES_WITHIN


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (conversation("theirs", ASKED - CLOCKS_APART - 1), message("m2")),
        (conversation("theirs", ASKED + TAKEN_WITHIN + 1), message("m2")),
        (conversation("theirs", "some time"), message("m2")),
        (conversation("theirs", None), message("m2")),
        (conversation("theirs"), message("m2", "Why?")),
        (conversation("theirs"), message("m2", "why? and since when?")),
        (conversation("theirs"), message("m2", at=ASKED - CLOCKS_APART - 1)),
        (conversation("theirs"), message("m2", at="some time")),
    ],
)
async def test_what_began_at_another_time_or_with_other_words_is_not_it(theirs: Record, said: Record) -> None:
    both = Account([theirs, conversation("ours")], ours=[message("m1")], theirs=[said])
    assert await both.recover() == FOUND
    alone = Account([theirs], theirs=[said])
    with pytest.raises(UpstreamError, match="NotFound"):
        await alone.recover()
    assert MISSING_WITHIN <= sum(alone.pauses) < MISSING_WITHIN + 5


@pytest.mark.parametrize(
    ("began", "asked"),
    [
        (ASKED - CLOCKS_APART, ASKED - CLOCKS_APART),
        (ASKED + TAKEN_WITHIN, ASKED + TAKEN_WITHIN),
        (str(int(ASKED)), "2025-11-24T12:06:45Z"),
        ((ASKED + 1) * 1000, (ASKED + 1) * 1000),
    ],
)
async def test_the_clocks_may_be_apart_and_times_are_written_in_several_ways(
    began: object, asked: object
) -> None:
    account = Account([conversation("ours", began)], ours=[message("m1", " why?\n", asked)])
    assert await account.recover() == FOUND


async def test_the_same_words_later_in_somebody_s_conversation_are_not_it() -> None:
    """Ours began with them. Whichever way the list is sorted."""
    earlier, later = message("m2", "hello", ASKED), message("m3", "why?", ASKED + 5)
    for said in ([earlier, later], [later, earlier]):
        account = Account([conversation("theirs")], theirs=said)
        with pytest.raises(UpstreamError, match="NotFound"):
            await account.recover()


async def test_two_that_fit_are_not_guessed() -> None:
    account = Account(
        [conversation("ours"), conversation("theirs")], ours=[message("m1")], theirs=[message("m2")]
    )
    with pytest.raises(UpstreamError, match="NotFound"):
        await account.recover()
    assert MISSING_WITHIN <= sum(account.pauses) < MISSING_WITHIN + 5


async def test_one_that_is_another_thread_s_is_not_ours() -> None:
    account = Account(
        [conversation("ours"), conversation("theirs")], ours=[message("m1")], theirs=[message("m2")]
    )
    account.told = [frozenset({"theirs"})]
    assert await account.recover() == FOUND
    assert "theirs" not in account.read
    alone = Account([conversation("theirs")], theirs=[message("m2")])
    alone.told = [frozenset({"theirs"})]
    with pytest.raises(UpstreamError, match="NotFound"):
        await alone.recover()


async def test_while_another_who_asked_the_same_has_no_name_nothing_is_taken() -> None:
    account = Account([conversation("ours")], ours=[message("m1")])
    account.told = [None] * 4 + [frozenset({"theirs"})]
    assert await account.recover() == FOUND
    assert sum(account.pauses) > SETTLES_WITHIN
    account.told = [None]
    with pytest.raises(UpstreamError, match="NotFound"):
        await account.recover()


async def test_a_second_one_that_is_listed_a_moment_later_is_seen() -> None:
    ours, theirs = conversation("ours"), conversation("theirs")
    account = Account([theirs], [theirs], [ours, theirs], ours=[message("m1")], theirs=[message("m2")])
    with pytest.raises(UpstreamError, match="NotFound"):
        await account.recover()


async def test_it_may_be_listed_late_and_its_message_later() -> None:
    account = Account([], [], [conversation("ours")], ours=[])

    async def messages(session_id: str) -> list[Record]:
        return [message("m1")] if account.listed > 3 else []

    account.messages = messages  # type: ignore[method-assign]
    assert await account.recover() == FOUND


async def test_what_does_not_fit_is_read_once_and_what_is_older_is_not_looked_through() -> None:
    old = [conversation(f"old{number}", ASKED - 900, ASKED - 800) for number in range(5)]
    account = Account(
        [conversation("ours"), conversation("hello"), *old],
        ours=[message("m1")],
        hello=[message("m2", "hello")],
    )
    await account.recover()
    assert account.read.count("hello") == 1
    assert account.given == 3 * account.listed


async def test_a_conversation_that_tells_no_change_ends_nothing() -> None:
    account = Account([conversation("old", ASKED - 900, None), conversation("ours")], ours=[message("m1")])
    assert await account.recover() == FOUND


async def test_the_answer_is_then_read_until_it_has_ended() -> None:
    account = Account([conversation("ours")], ours=[message("m1", status="running")])
    with pytest.raises(UpstreamError, match="Deadline"):
        await account.recover(within=60)
    assert 60 <= sum(account.pauses) < 66


@pytest.mark.parametrize("error", [BUSY, UpstreamError("InternalError", status=500)])
async def test_the_service_may_be_away_for_long(error: UpstreamError) -> None:
    account = Account(*[error] * 10, [conversation("ours")], ours=[message("m1")])
    assert await account.recover() == FOUND
    assert sum(account.pauses) > MISSING_WITHIN


async def test_a_refusal_is_told_at_once() -> None:
    account = Account(UpstreamError("NoPermission", status=403))
    with pytest.raises(UpstreamError, match="NoPermission"):
        await account.recover()
    assert account.pauses == []


def test_who_may_have_begun_the_same_conversation_is_among_the_others() -> None:
    assert CLOCKS_APART + TAKEN_WITHIN <= SAME_TIME


@pytest.mark.parametrize("page", [{"Data": [{"Id": 7, "CreatedAt": []}]}, {"Data": [{}]}])
async def test_records_without_sense_fit_nothing(page: Any) -> None:
    account = Account([folded(entry) for entry in page["Data"]])
    with pytest.raises(UpstreamError, match="NotFound"):
        await account.recover()
