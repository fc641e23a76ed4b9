"""Every call of every test goes before the judges, and a bad one fails the test that made it."""

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.demo.workspace import Call, Workspace
from tests.judges.watch import Watch

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {"text": "x", "blocks": [{"type": "markdown", "text": "x"}]}
BAD: dict[str, Any] = {"text": "x", "blocks": [{"type": "banner", "text": "x"}]}

# They are found by a watch of each test's own.
pytestmark = pytest.mark.bad_calls


def call(args: dict[str, Any], error: str = "") -> Call:
    response = {"ok": False, "error": error} if error else {"ok": True}
    return Call("chat.update", args, 0.0, 200, response)


def everything(call: Call) -> bool:
    return True


@pytest.mark.parametrize("error", ["", "invalid_blocks", "ratelimited"])
def test_a_bad_call_is_found_whatever_was_answered(error: str) -> None:
    with Watch().over_all() as alone:
        Workspace().calls.extend([call(GOOD), call(BAD, error)])
    gc.collect()
    found = alone.look(everything)
    assert found and all("banner" in problem for problem in found)


def test_a_workspace_that_lives_on_is_looked_at_from_where_it_was() -> None:
    with Watch().over_all() as alone:
        workspace = Workspace()
    workspace.calls.append(call(GOOD))
    assert alone.look(everything) == []
    workspace.calls.append(call(BAD))
    assert alone.look(everything)
    assert alone.look(everything) == []


def test_a_call_that_is_being_read_is_looked_at_the_next_time() -> None:
    with Watch().over_all() as alone:
        workspace = Workspace()
    coming = Call("chat.update", {}, 0.0)
    workspace.calls.extend([coming, call(BAD)])
    assert alone.look(everything) == []
    coming.args = dict(BAD)
    assert len(alone.look(everything)) == 4


def test_only_what_is_to_be_judged_is() -> None:
    with Watch().over_all() as alone:
        Workspace().calls.append(call(BAD, "invalid_blocks"))
    assert alone.look(lambda call: bool(call.response["ok"])) == []


def test_a_test_that_does_not_think_of_it_fails(tmp_path: Path) -> None:
    """In a session of its own, with the fixtures of all tests."""
    forgetful = f"""
from bot.demo.workspace import Call, Workspace

def test_good():
    Workspace().calls.append(Call("chat.update", {GOOD!r}, 0.0, 200, {{"ok": True}}))

def test_bad():
    Workspace().calls.append(Call("chat.update", {BAD!r}, 0.0, 200, {{"ok": True}}))
"""
    (tmp_path / "test_forgetful.py").write_text(forgetful)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["-n", "0", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "ERROR at teardown of test_bad" in done.stdout and "banner" in done.stdout
