"""The image, built once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.image.context import checkout
from tests.image.engine import Engine, NoEngineError, base, engine


@dataclass(frozen=True, slots=True)
class Image:
    """What was built, and on what."""

    docker: Engine
    name: str
    base: str


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    # Short, since sockets lie in it.
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    try:
        with engine(folder) as docker:
            made = Image(docker, "das-bot:check", base(docker, folder))
            given = ("--network=host", f"--build-arg=PYTHON={made.base}", f"--tag={made.name}")
            docker.run("build", *given, checkout(folder / "context"))
            yield made
    except NoEngineError as error:
        pytest.exit(f"THE IMAGE WAS NOT BUILT: {error}", returncode=2)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
