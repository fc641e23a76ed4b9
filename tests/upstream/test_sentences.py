"""Every documented code has its own sentence, in both languages, and none repeats the service's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.upstream.errors import UpstreamError
from bot.upstream.sentences import NOT_ASKED_AGAIN, OTHER, SENTENCES, explain, sentence_for, table

README = Path(__file__).parents[2] / "README.md"

DOCUMENTED = [
    "InvalidParams", "InvalidParameter", "NoPermission", "InstanceNotFound", "Timeout", "SignatureDoesNotMatch",
    "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive", "Throttling.User", "Throttling.Api", "Throttling",
    "TooManyRequests", "Agent.ConcurrentLimitExceeded", "ServiceUnavailable", "-1810006", "InvalidOrder",
    "PermissionDenied", "UserNotFound", "Connect", "Silence", "Deadline", "Cut", "BadStream", "TooLarge",
    "Credentials", "QuestionTooLong", "MysqlIOException", "SessionExpired", "ConversationNotFound",
    "NoBackend", "Stopped",
    "MissingParameter", "InvalidSecurityToken.Expired", "SecurityTokenExpired", "HTTP500", "InternalError",
]  # fmt: skip


@pytest.mark.parametrize("code", DOCUMENTED)
def test_each_code_has_its_own_sentence(code: str) -> None:
    error, unknown = UpstreamError(code, "the-words"), UpstreamError("Whatever")
    english, chinese = explain(error, "en"), explain(error, "zh")
    assert english != explain(unknown, "en").replace("Whatever", code)
    assert chinese != explain(unknown, "zh").replace("Whatever", code)
    assert not re.search(r"[\u4e00-\u9fff]", english)
    assert re.search(r"[\u4e00-\u9fff]", chinese)
    assert "{" not in english + chinese


@pytest.mark.parametrize("code", ["Cut", "Silence", "Deadline"])
def test_says_that_it_was_not_asked_again(code: str) -> None:
    assert explain(UpstreamError(code), "en").endswith(NOT_ASKED_AGAIN[0])
    assert explain(UpstreamError(code), "zh").endswith(NOT_ASKED_AGAIN[1])
    assert "not asked again" in NOT_ASKED_AGAIN[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_names_the_missing_permission(language: str) -> None:
    assert "hdm:Chat" in explain(UpstreamError("NoPermission", action="hdm:Chat"), language)  # type: ignore[arg-type]
    odd = explain(UpstreamError("NoPermission", action="<!channel> hdm"), language)  # type: ignore[arg-type]
    assert "<!channel>" not in odd
    assert "hdm:Chat" in odd


def test_an_unknown_code_is_shown_only_in_the_shape_of_a_code() -> None:
    assert "(Odd.Code-1)" in explain(UpstreamError("Odd.Code-1"), "en")
    assert "(?)" in explain(UpstreamError("<!channel> {0} {action}"), "en")
    assert "(?)" in explain(UpstreamError(""), "en")


@settings(deadline=None)
@given(st.sampled_from([*DOCUMENTED, "Whatever"]), st.sampled_from(["en", "zh"]))
def test_never_the_words_of_the_service(code: str, language: str) -> None:
    error = UpstreamError(code, "SECRETWORDS", request_id="REQUESTID", status=500)
    said = explain(error, language)  # type: ignore[arg-type]
    assert "SECRETWORDS" not in said
    assert "REQUESTID" not in said


def test_every_row_can_be_reached() -> None:
    for row in SENTENCES:
        for code in row.codes:
            assert sentence_for(code.replace("*", "")) is row, code
    assert sentence_for("Whatever") is sentence_for("") is OTHER


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("TooManyRequests", "as many runs open"),
        ("AgentConcurrentLimit", "as many runs open"),
        ("throttling.user", "no more requests"),
        ("PermissionDenied", "Professional Edition"),
        ("InvalidOrder", "Professional Edition"),
        ("-1810006", "bound to no database instance"),
        ("MysqlIOException", "(MysqlIOException)"),
        ("com.x.SomeException", "(com.x.SomeException)"),
        ("SessionExpired", "New session"),
        ("ConversationNotFound", "New session"),
        ("InvalidSecurityToken.Expired", "temporary credentials"),
        ("-1810001", "(-1810001)"),
    ],
)
def test_what_is_said(code: str, words: str) -> None:
    assert words in explain(UpstreamError(code), "en")


def test_a_session_that_is_gone_by_the_service_s_words_only() -> None:
    error = UpstreamError("InvalidParameter", "Conversation Not Exists.")
    assert "New session" in explain(error, "en")
    assert "新会话" in explain(error, "zh")


def test_the_readme_holds_the_table() -> None:
    readme = README.read_text("utf-8")
    shown = readme.split("<!-- errors -->\n")[1].split("\n<!-- /errors -->")[0]
    assert shown == table()
