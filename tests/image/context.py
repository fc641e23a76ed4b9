"""What the image is built from: what a clone would have, and files beside it that must not get into the image."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.image.engine import ROOT

MARK = "must-not-be-in-the-image"
_DECOYS = (
    ".env",
    "bot/.env",
    "bot/slack/__pycache__/old.pyc",
    "bot/demo/page/node_modules/x/y.js",
    "key.pem",
)


def checkout(folder: Path) -> Path:
    """All files that are not ignored, as they are now, with decoys between them, in `folder`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    for name in _DECOYS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(MARK)
    # Somebody whose umask is 077 builds, too; the bot has to read its code all the same.
    os.chmod(folder / "bot" / "settings.py", 0o600)
    return folder
