"""Calls to Slack's Web API: paced by the budget, every failure sorted into a few kinds.

The SDK's own retries are off: it repeats a post whose connection broke, and the post may have been made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import log, metrics, traces
from bot.slack.budget import Budget, ClosedError, Priority, Urgency
from bot.slack.refusals import Refusals

logger = log.get(__name__)

CALL_SECONDS = 15
"""Longest wait for one answer of Slack."""
_MOST_REFUSALS = 30
"""429 answers to one call before it counts as failed; each is waited out."""
_PAGE = 200
"""Messages asked for at once; Slack advises no more, and may give fewer."""
_MOST_PAGES = 20
"""Pages read in search of a message: each costs a call of a rate that replies live on too."""
_DEFAULT_RETRY_AFTER = 5.0
"""Seconds, for a refusal that does not say how long."""

_TOO_BIG = frozenset({"msg_too_long", "msg_blocks_too_long", "msg_blocks_too_many", "too_many_attachments"})
_REFUSED_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "no_text", "block_mismatch"})
_STREAM_ENDED = frozenset({"message_not_in_streaming_state", "streaming_mode_mismatch"})
_GONE = frozenset({"message_not_found", "thread_not_found"})
_DEAD_TOKEN = frozenset({"token_revoked", "account_inactive", "invalid_auth", "token_expired", "not_authed"})
_CLOSED = _DEAD_TOKEN | {"channel_not_found", "is_archived", "is_inactive", "not_in_channel"}
"""The bot may write nothing there: nowhere at all, or not in this channel."""
_CHANNEL = {
    "agents.sessions.setStatus": "channel_id",
    "files.completeUploadExternal": "channel_id",
    "files.getUploadURLExternal": "",
    "users.info": "",
    "views.open": "",
}
"""What a method calls the channel, where it is not "channel"; "" for none."""
_WRITES = frozenset(
    {"chat.postMessage", "chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"}
)
"""What replies are written with."""
_FAILED = frozenset({"fatal_error", "internal_error", "update_failed"})
_TRANSIENT = frozenset(
    {
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    }
)


class SlackError(Exception):
    """Slack refused a call for good: `code` is its word ("is_archived", "not_in_channel", …)."""

    result = "refused"
    """The kind, in the metrics."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


class TooBigError(SlackError):
    """The message is larger than Slack takes."""

    result = "too_big"


class RefusedBlocksError(SlackError):
    """Slack does not take these blocks."""

    result = "refused_blocks"


class GoneError(SlackError):
    """The message is no longer there."""

    result = "gone"


class ClosedPlaceError(SlackError):
    """The bot may write nothing in this channel, or nowhere any more."""


class StreamEndedError(SlackError):
    """The stream takes nothing more: it was stopped, it has lived its five minutes, or it is of another kind."""


class StreamOpenError(SlackError):
    """The message still streams, and cannot be changed otherwise before it has been stopped."""


class StoppedError(SlackError):
    """A person stopped the stream with Slack's own button: nothing may follow."""


class SlowDownError(SlackError):
    """Slack's rate was reached. Nothing was done; whoever can, does something else meanwhile."""


class UncertainError(SlackError):
    """No answer came, or a 5xx: the call may or may not have been carried out."""

    result = "uncertain"


class FailedError(UncertainError):
    """Slack answered that it failed at the call, as it may each time."""


class SlackClient:
    """One workspace's Web API. Owns the HTTP session.

    Attributes:
        budget: what paces the calls.
        refusals: what this workspace was found not to know.
        is_shut_out: whether Slack has taken the token back; only a start with another one helps.
        closed: channels where the bot may write nothing, as the last write there told, with Slack's word.
    """

    def __init__(self, token: str, base_url: str, budget: Budget) -> None:
        self.budget = budget
        self.refusals = Refusals()
        self.is_shut_out = False
        self.closed: dict[str, str] = {}
        self._token = token
        self._base_url = base_url
        self._session: aiohttp.ClientSession | None = None
        self._web: AsyncWebClient | None = None

    @property
    def web(self) -> AsyncWebClient:
        """The SDK's client, with our session and without its retries."""
        if self._web is None:
            # With a session of ours the SDK's own timeout is ignored, so the session carries it.
            timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, connect=5)
            # Nor does the session look for a proxy, which it would do in a thread at each call: the SDK has, once, and
            # who uses the session without the SDK names that one.
            self._session = aiohttp.ClientSession(
                timeout=timeout, connector=aiohttp.TCPConnector(limit=100), trust_env=False
            )
            self._web = AsyncWebClient(
                token=self._token, base_url=self._base_url, session=self._session, retry_handlers=[]
            )
        return self._web

    def shut_out(self, reason: str) -> None:
        """Slack has taken the token back."""
        if not self.is_shut_out:
            logger.error("slack has taken the bot's token back, install the app again", reason=reason)
        self.is_shut_out = True

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        channel: str,
        priority: Urgency,
        owner: str,
        make: Callable[[], dict[str, Any]],
        on_answer: Callable[[dict[str, Any]], None] | None = None,
        before: Callable[[], Awaitable[None]] | None = None,
        *,
        once: bool = False,
    ) -> dict[str, Any]:
        """Call a method when the budget allows. `make` builds the arguments then, so they are the newest.

        Args:
            method: "chat.update" and so on.
            channel: where; posts are counted per channel.
            priority: who goes first when calls are scarce.
            owner: the answer the call is for.
            make: gives the arguments but the channel; called again after a 429.
            on_answer: gets Slack's answer even when the caller is cancelled meanwhile. A request that has left is
                always waited for, or it could overtake the next one.
            before: awaited when the budget allows; what it raises keeps the request from leaving.
            once: after a 429 do not wait and try again: the caller would rather call another method.

        Raises:
            SlowDownError: with `once`, when Slack's rate was reached.
            SlackError: or one of its kinds, when Slack refused or did not answer.
        """
        for _ in range(_MOST_REFUSALS):
            asked = time.monotonic()
            try:
                await self.budget.take(method, channel, priority, owner, may_leave=once)
            except ClosedError:
                raise SlowDownError("ratelimited") from None
            waited = time.monotonic() - asked
            if before:
                await before()
            name = _CHANNEL.get(method, "channel")
            arguments = ({name: channel} if name else {}) | make()
            try:
                with _measured(method, waited):
                    answer = await _to_its_end(self._send(method, arguments, on_answer))
                if method in _WRITES:
                    self.closed.pop(channel, None)
                return answer
            except SlackApiError as error:
                retry_after = _retry_after(error)
                if retry_after is None:
                    refusal = _sorted(error)
                    if refusal.code in _DEAD_TOKEN:
                        self.shut_out(refusal.code)
                    if method in _WRITES and isinstance(refusal, ClosedPlaceError):
                        self.closed[channel] = refusal.code
                    raise refusal from None
                logger.warning("slack asks to slow down", method=method, seconds=retry_after)
                await self.budget.refused(method, channel, retry_after)
                if once:
                    raise SlowDownError("ratelimited") from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise UncertainError("no_answer", type(error).__name__) from None
        # Not for good: a final state must still be written when Slack has calmed down.
        raise UncertainError("ratelimited", f"{_MOST_REFUSALS} times in a row")

    async def _send(
        self, method: str, arguments: dict[str, Any], on_answer: Callable[[dict[str, Any]], None] | None
    ) -> dict[str, Any]:
        # Only methods that write take JSON; the others read form fields.
        writes = method.startswith("chat.")
        try:
            response = await self.web.api_call(
                method, json=arguments if writes else None, params=None if writes else arguments
            )
        except (AttributeError, ValueError):
            # The SDK looks for "ok" in whatever came and prints it; with a proxy's page it can do neither.
            raise UncertainError("no_json") from None
        if not isinstance(response.data, dict):
            raise UncertainError("no_json")
        answer = dict(response.data)
        if on_answer:
            on_answer(answer)
        return answer

    async def upload(self, url: str, content: bytes) -> None:
        """Send a file's bytes to the address Slack gave for it, without our token.

        Raises:
            UncertainError: when it did not arrive.
        """
        assert self.web.session is not None
        try:
            async with self.web.session.post(url, data=content, proxy=self.web.proxy) as response:
                if response.status >= 300:
                    raise UncertainError(f"http_{response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UncertainError("no_answer", type(error).__name__) from None

    async def insist(
        self,
        method: str,
        channel: str,
        priority: Urgency,
        owner: str,
        make: Callable[[], dict[str, Any]],
        *,
        tries: int = 8,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> dict[str, Any]:
        """`call` for what may be repeated without harm (an update, a read): tried again while it is uncertain."""
        for attempt in range(tries):
            try:
                return await self.call(method, channel, priority, owner, make, before=before)
            except UncertainError as error:
                if attempt == tries - 1:
                    raise
                wait = min(0.5 * 2**attempt, 15)
                logger.warning(
                    "slack did not answer, trying again", method=method, reason=str(error), seconds=wait
                )
                await sleep(wait)
        raise AssertionError("tries must be positive")

    async def messages(
        self,
        method: str,
        channel: str,
        owner: str,
        arguments: dict[str, Any],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The messages that conversations.history or conversations.replies lists, page after page.

        Raises:
            SlackError: when Slack refuses, does not tell, or has more than anybody should read. What was not listed
                then is not known; it may be there all the same.
        """
        arguments = {**arguments, "limit": _PAGE}
        for _ in range(_MOST_PAGES):
            page: Callable[[], dict[str, Any]] = partial(dict, arguments)
            answer = await self.insist(method, channel, Priority.FIRST_WORDS, owner, page, sleep=sleep)
            for message in answer.get("messages") or []:
                yield message
            arguments["cursor"] = (answer.get("response_metadata") or {}).get("next_cursor")
            if not arguments["cursor"]:
                return
        raise SlackError("too_many_messages", f"more than {_MOST_PAGES} pages")


@contextmanager
def _measured(method: str, waited: float) -> Iterator[None]:
    """Measures a call that had waited so many seconds for the budget."""
    metrics.SLACK_WAIT_SECONDS.labels(method).observe(waited)
    began, result = time.monotonic(), "uncertain"
    try:
        yield
        result = "ok"
    except SlackApiError as error:
        result = "ratelimited" if _retry_after(error) is not None else _sorted(error).result
        raise
    finally:
        seconds = time.monotonic() - began
        metrics.SLACK_CALLS.labels(method, result).inc()
        metrics.SLACK_SECONDS.labels(method).observe(seconds)
        traces.slack_call(seconds, waited, ok=result == "ok")


async def _to_its_end(call: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    task = asyncio.create_task(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def _retry_after(error: SlackApiError) -> float | None:
    """Seconds to wait when this is a 429 in any of its spellings, else None."""
    response = error.response
    if _status(error) != 429 and _data(error).get("error") not in ("ratelimited", "rate_limited"):
        return None
    headers = {name.lower(): value for name, value in (response.headers or {}).items()}
    try:
        return max(0.1, float(headers.get("retry-after", _DEFAULT_RETRY_AFTER)))
    except (TypeError, ValueError):
        return _DEFAULT_RETRY_AFTER


def _data(error: SlackApiError) -> dict[str, Any]:
    # With a body it cannot parse, the SDK hands over aiohttp's response instead of its own.
    data = getattr(error.response, "data", None)
    return data if isinstance(data, dict) else {}


def _status(error: SlackApiError) -> int:
    response: Any = error.response
    return int(getattr(response, "status_code", 0) or getattr(response, "status", 0))


def _sorted(error: SlackApiError) -> SlackError:
    data = _data(error)
    code = str(data.get("error") or f"http_{_status(error)}")
    metadata = data.get("response_metadata") or {}
    detail = "; ".join(str(message) for message in metadata.get("messages") or [])[:500]
    # An answer that is no JSON is not Slack's own: somebody between us broke it.
    if _status(error) >= 500 or not data or code in _TRANSIENT:
        return UncertainError(code, detail)
    if code in _FAILED:
        return FailedError(code, detail)
    kinds: list[tuple[frozenset[str], type[SlackError]]] = [
        (_TOO_BIG, TooBigError),
        (_REFUSED_BLOCKS, RefusedBlocksError),
        (_GONE, GoneError),
        (_CLOSED, ClosedPlaceError),
        (_STREAM_ENDED, StreamEndedError),
        (frozenset({"streaming_state_conflict"}), StreamOpenError),
        (frozenset({"stopped_by_user"}), StoppedError),
    ]
    return next((kind for codes, kind in kinds if code in codes), SlackError)(code, detail)
