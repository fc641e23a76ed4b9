"""From frames to bytes on the wire in a service's spelling, and the faults of what is sent. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from bot.demo.upstream.faults import Faults

BOM = b"\xef\xbb\xbf"

Frame = dict[str, Any]


class Timed(NamedTuple):
    """A frame and the scripted second, counted from the start of the run, at which it is sent."""

    at: float
    frame: Frame


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one interface spells its stream, and what its faults look like there.

    prefix: before each frame's JSON. done: whether `[DONE]` follows the last frame. heartbeat, unknown: a
    frame that means nothing, and one no client knows. huge: a harmless frame of so many characters. error,
    exception: the two ways a run fails. ends: whether a frame says that the run has ended.
    """

    prefix: str
    done: bool
    heartbeat: Frame
    unknown: Frame
    huge: Callable[[int], Frame]
    error: Callable[[int | str | None], Frame]
    exception: Frame
    ends: Callable[[Frame], bool]


def spoil(frames: list[Timed], faults: Faults, dialect: Dialect) -> list[Timed]:
    """The frames of a run that fails where the faults say so."""
    failures = (
        (faults.error_after, dialect.error(faults.error_code)),
        (faults.exception_after, dialect.exception),
    )
    end = next(number for number, timed in enumerate(frames) if dialect.ends(timed.frame))
    for after, failure in failures:
        if after is not None:
            place = min(after, end)
            return [*frames[:place], Timed(frames[place].at, dict(failure))]
    return frames


class Wire:
    """The bytes of one stream, frame by frame; `ended` once the one that ends the run is reached."""

    def __init__(self, dialect: Dialect, faults: Faults) -> None:
        self.ended = False
        self._dialect = dialect
        self._faults = faults
        self._given = 0
        self._begun = False

    def encode(self, frame: Frame) -> Iterator[bytes]:
        """What stands on the wire for the next frame: usually one piece, one more for each inserted frame."""
        faults, number = self._faults, self._given
        self._given += 1
        if number == 1 and faults.huge_frame_chars:
            yield self._data(_json(self._dialect.huge(faults.huge_frame_chars)))
        if number == faults.malformed_after:
            for _ in range(faults.malformed_count):
                yield self._data('{"Type":"TEXT_MESSAGE_CONTENT","Answer":"unterm')
        if faults.unknown_frames:
            yield self._data(_json(self._dialect.unknown))
        if faults.empty_data:
            yield self._data("")
        if faults.comments:
            yield self._lines(": keep-alive", "")
            yield self._lines("event: ping", "")
        if self._dialect.ends(frame):
            self.ended = True
            if faults.no_end:
                return
        yield self._data(_json(frame))

    def heartbeat(self) -> bytes:
        return self._data(_json(self._dialect.heartbeat))

    def close(self) -> Iterator[bytes]:
        """What follows the last frame: `[DONE]`, when the run reached its end and the service sends one."""
        done = self._dialect.done if self._faults.done is None else self._faults.done
        if done and self.ended and not self._faults.no_end:
            yield self._data("[DONE]")

    def _data(self, text: str) -> bytes:
        return self._lines(self._dialect.prefix + text, "")

    def _lines(self, *lines: str) -> bytes:
        end = "\r\n" if self._faults.crlf else "\n"
        bom = BOM if self._faults.bom and not self._begun else b""
        self._begun = True
        return bom + "".join(line + end for line in lines).encode()


def _json(frame: Frame) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
