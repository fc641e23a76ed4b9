"""Reads a service's stream, live or recorded, into events, and knows when it has ended; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from bot.model.event import (
    ApprovalAsked,
    Event,
    InterruptRaised,
    RunError,
    RunFinished,
    TextMessageContent,
    Usage,
)
from bot.upstream.errors import UpstreamError
from bot.upstream.halves import Halves
from bot.upstream.refusals import read_refusal
from bot.upstream.sse import DEFAULT_LIMITS, Limits, SseReader


class Frames(Protocol):
    """How one service's frames become events; an object per stream, because meaning may lie in their order."""

    def read(self, frame: Mapping[str, Any]) -> list[Event]:
        """The events of one frame. Never raises; what cannot be understood is `Unknown`."""
        ...

    def rest(self) -> list[Event]:
        """The events that are known only when no more frames come."""
        ...


class EventReader:
    """The state of one answer's stream.

    Attributes:
        ended: whether RunFinished or RunError came. Later terminal events are dropped: DAS says CUSTOM error
            and then RUN_ERROR for one and the same failure, RDS workflow_finished and then message_end.
        failed: whether what ended it was RunError.
        paused: whether the run waits for a person; then the stream may end without a terminal event.
        complete: whether nothing more is worth waiting for, because the cost or "[DONE]" came as well.
    """

    def __init__(self, frames: Frames, limits: Limits = DEFAULT_LIMITS) -> None:
        self._frames = frames
        self._sse = SseReader(limits)
        self._halves = Halves()
        self._has_text = False
        self._has_usage = False
        self._unreadable = False
        self.ended = False
        self.failed = False
        self.paused = False

    @property
    def complete(self) -> bool:
        return self.ended and (self._has_usage or self._sse.done or self._unreadable)

    @property
    def malformed(self) -> int:
        """Frames skipped because they hold no JSON object."""
        return self._sse.malformed

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events of the frames complete with this chunk. Exhaust it before the next call.

        Raises:
            UpstreamError: "TooLarge" or "BadStream", but not after the end: then the rest does not matter.
        """
        yield from self._events(self._sse.feed(chunk))

    def close(self) -> Iterator[Event]:
        """The last events, when the stream has come to its end.

        Raises:
            UpstreamError: "Cut" when the run had neither ended nor paused; the service's own code when the body
                was an error in JSON or XML instead of a stream.
        """
        yield from self._events(self._sse.finish())
        yield from self._told(self._frames.rest())
        yield from self._halves.rest()
        if self.ended or self.paused:
            return
        if self._sse.stray:
            raise read_refusal(200, {}, self._sse.stray)
        if self._sse.done and self._has_text:
            # Whoever writes "[DONE]" after an answer has said all of it, with a terminal event or without.
            yield RunFinished()
            return
        raise UpstreamError("Cut", "the stream ended before the run did", begun=True)

    def _events(self, frames: Iterator[dict[str, Any]]) -> Iterator[Event]:
        try:
            for frame in frames:
                yield from self._told(self._frames.read(frame))
        except UpstreamError:
            if not self.ended:
                raise
            self._unreadable = True

    def _told(self, events: list[Event]) -> Iterator[Event]:
        for event in events:
            terminal = isinstance(event, RunFinished | RunError)
            if terminal and self.ended:
                continue
            self.ended = self.ended or terminal
            self.failed = self.failed or isinstance(event, RunError)
            self.paused = self.paused or isinstance(event, ApprovalAsked | InterruptRaised)
            self._has_usage = self._has_usage or isinstance(event, Usage)
            self._has_text = self._has_text or isinstance(event, TextMessageContent)
            yield self._halves.join(event)
