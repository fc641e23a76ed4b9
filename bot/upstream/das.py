"""DAS Agent as a backend: one signed POST per question, answered by a stream of events.

Retries only while nothing can have begun upstream; once a 2xx has arrived the question is never sent again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import httpx

from bot.model.event import Event
from bot.upstream.acs3 import SignedRequest, encode_params, sign, split_endpoint
from bot.upstream.credentials import CredentialsSource
from bot.upstream.das_reader import DasReader
from bot.upstream.errors import UpstreamError
from bot.upstream.refusals import MESSAGE_LIMIT, may_retry, read_refusal
from bot.upstream.sse import DEFAULT_LIMITS, STRAY_LIMIT, Limits

ENDPOINT = "https://das.cn-shanghai.aliyuncs.com"
"""The service is central: this endpoint serves instances of every region."""

ACTION = "Chat"
VERSION = "2020-01-16"
USER_AGENT = "das-bot"

QUESTION_LIMIT = 32_000
"""Characters of a question the service takes."""

FORM_ABOVE = 6_000
"""Bytes of target above which the parameters go as a form body; gateways refuse long request lines."""

TRIES = 3
RETRY_WITHIN = 20.0
"""Seconds after which no other try begins: somebody is waiting in a thread."""
BACKOFF = 1.0
"""Seconds before the second try at most; four times that before the third."""

ECHO = 20
ECHO_LEAST = 4
"""Characters at the start of a question that show it was echoed; fewer would be found by chance."""

NO_STREAM = ("json", "xml", "html")
"""In a content type, these mean an error body even with status 200."""

TRANSPORT_LOGGERS = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a run is given up, by what it waits for."""

    connect: float = 10.0
    silence: float = 300.0
    """Without a byte, before or within the stream; a diagnosis is silent for minutes."""
    run: float = 1800.0
    """For the whole run; Alibaba's own client allows a diagnosis as much."""
    after_end: float = 2.0
    """After the run's end, for the cost, which may come late."""


DEFAULT_TIMEOUTS = Timeouts()


class DasChat:
    """The backend that asks DAS Agent's Chat. Safe to share between runs; each run has its own connection.

    Args:
        credentials: asked for every request.
        endpoint: scheme and host, another one for tests and the demo.
        sleep, jitter: how to wait between tries, and a number in [0, 1) to spread the tries of many.

    Raises:
        ValueError: the endpoint is not one.
    """

    name = "DAS Agent"

    def __init__(
        self,
        credentials: CredentialsSource,
        *,
        endpoint: str = ENDPOINT,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        limits: Limits = DEFAULT_LIMITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        split_endpoint(endpoint)
        self._credentials = credentials
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._limits = limits
        self._sleep = sleep
        self._jitter = jitter
        _keep_targets_out_of_logs()
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeouts.silence, connect=timeouts.connect),
            # No kept connections: a stale one breaks in a way that cannot be told from a begun run.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            # A compressing proxy would hold events back to fill its blocks.
            headers={"accept-encoding": "identity"},
        )

    @asynccontextmanager
    async def ask(
        self, question: str, *, session_id: str, agent_id: str = ""
    ) -> AsyncGenerator[AsyncIterator[Event], None]:
        """Ask, and read what happens; see `bot.upstream.backend.Backend.ask`.

        Args:
            question: up to 32,000 characters.
            session_id: a UUID, the same for all questions of a thread.
            agent_id: "ag-…", empty for the account's default agent.
        """
        if len(question) > QUESTION_LIMIT:
            raise UpstreamError("QuestionTooLong", f"{len(question)} characters, {QUESTION_LIMIT} allowed")
        deadline = _now() + self._timeouts.run
        params = chat_params(question, session_id=session_id, agent_id=agent_id, message_id=str(uuid.uuid4()))
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._open(params)
        except UpstreamError as error:
            error.message = _without(question, error.message)
            raise
        except TimeoutError as error:
            raise _transport_error(error, begun=False) from None
        try:
            async with aclosing(self._events(response, deadline, question)) as events:
                yield events
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _open(self, params: dict[str, str | None]) -> httpx.Response:
        """Send until a stream opens, or until another try is pointless, forbidden or too late."""
        began = _now()
        for attempt in range(1, TRIES + 1):
            try:
                return await self._send_once(params)
            except UpstreamError as error:
                pause = BACKOFF * 4 ** (attempt - 1) * (0.5 + self._jitter() / 2)
                pause = max(pause, error.retry_after or 0.0)
                late = _now() - began + pause > RETRY_WITHIN
                if attempt == TRIES or late or not may_retry(error):
                    raise
            await self._sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _send_once(self, params: dict[str, str | None]) -> httpx.Response:
        signed = await self._sign(params)
        try:
            request = self._http.build_request(
                signed.method, signed.url, headers=signed.headers, content=signed.body
            )
            response = await self._http.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise _transport_error(error, begun=False) from None
        content_type = response.headers.get("content-type", "").lower()
        if response.is_success and not any(word in content_type for word in NO_STREAM):
            return response
        try:
            body = await _read_start(response)
        except httpx.HTTPError:
            body = b""  # The status alone still says what happened.
        finally:
            await response.aclose()
        raise read_refusal(response.status_code, response.headers, body)

    async def _sign(self, params: dict[str, str | None]) -> SignedRequest:
        return sign(
            endpoint=self._endpoint,
            action=ACTION,
            version=VERSION,
            params=params,
            credentials=await self._credentials.get(),
            user_agent=USER_AGENT,
            date=datetime.now(UTC),
            nonce=secrets.token_hex(16),
            form=len(encode_params(params)) + len("/?") > FORM_ABOVE,
        )

    async def _events(
        self, response: httpx.Response, deadline: float, question: str
    ) -> AsyncGenerator[Event, None]:
        reader = DasReader(self._limits)
        try:
            async with aclosing(self._chunks(response, reader, deadline)) as chunks:
                async for chunk in chunks:
                    for event in reader.feed(chunk):
                        yield event
            for event in reader.close():
                yield event
        except UpstreamError as error:
            error.message = _without(question, error.message)
            raise

    async def _chunks(
        self, response: httpx.Response, reader: DasReader, deadline: float
    ) -> AsyncGenerator[bytes, None]:
        """The bytes, up to the end of the stream or until nothing more is worth waiting for."""
        until = deadline
        async with aclosing(_bytes_of(response)) as arriving:
            while not reader.complete:
                was_ended = reader.ended
                try:
                    async with asyncio.timeout_at(until):
                        chunk = await anext(arriving, None)
                except (TimeoutError, httpx.HTTPError) as error:
                    if was_ended:
                        return
                    raise _transport_error(error, begun=True) from None
                if chunk is None:
                    return
                yield chunk
                if reader.ended and not was_ended:
                    until = min(deadline, _now() + self._timeouts.after_end)


def chat_params(question: str, *, session_id: str, agent_id: str, message_id: str) -> dict[str, str | None]:
    """The parameters of Chat. Without Summary the service names neither the session nor the cost."""
    message = {"id": message_id, "role": "user", "content": [{"type": "text", "text": question}]}
    return {
        "AgentId": agent_id or None,
        "Message": json.dumps(message, ensure_ascii=False, separators=(",", ":")),
        "SessionId": session_id,
        "Summary": "true",
    }


async def _bytes_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for chunk in response.aiter_bytes():
        yield chunk


async def _read_start(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= STRAY_LIMIT:
            break
    return body[:STRAY_LIMIT]


def _transport_error(error: Exception, *, begun: bool) -> UpstreamError:
    words = f"{type(error).__name__}: {error}"[:MESSAGE_LIMIT]
    match error:
        case httpx.ReadTimeout():
            return UpstreamError("Silence", words, begun=begun)
        case httpx.LocalProtocolError() | UnicodeEncodeError():
            # Its words quote the header that cannot be sent, which may be the token.
            return UpstreamError("Credentials", "a header cannot be sent; is there a line break in the key?")
        case TimeoutError():
            return UpstreamError("Deadline", "the run took longer than allowed", begun=begun)
        case (
            httpx.ConnectError()
            | httpx.ConnectTimeout()
            | httpx.ProxyError()
            | httpx.UnsupportedProtocol()
            | httpx.InvalidURL()
        ):
            return UpstreamError("Connect", words)
        case _:
            # Broken after the request was on its way: the service may have it.
            return UpstreamError("Cut", words, begun=begun)


def _without(question: str, message: str) -> str:
    """The service's words up to where they echo the question, in any of the forms it was sent in."""
    opening = question[:ECHO]
    if len(opening.strip()) < ECHO_LEAST:
        return message
    forms = (
        opening,
        " ".join(opening.split()),
        quote(opening),
        quote_plus(opening),
        json.dumps(opening)[1:-1],
    )
    found = [at for at in (message.find(form) for form in forms) if at >= 0]
    return f"{message[: min(found)]}…" if found else message


def _now() -> float:
    return asyncio.get_running_loop().time()


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def _keep_targets_out_of_logs() -> None:
    """httpx logs the URL of every request, and ours holds the question.

    A filter, not a level: levels are set again by whoever configures logging. One per logger, because a
    filter on a parent does not see its children's records.
    """
    for name in TRANSPORT_LOGGERS:
        logger = logging.getLogger(name)
        if _only_warnings not in logger.filters:
            logger.addFilter(_only_warnings)
