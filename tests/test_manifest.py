"""manifest.yml says what the code does: its commands, events and scopes, and nothing more."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from bot.slack.intake.commands import COMMANDS

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"

SCOPES_OF_METHODS = {
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "chat.delete": {"chat:write"},
    "chat.postEphemeral": {"chat:write"},
    "conversations.replies": {"channels:history", "groups:history", "im:history"},
    "conversations.history": {"channels:history", "groups:history", "im:history"},
    "users.info": {"users:read"},
    "chat.startStream": {"chat:write"},
    "chat.appendStream": {"chat:write"},
    "chat.stopStream": {"chat:write"},
    "files.getUploadURLExternal": {"files:write"},
    "files.completeUploadExternal": {"files:write"},
    "views.open": set(),
    "agents.sessions.setStatus": {"chat:write"},
}
"""Of the methods the bot calls. Group direct messages are left out: the bot hears nothing of them."""
SCOPES_OF_EVENTS: dict[str, set[str]] = {
    "agent_session_stopped": {"assistant:write"},
    "app_uninstalled": set(),
    "tokens_revoked": set(),
    "app_mention": {"app_mentions:read"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
}
METHOD = re.compile(
    r"(?:chat|conversations|files|users|views|reactions|agents|assistant|bookmarks|pins)(?:\.\w+)+"
)
SCOPES_OF_FEATURES = {"slash_commands": "commands", "agent_view": "assistant:write"}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text("utf-8"))
    return loaded


def called_methods() -> set[str]:
    """The Web API methods named in the code of the Slack side."""
    found = set()
    for path in (ROOT / "bot" / "slack").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        tables = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
        # What stands in a table of rates or of argument names need not be called.
        listed = {id(key) for table in tables for key in table.keys}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in listed:
                found.add(str(node.value))
    return {name for name in found if METHOD.fullmatch(name)}


def test_commands(manifest: dict[str, Any]) -> None:
    declared = [
        (command["command"], command.get("usage_hint", ""), command["description"])
        for command in manifest["features"]["slash_commands"]
    ]
    assert declared == list(COMMANDS)
    assert all(command["should_escape"] for command in manifest["features"]["slash_commands"])


def test_scopes_are_what_is_used(manifest: dict[str, Any]) -> None:
    called = called_methods()
    assert {"chat.postMessage", "chat.update"} <= called <= set(SCOPES_OF_METHODS)
    needed: set[str] = set().union(*(SCOPES_OF_METHODS[method] for method in called))
    events = manifest["settings"]["event_subscriptions"]["bot_events"]
    needed = needed.union(*(SCOPES_OF_EVENTS[event] for event in events))
    needed |= {scope for feature, scope in SCOPES_OF_FEATURES.items() if feature in manifest["features"]}
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == needed
    assert "user" not in manifest["oauth_config"]["scopes"]


def test_events_are_those_listened_for(manifest: dict[str, Any]) -> None:
    intake = ROOT / "bot" / "slack" / "intake"
    source = "".join(path.read_text("utf-8") for path in intake.glob("*.py"))
    for event in manifest["settings"]["event_subscriptions"]["bot_events"]:
        assert f'app.event("{event.split(".")[0]}")' in source


def test_socket_mode_and_no_address(manifest: dict[str, Any]) -> None:
    settings = manifest["settings"]
    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"] == {"is_enabled": True}
    assert "assistant_view" not in manifest["features"]
    assert manifest["features"]["app_home"]["messages_tab_enabled"] is True
    assert manifest["features"]["app_home"]["messages_tab_read_only_enabled"] is False


@pytest.mark.skipif(not DATA.is_dir(), reason="the official schema is not on this machine")
def test_the_official_schema(manifest: dict[str, Any]) -> None:
    schema = json.loads((DATA / "manifest.schema.json").read_text("utf-8"))
    jsonschema_rs.Draft7Validator(schema).validate(manifest)


@pytest.mark.skipif(not DATA.is_dir(), reason="the list of methods is not on this machine")
def test_the_scopes_of_the_methods() -> None:
    methods = json.loads((DATA / "slack_methods.json").read_text("utf-8"))
    for method, scopes in SCOPES_OF_METHODS.items():
        documented = set(methods[method]["scope"].get("bot", []))
        assert scopes <= documented and documented - scopes <= {"mpim:history"}
