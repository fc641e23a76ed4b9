"""Signs a call to an Alibaba Cloud API with ACS3-HMAC-SHA256, RPC style; pure functions, no I/O, no clock.

Follows "Request syntax and signature method V3" of Alibaba Cloud OpenAPI, and, where that leaves a choice,
what the official Python SDK puts on the wire. The tests hold the two side by side.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

ALGORITHM = "ACS3-HMAC-SHA256"
FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, with the token and the name of the provider it came from.

    `provider` is sent as x-acs-credentials-provider and left out when empty. The secrets stay out of repr.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)
    provider: str = ""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request ready to be sent as it is; any change to a signed header breaks the signature.

    The target and the body hold the asker's question, so they stay out of repr and must stay out of logs.
    """

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def target(self) -> str:
        """The path and query, as they stand in the request line."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def encode_params(params: Mapping[str, str | None]) -> str:
    """The parameters as they travel, in a query or a form body: None is omitted, "" is sent."""
    return urlencode(sorted((name, value) for name, value in params.items() if value is not None))


def canonical_request(
    method: str, params: Mapping[str, str | None], headers: Mapping[str, str], body_sha256: str
) -> str:
    """The text whose hash is signed. `params` are those in the query; `headers` are all signed.

    Its query is not the one on the wire: here a space is %20, there it is "+".
    """
    query = "&".join(
        f"{name}={quote(value, safe='~')}" for name, value in sorted(params.items()) if value is not None
    )
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    return f"{method}\n/\n{query}\n{lines}\n{';'.join(sorted(headers))}\n{body_sha256}"


def string_to_sign(canonical: str) -> str:
    """The algorithm's name and the hash of the canonical request."""
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def split_endpoint(endpoint: str) -> tuple[str, str]:
    """Scheme, and host with its port as written.

    Raises:
        ValueError: it is not "http://host" or "https://host", with or without a port.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("an endpoint is a URL of a scheme and a host, such as https://example.com")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("an endpoint has no path: the RPC style puts everything into the query")
    return parts.scheme, parts.netloc


def sign(
    *,
    endpoint: str,
    action: str,
    version: str,
    params: Mapping[str, str | None],
    credentials: Credentials,
    user_agent: str,
    date: datetime,
    nonce: str,
    form: bool = False,
    method: str = "POST",
) -> SignedRequest:
    """Build and sign one call.

    Args:
        endpoint: scheme and host, with ":port" where there is one ("https://das.cn-shanghai.aliyuncs.com").
            The host is signed exactly as written here.
        params: the action's parameters; None is omitted, "" is sent.
        date: the time of the call, with a time zone; the service refuses one too far from its own clock.
        nonce: never used before; the SDK sends 32 lower-case hex digits.
        form: send the parameters as a form body instead of in the query.

    Raises:
        ValueError: the endpoint is not one (see `split_endpoint`), or the date has no time zone.
    """
    scheme, host = split_endpoint(endpoint)
    if date.tzinfo is None:
        raise ValueError("the date must have a time zone")
    encoded = encode_params(params)
    body = encoded.encode() if form else b""
    body_sha256 = hashlib.sha256(body).hexdigest()
    headers = {
        "host": host,
        "x-acs-version": version,
        "x-acs-action": action,
        "user-agent": user_agent,
        "x-acs-date": date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        # The SDK asks for JSON even where it reads an event stream, and the value is signed.
        "accept": "application/json",
        "x-acs-content-sha256": body_sha256,
    }
    if form:
        headers["content-type"] = FORM_CONTENT_TYPE
    if credentials.provider:
        headers["x-acs-credentials-provider"] = credentials.provider
    if credentials.security_token:
        headers["x-acs-accesskey-id"] = credentials.access_key_id
        headers["x-acs-security-token"] = credentials.security_token
    headers["Authorization"] = _authorization(
        canonical_request(method, {} if form else params, headers, body_sha256), headers, credentials
    )
    query = "" if form or not encoded else f"?{encoded}"
    return SignedRequest(method, f"{scheme}://{host}/{query}", headers, body)


def _authorization(canonical: str, headers: Mapping[str, str], credentials: Credentials) -> str:
    digest = hmac.new(
        credentials.access_key_secret.encode(), string_to_sign(canonical).encode(), hashlib.sha256
    ).hexdigest()
    names = ";".join(sorted(headers))
    return f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names},Signature={digest}"
