"""`make image-check`: the image as it runs in production, nobody's user, a root it cannot write to, no capability.

Not one of the suite's tests: it takes a Docker Engine and two minutes.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from bot.demo.das import DEMO_CREDENTIAL
from bot.demo.stage import Stage
from bot.demo.workspace import NO_LIMITS
from bot.slack.intake.commands import COMMANDS
from tests.fleet import free_port
from tests.image.context import MARK
from tests.image.engine import dockerfile_base

if TYPE_CHECKING:
    from tests.image.conftest import Image

LOCKED = ("--network=host", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
ANA, OPS = "U0ANA00001", "C0DBOPS001"
QUESTION = "<@U0DASBOT01> why is rm-bp1demo0001 slow?"
LARGEST_MB = 90
"""What we add to the base image; measured are 67."""

pytestmark = pytest.mark.timeout(600)


def inside(image: Image, script: str) -> list[str]:
    """Lines that a shell script prints in the image, run as root so that it sees everything."""
    as_root = ("--network=none", "--user=0", "--entrypoint=sh")
    return image.docker.says("run", "--rm", *as_root, image.name, "-c", script).splitlines()


# -- what is in it -----------------------------------------------------------------------------------------


def test_it_adds_little_to_the_base(image: Image) -> None:
    ours, theirs = (
        int(image.docker.says("image", "inspect", "--format={{.Size}}", name))
        for name in (image.name, image.base)
    )
    added = (ours - theirs) / 1e6
    told = f"{added:.0f} MB on {theirs / 1e6:.0f} MB of {image.base}, for {dockerfile_base()}"
    sys.stdout.write(f"\n{told}\n")
    assert added < LARGEST_MB


def test_nothing_that_builds_and_no_cache_is_left(image: Image) -> None:
    assert (
        inside(image, "ls -d /src ~root/.cache /tmp/* /venv/bin/pip* 2>/dev/null; which gcc make git; true")
        == []
    )
    packages = set(inside(image, "ls /venv/lib/python3*/site-packages"))
    assert {"bot", "redis"} <= packages
    assert not packages & {"pip", "setuptools", "wheel", "pytest", "mypy"}


def test_what_lay_beside_the_code_is_not_in_it(image: Image) -> None:
    assert inside(image, f"grep -rl {MARK} /venv /data /home /root /opt /srv /etc 2>/dev/null; true") == []
    assert inside(image, "find /venv/lib/python3*/site-packages/bot -name node_modules -o -name .env") == []
    history = image.docker.says("history", "--no-trunc", "--format={{.CreatedBy}}", image.name)
    assert not re.search(r"xox|xapp|SECRET|PASSWORD|TOKEN", history)


def test_only_its_data_belongs_to_it(image: Image) -> None:
    assert inside(image, "find / -xdev -user 10001 -not -path '/proc/*'") == ["/data"]
    # And it can read all of its code, whatever the modes were where it was built.
    assert inside(image, "find /venv -not -perm -o=r -not -type l") == []
    assert inside(image, "find /venv -perm -o=w -not -type l") == []


# -- its command -------------------------------------------------------------------------------------------


def test_it_needs_nothing_to_help_and_is_nobody(image: Image) -> None:
    helped = image.docker.says("run", "--rm", *LOCKED, image.name, "--help")
    assert all(command in helped for command in ("run", "ask", "replay"))
    who = image.docker.says("run", "--rm", *LOCKED, "--entrypoint=id", image.name)
    assert who.startswith("uid=10001(das) gid=10001(das)")


def test_all_wrong_settings_are_told_at_once(image: Image) -> None:
    wrong = ("--env=SLACK_BOT_TOKEN=xoxp-1", "--env=PORT=many", "--env=REDIS_URL=http://:hunter2@host")
    done = image.docker.run("run", "--rm", *LOCKED, *wrong, image.name, check=False)
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("SLACK_BOT_TOKEN", "PORT", "REDIS_URL"))
    assert "hunter2" not in done.stderr and "Traceback" not in done.stderr


# -- at work -----------------------------------------------------------------------------------------------


class Container:
    """The bot in a container, between the doubles of a stage."""

    def __init__(self, image: Image, stage: Stage) -> None:
        self.image, self.stage = image, stage
        self.port = free_port()
        self.name = f"das-bot-{uuid4().hex[:8]}"
        self.options = [f"--volume={self.name}:/data"]

    async def docker(self, *arguments: str, check: bool = True) -> str:
        done = await asyncio.to_thread(self.image.docker.run, *arguments, check=check)
        return done.stdout.strip() or done.stderr.strip()

    async def start(self) -> None:
        workspace = self.stage.workspace
        env = {
            "SLACK_BOT_TOKEN": workspace.bot_token,
            "SLACK_APP_TOKEN": workspace.app_token,
            "SLACK_API_URL": workspace.api_url,
            "DAS_ENDPOINT": self.stage.das.url,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": DEMO_CREDENTIAL.key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": DEMO_CREDENTIAL.secret,
            "PORT": str(self.port),
        }
        given = [f"--env={name}={value}" for name, value in env.items()]
        await self.docker(
            "run", "--detach", f"--name={self.name}", *LOCKED, *given, *self.options, self.image.name
        )

    async def healthy(self) -> bool:
        """What the image's own health check says now."""
        test = json.loads(
            await self.docker("inspect", "--format={{json .Config.Healthcheck.Test}}", self.image.name)
        )
        done = await asyncio.to_thread(self.image.docker.run, "exec", self.name, *test[1:], check=False)
        return done.returncode == 0

    async def get(self, path: str) -> int:
        """Status of a request from inside."""
        script = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{self.port}{path}').status)"
        return int(await self.docker("exec", self.name, "python", "-c", script))

    async def stop(self) -> int:
        """As an orchestrator does: SIGTERM, and patience; returns the exit code. The volume stays."""
        await self.docker("stop", "--time=60", self.name)
        code = int(await self.docker("inspect", "--format={{.State.ExitCode}}", self.name))
        await self.docker("rm", self.name)
        return code

    async def end(self) -> None:
        await self.docker("rm", "--force", self.name, check=False)
        await self.docker("volume", "rm", "--force", self.name, check=False)


@pytest.fixture
async def container(image: Image, tmp_path: Path) -> AsyncIterator[Container]:
    stage = Stage(tmp_path, COMMANDS, pace=0.2, workspace={"rates": NO_LIMITS})
    await stage.start()
    made = Container(image, stage)
    yield made
    await made.end()
    await stage.stop()


def shown(stage: Stage, root: str) -> str:
    return "".join(str(reply.blocks) for reply in stage.workspace.replies(OPS, root))


async def test_it_answers_drains_and_remembers(container: Container) -> None:
    stage = container.stage
    await container.start()
    await stage.workspace.connected(timeout=60)
    async with asyncio.timeout(30):
        while not await container.healthy():  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert [await container.get(path) for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
    root = stage.workspace.say(ANA, OPS, QUESTION)
    await stage.workspace.until(lambda: "First the load" in shown(stage, root), 30)
    # SIGTERM in the middle of the answer.
    assert await container.stop() == 0
    assert "ADD INDEX idx_user_created" in shown(stage, root) and "answer_feedback" in shown(stage, root)
    # Another container on the same volume knows the thread's session.
    stage.das.pace = 0
    await container.start()
    await stage.workspace.connected(timeout=60)
    stage.workspace.say(ANA, OPS, "and is it safe?", root)
    await stage.workspace.until(lambda: "described above" in shown(stage, root), 30)
    assert len({request.session_id for request in stage.das.requests}) == 1
    assert await container.stop() == 0


async def test_it_is_not_healthy_while_slack_is_away(container: Container) -> None:
    container.options.append(f"--env=SLACK_API_URL=http://127.0.0.1:{free_port()}/api/")
    await container.start()
    async with asyncio.timeout(30):
        while "slack is away" not in (await container.docker("logs", container.name)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert await container.get("/healthz") == 200
    assert not await container.healthy()
    assert await container.stop() == 0


async def test_without_a_place_for_data_it_says_so(container: Container) -> None:
    container.options = []
    await container.start()
    assert await container.docker("wait", container.name) == "2"
    assert "DATA_DIR: /data/valkey cannot be used (Read-only file system)" in await container.docker(
        "logs", container.name
    )
