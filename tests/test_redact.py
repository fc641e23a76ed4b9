"""Secrets disappear; what only looks a little like one stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import secret_shapes as module
from bot.redact import HIDDEN, Columns, also_hide, cut_short, is_secret_name, redact, unfinished

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
    # SQL.
    f"SET PASSWORD FOR 'u'@'h' = '{_S}'",
    f"SET PASSWORD = PASSWORD('{_S}')",
    f"SELECT PASSWORD('{_S}')",
    f"CREATE USER u WITH PASSWORD '{_S}'",
    f"ALTER ROLE r PASSWORD '{_S}'",
    f"CREATE LOGIN x WITH PASSWORD = N'{_S}'",
    f"ALTER USER u IDENTIFIED WITH mysql_native_password AS '*{_S}'",
    f"GRANT ALL ON *.* TO u IDENTIFIED BY '{_S}'",
    f"CREATE USER scott IDENTIFIED BY {_S}",
    f"password = 'it''s {_S}'",
    # Command lines and settings.
    f"mysql -uroot -p'{_S}'",
    f'mysql -uroot -p"{_S}"',
    f"mysql -u root -p {_S}",
    f"mysql -u root --password {_S} -h x",
    f"sshpass -p {_S} ssh h",
    f"mongosh -u root -p {_S}",
    f"redis-cli AUTH {_S}",
    f"redis-cli -h h AUTH app {_S}",
    f"AUTH {_S}",
    f"requirepass {_S}",
    f"CONFIG SET requirepass {_S}",
    f"masterauth {_S}",
    f"sqlplus scott/{_S}@orcl",
    f"export PGPASSWORD='{_S}'",
    # Tables and pairs.
    f"| password | {_S} |",
    f"| 密码 | {_S} |",
    f"| **Password** | `{_S}` |",
    f"password\t{_S}",
    f"| user | password |\n|---|---|\n| root | {_S} |",
    f"+------+----------+\n| user | password |\n+------+----------+\n| root | {_S} |\n+------+----------+",
    f"user | db_password\n--- | ---\nroot | {_S}",
    f"user | password\n--- | ---\n| root | {_S} |",
    f"+---+---+\n| a | pwd |\n+---+---+\n| x | y |\n+---+---+\n| x | {_S} |\n+---+---+",
    f"| a | b |\n|---|---|\n| 1 | 2 |\n| user | password |\n|---|---|\n| root | {_S} |",
    f'{{"name":"password","value":"{_S}"}}',
    f'{{"key": "DB_PASSWORD", "value": "{_S}"}}',
    f'{{\n  "name": "password",\n  "value": "{_S}"\n}}',
    f'{{\\\\\\"password\\\\\\":\\\\\\"{_S}\\\\\\"}}',
    f"<password>{_S}</password>",
    # Addresses.
    f"postgres://u:p@{_S}@h/db",
    f"postgres://u:a'{_S}@h/db",
    f"mysql://u:x/{_S}@h/db",
    f"mysql%3A%2F%2Fu%3A{_S}%40h",
    f"password%3D{_S}",
    f"mysql://root:{_S}",
    # Names.
    f"API key: {_S}",
    f"SK={_S}",
    f"AK: x SK: {_S}",
    f"ak/sk: abc/{_S}",
    f"DB_PASS={_S}",
    f"pass={_S}",
    f"token: {_S}",
    f"密码（root）：{_S}",
    f"password (root): {_S}",
    f"password for root: {_S}",
    f"初始密码 {_S}",
    f"AccessKeySecret为{_S}",
    f"access token {_S}",
    f"password -> {_S}",
    # Others.
    f"sk-{_S}{_S}",
    f"Cookie: session={_S}; a=b",
    f'"Cookie": "session={_S}"',
    f"Basic {_S}",
    f"secret: |\n  {_S}",
    f"password: >\n  {_S}",
    f"pass\u200bword={_S}",
    f"p\u200bassword: {_S[:3]}\u200b{_S[3:]}",
    f"ｐａｓｓｗｏｒｄ＝{_S}",
    f"LTAI\u200b{AK[4:]}",
    f"密码：{''.join(chr(ord(c) + 0xFEE0) for c in _S)}",
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
    "password_lifetime = 90",
    "default_password_lifetime = 0",
    "SHOW VARIABLES LIKE 'validate_password%'",
    "validate_password.policy = MEDIUM",
    "| validate_password.length | 8 |",
    "| password | varchar(64) | NO | | NULL | |",
    "| password_expired | N |",
    "Field: password, type char(41)",
    "set it with CREATE USER … IDENTIFIED BY and a password of your own",
    "IDENTIFIED BY is the clause to use",
    "the statement identified by 8f14e45fceea167a5a36dedd4bea2543",
    "ALTER USER 'app'@'%' IDENTIFIED BY ?",
    "ALTER USER app WITH PASSWORD '<new password>'",
    "mysql -h rm-1.mysql.rds.aliyuncs.com -P3306 -u root -p orders",
    "mysql -P 3306 -p",
    "redis-cli -p 6379 info",
    "docker run -p 3306:3306 mysql:8.0",
    "pass the query to the optimizer",
    "a token bucket of 50 a minute",
    "token: 42",
    "Unexpected token: utf8mb4",
    "bypass=1",
    "compass: north42",
    "pass: 12, fail: 3",
    "the password policy is strong",
    "the password must have 8 to 32 characters",
    "密码长度为 8-32 位",
    "密码策略：中",
    "caching_sha2_password 是默认的密码 caching_sha2_password 插件",
    "ORDER BY ss_sold_date_sk = 2451545",
    "risk-free-task-management-of-the-year",
    "requirepass and masterauth are set",
    "NOAUTH Authentication required.",
    "AUTH failed: WRONGPASS invalid username-password pair",
    "Basic authentication is off",
    "-> Nested loop inner join  (cost=1.2e+3 rows=4711) (actual time=0.05..9.1 rows=12 loops=1)",
    "-> Index lookup on o using idx_status (status='open')  (cost=0.35 rows=1)",
    "RequestId: 7F2B5C1E-3D4A-5B6C-8D9E-0F1A2B3C4D5E",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736",
    "GTID 3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5",
    "redis://r-bp1.redis.rds.aliyuncs.com:6379",
    "jdbc:mysql://rm-1.mysql.rds.aliyuncs.com:3306/orders?useSSL=false",
    "http://host:8080/a@b and http://localhost:3000",
    "mysql://app:<password>@rm-1.mysql.rds.aliyuncs.com",
    "redis://HOST:PORT",
    "KILL 4711; -- root@10.0.0.7:52311",
    "connect to orders/archive and write to dba@example.com",
    "the secret of a fast query is an index",
    "access key, primary key and foreign key",
    "👩‍👩‍👧 said 中文（全角）：ＯＫ",
    "| user | host | plugin |\n|---|---|---|\n| root | % | caching_sha2_password |",
    "| name | password |\n|---|---|\n| a | ****** |\n| b | NULL |",
    "| Field | Type |\n|---|---|\n| password | varchar(64) |",
]

SECRETS = [AK, SK, STS_SK, _S, "with spaces", "aB3/aB3/", "a1B2a1B2", "Hunter2", "Ｈｕｎｔｅｒ２", AK[4:]]


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


@pytest.mark.parametrize("letters", ["", "sſ", "kK", "iı", "iİ"], ids=ascii)
@pytest.mark.parametrize("change", [str, str.upper, str.title, str.swapcase])
def test_no_rule_is_left_out_that_would_find_something(change: Callable[[str], str], letters: str) -> None:
    for case in HIDDEN_CASES + KEPT:
        text = change(case).replace(letters[:1], letters[1:]) if letters else change(case)
        for words, pattern in module.RULES:
            assert not pattern.search(text) or any(word in text.casefold() for word in words)


@pytest.mark.parametrize("rule", module.RULES, ids=lambda rule: str(rule[0][0]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.data())
def test_a_rule_finds_only_what_has_one_of_its_words(rule: module.Rule, data: st.DataObject) -> None:
    signs, pattern = rule
    found = data.draw(st.from_regex(pattern))
    assert any(sign in found.casefold() for sign in signs)


@given(st.text(alphabet="aA1 -_.:/@\"'\n=eyJLTIpwd密码", max_size=200))
def test_any_text_can_be_redacted(text: str) -> None:
    redact(text)


_UNITS = [
    "a",
    " ",
    "eyJ-",
    "mysql ",
    "mysql -p ",
    "://a:",
    "://a:b",
    "LTAI12345678 ",
    '"\\',
    "-----BEGIN ",
    "|",
    "'",
    "@",
    "password ",
    "password:",
    "password=",
    "password (",
    "password for ",
    'password","value":',
    "password '",
    "| password | ",
    "|a|password|\n|-|-|\n",
    "<password>a",
    "password is ",
    "password\t",
    "密码 ",
    "sk=",
    "token: ",
    "AUTH ",
    "requirepass ",
    "--password ",
    "conn a/",
    "sqlplus a/b",
    "cookie: a",
    "set password for ",
    "create user ",
    "curl -u ",
    "redis-cli ",
    "mongo ",
    "Basic ",
    "identified by ",
    "ａ",
    "a\u200b",
    '\\"password\\":\\"',
    "access key ",
]


@pytest.mark.parametrize("unit", _UNITS)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    """Eight times the text takes about eight times as long, not 64 times; processor time, the best of three."""

    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        found = []
        for _ in range(3):
            begin = time.process_time()
            redact(text)
            cut_short(text)
            unfinished(text)
            found.append(time.process_time() - begin)
        return min(found)

    assert seconds(16_000) < 30 * seconds(2_000) + 0.01


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


# -- texts without their end ---------------------------------------------------------------------------------


_CUT = [case for case in HIDDEN_CASES if case.isascii() and "BEGIN" not in case]


@pytest.mark.parametrize("case", _CUT)
def test_no_recognisable_part_of_a_secret_is_in_a_text_that_is_cut(case: str) -> None:
    for at in range(1, len(case)):
        for shown in (redact(unfinished(case[:at])), redact(cut_short(case[:at]))):
            assert not [s for s in SECRETS[:4] if s[:8] in shown], shown


@pytest.mark.parametrize(
    "text",
    [
        "The lock is held by trx",
        "add an inde",
        "see https://help.example.com/a",
        "the password",
        "`orders`.",
        "中文",
    ],
)
def test_a_plain_last_word_stays(text: str) -> None:
    assert cut_short(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conn mysql://root:Hunter2Sec", "conn …"),
        ('{"url":"mysql://root:Hunter2Sec', '{"url":"…'),
        (f"{AK} abcDEF123", f"{HIDDEN} …"),
        ("bot xoxb-12", "bot …"),
        ("id LTAI5t", "id …"),
        ("jwt eyJhbGciOi", "jwt …"),
        ("the password is Hun", "the password is …"),
    ],
)
def test_what_may_be_the_beginning_of_a_secret_goes(text: str, shown: str) -> None:
    assert redact(cut_short(text)) == shown


def test_a_column_of_secrets_is_hidden_line_by_line_until_its_table_ends() -> None:
    columns = Columns()
    lines = ["user | password", "--- | ---", "root | abc", "x | y", "", "then | password | abc", "more | abc"]
    assert [columns.line(line) for line in lines] == [
        *lines[:2],
        f"root | {HIDDEN}",
        f"x | {HIDDEN}",
        *lines[4:],
    ]
