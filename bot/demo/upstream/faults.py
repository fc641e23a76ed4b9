"""Ways in which a simulated service misbehaves, switched on by tests or by a word in a demo question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.demo.upstream.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with an answer; None, 0 and False mean it goes right.

    `…_after` counts the frames that come before; a count beyond the end means right before the end, but for
    `hang_after` and `malformed_after`.

    The request:
        refuse: answer with this instead of a stream, whatever its status (200 too).
        session_expired: forget the session or conversation the request names; the service then refuses it.
        session_replaced: forget it silently and go on in a new one, whose id stands in the answer.

    The run:
        error_after, error_code: end with the service's error frame (DAS: CUSTOM error, older DAS: Event
            error, RDS: Event error); without a code DAS says that the agent is bound to no instance.
        exception_after: end in the other way the service has (DAS: RUN_ERROR, older DAS: Event error with a
            text as code, RDS: the name of an exception as Event).
        hang_after: the agent itself does nothing more until `resume()`.

    The frames:
        malformed_after, malformed_count: insert frames that are not JSON.
        huge_frame_chars: insert one harmless frame with so many characters after the first frame.
        unknown_frames: insert a frame of an unknown kind before every frame.
        empty_data: insert a frame with empty data before every frame.
        comments: insert a comment and a bare `event: ping` before every frame.
        no_end: leave out what says that the run has ended, `[DONE]` too.
        done: whether `[DONE]` stands at the end; None as the service has it.

    The bytes:
        chunk_bytes: send in pieces of this size, wherever that cuts lines and characters.
        crlf, bom: end lines with CRLF; begin with a byte order mark.

    The connection:
        cut_after, cut_with: end the stream early: "end" ends the HTTP answer properly, "fin" closes the
            connection in the middle of the answer, "rst" resets it. 0 cuts right after the headers.
        silent_after: send nothing more until `resume()`, or until the client leaves. An RDS run goes on.
        endless_after, endless_every: send only heartbeats from there on, one every so many seconds, for ever.
    """

    refuse: Refusal | None = None
    session_expired: bool = False
    session_replaced: bool = False
    error_after: int | None = None
    error_code: int | str | None = None
    exception_after: int | None = None
    hang_after: int | None = None
    malformed_after: int | None = None
    malformed_count: int = 1
    huge_frame_chars: int = 0
    unknown_frames: bool = False
    empty_data: bool = False
    comments: bool = False
    no_end: bool = False
    done: bool | None = None
    chunk_bytes: int | None = None
    crlf: bool = False
    bom: bool = False
    cut_after: int | None = None
    cut_with: Literal["end", "fin", "rst"] = "end"
    silent_after: int | None = None
    endless_after: int | None = None
    endless_every: float = 0.01


NONE = Faults()

BUSY: Mapping[str, Refusal] = {
    refusal.code: refusal
    for refusal in (
        Refusal(429, "TooManyRequests", "The number of concurrent conversations of the account is exceeded."),
        Refusal(429, "Throttling.User", "Request was denied due to user flow control."),
        Refusal(400, "Throttling.Api", "Request was denied due to api flow control."),
        Refusal(400, "AgentConcurrentLimit", "The agent runs as many diagnoses as its edition allows."),
    )
}
"""The ways in which the services say that they have too much to do, by their code."""


def in_question(question: str, by_word: Mapping[str, Faults]) -> Faults | None:
    """The faults that a word in the question asks for."""
    return next((faults for word, faults in by_word.items() if word in question), None)
