"""Reads a recorded stream, whichever service it came from; its first frame tells."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from bot.model.event import Event
from bot.upstream.das import DasChat
from bot.upstream.das_frames import DasFrames
from bot.upstream.das_legacy import DasLegacy
from bot.upstream.das_legacy_frames import LegacyFrames
from bot.upstream.rds import RdsCopilot
from bot.upstream.rds_frames import RdsFrames
from bot.upstream.reader import EventReader, Frames
from bot.upstream.values import Frame, folded


class AnyFrames:
    """The frames of a stream of any service.

    Attributes:
        name: of the service, as a reply's footer shows it; "" before the first frame.
    """

    def __init__(self) -> None:
        self.name = ""
        self._frames: Frames | None = None

    def read(self, frame: Frame) -> list[Event]:
        """The events of one frame."""
        if self._frames is None:
            self.name, self._frames = _of(frame)
        return self._frames.read(frame)

    def rest(self) -> list[Event]:
        """The events that are known only when no more frames come."""
        return self._frames.rest() if self._frames else []


def _of(frame: Frame) -> tuple[str, Frames]:
    fields = folded(frame)
    if "type" in fields:
        return DasChat.name, DasFrames()
    if "metadata" in fields:
        return DasLegacy.name, LegacyFrames()
    return RdsCopilot.name, RdsFrames()


async def read_events(chunks: AsyncIterable[bytes], frames: Frames | None = None) -> AsyncIterator[Event]:
    """The events of a recorded stream, in whatever chunks it comes.

    Args:
        frames: reads the frames; without it the first one decides.

    Raises:
        UpstreamError: as `EventReader.feed` and `EventReader.close` do.
    """
    reader = EventReader(frames or AnyFrames())
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event
    for event in reader.close():
        yield event
