"""Every setting, from the environment or a .env file, with its unit and default.

Alibaba Cloud credentials are not among them: they come from the default chain of alibabacloud-credentials.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_FILE = ".env"
_FOREIGN_PREFIX = "ALIBABA_CLOUD_"
"""Names of the credentials chain, which may stand in the same .env file."""


class SettingsError(Exception):
    """One or more settings are wrong. `problems` names each: where it is, what is wrong, what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Settings(BaseSettings):
    """What an operator can set. A field's name in capitals is the variable; the README lists them all."""

    model_config = SettingsConfigDict(
        env_file=None, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    slack_bot_token: SecretStr = Field(SecretStr(""), description="Bot token, xoxb-…")
    slack_app_token: SecretStr = Field(
        SecretStr(""), description="App token, xapp-…: given, Socket Mode is used"
    )
    slack_signing_secret: SecretStr = Field(
        SecretStr(""), description="Signing secret: given without an app token, Slack calls us over HTTP"
    )
    slack_api_url: str = Field("https://slack.com/api/", description="Where Slack's Web API is")
    host: str = Field("0.0.0.0", description="Address the HTTP server listens on")
    port: int = Field(3000, ge=0, le=65535, description="Port of the HTTP server; 0 takes any free one")

    redis_url: str = Field(
        "embedded", description="redis://, rediss:// or unix:// URL; `embedded` runs a server in DATA_DIR"
    )
    data_dir: Path = Field(
        Path("~/.local/share/das-bot"),
        description="Folder of the embedded server's data",
        validate_default=True,
    )

    das_endpoint: str = Field(
        "https://das.cn-shanghai.aliyuncs.com", description="DAS Agent's endpoint, a URL with its scheme"
    )
    das_agent_id: str = Field("", description="Agent to ask (ag-…); empty is the account's default agent")
    das_concurrency: int = Field(
        1,
        ge=1,
        le=100,
        description="Runs open at once per agent, over all replicas; the basic edition allows 1",
    )
    das_silence_seconds: float = Field(
        300, gt=0, le=3600, description="Seconds without a byte after which an answer counts as cut"
    )
    das_deadline_minutes: float = Field(30, gt=0, le=240, description="Minutes a whole run may take")

    allowed_channels: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="Channel ids (C…, comma-separated) where the bot answers; empty means all"
    )
    allowed_users: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="People's ids (U…, comma-separated) who may ask; empty means all of the workspace",
    )
    allow_external: bool = Field(
        False, description="Whether people of other companies in shared channels may ask"
    )

    session_retention_days: float = Field(
        30, gt=0, le=365, description="Days a quiet thread remembers its session"
    )
    run_retention_days: float = Field(7, gt=0, le=365, description="Days the record of a run is kept")
    question_max_age_minutes: float = Field(
        60, gt=0, le=1440, description="Minutes after which a waiting question is closed instead of answered"
    )
    max_runs: int = Field(
        200, ge=1, le=5000, description="Threads one process works on at once, waiting ones included"
    )
    drain_seconds: float = Field(
        60, ge=0, le=1800, description="Seconds running answers may go on after SIGTERM"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged")
    log_format: Literal["console", "json"] = Field("console", description="For a person, or for a machine")

    @field_validator("allowed_channels", "allowed_users", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_channels")
    @classmethod
    def _channel_ids(cls, value: frozenset[str]) -> frozenset[str]:
        return _ids(value, "CGD", "a channel id such as C0123456789 (open the channel's details to copy it)")

    @field_validator("allowed_users")
    @classmethod
    def _user_ids(cls, value: frozenset[str]) -> frozenset[str]:
        return _ids(value, "UW", "a member id such as U0123456789 (open the person's profile to copy it)")

    @field_validator("slack_bot_token")
    @classmethod
    def _bot_token(cls, value: SecretStr) -> SecretStr:
        return _prefixed(value, "xoxb-", "the Bot User OAuth Token from 'OAuth & Permissions'")

    @field_validator("slack_app_token")
    @classmethod
    def _app_token(cls, value: SecretStr) -> SecretStr:
        return _prefixed(value, "xapp-", "an app-level token with connections:write from 'Basic Information'")

    @field_validator("slack_api_url", "das_endpoint")
    @classmethod
    def _url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")) or len(value) < len("http://x"):
            raise ValueError("must be a URL with its scheme, such as https://host")
        return value

    @field_validator("slack_api_url")
    @classmethod
    def _folder(cls, value: str) -> str:
        return value if value.endswith("/") else value + "/"

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if value != "embedded" and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must be redis://, rediss://, unix:// or the word embedded")
        return value

    @field_validator("data_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if self.das_silence_seconds > self.das_deadline_minutes * 60:
            raise ValueError("DAS_SILENCE_SECONDS must not be longer than DAS_DEADLINE_MINUTES")
        return self

    @property
    def socket_mode(self) -> bool:
        """Whether events come over Socket Mode rather than over HTTP."""
        return bool(self.slack_app_token.get_secret_value())


def load(env_file: str | Path = ENV_FILE, *, slack: bool = True) -> Settings:
    """Read the settings; the environment wins over the file.

    Credentials of the Alibaba chain that stand in the file are put into the environment: the chain looks there.

    Args:
        env_file: the .env file; it need not exist.
        slack: whether what the Slack side needs must be there.

    Raises:
        SettingsError: naming every wrong, missing and unknown setting at once.
    """
    problems: list[str] = []
    path = Path(env_file)
    try:
        in_file = {k: v or "" for k, v in dotenv_values(path).items()} if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            [f"{path}: cannot be read as text ({type(error).__name__}); save it as UTF-8"]
        ) from None
    known = {name.upper() for name in Settings.model_fields}
    problems += [
        f"{name} ({path}): no such setting{_meant(name, known)}"
        for name in in_file
        if name.upper() not in known and not name.startswith(_FOREIGN_PREFIX)
    ]
    for name, text in in_file.items():
        if name.startswith(_FOREIGN_PREFIX):
            os.environ.setdefault(name, text)
    values = {name.lower(): text for name, text in in_file.items() if name.upper() in known and text != ""}
    values |= {name.lower(): os.environ[name] for name in known if os.environ.get(name)}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_problem(item["loc"], item["msg"]) for item in error.errors(include_input=False)]
        settings = None
    if slack:
        problems += _missing(values)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def _missing(values: dict[str, str]) -> list[str]:
    problems = []
    if not values.get("slack_bot_token"):
        problems.append("SLACK_BOT_TOKEN: missing; it is the Bot User OAuth Token (xoxb-…)")
    if not values.get("slack_app_token") and not values.get("slack_signing_secret"):
        problems.append(
            "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET: one is needed; the app token (xapp-…) for Socket Mode, "
            "the signing secret for HTTP"
        )
    return problems


def _problem(place: tuple[int | str, ...], message: str) -> str:
    name = str(place[0]).upper() if place else "settings"
    return f"{name}: {message.removeprefix('Value error, ')}"


def _meant(name: str, known: set[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.upper(), sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; the README lists all of them"


def _ids(value: frozenset[str], first: str, what: str) -> frozenset[str]:
    wrong = sorted(item for item in value if item[0] not in first or not item.isalnum() or len(item) < 3)
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is not {what}")
    return value


def _prefixed(value: SecretStr, prefix: str, what: str) -> SecretStr:
    text = value.get_secret_value()
    if text and (not text.startswith(prefix) or text != text.strip()):
        raise ValueError(f"must begin with {prefix}; it is {what}")
    return value
