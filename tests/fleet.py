"""Several real servers that a test may kill: alone, behind a Sentinel, as a Cluster; plain, or locked."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis as sync_redis

_AT_ONCE = ("--repl-diskless-sync-delay", "0")


def until(predicate: Callable[[], object], what: str) -> None:
    """Wait until something comes true; a server that does not answer yet is asked again."""
    deadline = time.monotonic() + 30
    while True:
        try:
            if predicate():
                return
        except sync_redis.RedisError:
            pass
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.01)


def free_port() -> int:
    """A port nobody listens on; there is one 10,000 above it, too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port: int = listening.getsockname()[1]
            if port < 55_000:
                return port


@dataclass(frozen=True, slots=True)
class Locks:
    """Servers that speak nothing but TLS, want to see certificates of ours and take no user without a password."""

    folder: Path
    """Has the certificates and keys of a CA "ca", a "server" and a "client"."""
    users: str
    """Lines of an ACL file of the servers; there is an "admin" and a "replica", each with its name as password."""
    watchers: str
    """Lines of an ACL file of the Sentinels, with an "admin" as well."""

    def listen(self, port: int, users: str) -> list[str]:
        """Options of a server."""
        acl = self.folder / f"{port}.acl"
        acl.write_text(f"user default off\nuser admin on >admin ~* &* +@all\n{users}\n")
        files = [f"--tls-{name}-file" for name in ("cert", "key", "ca-cert")]
        named = zip(files, ("server.crt", "server.key", "ca.crt"), strict=True)
        options = ["--port", "0", "--tls-port", str(port), "--tls-replication", "yes", "--tls-cluster", "yes"]
        options += [word for option, name in named for word in (option, str(self.folder / name))]
        return [*options, "--aclfile", str(acl), "--masteruser", "replica", "--masterauth", "replica"]

    def client(self) -> dict[str, Any]:
        """What a client of a server's needs."""
        names = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "client.crt", "ssl_keyfile": "client.key"}
        files = {option: str(self.folder / name) for option, name in names.items()}
        return {"ssl": True, "username": "admin", "password": "admin", **files}


@dataclass
class Fleet:
    """Servers on ports of this machine. `client` is a plain one of a single server, that may do anything."""

    folder: Path
    binary: str
    locks: Locks | None = None
    servers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *options: str) -> int:
        """One more server; returns its port."""
        while (port := self._try_to_start(free_port(), options)) == 0:
            pass  # Somebody took the port meanwhile, or the one 10,000 above, which a Cluster's nodes use.
        return port

    def _try_to_start(self, port: int, options: tuple[str, ...]) -> int:
        folder = self.folder / str(port)
        folder.mkdir(exist_ok=True)
        listen = self.locks.listen(port, self.locks.users) if self.locks else ["--port", str(port)]
        command = [self.binary, *listen, "--save", "", "--dir", str(folder), *options]
        return self._run(port, command, lambda: self.client(port).ping())

    def _run(self, port: int, command: list[str], is_up: Callable[[], object]) -> int:
        """Run a server until it is up; 0 when it ended instead."""
        server = self.servers[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(lambda: server.poll() is not None or is_up(), f"server on {port}")
        if server.poll() is None:
            return port
        del self.servers[port]
        return 0

    def _try_to_watch(self, port: int, primary: int) -> int:
        path = self.folder / f"sentinel-{port}.conf"
        # Patience enough for a busy machine, and little enough for a test.
        lines = ["down-after-milliseconds main 500", "failover-timeout main 2000"]
        if self.locks:
            lines += ["auth-user main admin", "auth-pass main admin"]
        lines = [f"sentinel {line}" for line in (f"monitor main 127.0.0.1 {primary} 1", *lines)]
        path.write_text("\n".join([f"dir {self.folder}", *lines, ""]))
        listen = self.locks.listen(port, self.locks.watchers) if self.locks else ["--port", str(port)]
        command = [self.binary, str(path), "--sentinel", *listen]
        return self._run(port, command, lambda: self.client(port).sentinel_slaves("main"))

    def sentinel(self, primary: int) -> int:
        """A Sentinel that watches `primary` under the name "main", and has seen its replica; returns its port."""
        while (port := self._try_to_watch(free_port(), primary)) == 0:
            pass
        return port

    def client(self, port: int) -> Any:
        given = self.locks.client() if self.locks else {}
        return sync_redis.Redis("127.0.0.1", port, decode_responses=True, socket_timeout=2, **given)

    def kill(self, port: int) -> None:
        """As kill -9."""
        server = self.servers.pop(port)
        server.kill()
        server.wait()

    def end(self) -> None:
        for port in list(self.servers):
            self.kill(port)


@dataclass
class Replicated:
    """A primary and what can take its place. `url` is what the bot is given, without a login."""

    fleet: Fleet
    url: str
    primary: int
    replica: int
    sentinel: int = 0

    def wait_until_replicated(self) -> None:
        """Until the replica has all that the primary has now."""
        client = self.fleet.client(self.primary)
        wanted = client.info("replication")["master_repl_offset"]
        until(lambda: client.info("replication")["slave0"]["offset"] >= wanted, "the replica followed")

    def kill_primary(self) -> None:
        self.fleet.kill(self.primary)


def behind_a_sentinel(fleet: Fleet) -> Replicated:
    """Two servers, and a Sentinel that lets the second take over when the first dies."""
    primary = fleet.start(*_AT_ONCE)
    replica = fleet.start("--replicaof", "127.0.0.1", str(primary), *_AT_ONCE)
    until(lambda: fleet.client(primary).wait(1, 1000), "the replica joined")
    sentinel = fleet.sentinel(primary)
    scheme = "rediss" if fleet.locks else "redis"
    # The first Sentinel named is dead: the second one is asked.
    url = f"{scheme}+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel}/main"
    return Replicated(fleet, url, primary, replica, sentinel)


def clustered(fleet: Fleet) -> Replicated:
    """A Cluster of three, and a fourth that can take the place of the one that has our slot."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "700", *_AT_ONCE)
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

    until(know_each_other, "the nodes know each other")
    leader = clients[primary].execute_command("CLUSTER", "MYID")
    until(
        lambda: clients[replica].execute_command("CLUSTER", "REPLICATE", leader),
        "the replica knows its primary",
    )
    until(lambda: clients[primary].wait(1, 1000), "the replica joined")
    scheme = "rediss" if fleet.locks else "redis"
    return Replicated(fleet, f"{scheme}+cluster://127.0.0.1:{others[0]}", primary, replica)
