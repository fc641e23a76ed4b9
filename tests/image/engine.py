"""A Docker Engine to build and run the image with: the one that is there, or one of our own for as long as it takes.

The base image comes from its registry. Where that cannot be reached, Debian's packages of the same release and the
same Python stand in for it, so that every instruction of our own Dockerfile is executed all the same.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
_START_SECONDS = 60.0
"""Longest wait for an engine of ours; it takes five."""
_STAND_IN = "das-bot-base"
_PACKAGES = "ca-certificates,netbase,tzdata,python3,python3-venv"
"""What the official image installs of Debian, and its Python."""
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")


class NoEngineError(Exception):
    """There is nothing here that could build an image; says what to do."""


@dataclass
class Engine:
    """The `docker` command, speaking to one engine. `env` is its environment."""

    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(
        self, *arguments: str | Path, check: bool = True, stdin: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One command.

        Raises:
            AssertionError: when it fails and `check` is set; with what it said.
        """
        command = ["docker", *(str(argument) for argument in arguments)]
        done = subprocess.run(
            command, env=self.env, stdin=stdin, capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done

    def says(self, *arguments: str | Path) -> str:
        """What a command that succeeds prints."""
        return self.run(*arguments).stdout.strip()

    def answers(self) -> bool:
        return self.run("version", "--format", "{{.Server.Version}}", check=False).returncode == 0


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """An engine; one of our own keeps all it has in `folder`.

    Raises:
        NoEngineError: when there is none and none can be started.
    """
    if shutil.which("docker") is None:
        raise NoEngineError("the command docker is not here: install Docker (Debian: docker.io)")
    existing = Engine()
    if existing.answers():
        yield existing
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise NoEngineError(
            "no Docker Engine answers: start it, or be root and install it (Debian: docker.io)"
        )
    socket = f"unix://{folder}/docker.sock"
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    # The containers use this machine's network: the doubles they speak to listen there.
    network = ["--bridge=none", "--iptables=false"]
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(["dockerd", "--host", socket, *places, *network], stdout=log, stderr=log)
    own = Engine(dict(os.environ) | {"DOCKER_HOST": socket})
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not own.answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                tail = (folder / "dockerd.log").read_text()[-2000:]
                raise NoEngineError(f"dockerd does not start here: {tail}")
            time.sleep(0.1)
        yield own
    finally:
        daemon.terminate()
        daemon.wait()
        # It leaves the network namespace of the containers mounted.
        subprocess.run(["umount", str(folder / "exec/netns/default")], capture_output=True, check=False)


def base(docker: Engine, folder: Path) -> str:
    """Name of an image to build on: the Dockerfile's own, or its stand-in, made in `folder`.

    Raises:
        NoEngineError: when the registry cannot be reached and nothing can stand in.
    """
    wanted = dockerfile_base()
    stand_in = f"{_STAND_IN}:{wanted.partition(':')[2]}"
    for name in (wanted, stand_in):
        if docker.run("image", "inspect", name, check=False).returncode == 0:
            return name
    pulled = docker.run("pull", "--quiet", wanted, check=False)
    if pulled.returncode == 0:
        return wanted
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise NoEngineError(
            f"{wanted} cannot be pulled ({pulled.stderr.strip()[-200:]}); as root and with debootstrap installed, "
            "Debian's packages stand in for it"
        )
    root = folder / "root"
    release = wanted.rpartition("-")[2]
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release, str(root)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-2000:]
    python = re.fullmatch(r"python:(3\.\d+)\.\d+-.*", wanted)
    assert python and (root / f"usr/bin/python{python[1]}").exists(), (
        f"{release} has another Python than {wanted}"
    )
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/python{python[1]}")
    # The network may be behind a proxy with a certificate of its own, which this machine knows.
    shutil.copyfile(Path("/") / _CERTIFICATES, root / _CERTIFICATES)
    changes = [f"ENV PIP_CERT=/{_CERTIFICATES}", "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        docker.run("import", *(f"--change={change}" for change in changes), "-", stand_in, stdin=tar.stdout)
    shutil.rmtree(root)
    return stand_in


def dockerfile_base() -> str:
    """The image our Dockerfile stands on."""
    found = re.search(r"^ARG PYTHON=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    return found[1]
