"""The committed bundle is what the committed sources build, and the sources' text rules, run by node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.absent import absent

PAGE = Path(__file__).parents[2] / "bot" / "demo" / "page"
STATIC = PAGE.parent / "static"
BUILD_TIMEOUT_S = 55

pytestmark = pytest.mark.node


def tool(name: str) -> str:
    path = shutil.which(name)
    if path:
        return path
    absent(f"{name} is not installed: the page's sources were NOT tested")


def run(*command: str, cwd: Path = PAGE) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def evaluate(module: str, expression: str) -> Any:
    """The JSON value of an expression over a module's exports `m`."""
    script = f"import * as m from './src/{module}'; console.log(JSON.stringify({expression}))"
    return json.loads(run(tool("node"), "--input-type=module", "--eval", script))


def test_the_bundle_is_a_fresh_build(tmp_path: Path) -> None:
    npm = tool("npm")
    sources = tmp_path / "page"
    shutil.copytree(PAGE, sources, ignore=shutil.ignore_patterns("node_modules"))
    run(npm, "ci", "--prefer-offline", cwd=sources)
    run(npm, "run", "build", "--", "--outdir", str(tmp_path / "static"), cwd=sources)
    fresh = {path.name: path.read_bytes() for path in (tmp_path / "static").iterdir()}
    committed = {path.name: path.read_bytes() for path in STATIC.iterdir()}
    assert sorted(fresh) == sorted(committed)
    stale = [name for name, content in fresh.items() if committed[name] != content]
    assert stale == [], "run `npm ci && npm run build` in bot/demo/page and commit bot/demo/static"


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((PAGE / "package-lock.json").read_text())
    packages = [about for path, about in lock["packages"].items() if path]
    assert packages
    assert [about for about in packages if "resolved" in about] == []
    assert all(about["integrity"].startswith("sha512-") for about in packages)


def test_every_bundled_package_has_its_notice() -> None:
    notices = (STATIC / "THIRD_PARTY_NOTICES.txt").read_text()
    for name in ("react", "react-dom", "react-markdown", "remark-gfm", "slack-blocks-to-jsx", "@yozora/ast"):
        assert f"\n{name} " in notices, name


def inline(text: str) -> Any:
    """What mrkdwn `text` becomes: (text or other content, styles) of each element of its first paragraph."""
    [section] = evaluate("mrkdwn.js", f"m.mrkdwnElements({json.dumps(text)})")
    content = ("text", "name", "user_id", "range")
    return [
        (next(element[key] for key in content if key in element), sorted(element.get("style") or {}))
        for element in section["elements"]
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*a _b_* c", [("a ", ["bold"]), ("b", ["bold", "italic"]), (" c", [])]),
        ("rm-1 a*b*c d_e_f 中*文* *文*", [("rm-1 a*b*c d_e_f 中*文* ", []), ("文", ["bold"])]),
        ("`*x*` ~y~", [("*x*", ["code"]), (" ", []), ("y", ["strike"])]),
        ("<@U0ANA00001>: hi", [("U0ANA00001", []), (": hi", [])]),
        ("<!here> <!date^1^{date}|then>", [("here", []), (" ", []), ("then", [])]),
        ("<data:text/html,x|go>", [("<data:text/html,x|go>", [])]),
        ("a &lt;b&gt; &amp;amp;", [("a <b> &amp;", [])]),
    ],
)
def test_mrkdwn(text: str, expected: list[tuple[str, list[str]]]) -> None:
    assert inline(text) == expected


def test_code_fences_and_quotes_of_mrkdwn() -> None:
    text = "see\n```\nSELECT *\n  FROM t\n```\n&gt; one\n&gt; two\nthen ``` open"
    found = evaluate("mrkdwn.js", f"m.mrkdwnElements({json.dumps(text)})")
    drawn = [(e["type"], "".join(part["text"] for part in e["elements"])) for e in found]
    assert drawn == [
        ("rich_text_section", "see"),
        ("rich_text_preformatted", "SELECT *\n  FROM t"),
        ("rich_text_quote", "one\ntwo"),
        ("rich_text_section", "then "),
        ("rich_text_section", "``` open"),
    ]


def test_a_fold_is_known_by_its_title_without_sign_and_duration() -> None:
    titles = [
        "… das_api · GetLocks",
        "✓ das_api · GetLocks · 1.8 s",
        "✗ das_api · GetLocks · 30.0 s",
        ":hourglass: das_api · GetLocks · 900 ms",
        "✓ das_api · GetLocks · 4 min 05 s",
        "✓ das_api · GetLocks · 1.8 秒",
        "✓ das_api · GetLocks · 4 分 05 秒",
    ]
    names = evaluate("folds.js", f"{json.dumps(titles)}.map(m.foldName)")
    assert set(names) == {"das_api · GetLocks"}


def test_keys_of_blocks_tell_twins_apart_and_ignore_block_ids() -> None:
    twin = {"type": "container", "title": {"text": "✓ das_api · GetLocks · 1 s"}}
    blocks = [{"type": "context"}, twin | {"block_id": "a"}, twin | {"block_id": "b"}, {"type": "context"}]
    keys = evaluate("folds.js", f"m.stableKeys({json.dumps(blocks)})")
    twins = ["container das_api · GetLocks#0", "container das_api · GetLocks#1"]
    assert keys == ["context#0", *twins, "context#1"]
