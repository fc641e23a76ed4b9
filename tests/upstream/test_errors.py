"""What an error means for the relay: ask later, ask anew, or neither."""

from __future__ import annotations

import pytest

from bot.demo.upstream.faults import BUSY
from bot.upstream.errors import UpstreamError


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((refusal.code, refusal.status) for refusal in BUSY.values()),
        ("Throttling", 400),
        ("Throttling.User", 200),
        ("Agent.ConcurrentLimitExceeded", 403),
        ("TooManyRequests", 0),
        ("HTTP429", 429),
        ("Whatever", 429),
    ],
)
def test_busy(code: str, status: int) -> None:
    assert UpstreamError(code, status=status).is_busy
    assert not UpstreamError(code, status=status, begun=True).is_busy


@pytest.mark.parametrize(
    "code", ["ServiceUnavailable", "NoPermission", "Connect", "Cut", "InvalidParams", ""]
)
def test_not_busy(code: str) -> None:
    assert not UpstreamError(code, status=400).is_busy


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("SessionExpired", ""),
        ("SessionNotFound", ""),
        ("Session.NotExist", ""),
        ("InvalidSession", ""),
        ("InvalidConversationId", ""),
        ("ConversationNotFound", ""),
        ("NotFound", "Conversation Not Exists."),
        ("InvalidParams", "The session does not exist or has expired."),
        ("X", "session is expired"),
    ],
)
def test_gone_session(code: str, message: str) -> None:
    assert UpstreamError(code, message).is_gone_session
    assert not UpstreamError(code, message, begun=True).is_gone_session


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidSecurityToken.Expired", "The security token has expired"),
        ("InvalidSessionToken", ""),
        ("InstanceNotFound", "The instance does not exist"),
        ("UserNotFound", ""),
        ("InvalidParams", "bad message"),
    ],
)
def test_not_gone_session(code: str, message: str) -> None:
    assert not UpstreamError(code, message).is_gone_session
