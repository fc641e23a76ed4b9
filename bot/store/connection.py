"""The connection to Redis or Valkey, with retries and timeouts of our own, wherever the primary is at the moment."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

from bot import log
from bot.settings import Settings, SettingsError
from bot.store import embedded, keys
from bot.store.address import Address, parse
from bot.store.pool import FairPool
from bot.store.primary import PROTOCOL, Primary, SentinelRefusesError

logger = log.get(__name__)

SOCKET_SECONDS = 5
"""Longest wait for one answer; longer than the workers' blocking read."""
_CONNECTIONS = 100
"""Most connections of one process; small managed servers take a few hundred clients."""
_RETRIES = 3
"""Within half a second: a caller knows better than the connection what to do when Redis is away for longer."""
_FREE_WITHIN = 2 * (1 + _RETRIES) * SOCKET_SECONDS
"""Seconds a call waits for a connection while all are in use. Even a Redis that hangs has failed each of them by then,
tries and all; who gave up sooner would drop an answer under way only because many had something to write."""
_OLDEST = (7, 0)
"""Debian 12's Redis is the oldest dialect the scripts are tested on."""
_FIRST_PAUSE_SECONDS = 0.5
"""Before the second try to reach a server at start; it doubles up to the longest."""
_PAUSE_SECONDS = 10.0
_HUNG_UP = re.compile("closed by server|reset by peer|connection lost|broken pipe", re.I)
"""What a server that speaks only TLS does with other clients; it may as well be going down. Which of them it is
depends on whether we had written everything by then."""
_MOVED_ON = (
    exceptions.ReadOnlyError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    exceptions.AskError,  # MOVED is one of these.
    exceptions.TryAgainError,
)
"""Answers of a server that is not the primary of our keys, or not for now. Nothing was done then."""


class _Faithful:
    """Mixed into redis-py's connections: they find the primary, leave a server that is it no longer, and can be
    cancelled at any moment.

    redis-py sends under asyncio.wait_for, and before Python 3.12 that drops a cancellation which arrives while the
    sending is done already. A task cancelled once would then go on for ever.
    """

    def __init__(self, *, primary: Primary | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._primary = primary
        self._node: tuple[str, int] | None = None

    async def _connect(self) -> None:
        if self._primary:
            self._node = self.host, self.port = await self._primary.find()
        await super()._connect()  # type: ignore[misc]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health=check_health)  # type: ignore[misc]
        if self._primary and self._primary.is_behind_sentinels:
            # The Sentinels may not have noticed yet; what a replica would let us read is old.
            await self.send_command("ROLE", check_health=False)  # type: ignore[attr-defined]
            role, *_ = await self.read_response()
            if role not in ("master", b"master"):
                await self.disconnect()  # type: ignore[attr-defined]
                raise exceptions.ConnectionError(f"the Sentinels name {self._node}, which is a {role}")

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        if self._primary and self._node != self._primary.node:
            # Another connection found that the primary has changed; the old one may hang and never say so.
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(*args, **kwargs)  # type: ignore[misc]
        if task and task.cancelling() > before:
            # The command has left and nobody will read its answer.
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise asyncio.CancelledError

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except _MOVED_ON as error:
            # The next connection asks anew, or resolves the name anew, where the primary is.
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise exceptions.ConnectionError(f"not the primary now: {_words(error)}") from error


class _Plain(_Faithful, Connection):
    pass


class _Tls(_Faithful, SSLConnection):
    pass


class _Unix(_Faithful, UnixDomainSocketConnection):
    pass


def connect(url: str) -> Redis:
    """A client of `url`. Nothing is sent yet.

    Raises:
        ValueError: when the URL is wrong.
    """
    return _client(parse(url), Retry(ExponentialBackoff(cap=0.5, base=0.05), _RETRIES))


def _client(address: Address, retry: Retry) -> Redis:
    place: dict[str, Any]
    if address.path:
        place = {"connection_class": _Unix, "path": address.path}
    else:
        host, port = address.nodes[0]
        place = {"connection_class": _Plain if address.tls is None else _Tls, "host": host, "port": port}
    if address.kind != "server":
        place["primary"] = Primary(address)
    pool = FairPool(
        **place,
        **(address.tls or {}),
        **address.login,
        db=address.db,
        protocol=PROTOCOL,
        max_connections=_CONNECTIONS,
        longest_wait=_FREE_WITHIN,
        decode_responses=True,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        health_check_interval=15,
        retry=retry,
        retry_on_error=[exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError],
    )
    return Redis.from_pool(pool)


async def open_store(settings: Settings) -> Redis:
    """Connect as the settings say, waiting while the server is away.

    Raises:
        SettingsError: when the address, the password or a certificate is wrong, or the server is too old or none.
    """
    url = settings.redis_url
    if url == "embedded":
        url = await asyncio.to_thread(embedded.url, settings.data_dir)
    try:
        address = parse(url)
    except ValueError as error:
        raise SettingsError([f"REDIS_URL: {error}"]) from None
    if problem := _mismatch(await _about(address), address):
        raise SettingsError([f"REDIS_URL: {problem}"])
    return connect(url)


def _mismatch(server: dict[str, Any], address: Address) -> str:
    """Why a server cannot be used, "" when it can."""
    if _is_sentinel(server):
        return "this is a Sentinel; write redis+sentinel://host:26379/NAME-OF-THE-SERVICE"
    version = str(server.get("redis_version", ""))
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _OLDEST:
        return f"the server is version {version or '(it tells none)'}; Redis or Valkey 7.0 or newer is needed"
    return ""


def _is_sentinel(server: dict[str, Any]) -> bool:
    # Valkey has a name of its own for the field.
    return (server.get("redis_mode") or server.get("server_mode")) == "sentinel"


async def _about(address: Address) -> dict[str, Any]:
    """What the server says of itself, waiting while it is away. Without retries: they hide who refuses us."""
    probe = _client(address, Retry(NoBackoff(), 0))
    wait = _FIRST_PAUSE_SECONDS
    try:
        while True:
            try:
                about: dict[str, Any] = await probe.info("server")
                if not _is_sentinel(about):
                    # A node of a Cluster that is to be reached by another URL says so only now.
                    await probe.exists(keys.THREADS)
                return about
            except (exceptions.RedisError, OSError) as error:
                if problem := refusal(error):
                    raise SettingsError([f"REDIS_URL: {problem}"]) from None
                why = reason(error)
                if address.tls is None and _HUNG_UP.search(why):
                    why += " (if it speaks TLS only, write rediss for redis in REDIS_URL)"
                logger.warning("redis is away, trying again", reason=why, seconds=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _PAUSE_SECONDS)
    finally:
        await probe.aclose()


def refusal(error: BaseException | None) -> str:
    """Why trying again is pointless, "" when it may help. redis-py wraps what it got in errors of its own."""
    while error is not None:
        match error:
            case SentinelRefusesError():
                return (
                    f"a Sentinel refuses us: {_words(error)}; check sentinel_username and sentinel_password, "
                    "and that this user may send SENTINEL GET-MASTER-ADDR-BY-NAME"
                )
            case exceptions.ResponseError() if "protected mode" in str(error):
                return (
                    "the server takes nobody from another machine while it has no password (protected mode); "
                    "set one there, and write it into the URL"
                )
            case exceptions.AuthenticationError():
                return f"the server refuses us: {_words(error)}; check user and password"
            case exceptions.NoPermissionError():
                return f"the server refuses us: {_words(error)}; the README has the ACL rule the bot needs"
            case exceptions.MovedError():
                return "this server is a node of a Cluster; write redis+cluster://host:port"
            case exceptions.ResponseError() if not isinstance(
                error, (*_MOVED_ON, exceptions.OutOfMemoryError)
            ):
                return f"the server refuses us: {_words(error)}; {_hint(error)}"
            case exceptions.InvalidResponse():
                return "what answers there is no Redis: it does not speak its protocol"
            case ssl.SSLCertVerificationError():
                return f"the server's certificate is not trusted ({error.verify_message}); {_distrust(error)}"
            case ssl.SSLError() if "CERTIFICATE_REQUIRED" in str(error):
                return "the server wants to see a certificate of ours; give ssl_certfile and ssl_keyfile"
            case ssl.SSLError() if "WRONG_VERSION_NUMBER" in str(error):
                return "the server does not speak TLS; write redis:// instead of rediss://"
        error = error.__cause__ or error.__context__
    return ""


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    if "mismatch" in error.verify_message:
        return "write the host as the certificate names it, or give ssl_check_hostname=false"
    return "if it is from a CA of your own, name the CA's file with ssl_ca_certs"


def _hint(error: Exception) -> str:
    words = _words(error).lower()
    if "cluster support disabled" in words:
        return "it is no Cluster; write redis://host:port"
    if "unknown command" in words and "sentinel" in words:
        return "it is no Sentinel; write redis://host:port"
    return "check user, password and database"


def reason(error: Exception) -> str:
    """What went wrong with Redis, for the log."""
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM command not allowed" in str(error):
        return (
            "Redis is full: no question is accepted until it has memory again (maxmemory); "
            f"answers under way go on ({_words(error)})"
        )
    return f"{type(error).__name__}: {_words(error)}"


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
