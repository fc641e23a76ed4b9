"""Where the primary is now: asked of the Sentinels, or of the nodes of a Cluster.

All our keys share one hash slot, so a Cluster is to us what Sentinels are: several servers one of which takes our
writes. A connection asks here each time it is made; no client of the library's for either is needed.

https://redis.io/docs/latest/develop/reference/sentinel-clients/ and
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from redis import RedisError, exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from bot.store import keys
from bot.store.address import Address

Node = tuple[str, int]


class SentinelRefusesError(exceptions.AuthenticationError):
    """A Sentinel does not take the login for Sentinels, which is another one than the server's."""


PROTOCOL = 2
"""Of RESP. With 3 the library sends HELLO and asks every server to announce maintenance, which few can."""
_ASK_SECONDS = 2.0
"""Longest wait for one Sentinel or node; the next one is asked then."""
_FRESH_SECONDS = 0.2
"""How long an answer serves others that connect at the same time: a hundred connections break at once."""
SLOT = key_slot(keys.PREFIX.encode())
"""The hash slot of every key of ours."""


class Primary:
    """Finds the primary of an address of kind "sentinel" or "cluster". `clock` gives seconds."""

    def __init__(self, address: Address, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address
        self._clock = clock
        self._asked = list(address.nodes)
        """Whom to ask, in this order; somebody else each time."""
        self._looking = asyncio.Lock()
        self._found_at = float("-inf")
        self.node: Node | None = None
        """The last one found."""

    @property
    def is_behind_sentinels(self) -> bool:
        """Whether Sentinels tell the primary; they may be late to see that it is one no longer."""
        return self._address.kind == "sentinel"

    async def find(self) -> Node:
        """Host and port of the primary.

        Raises:
            redis.ConnectionError: when nobody can tell; its cause is the last refusal or failure.
        """
        async with self._looking:
            if self.node is None or self._clock() - self._found_at > _FRESH_SECONDS:
                self.node = await self._ask_around()
                self._found_at = self._clock()
            return self.node

    async def _ask_around(self) -> Node:
        problem: Exception | None = None
        asked = self._asked
        for number, node in enumerate(asked, start=1):
            try:
                found, others = await self._ask(node)
            except (RedisError, OSError) as error:
                # Who refuses us tells more than who is away.
                problem = problem if isinstance(problem, exceptions.AuthenticationError) else error
                continue
            # One that is cut off from the rest would name the old primary for ever: next time another one is asked.
            known = {*others, *self._address.nodes}
            order = [*asked[number:], *others, *self._address.nodes, *asked[:number]]
            self._asked = [node for node in dict.fromkeys(order) if node in known]
            return found
        who = "Sentinel" if self.is_behind_sentinels else "node of the Cluster"
        raise exceptions.ConnectionError(f"no {who} tells where the primary is: {problem}") from problem

    async def _ask(self, node: Node) -> tuple[Node, list[Node]]:
        """The primary as `node` knows it, and whom else to ask next time."""
        address = self._address
        client: Any = Redis(
            host=node[0],
            port=node[1],
            ssl=address.tls is not None,
            **(address.tls or {}),
            **(address.sentinel_login if self.is_behind_sentinels else address.login),
            decode_responses=True,
            socket_timeout=_ASK_SECONDS,
            socket_connect_timeout=_ASK_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=PROTOCOL,
        )
        try:
            if not self.is_behind_sentinels:
                return _owner(await client.execute_command("CLUSTER", "SLOTS"), node)
            try:
                found = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
            except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
                raise SentinelRefusesError(str(error)) from None
            if not found:
                raise exceptions.ConnectionError(f"it knows no service named {address.service!r}")
            return (str(found[0]), int(found[1])), []
        finally:
            await client.aclose()


def _owner(ranges: Any, asked: Node) -> tuple[Node, list[Node]]:
    """Who serves our slot, and all nodes there are."""
    owner: Node | None = None
    nodes: list[Node] = []
    for first, last, *servers in ranges:
        # A node that does not know its own address gives none: it is where we asked.
        listed = [(str(host or asked[0]).replace("?", asked[0]), int(port)) for host, port, *_ in servers]
        nodes += listed
        if first <= SLOT <= last:
            owner = listed[0]
    if owner is None:
        raise exceptions.ClusterDownError(f"nobody serves slot {SLOT}")
    return owner, nodes
