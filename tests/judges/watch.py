"""Sees every workspace that a session of tests builds, so that no test has to think of the judges."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

from bot.demo.workspace import Call
from bot.demo.workspace.state import State
from tests.judges.panel import judge_calls

IsJudged = Callable[[Call], bool]


class Watch:
    """All workspaces, and how far each one's record of calls was judged."""

    def __init__(self) -> None:
        self._new: list[State] = []
        self._judged: WeakKeyDictionary[State, int] = WeakKeyDictionary()

    @contextmanager
    def over_all(self) -> Iterator["Watch"]:
        """Notes every workspace that is built inside."""
        build = State.__init__

        def noted(state: State, *args: Any, **options: Any) -> None:
            build(state, *args, **options)
            self._new.append(state)

        with patch.object(State, "__init__", noted):
            yield self

    def look(self, is_judged: IsJudged) -> list[str]:
        """What the judges find wrong with the calls since the last look, of those that are to be judged."""
        self._judged.update(dict.fromkeys(self._new, 0))
        # A workspace of one test goes with it; those of a whole session are looked at again.
        self._new.clear()
        return [problem for state in list(self._judged) for problem in self._look_at(state, is_judged)]

    def _look_at(self, state: State, is_judged: IsJudged) -> Iterable[str]:
        calls = state.calls[self._judged[state] :]
        read = next((number for number, call in enumerate(calls) if _is_unread(call)), len(calls))
        self._judged[state] += read
        return judge_calls(call for call in calls[:read] if is_judged(call))


def _is_unread(call: Call) -> bool:
    """Whether the workspace has yet to read a call's arguments."""
    return not (call.args or call.status or call.response)
