"""Packages from npm that tests need: installed below build/, once per lock file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.absent import absent

BUILD = Path(__file__).parents[1] / "build"
NPM_TIMEOUT_S = 55


def node_packages(source: Path, name: str, why: str) -> Path:
    """The folder build/`name` with the packages of `source`'s lock file in node_modules.

    Where that cannot be had the test is skipped aloud, and fails in CI: `why` says what was not tested.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        absent(f"node or npm is not installed: {why}")
    lock = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    folder = BUILD / name
    stamp = folder / "node_modules" / ".installed-lock"
    folder.mkdir(parents=True, exist_ok=True)
    if stamp.is_file() and stamp.read_text() == lock:
        return folder
    for file in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(source / file, folder / file)
    command = [npm, "ci", "--prefer-offline", "--ignore-scripts"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        absent(f"npm ci failed: {why}: {done.stderr}")
    stamp.write_text(lock)
    return folder
