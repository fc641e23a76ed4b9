"""What the benchmark of the pace aims at, held: virtual time makes it the same on every machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import pacing, virtual


@pytest.mark.parametrize("answers", pacing.SIZES)
def test_first_words_at_once_no_refusal_and_close_to_the_bound(answers: int) -> None:
    result = virtual.run(lambda: pacing._play("ours", answers))
    assert result.first_words < 1.0
    assert (result.refused, result.invalid, result.complete) == (0, 0, answers)
    assert result.p95 <= 1.3 * pacing.bound(answers)


def test_the_ways_beside_it_are_what_they_are_called() -> None:
    update = virtual.run(lambda: pacing._play("update each second", 1))
    stream = virtual.run(lambda: pacing._play("sdk stream", 1))
    assert update.complete == stream.complete == 1 and update.invalid == stream.invalid == 0
    assert 0.9 < update.p95 < 1.3
    # 256 characters at 75 a second.
    assert 3.2 < stream.p95 < 4.2
