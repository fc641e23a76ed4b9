"""Each rule of reading a stream of events, and that the chunking never matters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.upstream.errors import UpstreamError
from bot.upstream.sse import Limits, SseReader


def read(*chunks: bytes, limits: Limits = Limits()) -> list[dict[str, Any]]:  # noqa: B008
    reader = SseReader(limits)
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    return frames + list(reader.finish())


def outcome(chunks: list[bytes], limits: Limits) -> tuple[list[dict[str, Any]], str, bool]:
    """What was read, the code of the error that ended it, and whether it said that the run had begun."""
    reader, seen = SseReader(limits), list[dict[str, Any]]()
    try:
        for chunk in chunks:
            for frame in reader.feed(chunk):
                seen.append(frame)
        seen += reader.finish()
    except UpstreamError as error:
        return seen, error.code, error.begun
    return seen, "", False


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b'data:{"a":1}\n\n', [{"a": 1}]),
        (b'data: {"a":1}\n\n', [{"a": 1}]),
        (b'\xef\xbb\xbfdata:{"a":1}\n\n', [{"a": 1}]),
        (b': hello\n\n:\ndata:{"a":1}\n\n', [{"a": 1}]),
        (b'event: ping\ndata:{"p":1}\n\ndata:{"a":1}\n\n', [{"a": 1}]),
        (b'data:\n\ndata: \n\ndata\n\ndata:{"a":1}\n\n', [{"a": 1}]),
        (b'data:{"a":1}\n\ndata:[DONE]\n\n', [{"a": 1}]),
        (b'data:{"a":1}\n\ndata:{"b"\n\ndata:[1]\n\ndata:{"c":3}\n\n', [{"a": 1}, {"c": 3}]),
        (b'data:{"a":\ndata:1}\n\n', [{"a": 1}]),
        (b'id: 7\nretry: 5\nevent: message\ndata:{"a":1}\n\n', [{"a": 1}]),
        (b'data:{"a":1}\r\n\r\ndata:{"b":2}\r\r', [{"a": 1}, {"b": 2}]),
        (b'data:{"a":\r\ndata:1}\r\n\r\n', [{"a": 1}]),
        (b'data:{"a":1}\n\ndata:{"b":2}', [{"a": 1}, {"b": 2}]),
        ('data:{"a":"\u2028\u0085\x0b"}\n\n'.encode().replace(b"\x0b", b"\\u000b"), [{"a": "\u2028\x85\x0b"}]),
        (b'data:{"a":"\xff"}\n\n', [{"a": "\ufffd"}]),
        (b'data:{"a":"\\ud83d\\ude00"}\n\n', [{"a": "😀"}]),
    ],
    ids=[
        "no-space", "space", "bom", "comments", "ping", "empty-data", "done", "malformed", "two-data-lines",
        "other-fields", "crlf-and-cr", "crlf-in-a-frame",
        "no-blank-line-at-end", "unicode-line-ends", "bad-utf8", "pairs",
    ],
)  # fmt: skip
def test_rules(stream: bytes, frames: list[dict[str, Any]]) -> None:
    assert read(stream) == frames
    assert read(*(bytes([byte]) for byte in stream)) == frames


def test_malformed_frames_are_counted() -> None:
    reader = SseReader()
    assert list(reader.feed(b'data:{"b"\n\ndata:null\n\ndata:{"c":3}\n\n')) == [{"c": 3}]
    assert reader.malformed == 2


def test_deep_nesting_is_one_malformed_frame() -> None:
    assert read(b"data:" + b"[" * 100_000 + b'\n\ndata:{"a":1}\n\n') == [{"a": 1}]


def test_gives_up_after_malformed_frames_in_a_row_only() -> None:
    limits = Limits(malformed_in_a_row=3)
    bad, good = b"data:?\n\n", b'data:{"a":1}\n\n'
    assert len(read(bad * 2 + good + bad * 2 + good, limits=limits)) == 2
    assert outcome([good + bad * 3 + good], limits) == ([{"a": 1}], "BadStream", True)


def test_twenty_in_a_row_unless_set() -> None:
    assert read(b"data:?\n\n" * 19) == []
    with pytest.raises(UpstreamError):
        read(b"data:?\n\n" * 20)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_one_frame_is_capped(size: int) -> None:
    stream = b'data:{"a":1}\n\ndata:"' + b"x" * 200 + b'"\n\n'
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert outcome(chunks, Limits(frame=100)) == ([{"a": 1}], "TooLarge", True)


def test_a_frame_of_many_lines_is_capped_too() -> None:
    with pytest.raises(UpstreamError) as raised:
        read(b"data:12345\n" * 20, limits=Limits(frame=100))
    assert raised.value.code == "TooLarge"


def test_the_stream_is_capped_and_comments_count() -> None:
    assert read(b":beat\n" * 10, limits=Limits(stream=60)) == []
    assert outcome([b":beat\n"] * 11, Limits(stream=60)) == ([], "TooLarge", True)


def test_the_caps_are_8_and_64_megabytes() -> None:
    assert (Limits().frame, Limits().stream, Limits().malformed_in_a_row) == (8 * 2**20, 64 * 2**20, 20)


def test_more_than_8_megabytes_in_one_frame() -> None:
    assert outcome([b"x" * 65_536] * 130, Limits()) == ([], "TooLarge", True)


def test_a_megabyte_in_small_chunks_is_joined_once() -> None:
    """Linear by structure: until the line ends its pieces are only kept, never joined."""
    payload = {"a": "x" * 1_000_000}
    stream = b"data:" + json.dumps(payload).encode() + b"\n\n"
    reader = SseReader()
    chunks = [stream[at : at + 64] for at in range(0, len(stream), 64)]
    assert [frame for chunk in chunks[:-1] for frame in reader.feed(chunk)] == []
    assert reader._partial == chunks[:-1]
    assert list(reader.feed(chunks[-1])) == [payload]


@pytest.mark.parametrize("body", [b'{"Code":"X"}', b' \n{"Code":"X"}', b"<html>\n<p>", b"\xef\xbb\xbf{}"])
def test_a_body_that_is_no_stream_is_kept(body: bytes) -> None:
    reader = SseReader()
    assert [*reader.feed(body), *reader.finish()] == []
    assert reader.stray.strip() == body.removeprefix(b"\xef\xbb\xbf").strip()


def test_a_stray_line_inside_a_stream_is_ignored() -> None:
    assert read(b'data:{"a":1}\n\n{"stray":1}\n\ndata:{"b":2}\n\n') == [{"a": 1}, {"b": 2}]


PIECES = st.sampled_from(
    [b'data:{"a":1}', b'data:{"a":\r\ndata:1}\r\n\r\n', b"\n", b"\r", b"\r\n", b"\n\n", b":c", b"event: ping\n",
     '数据😀"}'.encode(), b"data: ",
     b'data:{"t":"\xe6\x95\xb0"}\n\n', b"data:[DONE]\n\n", b"\xef\xbb\xbf", b"", b"{", b'data:{"x":"\\ud83d"}\r\n\r\n']
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=30), st.data())
def test_chunking_never_matters(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    limits = Limits(frame=60, stream=200, malformed_in_a_row=3)
    assert outcome(chunks, limits) == outcome([stream], limits)
