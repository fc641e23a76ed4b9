"""Ways in which the simulated service misbehaves, switched on by tests or by a word in a demo question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.demo.das.refusal import Refusal

UNBOUND = -1810006
"""The service's error code when the agent is bound to no instance."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with an answer. Counts are frames sent before; None and False mean it goes right.

    refuse: answer with this instead of a stream, whatever its status (200 too).
    cut_after, cut_with: end the stream early: "end" ends the HTTP answer properly, "fin" closes the
        connection in the middle of the answer, "rst" resets it.
    silent_after: send nothing more until `SimulatedDas.resume()`, or until the client leaves.
    malformed_after, malformed_count: insert frames that are not JSON.
    no_done: leave out the closing `data:[DONE]`.
    custom_error_after, custom_error_code: send a CUSTOM error, then end without RUN_FINISHED.
    run_error_after: send a RUN_ERROR, then end.
    chunk_bytes: send the bytes in pieces of this size, wherever that cuts lines and characters.
    crlf, bom: end lines with CRLF; begin with a byte order mark.
    huge_frame_chars: insert one ACTIVITY_SNAPSHOT with so many characters of content after the first frame.
    """

    refuse: Refusal | None = None
    cut_after: int | None = None
    cut_with: Literal["end", "fin", "rst"] = "end"
    silent_after: int | None = None
    malformed_after: int | None = None
    malformed_count: int = 1
    no_done: bool = False
    custom_error_after: int | None = None
    custom_error_code: int = UNBOUND
    run_error_after: int | None = None
    chunk_bytes: int | None = None
    crlf: bool = False
    bom: bool = False
    huge_frame_chars: int = 0


NONE = Faults()

BY_WORD: dict[str, Faults] = {
    "demo:cut": Faults(cut_after=40, cut_with="fin"),
    "demo:error": Faults(run_error_after=40),
    "demo:unbound": Faults(custom_error_after=6),
    "demo:busy": Faults(
        refuse=Refusal(429, "Throttling.User", "Request was denied due to user flow control.")
    ),
}
"""Faults a person can see in the demo by putting the word into a question."""


def in_question(question: str) -> Faults | None:
    """The faults that a word in the question asks for."""
    return next((faults for word, faults in BY_WORD.items() if word in question), None)
