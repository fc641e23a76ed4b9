"""Log lines: redacted in every corner, in both forms, also those of libraries."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot import log

SECRET = "S3cr3t-Hunter2"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_corner_of_a_line_shows_a_secret(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json" if form == "json" else "console")
    structlog.contextvars.bind_contextvars(token=f"xoxb-1234567890-{SECRET}")
    logger = structlog.stdlib.get_logger("one")
    logger.info(
        f"password={SECRET}", url=f"redis://:{SECRET}@h", password=SECRET, nested={"client_secret": SECRET}
    )
    logger.info(
        "listed", items=[f"Bearer {SECRET}", (f"password={SECRET}",)], error=ValueError(f"pwd={SECRET}")
    )
    try:
        raise ValueError(f"password={SECRET}")
    except ValueError:
        logger.exception("failed")
        logging.getLogger("library").exception("password=%s", SECRET)
    logging.getLogger("library").warning("sent %s", {"Authorization": f"Bearer {SECRET}"})
    written = capsys.readouterr().err
    assert SECRET not in written
    assert "listed" in written and "ValueError" in written and "library" in written
    if form == "json":
        assert all(json.loads(line)["event"] for line in written.splitlines())


def test_numbers_and_chinese_stay_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    structlog.stdlib.get_logger("one").info("计数", count=3, ok=True, nothing=None)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["count"], line["ok"], line["nothing"]) == ("计数", 3, True, None)


def test_noisy_libraries_and_refused_signatures_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json")
    logging.getLogger("slack_sdk.web").debug("a body")
    logging.getLogger("slack_bolt.AsyncRequestVerification").error("a body")
    logging.getLogger("aiohttp.access").info("a target")
    assert capsys.readouterr().err == ""
