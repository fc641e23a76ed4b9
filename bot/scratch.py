"""A demo's data folder: fresh for every demo, gone afterwards, and cleared away later if the demo was killed.

A demo's conversations live in its memory alone, so a store that outlived it would hold runs of threads that are
gone; and two demos at once must not take each other's work.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.settings import SettingsError
from bot.store import embedded

_ALIVE = "alive.lock"
"""Locked by the demo for as long as it lives; the kernel lets go of it however the demo ends."""


@contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """A fresh folder in `parent`; at the end its embedded server is stopped and it is deleted.

    Raises:
        SettingsError: when `parent` cannot be used.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in parent.iterdir():
            _clear_if_dead(left)
        own = Path(tempfile.mkdtemp(prefix="", dir=parent))
        lock = os.open(own / _ALIVE, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise SettingsError([f"HOME: {parent} cannot be written ({error.strerror})"]) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield own
    finally:
        _clear(own)
        os.close(lock)


def _clear_if_dead(left: Path) -> None:
    try:
        lock = os.open(left / _ALIVE, os.O_RDWR)
    except OSError:
        return  # Just being made, or not ours.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clear(left)
    except BlockingIOError:
        pass  # Another demo is at work there.
    finally:
        os.close(lock)


def _clear(path: Path) -> None:
    embedded.stop(path)
    shutil.rmtree(path, ignore_errors=True)
