"""Reads a stream of server-sent events that hold JSON objects, and forgives what the services do to it.

Bytes in, dicts out, in any chunking and at a cost linear in the bytes. What an object means is not known
here. Follows the WHATWG HTML standard, section 9.2.6, with one exception: a last frame without its blank
line is kept, because it is often the one that says the run has ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bot.upstream.errors import UpstreamError

LINE_END = re.compile(rb"\r\n|\r|\n")
BOM = b"\xef\xbb\xbf"
DONE = "[DONE]"
STRAY_LIMIT = 64 * 1024
"""Bytes kept of a body that is no event stream; an error body is far smaller."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where tolerance ends. Sizes in bytes."""

    frame: int = 8 * 1024 * 1024
    stream: int = 64 * 1024 * 1024
    malformed_in_a_row: int = 20


DEFAULT_LIMITS = Limits()


class SseReader:
    """The state of one stream.

    Attributes:
        malformed: frames skipped so far because they hold no JSON object.
        done: whether "[DONE]" was seen.
        stray: the beginning of the body when it is no event stream at all but JSON, XML or HTML.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._received = 0
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._skip_newline = False
        self._first_line = True
        self._seen_text = False
        self._event = ""
        self._data: list[str] = []
        self._data_size = 0
        self._malformed_in_a_row = 0
        self.malformed = 0
        self.done = False
        self.stray = b""

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """The objects that are complete with this chunk. Exhaust it before the next call.

        Raises:
            UpstreamError: "TooLarge" or "BadStream", after everything that came before was yielded.
        """
        room = max(0, self._limits.stream - self._received)
        self._received += len(chunk)
        for line in self._lines(chunk[:room]):
            yield from self._take(line)
        if len(chunk) > room:
            raise self._too_large("the stream", self._limits.stream)

    def finish(self) -> Iterator[dict[str, Any]]:
        """The object of a last frame that lacks its blank line or even its line end, if it is whole."""
        line, self._partial, self._partial_size = b"".join(self._partial), [], 0
        if line:
            yield from self._take(line)
        yield from self._take(b"")

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if not chunk:
            return
        if self._skip_newline:
            # The chunk before ended in CR, which ended the line; a LF here belongs to that CR.
            chunk = chunk.removeprefix(b"\n")
        start = 0
        for end in LINE_END.finditer(chunk):
            line = b"".join([*self._partial, chunk[start : end.start()]])
            self._partial, self._partial_size = [], 0
            start = end.end()
            yield line
        self._skip_newline = chunk.endswith(b"\r")
        if start < len(chunk):
            self._partial.append(chunk[start:])
            self._partial_size += len(chunk) - start
            self._check_frame(self._partial_size)

    def _take(self, line: bytes) -> Iterator[dict[str, Any]]:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(BOM)
        if not line:
            yield from self._dispatch()
            return
        self._check_frame(len(line))
        if self.stray or (not self._seen_text and line.lstrip()[:1] in (b"{", b"<")):
            if len(self.stray) < STRAY_LIMIT:
                self.stray = (self.stray + line + b"\n")[:STRAY_LIMIT]
            return
        self._seen_text = self._seen_text or bool(line.strip())
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(text)
            self._data_size += len(line)
        elif name == b"event":
            self._event = text

    def _dispatch(self) -> Iterator[dict[str, Any]]:
        event, text = self._event, "\n".join(self._data).strip()
        self._event, self._data, self._data_size = "", [], 0
        if event == "ping" or not text:
            return
        if text == DONE:
            self.done = True
            return
        frame = _parse(text)
        if frame is not None:
            self._malformed_in_a_row = 0
            yield frame
            return
        self.malformed += 1
        self._malformed_in_a_row += 1
        if self._malformed_in_a_row >= self._limits.malformed_in_a_row:
            raise UpstreamError(
                "BadStream", f"{self._malformed_in_a_row} malformed frames in a row", begun=True
            )

    def _check_frame(self, more: int) -> None:
        if self._data_size + more > self._limits.frame:
            raise self._too_large("one frame", self._limits.frame)

    @staticmethod
    def _too_large(what: str, limit: int) -> UpstreamError:
        return UpstreamError("TooLarge", f"{what} exceeds {limit} bytes", begun=True)


def _parse(text: str) -> dict[str, Any] | None:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) else None
