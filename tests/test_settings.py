"""Settings: everything that is wrong at once, and never a secret in what is said about it."""

import os
from pathlib import Path
from typing import Any

import pytest

from bot.settings import Settings, SettingsError, load
from bot.slack.reply.asks import CONSOLE

BOT, APP = "xoxb-1234567890-abcdefghij", "xapp-1-A0123456789-abcdefghij"
SECRET = "5e" * 16
GOOD = f"SLACK_BOT_TOKEN={BOT}\nSLACK_APP_TOKEN={APP}\n"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper() in {field.upper() for field in Settings.model_fields} or name.startswith("ALIBABA_"):
            monkeypatch.delenv(name)


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Settings:
    path = tmp_path / ".env"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, **options)


def problems(tmp_path: Path, text: str | bytes, **options: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, **options)
    return [problem.replace(str(tmp_path), "") for problem in caught.value.problems]


def test_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert settings.socket_mode
    assert (settings.port, settings.redis_url, settings.das_concurrency) == (3000, "embedded", 1)
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.rds_console_url == CONSOLE
    assert settings.data_dir.is_absolute()
    assert settings.allowed_users == frozenset()


def test_every_wrong_value_at_once(tmp_path: Path) -> None:
    wrong = """
SLACK_BOT_TOKEN=xapp-wrong-kind
SLACK_APP_TOKEN=xoxb-wrong-kind
PORT=many
REDIS_URL=localhost:6379
DAS_ENDPOINT=das.cn-shanghai.aliyuncs.com
DAS_CONCURRENCY=0
ALLOWED_CHANNELS=general
ALLOWED_USERS=ana
ALLOW_EXTERNAL=perhaps
RUN_RETENTION_DAYS=0.001
LOG_LEVEL=loud
"""
    found = problems(tmp_path, wrong)
    assert len(found) == 11
    names = {line.split(" ")[0].rstrip(":") for line in found}
    assert names == {line.split("=")[0] for line in wrong.split()}
    assert not any("wrong-kind" in line for line in found)


def test_what_does_not_go_together_is_told_with_the_rest(tmp_path: Path) -> None:
    wrong = (
        "PORT=many\nMETRICS_PORT=of\nDEFAULT_AGENT=rds\nDAS_SILENCE_SECONDS=3600\nRDS_SILENCE_SECONDS=3600\n"
    )
    found = problems(tmp_path, GOOD + wrong)
    assert [line.split(" ")[0].rstrip(":") for line in found] == [
        "PORT", "METRICS_PORT", "DAS_SILENCE_SECONDS", "RDS_SILENCE_SECONDS", "DEFAULT_AGENT"
    ]  # fmt: skip
    # Of what is wrong already nothing else is said.
    [told] = problems(tmp_path, f"{GOOD}DAS_SILENCE_SECONDS=3600\nDAS_DEADLINE_MINUTES=long")
    assert told.startswith("DAS_DEADLINE_MINUTES: ")


def test_limits_of_single_agents(tmp_path: Path) -> None:
    settings = read(tmp_path, "AGENT_CONCURRENCY=ag-abc=3, my-agent = 1", slack=False)
    assert settings.agent_concurrency == {"ag-abc": 3, "my-agent": 1}
    for wrong in ("ag-a", "ag-a=0", "ag-a=101", "=3", "ag-a=x", "ag-a=1,"):
        assert problems(tmp_path, f"{GOOD}AGENT_CONCURRENCY={wrong}") == [
            "AGENT_CONCURRENCY: must be like ag-abc=3,ag-def=10, each from 1 to 100"
        ]
    [twice] = problems(tmp_path, f"{GOOD}AGENT_CONCURRENCY=ag-a=1,ag-a=2")
    assert twice == "AGENT_CONCURRENCY: names ag-a twice"


def test_what_is_missing(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "")) == 2
    assert problems(tmp_path, f"SLACK_BOT_TOKEN={BOT}")[0].startswith(
        "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET"
    )
    assert not read(tmp_path, f"SLACK_BOT_TOKEN={BOT}\nSLACK_SIGNING_SECRET={SECRET}").socket_mode
    assert read(tmp_path, "", slack=False).das_agent_id == ""
    assert load(tmp_path / "absent", slack=False).port == 3000


def test_empty_means_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAS_AGENT_ID", "")
    settings = read(tmp_path, GOOD + "PORT=\nALLOWED_USERS=\nDAS_AGENT_ID=ag-1\n")
    assert (settings.port, settings.allowed_users, settings.das_agent_id) == (3000, frozenset(), "ag-1")
    assert len(problems(tmp_path, "SLACK_BOT_TOKEN=\nSLACK_APP_TOKEN=' '\n")) == 2


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "4000")
    # A secret mounted as a file ends with a line end.
    monkeypatch.setenv("SLACK_SIGNING_SECRET", f"{SECRET}\n")
    settings = read(tmp_path, GOOD + "PORT=5000\n")
    assert settings.port == 4000
    assert settings.slack_signing_secret.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("SLACK_BOT_TOKE=x", "did you mean SLACK_BOT_TOKEN?"),
        ("DAS_ENDPIONT=x", "did you mean DAS_ENDPOINT?"),
        ("FAVOURITE_COLOUR=x", "the README lists all of them"),
        ("alibaba_cloud_region=x", "no such setting"),
    ],
)
def test_unknown_names(tmp_path: Path, line: str, meant: str) -> None:
    (problem,) = problems(tmp_path, GOOD + line)
    assert "no such setting" in problem and meant in problem


@pytest.mark.parametrize(
    ("agent", "is_one"),
    [
        ("das ag-abc123", True),
        ("das-legacy ag-abc123", True),
        ("rds my-agent", True),
        ("rds", True),
        ("das agent", False),
        ("das-legacy abc", False),
        ("rds Copilot", False),
        ("RDS Copilot", False),
        ("das ag-1 ag-2", False),
    ],
)
def test_a_title_is_no_agent_id(tmp_path: Path, agent: str, is_one: bool) -> None:
    text = f"{GOOD}RDS_REGION=cn-hangzhou\nDEFAULT_AGENT={agent}"
    if is_one:
        assert read(tmp_path, text).default_agent == agent
    else:
        (problem,) = problems(tmp_path, text)
        assert problem.startswith("DEFAULT_AGENT: must")


def test_a_file_from_notepad(tmp_path: Path) -> None:
    text = (
        "\ufeff"
        + GOOD.replace("\n", "\r\n")
        + "# comment\r\n\r\nexport PORT='4000' # why\r\nLOG_LEVEL=\"debug\""
    )
    settings = read(tmp_path, text)
    assert (settings.port, settings.log_level) == (4000, "debug")
    assert settings.slack_bot_token.get_secret_value() == BOT


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00P", GOOD.encode("utf-16-le"), b"PORT=\xe9", b"\x00\x01\x02"]
)
def test_a_file_that_is_no_text(tmp_path: Path, content: bytes) -> None:
    assert problems(tmp_path, content, slack=False) == ["/.env: is not text in UTF-8; save it as UTF-8"]


def test_a_name_set_twice(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD + "PORT=1\nLOG_LEVEL=info\n\nport=2\n") == [
        "PORT (/.env, line 6): is set twice, to different values"
    ]
    assert read(tmp_path, GOOD + "PORT=1\nPORT=1\n").port == 1


@pytest.mark.parametrize(
    "line", ["xoxb-a-token-alone-on-its-line", "R4nd0mSecretWithoutName0123456", "=x", "a b=c"]
)
def test_a_line_that_is_no_setting_is_never_repeated(tmp_path: Path, line: str) -> None:
    (problem,) = problems(tmp_path, GOOD + "\n" + line + "\n")
    assert problem == "/.env, line 4: is not a setting; write NAME=value"


def test_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + "REDIS_URL=redis://:pa${HOME}ss$x@host:1/0\n")
    assert settings.redis_url == "redis://:pa${HOME}ss$x@host:1/0"


def test_the_credentials_chain_finds_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ROLE_ARN"]
    for name in names:
        monkeypatch.setenv(name, "")  # Restored at the end, whatever is set meanwhile.
    monkeypatch.setenv(names[2], "from the environment")
    read(tmp_path, "".join(f"{name}=from the file\n" for name in names), slack=False)
    assert [os.environ[name] for name in names] == ["from the file", "from the file", "from the environment"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:hunter2/x@host:6379"),
        ("REDIS_URL", "redis://:hunter2@host:port"),
        ("REDIS_URL", "http://:hunter2@host"),
        ("SLACK_BOT_TOKEN", "hunter2"),
        ("SLACK_BOT_TOKEN", "xoxb-hunter2 more"),
        ("SLACK_APP_TOKEN", "xapp-hunter2…"),
        ("SLACK_SIGNING_SECRET", "hunter2 hunter2"),
        ("SLACK_SIGNING_SECRET", "hunter2" + "0" * 25),
        ("SLACK_SIGNING_SECRET", "e" * 31),
        ("DAS_ENDPOINT", "ftp://u:hunter2@host"),
        ("DAS_ENDPOINT", "https://"),
        ("RDS_CONSOLE_URL", "rdsnext.console.aliyun.com"),
        ("SLACK_API_URL", "https://u:hunter2@host:port"),
    ],
)
def test_no_error_shows_a_value(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = problems(tmp_path, f'{name}="{value}"', slack=False)
    assert problem.startswith(f"{name}: ")
    assert "hunter2" not in problem


def test_no_secret_in_the_representation(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + f"SLACK_SIGNING_SECRET={SECRET}\nREDIS_URL=redis://:hunter2@host/0\n")
    for text in (repr(settings), str(settings)):
        assert not any(secret in text for secret in (BOT, APP, SECRET, "hunter2"))


@pytest.mark.parametrize("value", [",", " , ,"])
def test_a_list_that_names_nobody_lets_nobody_in(tmp_path: Path, value: str) -> None:
    (problem,) = problems(tmp_path, GOOD + f'ALLOWED_USERS="{value}"')
    assert problem == "ALLOWED_USERS: names nobody; leave it away to allow all"


def test_lists(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + "ALLOWED_CHANNELS=C0DBOPS001, C0ORDERS01,\nALLOWED_USERS=U0ANA00001")
    assert settings.allowed_channels == {"C0DBOPS001", "C0ORDERS01"}
    assert settings.allowed_users == {"U0ANA00001"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("DAS_SILENCE_SECONDS=1200\nDAS_DEADLINE_MINUTES=10", "DAS_SILENCE_SECONDS must not be longer"),
        ("RUN_RETENTION_DAYS=1\nQUESTION_MAX_AGE_MINUTES=1440", "RUN_RETENTION_DAYS must not be shorter"),
    ],
)
def test_values_that_do_not_go_together(tmp_path: Path, text: str, named: str) -> None:
    (problem,) = problems(tmp_path, GOOD + text)
    assert problem.startswith(named)


def test_misspelt_names_in_the_environment_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAS_AGENT", "ag-1")
    monkeypatch.setenv("SLACK_SIGNIN_SECRET", "x")
    monkeypatch.setenv("SLACK_CLIENT_ID", "another program's")
    with pytest.raises(SettingsError) as error:
        load("nowhere.env", slack=False)
    told = "\n".join(error.value.problems)
    assert "did you mean DAS_AGENT_ID?" in told and "did you mean SLACK_SIGNING_SECRET?" in told
    assert "SLACK_CLIENT_ID" not in told


def test_patterns_of_what_else_to_hide(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + r"REDACT_PATTERNS='card-\d{4,6} emp\s#[0-9]+'")
    assert settings.redact_patterns == {r"card-\d{4,6}", r"emp\s#[0-9]+"}


@pytest.mark.parametrize(
    ("pattern", "told"),
    [("ok [a-", "pattern 2 is no regular expression (unterminated"), ("x*", "pattern 1 matches everywhere")],
)
def test_a_pattern_that_cannot_work_is_told(tmp_path: Path, pattern: str, told: str) -> None:
    (problem,) = problems(tmp_path, GOOD + f"REDACT_PATTERNS='{pattern}'")
    assert problem.startswith(f"REDACT_PATTERNS: {told}")
