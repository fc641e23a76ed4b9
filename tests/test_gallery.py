"""The gallery's command: one page that needs nothing else, or what Slack is given as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from bot.cli import cli
from bot.gallery.scenes import pictures


def test_it_writes_one_page_that_loads_nothing(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    done = CliRunner().invoke(cli, ["gallery", str(file)])
    assert done.exit_code == 0 and file.as_uri() in done.output
    page = file.read_text("utf-8")
    assert not re.search(r"<(?:link|img|iframe)\b|<script[^>]+src=|@import|url\((?!data:)", page)
    assert "default-src 'none'" in page
    assert page.count("</script>") == 3 and "das · waiting for an approval" in page


def test_it_prints_the_payloads() -> None:
    done = CliRunner().invoke(cli, ["gallery", "--json"])
    shown = json.loads(done.output)
    assert [each["name"] for each in shown] == [picture.name for picture in pictures()]
    for each in shown:
        assert all(
            payload["blocks"] or each["name"] == "answered-as-text-alone" for payload in each["payloads"]
        )
        # What a stream says stands beside its blocks by itself.
        assert all(payload["text"] or each["streams"] for payload in each["payloads"])
    assert next(each for each in shown if each["name"] == "a-result-as-a-file")["files"][0]["text"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["gallery", str(tmp_path / "no" / "page.html")])
    assert done.exit_code == 2 and "cannot be written" in done.output


def test_it_draws_the_same_each_time() -> None:
    assert pictures() == pictures()
