"""The Makefile's environment, made by stand-ins for Python: nothing is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.absent import absent

ROOT = Path(__file__).parents[1]
WITHOUT_PIP = "#!/bin/sh\nexit 1\n"
WHOLE = '#!/bin/sh\necho "$@" >>{log}\n'
MAKES_A_WHOLE_ONE = "#!/bin/sh\nmkdir -p .venv/bin && cp whole .venv/bin/python\n"


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize("left", ["", WITHOUT_PIP])
def test_an_environment_whose_making_was_cut_off_is_made_anew(tmp_path: Path, left: str) -> None:
    make = shutil.which("make")
    if not make:
        absent("make is not installed: the Makefile was NOT tested")
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    log = tmp_path / "log"
    executable(tmp_path / "whole", WHOLE.format(log=log))
    executable(tmp_path / "python", MAKES_A_WHOLE_ONE)
    if left:
        executable(tmp_path / ".venv/bin/python", left)
    command = [make, ".venv/.run", "PYTHON=./python"]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    installed = [line for line in log.read_text().splitlines() if " install " in line]
    assert [line.split(" install ")[1] for line in installed] == [
        "--require-hashes -r requirements.lock",
        "--no-deps -e .",
    ]
