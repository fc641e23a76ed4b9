"""Recorded streams of all services replay to golden answers, in any chunks and line ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.model.answer import Answer
from bot.upstream.errors import UpstreamError
from bot.upstream.recorded import AnyFrames, read_events

OWN = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "transcripts"
GOLDEN = OWN / "golden"
TRANSCRIPTS = sorted([*OWN.glob("*.sse"), *SHARED.glob("*.sse")])


async def replay(stream: bytes, size: int) -> dict[str, Any]:
    """What is known in the end, without times."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(stream), size):
            yield stream[at : at + size]

    answer, frames, cut = Answer(), AnyFrames(), ""
    try:
        async for event in read_events(chunks(), frames):
            answer.apply(event, 0.0)
    except UpstreamError as error:
        cut = error.code
    return {"service": frames.name, "cut": cut, **_known(answer)}


def _known(answer: Answer) -> dict[str, Any]:
    usage, approval, interrupt, error = answer.usage, answer.approval, answer.interrupt, answer.error
    return {
        "text": answer.text,
        "thinking": answer.thinking,
        "calls": [
            [call.id, call.name, call.state.name, call.arguments, call.result, call.error, call.agent_id]
            for call in answer.calls.values()
        ],
        "steps": [[step.label, step.status, step.agent_id, step.parent_agent_id] for step in answer.steps],
        "sources": [[source.title, source.url] for source in answer.sources],
        "usage": [usage.characters, usage.session_id, usage.request_id] if usage else None,
        "approval": [
            approval.call_id,
            approval.round_id,
            approval.tool,
            approval.arguments,
            approval.description,
        ]
        if approval
        else None,
        "interrupt": [interrupt.interrupt_id, interrupt.message, list(interrupt.options)]
        if interrupt
        else None,
        "error": [error.code, error.message] if error else None,
        "names": [answer.run_id, answer.session_id, answer.message_id],
        "finished": answer.finished,
        "unknown": answer.unknown,
    }


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["lf", "crlf"])
async def test_golden(path: Path, ends: bytes) -> None:
    golden = json.loads((GOLDEN / f"{path.stem}.json").read_text("utf-8"))
    stream = path.read_bytes().replace(b"\n", ends)  # noqa: ASYNC240 (a small file, and nothing else runs)
    for size in (1, 7, len(stream)):
        assert await replay(stream, size) == golden


def test_every_own_transcript_has_a_golden_answer() -> None:
    assert {path.stem for path in OWN.glob("*.sse")} <= {path.stem for path in GOLDEN.glob("*.json")}
