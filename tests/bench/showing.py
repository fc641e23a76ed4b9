"""What showing costs: bytes -> events -> fold -> layout, and how the cost of an update grows with the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from bot.model.answer import Answer
from bot.model.ending import Progress
from bot.slack.reply.draft import Draft
from bot.upstream.das_frames import DasFrames
from bot.upstream.reader import EventReader

RUN = "0123456789abcdef" * 2
PARAGRAPH = (
    "The lock on `orders` is held by transaction 4711; **three** statements wait behind it, see "
    "[the docs](https://help.example.com/locks). 建议为 `status` 添加索引。\n\n"
)
DELTA = 24
"""Characters in one piece of text, about what the service sends."""
CALL_EVERY = 200
"""Pieces of text between two tool calls."""
UPDATES = 100
"""Updates while one answer grows."""


def frames(characters: int) -> list[bytes]:
    """A recorded answer of so many characters, with tool calls in between, as the service writes it."""
    text = (PARAGRAPH * (characters // len(PARAGRAPH) + 1))[:characters]
    found = [
        _frame(Type="RUN_STARTED", RunId="r"),
        _frame(Type="TEXT_MESSAGE_START", MessageId="m", Role="assistant"),
    ]
    for number, at in enumerate(range(0, characters, DELTA)):
        if number % CALL_EVERY == 0:
            found += _call(f"c{number}")
        found.append(_frame(Type="TEXT_MESSAGE_CONTENT", MessageId="m", Delta=text[at : at + DELTA]))
    return [*found, _frame(Type="RUN_FINISHED", RunId="r")]


def _call(name: str) -> list[bytes]:
    arguments, result = json.dumps({"api": "GetSlowLog"}), json.dumps([{"sql": "SELECT 1", "ms": 7}] * 40)
    return [
        _frame(Type="TOOL_CALL_START", ToolCallId=name, ToolCallName="das_api"),
        _frame(Type="TOOL_CALL_ARGS", ToolCallId=name, Delta=arguments),
        _frame(Type="TOOL_CALL_END", ToolCallId=name),
        _frame(Type="TOOL_CALL_RESULT", ToolCallId=name, Content=result),
    ]


def _frame(**fields: str) -> bytes:
    return f"data:{json.dumps(fields, ensure_ascii=False)}\n\n".encode()


def new_draft() -> Draft:
    """A reply that is being written."""
    draft = Draft(RUN, "en", "DAS Agent")
    draft.progress = Progress("working")
    return draft


def incremental(recorded: list[bytes]) -> Iterator[Callable[[], None]]:
    """The bot's way, update by update: fold what is new, lay out the message that grows."""
    reader, answer, draft = EventReader(DasFrames()), Answer(), new_draft()
    draft.answer = answer
    for part in _parts(recorded):

        def update(part: list[bytes] = part) -> None:
            for frame in part:
                for event in reader.feed(frame):
                    answer.apply(event, 0.0)
            draft.take_in()
            last = draft.count - 1
            draft.signature(last)
            draft.payload(last)

        yield update


def naive_update(frames_so_far: list[bytes]) -> float:
    """Seconds of one update the simple way: everything so far is folded, redacted and laid out again."""
    reader = EventReader(DasFrames())
    events = [event for frame in frames_so_far for event in reader.feed(frame)]
    begin = time.perf_counter()
    answer, draft = Answer(), new_draft()
    for event in events:
        answer.apply(event, 0.0)
    draft.answer = answer
    draft.take_in()
    for number in range(draft.count):
        draft.payload(number)
    return time.perf_counter() - begin


def _parts(recorded: list[bytes]) -> Iterator[list[bytes]]:
    size = max(1, -(-len(recorded) // UPDATES))
    for at in range(0, len(recorded), size):
        yield recorded[at : at + size]


def seconds(updates: Iterator[Callable[[], None]]) -> list[float]:
    """How long each update took."""
    taken = []
    for update in updates:
        begin = time.perf_counter()
        update()
        taken.append(time.perf_counter() - begin)
    return taken


def growth(taken: list[float]) -> float:
    """The cost of the last tenth of the updates by that of the first tenth; 1 is flat."""
    tenth = max(1, len(taken) // 10)
    return sum(taken[-tenth:]) / sum(taken[:tenth])


def measure(characters: int) -> dict[str, float]:
    """One answer shown our way, the better of two tries, and the naive way, sampled at three of its updates."""
    recorded = frames(characters)
    ours = min((seconds(incremental(recorded)) for _ in range(2)), key=sum)
    first, middle, last = (naive_update(recorded[: int(len(recorded) * part)]) for part in (0.05, 0.5, 0.95))
    return {
        "characters": characters,
        "events": len(recorded),
        "events_per_second": len(recorded) / sum(ours),
        "ms_per_update": 1000 * sum(ours) / len(ours),
        "last_by_first_tenth": growth(ours),
        "naive_last_by_first_tenth": last / first,
        "naive_by_ours": (first + middle + last) / 3 / (sum(ours) / len(ours)),
    }
