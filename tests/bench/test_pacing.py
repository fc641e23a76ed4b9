"""What the benchmark of the pace aims at, held: virtual time makes it the same on every machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import pacing, virtual
from tests.bench.bound import bound


@pytest.mark.parametrize("load", pacing.LOADS, ids=lambda load: str(load.answers))
def test_first_words_at_once_no_refusal_and_close_to_the_bound(load: pacing.Load) -> None:
    result = virtual.run(lambda: pacing.play("ours", load))
    assert result.first_words < 1.0
    assert (result.refused, result.invalid, result.complete) == (0, 0, load.answers)
    assert result.p95 <= 1.3 * load.bound()


# Without the longest: it takes seconds, and what may go wrong with it goes wrong with the one before.
@pytest.mark.parametrize(
    "load", pacing.OTHER_LOADS[:-1], ids=lambda load: f"{load.answers}x{load.seconds[0]:.0f}"
)
def test_shorter_and_longer_answers_are_complete_and_not_far_from_the_bound(load: pacing.Load) -> None:
    result = virtual.run(lambda: pacing.play("ours", load))
    assert result.first_words < 1.0
    assert (result.refused, result.invalid, result.complete) == (0, 0, load.answers)
    assert result.p95 <= 1.9 * load.bound()


@pytest.mark.parametrize("load", pacing.SHARED_LOADS, ids=lambda load: str(load.answers))
def test_two_replicas_do_as_well_as_one(load: pacing.Load, valkey_url: str) -> None:
    result = virtual.run(lambda: pacing.play("ours", load, valkey_url))
    assert result.first_words < 1.0
    assert (result.refused, result.invalid, result.complete) == (0, 0, load.answers)
    assert result.p95 <= 1.3 * load.bound()


def test_the_ways_beside_it_are_what_they_are_called() -> None:
    update, stream = (
        virtual.run(lambda way=way: pacing.play(way, pacing.LOADS[0]))  # type: ignore[misc]
        for way in ("update each second", "sdk stream")
    )
    assert update.complete == stream.complete == 1 and update.invalid == stream.invalid == 0
    assert 0.9 < update.p95 < 1.3
    # 256 characters at 75 a second.
    assert 3.2 < stream.p95 < 4.2


def said(seconds: float, begin: float = 0.0) -> list[tuple[float, str]]:
    return [(begin + tenth / 10, "word ") for tenth in range(int(seconds * 10))]


def test_the_bound_of_one_answer_is_its_time_by_the_calls_there_are() -> None:
    # 50 calls at once and 100 a minute, of which 95 % of the time has to be covered.
    assert bound([said(60)], [0.0], [60.0], 0.1) == pytest.approx(0.95 * 60 / 150 + 0.05, rel=0.03)


def test_the_bound_counts_no_call_that_comes_too_late_or_is_lost() -> None:
    apart = [said(20), said(20, begin=600)]
    alone = bound(apart[:1], [0.0], [20.0], 0.0)
    # The second comes when the burst is full again: as if each were alone, whatever was free between them.
    assert bound(apart, [0.0, 600.0], [20.0, 620.0], 0.0) == pytest.approx(alone, rel=0.03)


def test_the_bound_knows_that_a_long_answer_outgrows_its_stream() -> None:
    # 300 characters a second, three bytes each: a stream takes ten seconds of the 25 that fill a message.
    wordy = [(at, "锁等待" * 10) for at, _ in said(120)]
    assert bound([wordy], [0.0], [120.0], 0.0) > 1.2 * bound([said(120)], [0.0], [120.0], 0.0)
