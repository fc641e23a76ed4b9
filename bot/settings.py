"""Every setting, from the environment or a .env file, with its unit and default.

Alibaba Cloud credentials are not among them: they come from the default chain of alibabacloud-credentials.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.store import address

ENV_FILE = ".env"
BACKENDS = ("das", "das-legacy", "rds")
"""The services, by their names in commands."""
_OWN_PREFIXES = ("SLACK_", "DAS_", "RDS_", "ALLOWED_", "ADMIN_", "APPROVER_", "DAILY_BUDGET_")
_NEARLY = 0.8
"""Likeness from which a name counts as misspelt; SLACK_CLIENT_ID, another program's, is far below."""
_FOREIGN_PREFIX = "ALIBABA_CLOUD_"
"""Names of the credentials chain, which may stand in the same .env file."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MINUTES_A_DAY = 1440


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
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | Literal["", "off"] = Field(
        "", description="Port of /metrics; empty serves it on PORT, `off` nowhere"
    )

    redis_url: str = Field(
        "embedded",
        repr=False,
        description="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL; "
        "`embedded` runs a server in DATA_DIR",
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
    das_resume: bool = Field(
        False,
        description="Whether an answer to what DAS Agent asks in between is sent as Resume (undocumented) "
        "instead of as a new question",
    )

    rds_region: str = Field(
        "", description="RDS Copilot's region, such as cn-hangzhou; without it RDS Copilot is not offered"
    )
    rds_endpoint: str = Field(
        "", description="RDS Copilot's endpoint, a URL with its scheme; empty is that of RDS_REGION"
    )
    rds_agent_id: str = Field("", description="Custom agent of RDS Copilot; empty is the standard one")
    rds_tool_approval: Literal["read_only", "manual", "auto"] = Field(
        "read_only",
        description="What RDS Copilot's tools may do: `read_only`; `manual` writes after a decision in the console; "
        "`auto` writes",
    )
    rds_console_url: str = Field(
        "https://rdsnext.console.aliyun.com",
        description="Where RDS Copilot's consents are given: the page a reply that waits for one links to",
    )
    rds_concurrency: int = Field(
        1,
        ge=1,
        le=100,
        description="Runs of RDS Copilot open at once, of all its agents together, over all replicas",
    )
    rds_silence_seconds: float = Field(
        600,
        gt=0,
        le=3600,
        description="Seconds without a byte after which an answer of RDS Copilot counts as cut",
    )
    rds_deadline_minutes: float = Field(
        30, gt=0, le=240, description="Minutes a whole run of RDS Copilot may take"
    )
    default_agent: str = Field(
        "das",
        description="Who answers where nobody has chosen: das, das-legacy or rds, then an agent id if any",
    )
    agent_concurrency: Annotated[dict[str, int], NoDecode] = Field(
        {},
        description="Runs of single agents open at once, such as ag-abc=3,ag-def=10. DAS Agent's others have "
        "DAS_CONCURRENCY each; a custom agent of RDS Copilot takes no more than this of RDS_CONCURRENCY",
    )

    allowed_channels: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="Channel ids (C…, comma-separated) where the bot answers; empty means all"
    )
    allowed_users: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="People's ids (U…, comma-separated) who may ask; empty means all of the workspace",
    )
    admin_users: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="People (U…, comma-separated) who choose agents and may stop anything; "
        "empty means the workspace's admins",
    )
    approver_users: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="People (U…, comma-separated) who may let a paused run go on; empty means the asker and admins",
    )
    allow_external: bool = Field(
        False, description="Whether people of other companies in shared channels may ask"
    )

    daily_budget_workspace: int = Field(
        0, ge=0, description="Characters the workspace may use a day; 0 is no limit"
    )
    daily_budget_channel: int = Field(0, ge=0, description="The same for each channel")
    daily_budget_person: int = Field(0, ge=0, description="The same for each person")
    timezone: str = Field(
        "Asia/Shanghai", description="Where a day begins, and the timezone of people whose own is unknown"
    )

    session_retention_days: float = Field(
        30, ge=1 / 24, le=365, description="Days a quiet thread remembers its session; an hour is 0.042"
    )
    run_retention_days: float = Field(7, ge=1, le=365, description="Days the record of a run is kept")
    question_max_age_minutes: float = Field(
        60, gt=0, le=1440, description="Minutes after which a waiting question is closed instead of answered"
    )
    max_runs: int = Field(
        200,
        ge=1,
        le=5000,
        description="Threads one process takes at once; those that only wait for a slot, and a dead process's, come on "
        "top",
    )
    max_waiting: int = Field(
        500,
        ge=1,
        le=100_000,
        description="Questions of the workspace that may wait to be asked; more are refused politely",
    )
    drain_seconds: float = Field(
        60, ge=0, le=1800, description="Seconds running answers may go on after SIGTERM"
    )

    redact_patterns: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Regular expressions of what else to hide in answers and logs, separated by spaces (in them a "
        "space is `\\s`); lines then appear when they are complete",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level logged: `debug`, `info`, `warning` or `error`"
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="`console` for a person, `json` for a machine"
    )

    @field_validator("allowed_channels", "allowed_users", "admin_users", "approver_users", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            parts = frozenset(part.strip() for part in value.split(",") if part.strip())
            if not parts and value:
                # An empty list lets everybody in; that has to be meant.
                raise ValueError("names nobody; leave it away to allow all")
            return parts
        return value

    @field_validator("allowed_channels")
    @classmethod
    def _channel_ids(cls, value: frozenset[str]) -> frozenset[str]:
        return _ids(value, "CGD", "a channel id such as C0123456789 (open the channel's details to copy it)")

    @field_validator("allowed_users", "admin_users", "approver_users")
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

    @field_validator("slack_signing_secret")
    @classmethod
    def _signing_secret(cls, value: SecretStr) -> SecretStr:
        # A shorter one, of which a part was not copied, would refuse every request of Slack's.
        if not re.fullmatch(r"[0-9a-f]{32}|", value.get_secret_value()):
            raise ValueError(
                "must be 32 digits from 0 to f; copy the Signing Secret from 'Basic Information'"
            )
        return value

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _port_or_off(cls, value: object) -> object:
        # An own check: of two kinds of value the validator would report each.
        is_port = isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value) and int(value) <= 65535
        if isinstance(value, str) and value not in ("", "off") and not is_port:
            raise ValueError("must be a port from 0 to 65535, or off")
        return value

    @field_validator("agent_concurrency", mode="before")
    @classmethod
    def _limits(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        limits = {}
        for part in value.split(","):
            agent, _, limit = (piece.strip() for piece in part.partition("="))
            if not agent or not limit.isdecimal() or not 1 <= int(limit) <= 100:
                raise ValueError("must be like ag-abc=3,ag-def=10, each from 1 to 100")
            if agent in limits:
                raise ValueError(f"names {agent} twice")
            limits[agent] = int(limit)
        return limits

    @field_validator("redact_patterns", mode="before")
    @classmethod
    def _patterns(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        patterns = value.split()
        for number, pattern in enumerate(patterns, start=1):
            try:
                is_endless = re.compile(pattern).search("") is not None
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"pattern {number} is no regular expression ({error})") from None
            if is_endless:
                raise ValueError(f"pattern {number} matches everywhere, even where there is no text")
        return frozenset(patterns)

    @field_validator("default_agent")
    @classmethod
    def _agent(cls, value: str) -> str:
        backend, *agent = value.split()
        if backend not in BACKENDS or len(agent) > 1:
            raise ValueError(f"must be one of {', '.join(BACKENDS)}, then an agent id if any")
        if agent and backend != "rds" and not agent[0].startswith("ag-"):
            raise ValueError("must have an agent id like ag-abc123 after das or das-legacy, or none")
        if agent and backend == "rds" and agent[0].lower() == "copilot":
            raise ValueError("must be rds for RDS Copilot, and a custom agent's id after it if any")
        return value

    @field_validator("rds_region")
    @classmethod
    def _region(cls, value: str) -> str:
        if value and not re.fullmatch(r"[a-z]{2,}-[a-z0-9-]+", value):
            raise ValueError("must be a region id such as cn-hangzhou")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError("must be a name such as Asia/Shanghai or UTC") from None
        return value

    @field_validator("slack_api_url", "das_endpoint", "rds_endpoint", "rds_console_url")
    @classmethod
    def _url(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name == "rds_endpoint":
            return value
        if not value.startswith(("http://", "https://")) or not _has_host(value):
            raise ValueError("must be a URL with its scheme, such as https://host")
        return value

    @field_validator("slack_api_url")
    @classmethod
    def _folder(cls, value: str) -> str:
        return value if value.endswith("/") else value + "/"

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if value != "embedded":
            address.parse(value)
        return value

    @field_validator("data_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def has_rds(self) -> bool:
        """Whether RDS Copilot can be asked."""
        return bool(self.rds_region or self.rds_endpoint)

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
    path = Path(env_file)
    known = {name.upper() for name in Settings.model_fields}
    in_file, problems = _read(path, known)
    for name, text in in_file.items():
        if name.startswith(_FOREIGN_PREFIX) and text and not os.environ.get(name):
            os.environ[name] = text
    problems += _misspelt(known)
    # A secret that was mounted as a file often ends with a line end; no setting has spaces around it.
    in_environment = {name: os.environ.get(name, "").strip() for name in known}
    given = {name.upper(): text for name, text in in_file.items() if name.upper() in known} | {
        name: text for name, text in in_environment.items() if text
    }
    values = {name.lower(): text for name, text in given.items() if text}
    wrong: set[str] = set()
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_problem(item["loc"], item["msg"]) for item in error.errors(include_input=False)]
        wrong = {str(item["loc"][0]) for item in error.errors(include_input=False)}
        # The others are still held against each other, so that nobody corrects one only to hear of the next.
        settings = Settings.model_validate(
            values | {name: Settings.model_fields[name].default for name in wrong}
        )
    problems += [text for names, text in _contradictions(settings) if not wrong.intersection(names)]
    if slack:
        problems += _missing(values)
    if problems:
        raise SettingsError(problems)
    return settings


def _contradictions(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """The settings, by the names of their fields, that are each right and do not go together; and why."""
    for service in ("das", "rds"):
        silence, deadline = f"{service}_silence_seconds", f"{service}_deadline_minutes"
        if getattr(settings, silence) > getattr(settings, deadline) * 60:
            yield (silence, deadline), f"{silence.upper()} must not be longer than {deadline.upper()}"
    if settings.default_agent.startswith("rds") and not settings.has_rds:
        names = ("default_agent", "rds_region", "rds_endpoint")
        yield names, "DEFAULT_AGENT is rds, so RDS_REGION must be given"
    longest = settings.question_max_age_minutes + settings.das_deadline_minutes
    if settings.run_retention_days * _MINUTES_A_DAY < longest:
        yield (
            ("run_retention_days", "question_max_age_minutes", "das_deadline_minutes"),
            "RUN_RETENTION_DAYS must not be shorter than QUESTION_MAX_AGE_MINUTES and DAS_DEADLINE_MINUTES together",
        )


def _misspelt(known: set[str]) -> list[str]:
    """Names in the environment that are nearly a setting. Others there are none of our business."""
    problems = []
    for name in sorted(os.environ):
        if name.startswith(_OWN_PREFIXES) and name not in known:
            close = get_close_matches(name, known, n=1, cutoff=_NEARLY)
            problems += [f"{name} (environment): no such setting; did you mean {close[0]}?"] if close else []
    return problems


def _read(path: Path, known: set[str]) -> tuple[dict[str, str], list[str]]:
    """The settings of a .env file, and what is wrong with it. A line that is no setting is never repeated."""
    try:
        # Notepad begins a file with a byte order mark.
        text = path.read_text("utf-8-sig") if path.is_file() else ""
    except OSError as error:
        return {}, [f"{path}: cannot be read ({error.strerror})"]
    except UnicodeDecodeError:
        return {}, [f"{path}: is not text in UTF-8; save it as UTF-8"]
    if "\0" in text:
        return {}, [f"{path}: is not text in UTF-8; save it as UTF-8"]
    found: dict[str, str] = {}
    problems = []
    for binding in parse_stream(io.StringIO(text)):
        name, value = binding.key, binding.value
        line = binding.original.line + _leading_lines(binding.original.string)
        if name is None and not binding.error:
            continue
        if name is None or value is None or not _NAME.fullmatch(name):
            problems.append(f"{path}, line {line}: is not a setting; write NAME=value")
        elif name.upper() not in known and not name.startswith(_FOREIGN_PREFIX):
            problems.append(f"{name} ({path}): no such setting{_meant(name, known)}")
        elif name.upper() in found and found[name.upper()] != value.strip():
            problems.append(f"{name.upper()} ({path}, line {line}): is set twice, to different values")
        else:
            found[name.upper()] = value.strip()
    return found, problems


def _leading_lines(text: str) -> int:
    """How many empty lines stand before a statement; the parser counts them with it."""
    return text[: len(text) - len(text.lstrip())].count("\n")


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
    text = message.removeprefix("Value error, ")
    return f"{str(place[0]).upper()}: {text}" if place else text


def _meant(name: str, known: set[str]) -> str:
    close = get_close_matches(name.upper(), sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; the README lists all of them"


def _ids(value: frozenset[str], first: str, what: str) -> frozenset[str]:
    wrong = sorted(item for item in value if not re.fullmatch(rf"[{first}][A-Z0-9]{{2,}}", item))
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is not {what}")
    return value


def _prefixed(value: SecretStr, prefix: str, what: str) -> SecretStr:
    text = value.get_secret_value()
    if text and not text.startswith(prefix):
        raise ValueError(f"must begin with {prefix}; it is {what}")
    return _sendable(value)


def _sendable(value: SecretStr) -> SecretStr:
    if not all("!" <= character <= "~" for character in value.get_secret_value()):
        raise ValueError("has a space or a letter that no token has; copy it again")
    return value


def _has_host(url: str) -> bool:
    """Whether a URL names a host, and a port only if it is one. An own check: the parser's errors repeat the URL."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and " " not in url and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
