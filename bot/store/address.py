"""REDIS_URL taken apart: one server, the primary behind Sentinels, or a Cluster. Pure, but for looking at files."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Kind = Literal["server", "sentinel", "cluster"]

_KINDS: dict[str, Kind] = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}
_PORTS: dict[Kind, int] = {"server": 6379, "sentinel": 26379, "cluster": 6379}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SCHEMES = "redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (rediss+… with TLS)"
_ESCAPES = "write %23, %2F, %3F or %40 for # / ? or @ in a password"


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and who we are there."""

    kind: Kind
    nodes: tuple[tuple[str, int], ...] = ()
    """Hosts and ports: of the server, of the Sentinels, or of some nodes of the Cluster."""
    path: str = ""
    """Path of a Unix socket, instead of nodes."""
    service: str = ""
    """The name under which the Sentinels know the primary."""
    db: int = 0
    tls: dict[str, Any] | None = None
    """Options of the TLS connections, as redis-py names them; None without TLS."""
    login: dict[str, Any] = field(default_factory=dict, repr=False)
    """User and password at the server."""
    sentinel_login: dict[str, Any] = field(default_factory=dict, repr=False)
    """User and password at the Sentinels."""


def parse(url: str) -> Address:
    """Take a URL apart.

    Raises:
        ValueError: saying what is wrong and what it should be, without repeating the URL: it holds a password.
    """
    try:
        parts = urlsplit(url)
        scheme, netloc = parts.scheme, parts.netloc
    except ValueError:
        raise ValueError(f"is no URL; {_ESCAPES}") from None
    base, _, variant = scheme.partition("+")
    if variant not in _KINDS or base not in ("redis", "rediss", "unix") or (base == "unix" and variant):
        raise ValueError(f"must be {_SCHEMES} or the word embedded")
    kind = _KINDS[variant]
    options = _options(parts.query)
    sentinel_login = _taken(options, "sentinel_username", "sentinel_password")
    if sentinel_login and kind != "sentinel":
        raise ValueError("sentinel_username and sentinel_password belong to redis+sentinel:// only")
    userinfo, _, hosts = netloc.rpartition("@")
    login = _login(userinfo)
    tls = _tls(options) if base == "rediss" else None
    if base == "unix":
        if not parts.path:
            raise ValueError("must be unix:///path/of/the/socket")
        return Address(
            kind, path=unquote(parts.path), db=_number(options.pop("db", "0"), options), login=login
        )
    service, db = _path(parts.path, kind, options)
    if parts.fragment:
        raise ValueError(f"has a #; {_ESCAPES}")
    nodes = tuple(_node(part, kind) for part in hosts.split(","))
    if kind == "server" and len(nodes) > 1:
        raise ValueError("names several servers; write redis+sentinel:// or redis+cluster://")
    return Address(kind, nodes, "", service, db, tls, login, sentinel_login)


def _options(query: str) -> dict[str, str]:
    known = {*_FILES, "ssl_check_hostname", "db", "sentinel_username", "sentinel_password"}
    options = dict(parse_qsl(query, keep_blank_values=True))
    # A name that is none may be the rest of a password with a question mark in it, so it is not repeated.
    if not known.issuperset(options):
        raise ValueError(
            f"has an option that does not exist; there are {', '.join(sorted(known))}; {_ESCAPES}"
        )
    return options


def _taken(options: dict[str, str], user: str, password: str) -> dict[str, str]:
    pairs = (("username", options.pop(user, "")), ("password", options.pop(password, "")))
    return {name: value for name, value in pairs if value}


def _login(userinfo: str) -> dict[str, str]:
    user, _, password = userinfo.partition(":")
    pairs = (("username", unquote(user)), ("password", unquote(password)))
    return {name: value for name, value in pairs if value}


def _tls(options: dict[str, str]) -> dict[str, Any]:
    tls: dict[str, Any] = {}
    for name in _FILES:
        path = options.pop(name, "")
        if path and not os.access(path, os.R_OK):
            raise ValueError(f"{name}: the file {path} cannot be read")
        if path:
            tls[name] = path
    if ("ssl_certfile" in tls) != ("ssl_keyfile" in tls):
        raise ValueError("ssl_certfile and ssl_keyfile are needed together")
    _look_into(tls)
    check = options.pop("ssl_check_hostname", "true").lower()
    if check not in ("true", "false"):
        raise ValueError("ssl_check_hostname must be true or false")
    tls["ssl_check_hostname"] = check == "true"
    return tls


def _look_into(tls: dict[str, Any]) -> None:
    """Connections would fail for ever with a file that is none of its kind, or ask the terminal for a passphrase."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    name = "ssl_ca_certs"
    try:
        if name in tls:
            context.load_verify_locations(tls[name])
        name = "ssl_certfile and ssl_keyfile"
        if "ssl_certfile" in tls:
            context.load_cert_chain(tls["ssl_certfile"], tls["ssl_keyfile"], password="")
    except OSError as error:
        why = getattr(error, "reason", None) or "it is no file"
        raise ValueError(f"{name}: not in PEM format, not a pair, or with a passphrase ({why})") from None


def _path(path: str, kind: Kind, options: dict[str, str]) -> tuple[str, int]:
    """The service's name and the database."""
    pieces = [unquote(piece) for piece in path.strip("/").split("/") if piece]
    service = ""
    if kind == "sentinel":
        if not pieces:
            raise ValueError("must end with the service's name: redis+sentinel://host:26379/mymaster")
        service = pieces.pop(0)
    db = options.pop("db", "") or (pieces.pop(0) if pieces else "0")
    if pieces:
        raise ValueError(f"has too much after the host; {_ESCAPES}")
    number = _number(db, options)
    if kind == "cluster" and number:
        raise ValueError("a Cluster has database 0 only")
    return service, number


def _number(db: str, options: dict[str, str]) -> int:
    """The database's number; by now no option may be left."""
    if options:
        raise ValueError("has ssl_… options, which belong to rediss:// only")
    if not db.isascii() or not db.isdigit():
        raise ValueError(f"the database must be a number; {_ESCAPES}")
    return int(db)


def _node(text: str, kind: Kind) -> tuple[str, int]:
    wrong = ValueError(f"must be redis://:password@host:port/number; {_ESCAPES}")
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if not host or " " in text or port == 0:
        raise wrong
    return unquote(host), port or _PORTS[kind]
