"""Bodies of refusals, in each form they are known to take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.upstream.errors import UpstreamError
from bot.upstream.refusals import MESSAGE_LIMIT, may_retry, read_refusal

XML = (
    "<?xml version='1.0'?><Error><RequestId>R1</RequestId><Code>NoPermission</Code>"
    "<Message>a &lt; b</Message></Error>"
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"Code": "X", "Message": "m", "RequestId": "R1"}, ("X", "m", "R1")),
        ({"code": "X", "message": "m", "requestId": "R1"}, ("X", "m", "R1")),
        ({"ErrorCode": "X", "ErrorMessage": "m", "request_id": "R1"}, ("X", "m", "R1")),
        ({"error": {"code": "X", "message": "m"}, "requestId": "R1"}, ("X", "m", "R1")),
        ({"code": "200", "data": {"code": -7, "message": "m"}}, ("-7", "m", "")),
        ({"Code": 403, "Message": "m"}, ("403", "m", "")),
        (XML, ("NoPermission", "a < b", "R1")),
        ("\ufeff" + json.dumps({"Code": "X"}), ("X", "", "")),
        ("<html><title>No &amp; no</title><code>7</code></html>", ("HTTP400", "No & no", "")),
        ("<!doctype html><TITLE>No</TITLE>", ("HTTP400", "No", "")),
        ("plain words", ("HTTP400", "no error code in the response", "")),
        ("", ("HTTP400", "no error code in the response", "")),
        ('{"Code":"X', ("HTTP400", "no error code in the response", "")),
        ("[" * 90_000, ("HTTP400", "no error code in the response", "")),
    ],
)
def test_forms(body: Any, expected: tuple[str, str, str]) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    error = read_refusal(400, {}, text.encode())
    assert (error.code, error.message, error.request_id) == expected
    assert (error.status, error.begun) == (400, False)


@pytest.mark.parametrize(
    ("body", "action"),
    [
        ({"Code": "NoPermission", "AccessDeniedDetail": {"AuthAction": "hdm:Chat"}}, "hdm:Chat"),
        ({"code": "NoPermission", "accessDeniedDetail": {"authAction": "hdm:Chat"}}, "hdm:Chat"),
        ({"Code": "NoPermission", "AccessDeniedDetail": '{"Action":"das:Chat"}'}, "das:Chat"),
        ({"Code": "NoPermission", "Message": "missing (hdm:Chat) on *"}, "hdm:Chat"),
        ({"Code": "NoPermission", "Message": "no"}, ""),
    ],
)
def test_the_missing_permission(body: dict[str, Any], action: str) -> None:
    assert read_refusal(403, {}, json.dumps(body).encode()).action == action


def test_the_missing_permission_in_xml() -> None:
    body = b"<Error><Code>N</Code><AccessDeniedDetail><AuthAction>hdm:Chat</AuthAction></AccessDeniedDetail></Error>"
    assert read_refusal(403, {}, body).action == "hdm:Chat"


def test_headers_fill_in() -> None:
    error = read_refusal(503, {"x-acs-request-id": "R2", "retry-after": "7"}, b"")
    assert (error.code, error.request_id, error.retry_after) == ("ServiceUnavailable", "R2", 7.0)
    assert read_refusal(503, {"retry-after": "Wed, 21 Oct"}, b"").retry_after is None


def test_a_success_without_stream_or_code() -> None:
    assert read_refusal(200, {}, b'{"Success":true}').code == "BadStream"


def test_words_are_bounded_and_what_was_signed_is_left_out() -> None:
    long = read_refusal(400, {}, json.dumps({"Code": "X" * 999, "Message": "m\n" * 9999}).encode())
    assert len(long.code) == 100
    assert len(long.message) == MESSAGE_LIMIT
    signed = {"Code": "SignatureDoesNotMatch", "Message": "server string to sign is POST%2F&Message=secret"}
    assert "secret" not in str(read_refusal(400, {}, json.dumps(signed).encode()))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (UpstreamError("Connect"), True),
        (UpstreamError("X", status=429), True),
        (UpstreamError("Throttling.Api", status=400), True),
        (UpstreamError("ServiceUnavailable", status=500), True),
        (UpstreamError("HTTP502", status=502), True),
        (UpstreamError("Timeout", status=500), False),
        (UpstreamError("HTTP504", status=504), False),
        (UpstreamError("Throttling", status=200), False),
        (UpstreamError("Connect", begun=True), False),
        (UpstreamError("Silence"), False),
        (UpstreamError("Cut"), False),
    ],
)
def test_what_may_be_retried(error: UpstreamError, again: bool) -> None:
    assert may_retry(error) is again
