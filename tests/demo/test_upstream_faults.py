"""Every fault of every simulated service, as it is on the wire."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from bot.demo.das import DEMO_CREDENTIAL, Faults, Refusal, SimulatedDas
from bot.demo.rds import SimulatedRds
from bot.demo.upstream.faults import BUSY
from bot.upstream.acs3 import Credentials, sign

QUESTION = "why is rm-bp1abc slow?"
CHAT, LEGACY, RDS = "Chat", "GetDasAgentSSE", "ChatMessages"
ENDS = {
    CHAT: b'{"Type":"RUN_FINISHED"',
    LEGACY: b'"Event":"summary"}',
    RDS: b'"Event":"message_end"',
}
Service = SimulatedDas | SimulatedRds


class Reply(NamedTuple):
    """An answer as its bytes came. `end` is "end", "fin" or "rst"; `chunks` are HTTP's, as sent."""

    status: int
    content_type: str
    chunks: list[bytes]
    end: str

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


@pytest.fixture(params=[CHAT, LEGACY, RDS])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """One of the services; `action` is how it is asked."""
    double = SimulatedRds(pace=0, seed=7) if request.param == RDS else SimulatedDas(pace=0, seed=7)
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
def action(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["service"])


def parameters(action: str, question: str, session: str = "") -> dict[str, str]:
    if action == CHAT:
        parts = [{"type": "text", "text": question}]
        said = json.dumps({"id": str(uuid.uuid4()), "role": "user", "content": parts})
        return {"Message": said, "SessionId": session}
    if action == LEGACY:
        return {"Query": question, "SessionId": session}
    return {"Query": question, "ConversationId": session, "EventMode": "separate"}


def request(service: Service, action: str, params: dict[str, str]) -> bytes:
    signed = sign(
        endpoint=service.url,
        action=action,
        version=service.version,
        params=params,
        credentials=Credentials(DEMO_CREDENTIAL.key_id, DEMO_CREDENTIAL.secret),
        user_agent="test",
        date=datetime.now(UTC),
        nonce=uuid.uuid4().hex,
    )
    lines = [f"POST {signed.url.removeprefix(service.url)} HTTP/1.1", "content-length: 0"]
    lines += [f"{name}: {value}" for name, value in signed.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def connect(
    service: Service, action: str, question: str, session: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    writer.write(request(service, action, parameters(action, question, session)))
    return reader, writer


async def ask(service: Service, action: str, question: str = QUESTION, session: str = "") -> Reply:
    reader, writer = await connect(service, action, question, session)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
    status, kind = int(head.split()[1]), headers["content-type"]
    if "content-length" in headers:
        chunks, end = [await reader.readexactly(int(headers["content-length"]))], "end"
    else:
        chunks, end = await read_chunks(reader)
    writer.close()
    return Reply(status, kind, chunks, end)


async def read_chunks(reader: asyncio.StreamReader) -> tuple[list[bytes], str]:
    chunks: list[bytes] = []
    try:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            chunks.append((await reader.readexactly(size + 2))[:-2])
    except asyncio.IncompleteReadError:
        return chunks, "fin"
    except ConnectionResetError:
        return chunks, "rst"
    return chunks, "end"


def blocks(body: bytes) -> list[str]:
    """What stands between blank lines."""
    return body.decode().replace("\r\n", "\n").removesuffix("\n\n").split("\n\n")


def frames(body: bytes) -> list[dict[str, Any]]:
    """The frames that are JSON objects."""
    found = []
    for block in blocks(body):
        try:
            found.append(json.loads(block.partition(":")[2]))
        except ValueError:
            continue
    return [frame for frame in found if isinstance(frame, dict)]


def said(body: bytes) -> str:
    """The text of the answer, whichever service gave it."""
    found = frames(body)
    users = {frame["MessageId"] for frame in found if frame.get("Role") == "user"}
    return "".join(
        frame.get("Delta", frame.get("Answer", ""))
        for frame in found
        if frame.get("Type", frame.get("Event")) in ("TEXT_MESSAGE_CONTENT", "agent_message", "message")
        and (frame.get("MessageId") not in users)
    )


def ids_off(text: str) -> str:
    return "".join(letter for letter in text if not letter.isdigit())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in another task's I/O
            await asyncio.sleep(0)


async def test_without_faults_a_stream_is_whole(service: Service, action: str) -> None:
    reply = await ask(service, action)
    assert (reply.status, reply.content_type, reply.end) == (200, "text/event-stream;charset=utf-8", "end")
    assert ENDS[action] in reply.body
    assert (b"data:[DONE]" in reply.body) == (action == CHAT)
    prefix = b"data: {" if action == RDS else b"data:{"
    assert all(block.startswith(prefix.decode()) for block in blocks(reply.body) if "[DONE]" not in block)
    assert "rm-bp1abc" in said(reply.body)
    assert service.requests[-1].outcome == "finished"
    assert service.open_now == 0


FORMS = {
    "json": ("application/json;charset=utf-8", '{"RequestId"'),
    "lower": ("application/json;charset=utf-8", '{"requestId"'),
    "xml": ("text/xml;charset=utf-8", "<?xml"),
    "html": ("text/html", "<html>"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [200, 400, 403, 500, 503])
async def test_refusals_in_every_form(service: Service, action: str, form: Any, status: int) -> None:
    service.next_faults.append(Faults(refuse=Refusal(status, "NoPermission", "Not <allowed>.", form)))
    reply = await ask(service, action)
    content_type, start = FORMS[form]
    assert (reply.status, reply.content_type) == (status, content_type)
    assert reply.body.decode().startswith(start)
    assert (service.requests[-1].outcome, service.requests[-1].code) == ("refused", "NoPermission")
    assert (await ask(service, action)).status == 200, "the next request is served"


@pytest.mark.parametrize("code", BUSY)
async def test_busy_in_every_wording(service: Service, action: str, code: str) -> None:
    service.faults = Faults(refuse=BUSY[code])
    reply = await ask(service, action)
    assert (reply.status, json.loads(reply.body)["Code"]) == (BUSY[code].status, code)
    assert service.open_now == 0


@pytest.mark.parametrize("after", [0, 7, 10_000])
@pytest.mark.parametrize("how", ["end", "fin", "rst"])
async def test_cut(service: Service, action: str, after: int, how: Any) -> None:
    service.next_faults.append(Faults(cut_after=after, cut_with=how))
    reply = await ask(service, action)
    assert reply.status == 200
    assert reply.end == how
    assert ENDS[action] not in reply.body
    assert service.requests[-1].outcome == "cut"
    sent = service.requests[-1].frames_sent
    # So many frames no answer has: it is cut right before its end.
    assert sent == after if after < 10_000 else 20 < sent < 10_000
    if how != "rst":  # a reset may destroy what was on its way
        assert len(reply.chunks) == sent


async def test_silence_lasts_until_it_is_ended(service: Service, action: str) -> None:
    service.next_faults.append(Faults(silent_after=5))
    task = asyncio.create_task(ask(service, action))
    await until(lambda: service.runs and service.runs[0].frames_sent == 5)
    for _ in range(100):
        await asyncio.sleep(0)
    assert service.runs[0].frames_sent == 5
    assert service.runs[0].outcome == "running"
    service.resume()
    assert ENDS[action] in (await task).body


async def test_the_agent_itself_hangs(service: Service, action: str) -> None:
    service.next_faults.append(Faults(hang_after=5))
    task = asyncio.create_task(ask(service, action))
    await until(lambda: service.runs and service.runs[0].frames_sent == 5)
    assert service.open_now == 1
    service.resume()
    assert ENDS[action] in (await task).body
    assert service.open_now == 0


async def test_heartbeats_for_ever(service: Service, action: str) -> None:
    service.next_faults.append(Faults(endless_after=3, endless_every=0.0001))
    reader, writer = await connect(service, action, QUESTION)
    await reader.readuntil(b"\r\n\r\n")
    chunks = []
    for _ in range(200):
        size = int(await reader.readuntil(b"\r\n"), 16)
        chunks.append((await reader.readexactly(size + 2))[:-2])
    assert len(set(chunks[3:])) == 1
    assert len(frames(chunks[3])) == 1
    writer.close()
    await until(lambda: service.runs[0].outcome == "left")


@pytest.mark.parametrize("count", [3, 25])
async def test_malformed_frames(service: Service, action: str, count: int) -> None:
    service.faults = Faults(malformed_after=4, malformed_count=count)
    reply = await ask(service, action)
    broken = []
    for number, block in enumerate(blocks(reply.body)):
        try:
            if "[DONE]" not in block:
                json.loads(block.partition(":")[2])
        except ValueError:
            broken.append(number)
    assert broken == list(range(4, 4 + count))
    assert ENDS[action] in reply.body


@pytest.mark.parametrize(
    ("faults", "inserted"),
    [
        (Faults(unknown_frames=True), ("STATE_DELTA", "agent_plan", "agent_log")),
        (Faults(empty_data=True), ("data:", "data: ")),
        (Faults(comments=True), (": keep-alive", "event: ping")),
    ],
    ids=["unknown", "empty", "comments"],
)
async def test_what_means_nothing_stands_between_the_frames(
    service: Service, action: str, faults: Faults, inserted: tuple[str, ...]
) -> None:
    plain = said((await ask(service, action)).body)
    service.faults = faults
    reply = await ask(service, action)
    noise = [
        block for block in blocks(reply.body) if block in inserted or any(f'"{n}"' in block for n in inserted)
    ]
    rest = len(blocks(reply.body)) - len(noise)
    assert len(noise) >= rest - 1
    assert ids_off(said(reply.body)) == ids_off(plain)


@pytest.mark.parametrize("size", [1_000_000, 10_000_000])
async def test_huge_frame(service: Service, action: str, size: int) -> None:
    service.faults = Faults(huge_frame_chars=size)
    reply = await ask(service, action)
    lengths = [len(block) for block in blocks(reply.body)]
    assert size < lengths[1] < size + 1000
    assert max(lengths[2:]) < size
    assert frames(reply.body)[1]
    assert ENDS[action] in reply.body


async def test_spelling(service: Service, action: str) -> None:
    service.faults = Faults(chunk_bytes=1, crlf=True, bom=True)
    reply = await ask(service, action, "rm-bp1abc 为什么这么慢？")
    assert set(map(len, reply.chunks)) == {1}
    assert reply.body.startswith(b"\xef\xbb\xbfdata:")
    assert reply.body.count(b"\n") == reply.body.count(b"\r\n") > 20
    assert "索引" in said(reply.body.removeprefix(b"\xef\xbb\xbf"))


async def test_the_end_and_done_can_be_left_out_or_added(service: Service, action: str) -> None:
    service.faults = Faults(no_end=True)
    reply = await ask(service, action)
    assert reply.end == "end"
    assert ENDS[action] not in reply.body
    assert b"[DONE]" not in reply.body
    for done in (True, False):
        service.faults = Faults(done=done)
        reply = await ask(service, action)
        assert ENDS[action] in reply.body
        assert (blocks(reply.body)[-1].removeprefix("data:").strip() == "[DONE]") == done


def failure(action: str, frame: dict[str, Any]) -> tuple[Any, ...]:
    if action == LEGACY:
        return frame["Event"], frame["Metadata"]["Code"]
    if action == RDS:
        return frame["Event"], frame.get("code", "")
    return frame["Type"], frame["Value"]["Code"] if "Value" in frame else frame["Code"]


@pytest.mark.parametrize("after", [6, 10_000])
async def test_errors_midway(service: Service, action: str, after: int) -> None:
    expected = {
        CHAT: (("CUSTOM", -1810006), ("RUN_ERROR", "-1810001")),
        LEGACY: (("error", "-1810006"), ("error", "AgentRunAborted")),
        RDS: (("error", "InternalError"), ("MysqlIOException", "")),
    }[action]
    for faults, wanted in zip(
        (Faults(error_after=after), Faults(exception_after=after)), expected, strict=True
    ):
        service.faults = faults
        reply = await ask(service, action)
        found = frames(reply.body)
        assert failure(action, found[-1]) == wanted
        assert ENDS[action] not in reply.body
        assert b"[DONE]" not in reply.body
        if after == 6:
            assert len(found) == 7
    service.faults = Faults(error_after=2, error_code="Timeout")
    assert failure(action, frames((await ask(service, action)).body)[-1])[1] == "Timeout"


def session_of(service: Service) -> str:
    return service.requests[-1].session_id


async def test_sessions_expire_or_are_replaced(service: Service, action: str) -> None:
    await ask(service, action)
    session = session_of(service)
    assert "above" in said((await ask(service, action, "is it safe?", session)).body)
    service.next_faults.append(Faults(session_expired=True))
    refused = await ask(service, action, "is it safe?", session)
    code = json.loads(refused.body)["Code"]
    assert (refused.status, code) == (
        (404, "ConversationNotFound") if action == RDS else (400, "SessionExpired")
    )
    await ask(service, action)
    session = session_of(service)
    service.next_faults.append(Faults(session_replaced=True))
    assert "above" not in said((await ask(service, action, "is it safe?", session)).body)
    assert session_of(service) != session
    if action != CHAT:
        return
    found = frames((await ask(service, action)).body)
    assert found[0]["ThreadId"] == session_of(service)


@pytest.mark.parametrize("word", ["demo:cut", "demo:error", "demo:busy"])
async def test_words_in_a_question(service: Service, action: str, word: str) -> None:
    reply = await ask(service, action, f"hello {word}")
    assert reply.status == (429 if word == "demo:busy" else 200)
    assert ENDS[action] not in reply.body
    assert reply.end == ("fin" if word == "demo:cut" else "end")
