"""When a final state that Slack fails at is made simpler, and when it is given up."""

from __future__ import annotations

import pytest

from bot.slack.client import FailedError, UncertainError
from bot.slack.reply.patience import Patience

FAILED = FailedError("internal_error")


class Watch:
    """A patience and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._patience = Patience(lambda: self.now)

    def is_lost(
        self, seconds: float, error: UncertainError = FAILED, *, number: int = 0, simpler: bool = True
    ) -> bool:
        """Whether it is lost after a write of so many seconds."""
        began, self.now = self.now, self.now + seconds
        return self._patience.is_lost(error, number, began, has_simpler=simpler)


@pytest.mark.parametrize(("simpler", "seconds"), [(True, 15.0), (False, 300.0)])
def test_it_is_lost_when_slack_fails_again_and_again(simpler: bool, seconds: float) -> None:
    watch = Watch()
    found = [watch.is_lost(1.0, simpler=simpler) for _ in range(round(seconds))]
    assert found == [False] * (round(seconds) - 1) + [True]
    assert not watch.is_lost(1.0, simpler=simpler), "the next layout has as long"


def test_once_after_a_long_wait_it_is_not() -> None:
    watch = Watch()
    assert not watch.is_lost(60.0)
    assert watch.is_lost(1.0)


def test_what_another_message_had_does_not_count() -> None:
    watch = Watch()
    assert not watch.is_lost(1.0)
    assert not watch.is_lost(60.0, number=1)


def test_a_slack_that_does_not_answer_is_waited_for() -> None:
    watch = Watch()
    assert not watch.is_lost(1.0)
    assert not watch.is_lost(60.0, UncertainError("no_answer"))
    assert not watch.is_lost(60.0)
