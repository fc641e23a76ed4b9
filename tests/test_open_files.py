"""The limit of open files, in processes of their own: what was given away is not had back."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROOM = """
import resource, structlog
from bot import open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
with structlog.testing.capture_logs() as logs:
    open_files.make_room({runs})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], [(line["limit"], line["needed"]) for line in logs])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "runs", "told"),
    [
        (1024, 4000, 1000, "4000 []"),
        (1024, 1024, 200, "1024 []"),
        (1024, 1200, 1000, "1200 [(1200, 1750)]"),
        (3000, 3000, 1000, "3000 []"),
    ],
)
def test_as_many_files_as_the_system_allows(soft: int, hard: int, runs: int, told: str) -> None:
    code = ROOM.format(soft=soft, hard=hard, runs=runs)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told
