"""Service by fault, over real HTTP: how the stream ends for whoever asked, and that what had come is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bot.demo.das import DEMO_CREDENTIAL, SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.upstream import Faults, Refusal
from bot.model.answer import Answer
from bot.upstream.acs3 import Credentials
from bot.upstream.backend import Ask, Backend
from bot.upstream.credentials import StaticCredentials
from bot.upstream.das import DasChat
from bot.upstream.das_legacy import DasLegacy
from bot.upstream.errors import UpstreamError
from bot.upstream.rds import RdsCopilot
from bot.upstream.wire import Timeouts

KEY = StaticCredentials(Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret))
QUESTION = "why is rm-demo1 slow?"
SESSION = "123e4567-e89b-42d3-a456-000000000001"


async def at_once(_seconds: float) -> None:
    """Instead of sleeping between tries."""


@dataclass
class Served:
    """A simulated service and the backend that asks it."""

    service: SimulatedDas | SimulatedRds
    backend: Backend

    async def ask(self, faults: Faults) -> tuple[Answer, UpstreamError | None]:
        self.service.faults = faults
        answer = Answer()
        asked = Ask(QUESTION, "" if self.backend.names_sessions else SESSION)
        try:
            async with self.backend.ask(asked) as events:
                async for event in events:
                    answer.apply(event, 0.0)
        except UpstreamError as error:
            return answer, error
        return answer, None


@pytest.fixture(params=["das", "das-legacy", "rds"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    service = SimulatedRds(pace=0, seed=7) if request.param == "rds" else SimulatedDas(pace=0, seed=7)
    await service.start()
    made: dict[str, Callable[[], Backend]] = {
        "das": lambda: DasChat(KEY, endpoint=service.url, sleep=at_once),
        "das-legacy": lambda: DasLegacy(KEY, endpoint=service.url, sleep=at_once),
        "rds": lambda: RdsCopilot(KEY, endpoint=service.url, sleep=at_once),
    }
    backend = made[request.param]()
    yield Served(service, backend)
    await backend.aclose()
    await service.stop()


@pytest.mark.parametrize(
    "faults",
    [
        Faults(chunk_bytes=1),
        Faults(crlf=True),
        Faults(bom=True),
        Faults(comments=True),
        Faults(empty_data=True),
        Faults(unknown_frames=True),
        Faults(malformed_after=3, malformed_count=19),
        Faults(huge_frame_chars=1_000_000),
        Faults(done=True),
        Faults(done=False),
    ],
    ids=["bytewise", "crlf", "bom", "comments", "empty", "unknown", "malformed", "1MB", "done", "no-done"],
)
async def test_what_is_forgiven(served: Served, faults: Faults) -> None:
    plain, error = await served.ask(Faults())
    assert plain.finished and plain.text and plain.calls and error is None
    answer, error = await served.ask(faults)
    assert error is None
    assert answer.finished
    assert bool(answer.unknown) == faults.unknown_frames
    assert len(answer.calls) == len(plain.calls)
    assert len(answer.text) > len(plain.text) / 2


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        (Faults(cut_after=6, cut_with="end"), "Cut"),
        (Faults(cut_after=6, cut_with="fin"), "Cut"),
        (Faults(cut_after=6, cut_with="rst"), "Cut"),
        (Faults(cut_after=0, cut_with="fin"), "Cut"),
        (Faults(no_end=True), "Cut"),
        (Faults(malformed_after=3, malformed_count=20), "BadStream"),
        (Faults(huge_frame_chars=10_000_000), "TooLarge"),
    ],
    ids=["end", "fin", "rst", "after-head", "no-end", "malformed", "10MB"],
)
async def test_what_ends_it_is_not_asked_again(served: Served, faults: Faults, code: str) -> None:
    answer, error = await served.ask(faults)
    assert error is not None
    assert (error.code, error.begun) == (code, True)
    assert not answer.finished
    assert answer.started == (faults.cut_after != 0)
    assert len(served.service.requests) == 1


@pytest.mark.parametrize(
    "faults", [Faults(error_after=6), Faults(exception_after=6)], ids=["error", "exception"]
)
async def test_the_service_s_own_error_is_an_end(served: Served, faults: Faults) -> None:
    answer, error = await served.ask(faults)
    assert error is None
    assert answer.error and answer.error.code and not answer.finished


@pytest.mark.parametrize(
    ("faults", "limits", "code"),
    [
        (Faults(silent_after=6), Timeouts(silence=0.3), "Silence"),
        (Faults(silent_after=6), Timeouts(run=0.3), "Deadline"),
        (Faults(endless_after=6), Timeouts(run=0.3), "Deadline"),
    ],
    ids=["silence", "deadline", "endless"],
)
async def test_what_never_ends_is_given_up(
    served: Served, faults: Faults, limits: Timeouts, code: str
) -> None:
    """The service says nothing that counts, so however slow the machine, only the limit that is set ends it."""
    kind = type(served.backend)
    backend = kind(KEY, endpoint=served.service.url, sleep=at_once, timeouts=limits)  # type: ignore[call-arg]
    _, error = await Served(served.service, backend).ask(faults)
    await backend.aclose()
    assert error is not None
    assert error.code == code
    assert len(served.service.requests) == 1


@pytest.mark.parametrize("form", ["json", "xml", "html"])
@pytest.mark.parametrize(
    ("status", "code", "tries"),
    [(400, "InvalidParams", 1), (403, "NoPermission", 1), (429, "TooManyRequests", 3), (200, "Throttling.User", 1),
     (503, "ServiceUnavailable", 3), (500, "InternalError", 1)],
)  # fmt: skip
async def test_refusals_in_every_form(served: Served, form: Any, status: int, code: str, tries: int) -> None:
    answer, error = await served.ask(Faults(refuse=Refusal(status, code, "no", form)))
    assert error is not None and not error.begun and not answer.started
    in_html = {200: "BadStream", 503: "ServiceUnavailable"}.get(status, f"HTTP{status}")
    assert error.code == (in_html if form == "html" else code)
    assert error.is_busy == (status == 429 or (status == 200 and form != "html"))
    assert len(served.service.requests) == tries
    if status == 403:
        assert error.action in ("hdm:Chat", "hdm:GetDasAgentSSE", "rdsai:ChatMessages")
