"""What a test needs is not on this machine: skipped aloud, and a failure where CI runs."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip the test for `reason`; with CI=true, fail it."""
    line = f"MISSING ON THIS MACHINE: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(line)
    pytest.skip(line)
