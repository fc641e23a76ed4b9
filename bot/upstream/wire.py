"""Calls an Alibaba Cloud service: one signed POST per call, answered by a stream of events or by JSON.

What all backends share is here. A call is sent again only while nothing can have begun upstream: once a 2xx
stream has opened, the question is never sent a second time.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, TypeVar

import httpx

from bot import metrics
from bot.model.event import Event
from bot.upstream.acs3 import SignedRequest, encode_params, sign, split_endpoint
from bot.upstream.credentials import CredentialsSource
from bot.upstream.errors import LOST, UpstreamError
from bot.upstream.reader import EventReader, Frames
from bot.upstream.refusals import has_refused, may_retry, read_refusal
from bot.upstream.sse import DEFAULT_LIMITS, STRAY_LIMIT, Limits
from bot.upstream.transport import keep_targets_out_of_logs, transport_error, without

USER_AGENT = "das-bot"

TRIES = 3
RETRY_WITHIN = 20.0
"""Seconds after which no other try begins: somebody is waiting in a thread."""
BACKOFF = 1.0
"""Seconds before the second try at most; four times that before the third."""

TARGET_REFUSED = frozenset({414, 431})
"""A gateway's words for a request line that is too long; nothing has begun then."""

NO_STREAM = ("json", "xml", "html")
"""In a content type, these mean an error body even with status 200."""

PERMISSION = re.compile(r"permission|forbidden", re.IGNORECASE)

Params = Mapping[str, str | None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """What a call of a service is addressed to.

    Attributes:
        product: its name in RAM actions ("hdm").
        version: of its API, as "2020-01-16".
        form_above: bytes of target above which the parameters go as a form body instead of in the query; None when
            they go there only after a gateway refused the target as too long.
    """

    product: str
    version: str
    form_above: int | None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a call is given up, by what it waits for."""

    connect: float = 10.0
    silence: float = 300.0
    """Without a byte, before or within the stream; a diagnosis is silent for minutes."""
    run: float = 1800.0
    """For the whole run; Alibaba's own client allows a diagnosis as much."""
    after_end: float = 2.0
    """After the run's end, for the cost, which may come late."""
    call: float = 10.0
    """For one try of a call that is answered by JSON."""


DEFAULT_TIMEOUTS = Timeouts()
_LEAVING = "http11.send_request_headers.started"
"""The event of httpx's "trace" extension between the connection and the first byte of the request."""


class Options(TypedDict, total=False):
    """What every backend can be given beside its credentials and endpoint.

    `sleep` and `jitter` are how to wait between tries, and a number in [0, 1) to spread the tries of many.
    """

    timeouts: Timeouts
    limits: Limits
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]


class Wire:
    """A service's client. Safe to share between runs; each call has its own connection.

    Args:
        credentials: asked for every request.
        endpoint: scheme and host.

    Raises:
        ValueError: the endpoint is not one.
    """

    def __init__(
        self,
        service: Service,
        credentials: CredentialsSource,
        endpoint: str,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        limits: Limits = DEFAULT_LIMITS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        split_endpoint(endpoint)
        self._service = service
        self._credentials = credentials
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._limits = limits
        self._sleep = sleep
        self._jitter = jitter
        keep_targets_out_of_logs()
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeouts.silence, connect=timeouts.connect),
            # No kept connections: a stale one breaks in a way that cannot be told from a begun run.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            # A compressing proxy would hold events back to fill its blocks.
            headers={"accept-encoding": "identity"},
        )

    @asynccontextmanager
    async def stream(
        self,
        action: str,
        params: Params,
        frames: Frames,
        *,
        text: str,
        pause: Callable[[float], Awaitable[None]] | None = None,
        leaving: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncGenerator[AsyncIterator[Event], None]:
        """Call, and read the events of the answer; see `bot.upstream.backend.Backend.ask`.

        Args:
            frames: reads this stream's frames.
            text: what the asker wrote, to be kept out of errors.
            pause, leaving: how to wait between tries, and who has the last word before each; see
                `bot.upstream.backend.Ask`.
        """

        async def once(form: bool) -> httpx.Response:
            return await self._open(action, params, form, leaving)

        deadline = _now() + self._timeouts.run
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._tries(once, params, pause)
        except UpstreamError as error:
            error.message = without(text, error.message)
            raise
        except TimeoutError as error:
            raise transport_error(error, begun=False) from None
        try:
            async with aclosing(self._events(action, response, frames, deadline, text)) as events:
                yield events
        finally:
            await _close(response)

    async def call(self, action: str, params: Params, *, text: str = "") -> dict[str, Any]:
        """Call, and return the JSON object it is answered with.

        Args:
            text: what a person wrote among the parameters, to be kept out of errors.

        Raises:
            UpstreamError: when the service refuses, cannot be reached or does not answer in time.
        """
        try:
            return await self._tries(lambda form: self._answer(action, params, form), params)
        except UpstreamError as error:
            error.message = without(text, error.message)
            raise

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _tries(
        self,
        once: Callable[[bool], Awaitable[T]],
        params: Params,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> T:
        """Try until it works, or until another try is pointless, forbidden or too late."""
        began = _now()
        longest = self._service.form_above
        form = longest is not None and len(encode_params(params)) + len("/?") > longest
        for attempt in range(1, TRIES + 1):
            try:
                return await once(form)
            except UpstreamError as error:
                too_long = error.status in TARGET_REFUSED and not form
                pause = 0.0 if too_long else BACKOFF * 4 ** (attempt - 1) * (0.5 + self._jitter() / 2)
                pause = max(pause, error.retry_after or 0.0)
                late = _now() - began + pause > RETRY_WITHIN
                if attempt == TRIES or late or not (too_long or may_retry(error)):
                    raise
                form = form or too_long
            await (sleep or self._sleep)(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _open(
        self, action: str, params: Params, form: bool, leaving: Callable[[], Awaitable[None]] | None
    ) -> httpx.Response:
        response = await self._send(action, params, form, leaving)
        content_type = response.headers.get("content-type", "").lower()
        if response.is_success and not any(word in content_type for word in NO_STREAM):
            return response  # What becomes of it is counted at its end.
        metrics.UPSTREAM_CALLS.labels(action, str(response.status_code)).inc()
        try:
            body = await _read_and_close(response, STRAY_LIMIT)
        except httpx.HTTPError:
            body = b""  # The status alone still says what happened.
        raise self._refusal(action, response, body)

    async def _answer(self, action: str, params: Params, form: bool) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeouts.call):
                response = await self._send(action, params, form)
                metrics.UPSTREAM_CALLS.labels(action, str(response.status_code)).inc()
                body = await _read_and_close(response, self._limits.stream)
        except httpx.HTTPError as error:
            raise transport_error(error, begun=False) from None
        except TimeoutError:
            raise UpstreamError("Timeout", f"no answer within {self._timeouts.call:g} s") from None
        if response.is_success:
            fields = _object(body)
            if fields is not None and not has_refused(fields):
                return fields
        raise self._refusal(action, response, body[:STRAY_LIMIT])

    async def _send(
        self, action: str, params: Params, form: bool, leaving: Callable[[], Awaitable[None]] | None = None
    ) -> httpx.Response:
        signed = await self._sign(action, params, form)

        async def trace(event: str, _: object) -> None:
            if leaving and event == _LEAVING:
                await leaving()

        try:
            request = self._http.build_request(
                signed.method,
                self._endpoint,
                headers=signed.headers,
                content=signed.body,
                # Sent as it was signed; in the URL, httpx would take 64 KB at most.
                extensions={"target": signed.target.encode("ascii"), "trace": trace},
            )
            return await self._http.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            failure = transport_error(error, begun=False)
            metrics.UPSTREAM_CALLS.labels(action, failure.code).inc()
            raise failure from None

    async def _sign(self, action: str, params: Params, form: bool) -> SignedRequest:
        return sign(
            endpoint=self._endpoint,
            action=action,
            version=self._service.version,
            params=params,
            credentials=await self._credentials.get(),
            user_agent=USER_AGENT,
            date=datetime.now(UTC),
            nonce=secrets.token_hex(16),
            form=form,
        )

    def _refusal(self, action: str, response: httpx.Response, body: bytes) -> UpstreamError:
        error = read_refusal(response.status_code, response.headers, body)
        if not error.action and (error.status == 403 or PERMISSION.search(error.code)):
            error.action = f"{self._service.product}:{action}"
        return error

    async def _events(
        self, action: str, response: httpx.Response, frames: Frames, deadline: float, text: str
    ) -> AsyncGenerator[Event, None]:
        reader, result = EventReader(frames, self._limits), "Left"
        try:
            async with aclosing(self._chunks(response, reader, deadline)) as chunks:
                async for chunk in chunks:
                    for event in reader.feed(chunk):
                        yield event
            for event in reader.close():
                yield event
            result = "RunError" if reader.failed else str(response.status_code)
        except UpstreamError as error:
            error.message = without(text, error.message)
            # A code of the service's own is no label: there may be any number of them.
            result = error.code if error.code in LOST else "RunError"
            raise
        finally:
            metrics.UPSTREAM_CALLS.labels(action, result).inc()

    async def _chunks(
        self, response: httpx.Response, reader: EventReader, deadline: float
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
                    if was_ended or reader.paused:
                        return
                    raise transport_error(error, begun=True) from None
                if chunk is None:
                    return
                yield chunk
                if reader.ended and not was_ended:
                    until = min(deadline, _now() + self._timeouts.after_end)


async def _bytes_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for chunk in response.aiter_bytes():
        yield chunk


async def _read_and_close(response: httpx.Response, limit: int) -> bytes:
    """The body's first bytes."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for chunk in response.aiter_bytes():
            pieces.append(chunk)
            size += len(chunk)
            if size >= limit:
                break
    finally:
        await _close(response)
    return b"".join(pieces)[:limit]


async def _close(response: httpx.Response) -> None:
    """Close a response and its connection, and let go of them: httpx's response and its stream hold each other, and
    would be there until the garbage collector comes by, with all that belongs to the connection."""
    await response.aclose()
    response.stream = httpx.ByteStream(b"")


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _now() -> float:
    return asyncio.get_running_loop().time()
