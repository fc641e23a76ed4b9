"""The default chain: the official library in a process of its own, and our wrapper around a stand-in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.upstream.credentials import METADATA_DISABLED, METADATA_ROLE, DefaultChain
from bot.upstream.errors import UpstreamError

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
from bot.upstream.credentials import DefaultChain
from bot.upstream.errors import UpstreamError
print("early" if "alibabacloud_credentials" in sys.modules else "lazy")
try:
    found = asyncio.run(DefaultChain().get())
    print(found.access_key_id, found.access_key_secret, found.security_token, found.provider)
except UpstreamError as error:
    print(error.code, error.message)
"""


def in_a_process(home: Path, **variables: str) -> str:
    """The library reads the environment while being imported, so each environment needs its own process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALIBABA_CLOUD_")}
    environ = {**kept, "HOME": str(home), **variables}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_environment_through_the_official_library(tmp_path: Path) -> None:
    said = in_a_process(
        tmp_path,
        ALIBABA_CLOUD_ACCESS_KEY_ID="test-id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="test-secret",
        ALIBABA_CLOUD_SECURITY_TOKEN="test-token",
    )
    assert said.split("\n")[:2] == ["lazy", "test-id test-secret test-token default/env"]


def test_nothing_configured_through_the_official_library(tmp_path: Path) -> None:
    said = in_a_process(tmp_path, ALIBABA_CLOUD_ACCESS_KEY_SECRET="test-secret")
    assert "Credentials CredentialException" in said
    assert "set: ALIBABA_CLOUD_ACCESS_KEY_SECRET" in said
    assert "test-secret" not in said


@dataclass
class Chain:
    """A stand-in for the library's client."""

    answers: list[Any]

    async def get_credential_async(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def found(key: str = "id", secret: str = "secret", token: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        access_key_id=key, access_key_secret=secret, security_token=token, provider_name="default/env"
    )


def chain(*answers: Any, environ: dict[str, str] | None = None) -> DefaultChain:
    return DefaultChain(load=lambda: Chain(list(answers)), environ={} if environ is None else environ)


async def test_asked_anew_every_time() -> None:
    source = chain(found("one", token="t1\n"), found("two"))
    first, second = await source.get(), await source.get()
    assert (first.access_key_id, first.security_token) == ("one", "t1")
    assert (second.access_key_id, second.security_token) == ("two", "")


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("HUSH"),
        None,
        found(key=""),
        found(secret=""),
        found(token="HUSH\u4e00"),
        found(key="HU\nSH"),
    ],
)
async def test_every_failure_is_one_error_without_a_secret(answer: Any) -> None:
    environ = {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "HUSH"}
    with pytest.raises(UpstreamError) as raised:
        await chain(answer, environ=environ).get()
    assert raised.value.code == "Credentials"
    assert "HUSH" not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET" in raised.value.message


@pytest.mark.parametrize(
    ("environ", "disabled"),
    [({}, "true"), ({METADATA_DISABLED: "false"}, "false"), ({METADATA_ROLE: "my-role"}, None)],
)
async def test_metadata_only_if_the_operator_said_so(environ: dict[str, str], disabled: str | None) -> None:
    await chain(found(), environ=environ).get()
    assert environ.get(METADATA_DISABLED) == disabled


async def test_a_chain_that_hangs_is_given_up() -> None:
    class Hanging:
        async def get_credential_async(self) -> None:
            await asyncio.Event().wait()

    with pytest.raises(UpstreamError) as raised:
        await DefaultChain(load=Hanging, environ={}, timeout=0.01).get()
    assert "in time" in raised.value.message
