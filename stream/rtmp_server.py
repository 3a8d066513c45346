"""The RTMP server: one port, or two with TLS, for hosts and players alike; its connections are in rtmp_connection.

It knows neither the relay nor a codec: hosts are handed to an `Ingest`, players to an `Outlet`, both by constructor.
"""

import asyncio
import ipaddress
import logging
import os
import ssl as tls
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stream.protocol.rtmp_session import RtmpSession
from stream.rtmp_connection import Connection
from stream.rtmp_peers import Ingest, Outlet, RtmpLimits

log = logging.getLogger("siyu.rtmp")

DRAIN_BATCH: Final = 50
"""Peers told to go at once when draining; they come back as many to whoever takes over."""
DRAIN_INTERVAL_S: Final = 0.05
REFUSED_LOG_INTERVAL_S: Final = 10.0
"""Refusals above a connection limit are counted, and logged this often: a flood must not fill the log."""

TOLD_MAX: Final = 32
"""Connections above a limit that get a handshake to be told why, at a time; more are cut without a word."""

CHALLENGES_MAX: Final = 1_000
"""Challenges that were not answered yet; the oldest goes when there are more."""
CHALLENGE_MS: Final = 30_000
"""How long a challenge can be answered: encoders come back at once."""
_CHALLENGE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class RtmpStats:
    """Counts for /metrics: `connections`, `publishing`, `playing` are present ones, others totals since the start."""

    connections: int
    publishing: int
    playing: int
    accepted: int
    refused: int
    """Above a connection limit."""
    rejected: int
    """Told to go: wrong app, wrong key, second publisher."""
    failed: int
    """Broke the protocol."""
    timed_out: int
    received_bytes: int
    packets: int
    ignored: int
    """Messages and tags that say nothing to a player."""


@dataclass(slots=True)
class Counters:
    """What only grows; see RtmpStats."""

    accepted: int = 0
    refused: int = 0
    rejected: int = 0
    failed: int = 0
    timed_out: int = 0
    received_bytes: int = 0
    packets: int = 0
    ignored: int = 0


class _Challenges:
    """The challenges of all connections: encoders answer on another one than they were asked on."""

    def __init__(self, clock: Callable[[], int], entropy: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._entropy = entropy
        self._open: OrderedDict[str, int] = OrderedDict()

    def issue(self) -> str:
        """Give a new one."""
        nonce = self._entropy(_CHALLENGE_BYTES).hex()
        self._open[nonce] = self._clock()
        if len(self._open) > CHALLENGES_MAX:
            self._open.popitem(last=False)
        return nonce

    def take(self, nonce: str) -> bool:
        """Whether it may be answered; once."""
        issued_ms = self._open.pop(nonce, None)
        return issued_ms is not None and self._clock() - issued_ms <= CHALLENGE_MS


class RtmpServer:
    """RTMP and RTMPS for hosts and, with an `outlet`, for players.

    `clock` gives Unix milliseconds; `challenge_hosts`: see RtmpSession.
    """

    def __init__(
        self,
        ingest: Ingest,
        outlet: Outlet | None = None,
        *,
        clock: Callable[[], int],
        limits: RtmpLimits | None = None,
        challenge_hosts: bool = False,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.ingest = ingest
        self.outlet = outlet
        self.clock = clock
        self.limits = limits or RtmpLimits()
        self.entropy = entropy
        self.counters = Counters()
        self._challenges = _Challenges(clock, entropy)
        self._challenge_hosts = challenge_hosts
        self._connections: set[Connection] = set()
        self._told: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._gone = asyncio.Event()
        self._refused_logged_s = 0.0

    async def start(self, host: str, port: int, ssl: tls.SSLContext | None = None, *, shared: bool = False) -> int:
        """Listen, with TLS if `ssl` is given, and return the port. Can be called for each of several ports.

        `shared`: with other processes, among which the kernel spreads the connections (SO_REUSEPORT).

        Raises OSError when the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        handshake_s = self.limits.handshake_s if ssl else None
        server = await loop.create_server(
            lambda: Connection(self, loop),
            host,
            port,
            ssl=ssl,
            ssl_handshake_timeout=handshake_s,
            reuse_port=shared or None,
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def drain(self) -> None:
        """Stop listening and tell every peer to go, in batches.

        Those that can are asked to connect anew and have `reconnect_s` for it. Returns when all have gone, after
        `linger_s` at the latest.
        """
        self._stop_listening()
        for number, connection in enumerate(tuple(self._connections), 1):
            connection.drain()
            if number % DRAIN_BATCH == 0:
                await asyncio.sleep(DRAIN_INTERVAL_S)
        await self._wait_gone()

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        self._stop_listening()
        for connection in (*self._connections, *self._told):
            connection.abort()
        await self._wait_gone()

    def stats(self) -> RtmpStats:
        """Return the present counts."""
        counters = self.counters
        return RtmpStats(
            connections=len(self._connections),
            publishing=sum(connection.publishing for connection in self._connections),
            playing=sum(connection.playing for connection in self._connections),
            accepted=counters.accepted,
            refused=counters.refused,
            rejected=counters.rejected,
            failed=counters.failed,
            timed_out=counters.timed_out,
            received_bytes=counters.received_bytes,
            packets=counters.packets,
            ignored=counters.ignored + sum(connection.ignored_messages for connection in self._connections),
        )

    def session(self, entropy_bytes: int) -> RtmpSession:
        """Make a connection's session."""
        return RtmpSession(
            self.entropy(entropy_bytes), challenges=self._challenges, challenge_hosts=self._challenge_hosts
        )

    def admit(self, connection: Connection, address: str, now_s: float) -> str | None:
        """Enter a new connection; above a limit give the words with which it is refused, "" to cut it without."""
        limits = self.limits
        exempt = limits.loopback_exempt and _is_loopback(address)
        over_address = not exempt and self._by_address[address] >= limits.connections_per_address_max
        if not over_address and len(self._connections) < limits.connections_max:
            self.counters.accepted += 1
            self._by_address[address] += 1
            self._connections.add(connection)
            return None
        self.counters.refused += 1
        what = "from one address" if over_address else "in all"
        if now_s - self._refused_logged_s >= REFUSED_LOG_INTERVAL_S:
            self._refused_logged_s = now_s
            log.warning("refused %s: too many connections %s (%d so far)", address, what, self.counters.refused)
        if len(self._told) >= TOLD_MAX:
            return ""
        self._told.add(connection)
        return f"Too many connections {what}. Close another one, then try again."

    def forget(self, connection: Connection, address: str) -> None:
        """Take out a connection that was admitted or told why it was not."""
        if connection in self._told:
            self._told.discard(connection)
            return
        self.counters.ignored += connection.ignored_messages
        self._connections.discard(connection)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        if not self._connections:
            self._gone.set()

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def _wait_gone(self) -> None:
        self._gone.clear()
        if not self._connections:
            return
        try:
            async with asyncio.timeout(self.limits.reconnect_s + self.limits.linger_s + 1):
                await self._gone.wait()
        except TimeoutError:
            log.warning("%d connections did not end in time", len(self._connections))


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
