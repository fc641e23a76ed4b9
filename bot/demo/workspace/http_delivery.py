"""HTTP delivery: signed requests to the app's address, as Slack's servers send them.

Signature: "Verifying requests from Slack", version v0.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from .delivery import Delivery, Kind, Outcome

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


class ChallengeFailed(Exception):
    """The app's address did not answer Slack's url_verification."""


class HttpDelivery:
    """Posts each delivery to the address of its kind."""

    timeout_reason = "http_timeout"

    def __init__(self, secret: str, clock: Callable[[], float], urls: Mapping[Kind, str]) -> None:
        self._secret = secret.encode()
        self._clock = clock
        self._urls = urls
        # A new connection each time: one kept from before the app restarted would fail for nothing.
        connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def send(self, delivery: Delivery, number: int, reason: str) -> Outcome:
        """One signed request; acked by any 2xx."""
        if delivery.kind == "events_api":
            body, content_type = json.dumps(delivery.payload), _JSON
        elif delivery.kind == "slash_commands":
            body, content_type = urlencode(delivery.payload), _FORM
        else:
            body, content_type = urlencode({"payload": json.dumps(delivery.payload)}), _FORM
        retry = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason} if number else {}
        try:
            status, headers, answer = await self._post(self._urls[delivery.kind], body, content_type, retry)
        except (aiohttp.ClientError, OSError):
            return Outcome(False, failure="connection_failed")
        if 200 <= status < 300:
            return Outcome(True, response=_response(headers.get("Content-Type", ""), answer))
        return Outcome(False, failure="http_error", may_retry=headers.get("X-Slack-No-Retry") != "1")

    async def verify(self) -> None:
        """Asks the event address to repeat a challenge; raises `ChallengeFailed`."""
        challenge = secrets.token_urlsafe(24)
        body = json.dumps({"type": "url_verification", "token": "demo", "challenge": challenge})
        try:
            status, _, answer = await self._post(self._urls["events_api"], body, _JSON, {})
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ChallengeFailed(str(error)) from error
        if status != 200 or challenge not in answer:
            raise ChallengeFailed(f"HTTP {status}, and the challenge was not repeated")

    async def stop(self) -> None:
        """Closes the connections."""
        await self._session.close()

    async def _post(
        self, url: str, body: str, content_type: str, extra: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], str]:
        timestamp = str(int(self._clock()))
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self._secret, timestamp, body),
            "User-Agent": "Slackbot 1.0",
            **extra,
        }
        async with self._session.post(url, data=body.encode(), headers=headers) as response:
            return response.status, response.headers, await response.text()


def signature(secret: bytes, timestamp: str, body: str) -> str:
    """The value of X-Slack-Signature."""
    base = f"v0:{timestamp}:{body}".encode()
    return "v0=" + hmac.new(secret, base, hashlib.sha256).hexdigest()


def _response(content_type: str, body: str) -> Any:
    """What came back with an ack: JSON, or plain text as a message of that text."""
    if not body.strip():
        return None
    if content_type.startswith(_JSON):
        try:
            return json.loads(body)
        except ValueError:
            return None
    return {"text": body}
