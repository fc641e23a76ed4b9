"""Whole streams into events: recorded ones, cut ones, and in any chunking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.model.event import (
    Event,
    Reasoning,
    RunError,
    RunFinished,
    StepFinished,
    TextMessageContent,
    ToolCallResult,
    Unknown,
    Usage,
)
from bot.upstream.das_frames import DasFrames
from bot.upstream.errors import UpstreamError
from bot.upstream.reader import EventReader
from bot.upstream.recorded import read_events
from bot.upstream.sse import Limits

OWN = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "transcripts"
TRANSCRIPTS = [
    path for path in (*OWN.glob("das_*.sse"), *SHARED.glob("das_*.sse")) if "legacy" not in path.name
]


async def source(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def replay(*chunks: bytes) -> list[Event]:
    return [event async for event in read_events(source(*chunks), DasFrames())]


def outcome(chunks: list[bytes]) -> tuple[list[Event], str]:
    reader, seen = (
        EventReader(DasFrames(), Limits(frame=2000, stream=6000, malformed_in_a_row=3)),
        list[Event](),
    )
    try:
        for chunk in chunks:
            for event in reader.feed(chunk):
                seen.append(event)
        for event in reader.close():
            seen.append(event)
    except UpstreamError as error:
        return seen, error.code
    return seen, ""


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name)
async def test_transcripts_are_read_whole(path: Path) -> None:
    whole = path.read_bytes()  # noqa: ASYNC240 (a small file, and nothing else runs)
    events = await replay(whole)
    assert sum(isinstance(event, RunFinished | RunError) for event in events) == 1
    assert not [event for event in events if isinstance(event, Unknown) and event.type != "STATE_DELTA"]
    assert await replay(*(whole[at : at + 1] for at in range(len(whole)))) == events
    assert await replay(whole.replace(b"\n", b"\r\n")) == events


async def test_subagents() -> None:
    events = await replay((OWN / "das_subagents.sse").read_bytes())
    root = [e.delta for e in events if isinstance(e, TextMessageContent) and e.agent_id == "agent-root"]
    assert "".join(root) == "**结论**: the disk of pc-demo-7 is 91% full. 😀"
    assert [e.error for e in events if isinstance(e, ToolCallResult)] == ["", "Throttling: try later"]
    assert [(e.name, e.status) for e in events if isinstance(e, StepFinished)] == [
        ("space", "completed"),
        ("index", "failed"),
    ]
    assert "".join(e.delta for e in events if isinstance(e, Reasoning)) == "two things to look at"
    assert [e for e in events if isinstance(e, Usage)] == [
        Usage(77, "11111111-2222-4333-8444-555555555555", "REQ-DEMO-7")
    ]


async def test_an_unbound_agent_ends_with_one_error() -> None:
    events = await replay((OWN / "das_unbound.sse").read_bytes())
    errors = [event for event in events if isinstance(event, RunError)]
    assert errors == [RunError("-1810006", "no instance is bound to the agent")]


STREAM = (OWN / "das_subagents.sse").read_bytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(STREAM)), st.lists(st.integers(0, len(STREAM)), max_size=30), st.booleans())
def test_chunking_never_matters_wherever_the_stream_is_cut(length: int, cuts: list[int], crlf: bool) -> None:
    stream = STREAM[:length].replace(b"\n", b"\r\n") if crlf else STREAM[:length]
    ends = sorted(min(cut, len(stream)) for cut in cuts)
    chunks = [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]
    assert outcome(chunks) == outcome([stream])


@pytest.mark.parametrize(
    "stream", [b"", b'data:{"Type":"RUN_STARTED"}\n\n', b"data:[DONE]\n\n", b": beat\n\n"]
)
async def test_an_end_without_a_terminal_event_is_a_cut(stream: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        await replay(stream)
    assert (raised.value.code, raised.value.begun) == ("Cut", True)


async def test_custom_error_and_then_nothing_is_an_end() -> None:
    stream = b'data:{"Type":"CUSTOM","Name":"error","Value":{"Code":"X","Message":"m"}}\n\n'
    assert await replay(stream) == [RunError("X", "m")]


async def test_a_late_summary_is_read() -> None:
    stream = (
        b'data:{"Type":"RUN_FINISHED"}\n\n'
        b'data:{"Type":"CUSTOM","Name":"summary","Value":{"CharCount":3}}\n\n'
        b"data:[DONE]\n\n"
    )
    assert await replay(stream) == [RunFinished(), Usage(3)]


async def test_rubbish_after_the_end_does_not_matter() -> None:
    assert await replay(b'data:{"Type":"RUN_FINISHED"}\n\n' + b"data:?\n\n" * 30) == [RunFinished()]


async def test_an_error_body_under_an_event_stream_s_name() -> None:
    with pytest.raises(UpstreamError) as raised:
        await replay(b'{"Code":"Throttling.User",', b'"Message":"slow","RequestId":"R1"}')
    error = raised.value
    assert (error.code, error.request_id, error.begun) == ("Throttling.User", "R1", False)
