"""The README says what the code does: every setting with its default, every command, every documented file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.cli import cli
from bot.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if isinstance(value, SecretStr | frozenset | dict) or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_stands_in_the_table_with_its_default(name: str) -> None:
    row = f"| `{name.upper()}` | {_default(name)} | {Settings.model_fields[name].description} |"
    assert row in README


def test_the_table_has_no_setting_that_nothing_reads() -> None:
    table = README.split("## Settings")[1].split("## Operating")[0]
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.M))
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_command_is_named() -> None:
    commands = {
        command.name or command.callback.__name__ for command in cli.registered_commands if command.callback
    }
    assert commands
    assert all(f"das-bot {name}" in README for name in commands)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_file_it_links_to_is_there(target: str) -> None:
    assert (ROOT / target).exists()
