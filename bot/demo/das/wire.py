"""From timed frames to bytes on the wire, with the faults that change the stream's content. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from bot.demo.das.faults import Faults
from bot.demo.das.timeline import Frame, Timed

BOM = b"\xef\xbb\xbf"


class Part(NamedTuple):
    """Bytes of one frame, and the scripted second at which they are due."""

    at: float
    data: bytes


def encode(frames: list[Timed], faults: Faults) -> Iterator[Part]:
    """The stream's frames in the service's spelling: `data:` without a blank, `data:[DONE]` at the end."""
    texts, whole = _texts(frames, faults)
    first = True
    for at, text in texts:
        yield Part(at, _frame(text, faults, first))
        first = False
    if whole and not faults.no_done:
        yield Part(frames[-1].at, _frame("[DONE]", faults, False))


def _texts(frames: list[Timed], faults: Faults) -> tuple[list[tuple[float, str]], bool]:
    """The frames' texts, and whether the run reaches its end."""
    texts: list[tuple[float, str]] = []
    for number, (at, frame) in enumerate(frames):
        if number == 1 and faults.huge_frame_chars:
            texts.append((at, _json(_huge(faults.huge_frame_chars))))
        if number == faults.malformed_after:
            texts += [(at, '{"Type":"TEXT_MESSAGE_CONTENT","Delta":"unterm')] * faults.malformed_count
        if number == faults.custom_error_after:
            texts.append((at, _json(_custom_error(faults.custom_error_code))))
            return texts, False
        if number == faults.run_error_after:
            message = "agent run aborted by the service"
            texts.append((at, _json({"Type": "RUN_ERROR", "Code": "-1810001", "Message": message})))
            return texts, False
        texts.append((at, _json(frame)))
    return texts, True


def _custom_error(code: int) -> Frame:
    message = "The agent is not bound to any database instance. Bind one in the DAS console."
    return {"Type": "CUSTOM", "Name": "error", "Value": {"Code": code, "Message": message}}


def _huge(characters: int) -> Frame:
    return {"Type": "ACTIVITY_SNAPSHOT", "ActivityType": "plan", "Content": {"note": "x" * characters}}


def _json(frame: Frame) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def _frame(text: str, faults: Faults, first: bool) -> bytes:
    line = "\r\n" if faults.crlf else "\n"
    return (BOM if faults.bom and first else b"") + f"data:{text}{line}{line}".encode()
