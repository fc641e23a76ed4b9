"""Reads a DAS Chat stream, live or recorded, into events, and knows when it has ended; no I/O, no clock."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

from bot.model.event import Event, RunError, RunFinished, Usage
from bot.upstream.das_frames import translate
from bot.upstream.errors import UpstreamError
from bot.upstream.refusals import read_refusal
from bot.upstream.sse import DEFAULT_LIMITS, Limits, SseReader


class DasReader:
    """The state of one answer's stream.

    Attributes:
        ended: whether RunFinished or RunError came. Later terminal events are dropped: the service says
            CUSTOM error and then RUN_ERROR for one and the same failure.
        complete: whether nothing more is worth waiting for, because the cost or "[DONE]" came as well.
    """

    def __init__(self, limits: Limits) -> None:
        self._sse = SseReader(limits)
        self._usage = False
        self._unreadable = False
        self.ended = False

    @property
    def complete(self) -> bool:
        return self.ended and (self._usage or self._sse.done or self._unreadable)

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
            UpstreamError: "Cut" when the run had not ended; the service's own code when the body was an
                error in JSON or XML instead of a stream.
        """
        yield from self._events(self._sse.finish())
        if self.ended:
            return
        if self._sse.stray:
            raise read_refusal(200, {}, self._sse.stray)
        raise UpstreamError("Cut", "the stream ended before the run did", begun=True)

    def _events(self, frames: Iterator[dict[str, Any]]) -> Iterator[Event]:
        try:
            for frame in frames:
                for event in translate(frame):
                    terminal = isinstance(event, RunFinished | RunError)
                    if terminal and self.ended:
                        continue
                    self.ended = self.ended or terminal
                    self._usage = self._usage or isinstance(event, Usage)
                    yield event
        except UpstreamError:
            if not self.ended:
                raise
            self._unreadable = True


async def read_events(
    chunks: AsyncIterable[bytes],
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncIterator[Event]:
    """The events of a recorded stream, in whatever chunks it comes.

    Raises:
        UpstreamError: as `DasReader.feed` and `DasReader.close` do.
    """
    reader = DasReader(limits)
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event
        if reader.complete:
            return
    for event in reader.close():
        yield event
