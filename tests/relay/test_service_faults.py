"""Service by fault: what the thread shows in the end, from the simulated service's bytes to Slack's blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from bot.app import started
from bot.demo.das import DEMO_CREDENTIAL, SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.upstream.faults import BUSY, NONE, Faults
from bot.demo.upstream.refusal import Refusal
from bot.demo.upstream.service import Service
from bot.demo.workspace import NO_LIMITS, Workspace
from bot.demo.workspace.cast import BOT_USER_ID
from bot.demo.workspace.messages import Message
from bot.model.event import Event
from bot.model.run import State
from bot.settings import Settings
from bot.store import keys
from bot.upstream.acs3 import Credentials
from bot.upstream.backend import Ask
from bot.upstream.credentials import StaticCredentials
from bot.upstream.rds import RdsCopilot

OPS, ANA = "C0DBOPS001", "U0ANA00001"
SERVICES = ("das", "das-legacy", "rds")
QUESTION = "why is rm-bp1demo0001 slow?"
CONCLUSION = {"das": "orders.user_id", "das-legacy": "orders.user_id", "rds": "order_detail"}
"""Stands in each service's whole answer to the question."""
WHOLE, EXCEPTION = "the whole answer", "what the service calls its exception"
SAID = {
    WHOLE: CONCLUSION,
    EXCEPTION: {
        "das": "ended the run with an error (-1810001)",
        "das-legacy": "ended the run with an error (AgentRunAborted)",
        "rds": "failed inside the service (MysqlIOException)",
    },
}
"""What differs by service."""

ANSWERED = "answered"
GARBAGE = 25
"""Malformed frames in a row, more than the reader puts up with."""


@dataclass(frozen=True)
class Case:
    """A fault, and what stands in the thread afterwards: its state, and a piece of its text.

    `times` is how often it happens. `rds` is what RDS Copilot's thread shows, whose answer can be fetched.
    """

    name: str
    faults: Faults
    state: str = ANSWERED
    says: str = WHOLE
    times: int = 1
    rds: tuple[str, str] | None = None


FETCHED = (ANSWERED, WHOLE)
BROKE = "connection broke before the answer was complete"


def refused(status: int, code: str, message: str = "no", form: Any = "json") -> Faults:
    return Faults(refuse=Refusal(status, code, message, form))


PATIENT = [
    Case("as it should be", NONE),
    Case("byte by byte", Faults(chunk_bytes=1)),
    Case("odd pieces", Faults(chunk_bytes=7, crlf=True, bom=True)),
    Case("comments and pings", Faults(comments=True, empty_data=True)),
    Case("with [DONE]", Faults(done=True)),
    Case("without [DONE]", Faults(done=False)),
    Case("unknown frames", Faults(unknown_frames=True)),
    Case("a frame of 1 MB", Faults(huge_frame_chars=1_000_000)),
    Case("a frame of 10 MB", Faults(huge_frame_chars=10_000_000), "failed", "larger than", rds=FETCHED),
    Case("some malformed frames", Faults(malformed_after=5, malformed_count=3)),
    Case(
        "nothing but malformed frames",
        Faults(malformed_after=5, malformed_count=GARBAGE),
        "failed",
        "cannot read",
        rds=FETCHED,
    ),
    Case("no end", Faults(no_end=True), "failed", BROKE, rds=FETCHED),
    Case("ended early", Faults(cut_after=12, cut_with="end"), "failed", BROKE, rds=FETCHED),
    Case("cut by FIN", Faults(cut_after=12, cut_with="fin"), "failed", BROKE, rds=FETCHED),
    Case("cut by RST", Faults(cut_after=12, cut_with="rst"), "failed", BROKE, rds=FETCHED),
    # Without a frame nobody knows the conversation's name: it is found by its words.
    Case("cut before the first frame", Faults(cut_after=0, cut_with="rst"), "failed", BROKE, rds=FETCHED),
    Case("fails in its own words", Faults(error_after=6, error_code="Timeout"), "failed", "took too long"),
    Case("ends with an exception", Faults(exception_after=6), "failed", EXCEPTION),
    Case("200 with JSON", refused(200, "InstanceNotFound"), "failed", "does not know this instance"),
    Case(
        "200 with XML", refused(200, "InstanceNotFound", form="xml"), "failed", "does not know this instance"
    ),
    Case("200 with HTML", refused(200, "Oops", form="html"), "failed", "cannot read"),
    Case("403 in JSON", refused(403, "NoPermission"), "failed", "may not do this"),
    Case("403 in lower case", refused(403, "NoPermission", form="lower"), "failed", "may not do this"),
    Case("403 in XML", refused(403, "NoPermission", form="xml"), "failed", "may not do this"),
    Case("502 in HTML, once", refused(502, "Bad Gateway", form="html")),
    Case("502 in HTML", refused(502, "Bad Gateway", form="html"), "failed", "not available", times=3),
    Case("wrong signature", refused(400, "SignatureDoesNotMatch"), "failed", "key"),
]

IMPATIENT = [
    Case("silence", Faults(silent_after=12), "failed", "silent", rds=FETCHED),
    Case("heartbeats for ever", Faults(endless_after=12), "failed", "longer than", rds=FETCHED),
]


@dataclass
class Desk:
    """A bot whose questions go to one service, and the doubles around it."""

    key: str
    workspace: Workspace
    service: Service
    redis: Redis

    async def ask(self, text: str = QUESTION, thread_ts: str = "") -> tuple[str, Message, str]:
        """Ask, and wait for the end: the run's state, the reply's last message, and the thread."""
        before = len(self.replies(thread_ts)) if thread_ts else 0
        addressed = text if thread_ts else f"<@{BOT_USER_ID}> {text}"
        ts = self.workspace.say(ANA, OPS, addressed, thread_ts=thread_ts or None)
        thread_ts = thread_ts or ts
        await self.workspace.until(
            lambda: (
                len(self.replies(thread_ts)) > before
                and "run_again" in str(self.replies(thread_ts)[-1].blocks)
            )
        )
        message = self.replies(thread_ts)[-1]
        return await self._state_of(message), message, thread_ts

    def replies(self, thread_ts: str) -> list[Message]:
        found = self.workspace.replies(OPS, thread_ts)
        return [message for message in found if message.bot_id and not message.ephemeral_for]

    async def refused(self) -> bool:
        """Whether it is written down of the only run that the service has refused it each time."""
        [name] = [name async for name in self.redis.scan_iter(keys.run("*"))] or [""]
        asks, refusals = await self.redis.hmget(name, ["asks", "refusals"])
        return bool(asks) and asks == refusals

    async def _state_of(self, message: Message) -> str:
        """The state the record comes to have; it is written right after the message."""
        while True:
            state = str(await self.redis.hget(keys.run(run_of(message)), "state"))
            if State(state).is_final:
                return state


def run_of(message: Message) -> str:
    """The run a reply stands for."""
    buttons = [b for block in message.blocks or [] if block["type"] == "actions" for b in block["elements"]]
    [run_id] = [str(button["value"]) for button in buttons if button["action_id"] == "run_again"]
    return run_id


@asynccontextmanager
async def desk(key: str, valkey_url: str, **settings: Any) -> AsyncIterator[Desk]:
    """A bot in this process whose default agent is `key`."""
    async with AsyncExitStack() as stack:
        workspace = Workspace(rates=NO_LIMITS)
        das, rds = SimulatedDas(pace=0), SimulatedRds(pace=0)
        for double in (workspace, das, rds):
            await double.start()
            stack.push_async_callback(double.stop)
        redis = Redis.from_url(valkey_url, decode_responses=True)
        stack.push_async_callback(redis.aclose)
        given = Settings(
            slack_bot_token=SecretStr(workspace.bot_token),
            slack_app_token=SecretStr(workspace.app_token),
            slack_api_url=workspace.api_url,
            das_endpoint=das.url,
            rds_endpoint=rds.url,
            default_agent=key,
            redis_url=valkey_url,
            host="127.0.0.1",
            port=0,
            drain_seconds=0,
            **settings,
        )
        credentials = StaticCredentials(Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret))
        await stack.enter_async_context(started(given, credentials))
        await workspace.connected()
        yield Desk(key, workspace, rds if key == "rds" else das, redis)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries, and Slack's pace, are tested elsewhere."""
    monkeypatch.setattr("bot.slack.lane.SHARE", 1e6)
    monkeypatch.setattr("bot.slack.lane.SPREAD_SECONDS", 1e-3)
    monkeypatch.setattr("bot.slack.reply.writer.GAP_SECONDS", 0.0)
    monkeypatch.setattr("bot.upstream.wire.BACKOFF", 0.001)
    monkeypatch.setattr("bot.upstream.rds_recovery.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("bot.upstream.rds_recovery.SETTLES_WITHIN", 0.02)
    monkeypatch.setattr("bot.upstream.rds_recovery.MISSING_WITHIN", 0.3)
    monkeypatch.setattr("bot.relay.asking.BUSY_SECONDS", 0.001)
    monkeypatch.setattr("bot.relay.worker.READ_MS", 20)


async def check(at: Desk, case: Case) -> None:
    at.service.next_faults.extend([case.faults] * case.times)
    state, message, thread_ts = await at.ask()
    at.service.next_faults.clear()
    expected, says = case.rds if case.rds and at.key == "rds" else (case.state, case.says)
    says = SAID[says][at.key] if says in SAID else says
    shown = f"{message.text} {message.blocks}"
    assert (state, says in shown) == (expected, True), f"{state}: {shown[:1500]}"
    assert len(at.replies(thread_ts)) == 1
    assert "run_stop" not in shown and "Traceback" not in shown
    if state == "failed":
        assert message.blocks and any(block["type"] == "alert" for block in message.blocks)


@pytest.mark.parametrize("key", SERVICES)
async def test_every_fault_ends_in_a_true_state(key: str, valkey_url: str, subtests: pytest.Subtests) -> None:
    async with desk(key, valkey_url) as at:
        for case in PATIENT:
            with subtests.test(fault=case.name):
                await check(at, case)
        asked = [r for r in at.service.requests if r.action in ("Chat", "GetDasAgentSSE", "ChatMessages")]
        begun = [r for r in asked if r.outcome != "refused"]
        # What had begun was asked once; only a 5xx, and what is busy, is asked again.
        answers = [case for case in PATIENT if case.faults.refuse is None or case.state == ANSWERED]
        assert len(begun) == len(answers)


@pytest.mark.parametrize("key", SERVICES)
async def test_what_never_ends_is_given_up(key: str, valkey_url: str, subtests: pytest.Subtests) -> None:
    """Short patience stands for the long one: half a second of silence, and two for the whole run."""
    patience: dict[str, Any] = {}
    for service in ("das", "rds"):
        patience |= {f"{service}_silence_seconds": 0.5, f"{service}_deadline_minutes": 2 / 60}
    async with desk(key, valkey_url, **patience) as at:
        for case in IMPATIENT:
            with subtests.test(fault=case.name):
                await check(at, case)


@pytest.mark.parametrize("lost", [1, 2])
async def test_of_two_who_asked_the_same_words_nobody_gets_the_other_s_answer(
    lost: int, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one lost answer it is known which it is, because the other is known; of two neither is."""
    both, ask = asyncio.Barrier(2), RdsCopilot.ask

    @asynccontextmanager
    async def at_once(copilot: RdsCopilot, question: Ask) -> AsyncIterator[AsyncIterator[Event]]:
        await both.wait()
        async with ask(copilot, question) as events:
            yield events

    monkeypatch.setattr(RdsCopilot, "ask", at_once)
    if lost == 1:
        # However long the other's first frame takes here.
        monkeypatch.setattr("bot.upstream.rds_recovery.MISSING_WITHIN", 60)
    async with desk("rds", valkey_url, rds_concurrency=2) as at:
        at.service.concurrency = 2
        at.service.next_faults.extend([Faults(cut_after=0, cut_with="rst")] * lost)
        ended = await asyncio.gather(at.ask(), at.ask())
        states = [state for state, _, _ in ended]
        if lost == 2:
            assert states == ["failed", "failed"]
            assert all(BROKE in message.text for _, message, _ in ended)
            return
        assert states == [ANSWERED, ANSWERED]
        runs = [run_of(message) for _, message, _ in ended]
        known = {str(await at.redis.hget(keys.run(run), "session_id")) for run in runs}
        asked = {request.session_id for request in at.service.requests if request.action == "ChatMessages"}
        assert known == asked and len(asked) == 2


@pytest.mark.parametrize("code", sorted(BUSY))
@pytest.mark.parametrize("key", SERVICES)
async def test_a_busy_service_answers_later(key: str, code: str, valkey_url: str) -> None:
    async with desk(key, valkey_url) as at:
        at.service.next_faults.extend([Faults(refuse=BUSY[code])] * 7)
        state, message, thread_ts = await at.ask()
        assert state == ANSWERED and CONCLUSION[key] in str(message.blocks)
        assert len(at.replies(thread_ts)) == 1


@pytest.mark.parametrize("key", SERVICES)
async def test_stopped_between_two_tries_nothing_ran(
    key: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause between tries is as good as any other wait: the service has refused, and is not asked again."""
    monkeypatch.setattr("bot.upstream.wire.BACKOFF", 10.0)
    async with desk(key, valkey_url) as at:
        at.service.next_faults.append(Faults(refuse=BUSY["TooManyRequests"]))
        ts = at.workspace.say(ANA, OPS, f"<@{BOT_USER_ID}> {QUESTION}")
        async with asyncio.timeout(10):
            while not await at.refused():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        at.workspace.say(ANA, OPS, "stop", thread_ts=ts)
        await at.workspace.until(lambda: "run_again" in str(at.replies(ts)[-1].blocks))
        assert "before it was asked; nothing ran" in str(at.replies(ts)[-1].blocks)
        assert len(at.service.requests) == 1


@pytest.mark.parametrize("key", SERVICES)
async def test_a_forgotten_session_is_begun_anew(key: str, valkey_url: str) -> None:
    async with desk(key, valkey_url) as at:
        _, _, thread_ts = await at.ask()
        at.service.next_faults.append(Faults(session_expired=True))
        state, message, _ = await at.ask("and yesterday?", thread_ts)
        assert state == ANSWERED
        assert "had forgotten" in str(message.blocks)
