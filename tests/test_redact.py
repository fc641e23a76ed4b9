"""Secrets disappear; what only looks a little like one stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import redact as module
from bot.redact import HIDDEN, also_hide, is_secret_name, redact

AK = "LTAI5tFakeFakeFakeFake12"
SK = "abcDEF123ghiJKL456mnoPQR789stu"
STS_SK = "7Gq2mPz9XcV4bN8kL1sD6fH3jW5yT0rE2uA9oI4x"
_LONG = "CAIS" + "aB3/" * 40
_S = "S3cr3t-Hunter2"

HIDDEN_CASES = [
    f"key {AK}",
    f"{AK} {SK}",
    f"{AK}:{SK}",
    f"AK {AK}\nSK {SK}",
    f"the id is {AK}, and the other one:\n\n    {SK}\n",
    f"STS.NUfakefakefake {STS_SK}",
    f"token {_LONG}",
    f'{{"AccessKeyId": "{AK}", "AccessKeySecret": "{SK}", "SecurityToken": "{_LONG}"}}',
    f'{{\\"password\\": \\"{_S}\\"}}',
    f"AccessKey Secret：{SK}",
    f"mysql://app:{_S}@rm-1.mysql.rds.aliyuncs.com:3306/db",
    f"redis://:{_S}@r-1.redis.rds.aliyuncs.com",
    f'"password": "{_S} with spaces"',
    f"password: {_S}",
    f"  password: '{_S}'",
    f"DB_PASSWORD={_S}",
    f"dbPassword={_S}",
    f"MYSQL_PWD={_S} mysqldump",
    f"**Password:** {_S}",
    f"`password`: `{_S}`",
    f"密码：{_S}，请妥善保管",
    f"密码是{_S}，请妥善保管",
    f"口令为 {_S}",
    f"the password is {_S}",
    f"CREATE USER a IDENTIFIED BY '{_S}'",
    f"alter user a identified with mysql_native_password by '{_S}'",
    f"mysql -h host -uroot -p{_S} db",
    f"mysql --password={_S}",
    f"redis-cli -h host -a {_S} info",
    f"curl -u admin:{_S} https://x",
    f"xoxb-123456789012-{_S}",
    f"xapp-1-A0123456-{_S}",
    f"xoxe.xoxp-1-{_S}",
    f"https://hooks.slack.com/services/T0/B0/{_S}",
    f"https://oapi.dingtalk.com/robot/send?access_token={_S}",
    f"Authorization: Bearer {_S}",
    f"Authorization: ACS3-HMAC-SHA256 Credential={AK},Signature={_S}",
    f'"authorization":"Basic {_S}"',
    f"client_secret={_S}&x=1",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + _S,
    "ghp_" + "a1B2" * 9,
    f"-----BEGIN RSA PRIVATE KEY-----\n{SK}\n{_S}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SK}",
]

KEPT = [
    "SELECT user, password FROM accounts WHERE id = 5",
    "`password` varchar(64) NOT NULL COMMENT 'hash'",
    "UPDATE accounts SET password = ? WHERE id = ?",
    "the password is expired",
    "password: null",
    "primary_key: id",
    "token_count: 5",
    "max_tokens=4096",
    "digest 5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b5aa765d61d8327deb882cf99",
    "SQL id 8f14e45fceea167a5a36dedd4bea2543",
    "https://rds.console.aliyun.com/detail/rm-bp1abc/basic?a=1:2@3",
    "rm-bp1234567890abcdef.mysql.rds.aliyuncs.com:3306",
    "request 0A1B2C3D-4E5F-6789-ABCD-EF0123456789",
    "key: idx_user_created",
    "secretary: Ann",
    "LTA I",
    "access to key columns: id",
    "Author: Bo",
    "author = 'Bo'",
    "mysql -p -h host",
    "该列名为密码",
]

SECRETS = [AK, SK, STS_SK, _S, "with spaces", "aB3/aB3/", "a1B2a1B2"]


@pytest.mark.parametrize("text", HIDDEN_CASES)
def test_secrets_are_hidden(text: str) -> None:
    shown = redact(text)
    assert HIDDEN in shown
    assert not [secret for secret in SECRETS if secret in shown]


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("text", HIDDEN_CASES)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_what_stands_around_a_secret_stays() -> None:
    assert redact(f"mysql://app:{_S}@host:3306/db") == f"mysql://app:{HIDDEN}@host:3306/db"
    assert redact(f'{{"user": "a", "password": "{_S}", "port": 3306}}') == (
        f'{{"user": "a", "password": {HIDDEN}, "port": 3306}}'
    )


@settings(deadline=None, max_examples=50)
def _by_every_rule(text: str) -> str:
    """What `redact` does without first looking whether a rule has anything to find."""
    if "LTAI" in text or "STS." in text:
        text = module._without_partners(text)
    for _, pattern, replacement in module._RULES:
        text = pattern.sub(replacement, text)
    return text


@pytest.mark.parametrize("letters", ["", "sſ", "kK", "iı", "iİ"], ids=ascii)
@pytest.mark.parametrize("change", [str, str.upper, str.title, str.swapcase])
def test_no_rule_is_left_out_that_would_find_something(change: Callable[[str], str], letters: str) -> None:
    for case in HIDDEN_CASES + KEPT:
        text = change(case).replace(letters[:1], letters[1:]) if letters else change(case)
        assert redact(text) == _by_every_rule(text)


@pytest.mark.parametrize("rule", module._RULES, ids=lambda rule: str(rule[0][0]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.data())
def test_a_rule_finds_only_what_has_one_of_its_words(
    rule: tuple[tuple[str, ...], re.Pattern[str], str], data: st.DataObject
) -> None:
    signs, pattern, _ = rule
    found = data.draw(st.from_regex(pattern))
    assert any(sign in found.casefold() for sign in signs)


@given(st.text(alphabet="aA1 -_.:/@\"'\n=eyJLTIpwd密码", max_size=200))
def test_any_text_can_be_redacted(text: str) -> None:
    redact(text)


@pytest.mark.parametrize(
    "unit", ["a", " ", "password ", "eyJ-", "mysql ", "://a:", "LTAI12345678 ", '"\\', "-----BEGIN "]
)
def test_no_pattern_repeats_without_bound_inside_a_repetition(unit: str) -> None:
    """The shape that makes a pattern explode; checked on the patterns, and by 40,000 characters of each unit."""
    for _, pattern, _ in module._RULES:
        assert not re.search(r"\([^()]*[+*]\)[+*]", pattern.pattern), pattern.pattern
    assert isinstance(redact(unit * (40_000 // len(unit))), str)


@pytest.mark.parametrize(
    "name", ["password", "db_password", "accessKeySecret", "Authorization", "token_secret"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["token_count", "run", "key", "password_age"])
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "Access denied for user 'app'@'10.0.0.7' (using password: YES)",
        "password: not set",
        "auth_token: expired",
        "api_key: missing, ask your DBA",
        "密码：请联系管理员",
    ],
)
def test_sentences_about_a_secret_are_not_secrets(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text", ["password: no-1secret", "password: yes1x", "api_key: one-two-3", "password: notx9"]
)
def test_a_secret_that_begins_like_a_word_is_hidden(text: str) -> None:
    assert redact(text).endswith(HIDDEN)


@pytest.fixture
def employee_numbers() -> Iterator[None]:
    also_hide([r"emp\s#\d+"])
    yield
    also_hide([])


@pytest.mark.usefixtures("employee_numbers")
def test_what_the_operators_name_is_hidden_too() -> None:
    assert redact(f"emp #4711 asked, password: {_S}") == f"{HIDDEN} asked, password: {HIDDEN}"
    also_hide([])
    assert redact("emp #4711") == "emp #4711"
