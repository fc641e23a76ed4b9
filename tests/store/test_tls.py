"""TLS everywhere and a password for everybody: one server, Sentinels and a Cluster, and what is said when it is wrong.

Debian's Redis, since the embedded Valkey is built without TLS.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from bot.settings import SettingsError
from bot.store import connection
from bot.store.address import parse
from tests.fleet import Fleet, Locks, Replicated, behind_a_sentinel, clustered
from tests.store.whole import everything, opened, outlive_the_primary

ROOT = Path(__file__).parents[2]
RULE = (ROOT / "deploy/redis/users.acl").read_text()
USERS = f"{RULE}\nuser replica on >replica -@all +psync +replconf +ping"
WATCHERS = "user das-bot on >of-sentinels -@all +sentinel|get-master-addr-by-name\nuser narrow on >narrow -@all +ping"


def certify(openssl: str, folder: Path, name: str, *extra: str) -> None:
    """A key and a certificate that is good for this machine for a day."""
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    command += ["-days", "1", "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key"]
    subprocess.run([*command, "-out", f"{folder}/{name}.crt", *extra], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(openssl: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA, a server and a client that it signed, and a stranger."""
    folder = tmp_path_factory.mktemp("certificates")
    signed = ("-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key")
    certify(openssl, folder, "ca")
    certify(openssl, folder, "stranger")
    certify(openssl, folder, "server", *signed, "-addext", "subjectAltName=IP:127.0.0.1")
    certify(openssl, folder, "client", *signed)
    return folder


@pytest.fixture
def locked(make_fleet: Callable[[str], Fleet], certificates: Path) -> Fleet:
    fleet = make_fleet("redis")
    fleet.locks = Locks(certificates, USERS, WATCHERS)
    return fleet


def entry(
    url: str,
    folder: Path,
    *,
    user: str = "das-bot:CHANGE-ME",
    watcher: str = "das-bot:of-sentinels",
    ca: str = "ca",
    certified: bool = True,
) -> str:
    """A URL with our login and certificates in it."""
    options = [f"ssl_ca_certs={folder}/{ca}.crt"]
    if certified:
        options += [f"ssl_certfile={folder}/client.crt", f"ssl_keyfile={folder}/client.key"]
    if "+sentinel" in url:
        name, _, password = watcher.partition(":")
        options += [f"sentinel_username={name}", f"sentinel_password={password}"]
    return f"{url.replace('://', f'://{user}@')}?{'&'.join(options)}"


@pytest.fixture(params=[behind_a_sentinel, clustered])
def servers(request: pytest.FixtureRequest, locked: Fleet, monkeypatch: pytest.MonkeyPatch) -> Replicated:
    monkeypatch.setattr(connection, "SOCKET_SECONDS", 1)
    made: Replicated = request.param(locked)
    return made


async def test_a_killed_primary_is_followed(servers: Replicated, certificates: Path) -> None:
    redis = await opened(entry(servers.url, certificates))
    await everything(redis)
    await outlive_the_primary(redis, servers)
    await redis.aclose()


async def test_a_server_with_a_certificate_of_ours(locked: Fleet, certificates: Path) -> None:
    redis = await opened(entry(f"rediss://127.0.0.1:{locked.start()}/0", certificates))
    await everything(redis)
    await redis.aclose()


# -- what is wrong is said, with what to do and without a password --------------------------------------------


async def told(url: str) -> str:
    with pytest.raises(SettingsError) as caught:
        await opened(url)
    [problem] = caught.value.problems
    assert problem.startswith("REDIS_URL: ")
    for secret in ("hunter2", "CHANGE-ME", "of-sentinels"):
        assert secret not in problem
    return problem


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    # The server may close the connection before its alert has arrived: then another try learns the reason.
    monkeypatch.setattr(connection, "_FIRST_PAUSE_SECONDS", 0.0)


TRUST = "certificate is not trusted (self-signed certificate in certificate chain)"


@pytest.mark.usefixtures("impatient")
async def test_what_is_wrong_with_a_server(locked: Fleet, certificates: Path) -> None:
    port = locked.start()
    url = f"rediss://127.0.0.1:{port}/0"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ca": "stranger"}, TRUST),
        ({"certified": False}, "give ssl_certfile and ssl_keyfile"),
        ({"user": "das-bot:hunter2"}, "check user and password"),
        ({"user": ":hunter2"}, "check user and password"),
        ({"user": "replica:replica"}, "the README has the ACL rule"),
    ]
    for given, words in cases:
        assert words in await told(entry(url, certificates, **given))
    elsewhere = entry(url.replace("127.0.0.1", "localhost"), certificates)
    assert "Hostname mismatch, certificate is not valid for 'localhost'" in (problem := await told(elsewhere))
    assert "ssl_check_hostname=false" in problem
    await (await opened(f"{elsewhere}&ssl_check_hostname=false")).aclose()


@pytest.mark.usefixtures("impatient")
async def test_what_is_wrong_with_sentinels(locked: Fleet, certificates: Path) -> None:
    url = behind_a_sentinel(locked).url
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ca": "stranger"}, TRUST),
        ({"certified": False}, "give ssl_certfile and ssl_keyfile"),
        ({"watcher": "das-bot:hunter2"}, "check sentinel_username and sentinel_password"),
        ({"watcher": ":of-sentinels"}, "check sentinel_username and sentinel_password"),
        ({"watcher": "narrow:narrow"}, "may send SENTINEL GET-MASTER-ADDR-BY-NAME"),
        ({"watcher": ""}, "check sentinel_username and sentinel_password"),
        ({"user": "das-bot:hunter2"}, "check user and password"),
    ]
    for given, words in cases:
        assert words in await told(entry(url, certificates, **given))
    # A second one that is away does not hide the refusal.
    dead, alive = url.partition("/main")[0].partition("://")[2].split(",")
    turned = entry(f"rediss+sentinel://{alive},{dead}/main", certificates, watcher="das-bot:hunter2")
    assert "a Sentinel refuses us" in await told(turned)


@pytest.mark.usefixtures("impatient")
async def test_what_is_wrong_with_a_cluster(locked: Fleet, certificates: Path) -> None:
    url = clustered(locked).url
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ca": "stranger"}, TRUST),
        ({"user": "das-bot:hunter2"}, "check user and password"),
        ({"user": "replica:replica"}, "the README has the ACL rule"),
    ]
    for given, words in cases:
        assert words in await told(entry(url, certificates, **given))


@pytest.mark.parametrize("kind", ["server", "sentinel", "cluster"])
async def test_who_speaks_plainly_to_tls_is_told_of_it(kind: str, locked: Fleet) -> None:
    # The server hangs up without a word; it may as well be going down, so it is tried again.
    host = f"127.0.0.1:{locked.start()}"
    url = (
        f"redis://{host}/0" if kind == "server" else f"redis+{kind}://{host}/{'main' * (kind == 'sentinel')}"
    )
    with structlog.testing.capture_logs() as logs:
        opening = asyncio.create_task(opened(url))
        async with asyncio.timeout(20):
            while not logs:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        opening.cancel()
        await asyncio.wait({opening})
    assert "write rediss for redis" in logs[0]["reason"]


@pytest.mark.parametrize(
    "words",
    [
        "Connection closed by server.",
        "Error 104 while writing to socket. Connection reset by peer.",
        "Error UNKNOWN while writing to socket. Connection lost.",
        "Error 32 while writing to socket. Broken pipe.",
    ],
)
async def test_however_the_server_hangs_up(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of these comes is a matter of a millisecond."""
    away = RedisConnectionError(words)
    monkeypatch.setattr(Redis, "info", AsyncMock(side_effect=[away, {"redis_version": "7.0.15"}]))
    monkeypatch.setattr(Redis, "exists", AsyncMock())
    monkeypatch.setattr(connection, "_FIRST_PAUSE_SECONDS", 0.0)
    with structlog.testing.capture_logs() as logs:
        await (await opened("redis://127.0.0.1")).aclose()
    assert "write rediss for redis" in logs[0]["reason"]


# -- files ---------------------------------------------------------------------------------------------------


def test_files_are_looked_into(certificates: Path, openssl: str, tmp_path: Path) -> None:
    address = parse(entry("rediss://host", certificates))
    assert address.tls == {
        "ssl_ca_certs": f"{certificates}/ca.crt",
        "ssl_certfile": f"{certificates}/client.crt",
        "ssl_keyfile": f"{certificates}/client.key",
        "ssl_check_hostname": True,
    }
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN NOTHING-----")
    secret = tmp_path / "secret.key"
    given = [openssl, "ec", "-in", f"{certificates}/client.key", "-aes128", "-passout", "pass:hunter2"]
    subprocess.run([*given, "-out", secret], check=True, capture_output=True)
    for options, words in (
        (f"ssl_ca_certs={junk}", "ssl_ca_certs: not in PEM format"),
        (f"ssl_certfile={certificates}/client.crt", "needed together"),
        (f"ssl_certfile={certificates}/client.crt&ssl_keyfile={certificates}/server.key", "not a pair"),
        (f"ssl_certfile={certificates}/client.crt&ssl_keyfile={secret}", "with a passphrase"),
    ):
        with pytest.raises(ValueError, match=words):
            parse(f"rediss://host/?{options}")
