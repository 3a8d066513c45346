"""A room for clients that only ask: long polling, for those behind proxies that let no stream through.

A client asks, and is answered when something is there, or with nothing after a while; then it asks again. Between two
questions its session stays in the room and gathers what comes: a socket whose peer reads in gulps. So the same batches,
tiers and bounds hold as for any other; who does not come back in time is gone.

    {"poll":"SESSION","n":3,"items":[event, event, …]}        and "close":{"code","reason"} when it is over

`n` numbers the answers of a session: a client that asks with the `n` it has got last gets again what was lost.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from chat.errors import CloseCode, TokenRefused
from chat.member import Member
from chat.message import JoinRequest, encode
from chat.sink import PEER_LOST, Kind, Phase, Socket

if TYPE_CHECKING:
    from chat.hub import Hub


class Gathering:
    """The transport of a session: it keeps what is written until somebody asks."""

    def __init__(self, session: PollSession) -> None:
        self._session = session
        self._parts: list[bytes] = []
        self._size = 0
        self._high = 0
        self._paused = False
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return nothing: there is no socket."""
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say from which size on the session counts as slow."""
        self._high = high or 0

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait."""
        return self._size

    def write(self, data: bytes) -> None:
        """Keep data, and wake who waits for it."""
        if self._closing:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._high and not self._paused:
            self._paused = True
            self._session.pause_writing()
        self._session.wake()

    def take(self) -> bytes:
        """Return all that waits."""
        data, self._parts, self._size = b"".join(self._parts), [], 0
        return data

    def drained(self) -> None:
        """Tell the session that what it had was read: it may be given the state anew."""
        if self._paused:
            self._paused = False
            self._session.resume_writing()

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""

    def is_closing(self) -> bool:
        """Tell whether the session has ended."""
        return self._closing

    def abort(self) -> None:
        """End the session."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._session.connection_lost, None)

    close = abort


Authenticate = Callable[[str, str], Member]
"""Gets a room and a token, returns who it is; raises TokenRefused."""


class Polls:
    """The sessions of a hub: found again by their name, bounded in all and for each address."""

    def __init__(self, hub: Hub, authenticate: Authenticate) -> None:
        self._hub = hub
        self._authenticate = authenticate
        self._sessions: dict[str, PollSession] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    async def ask(self, request: JoinRequest, address: str, name: str, seen: int) -> bytes:
        """Return the next answer of a session, or the first of a new one. Raises TokenRefused."""
        known = self._sessions.get(name)
        if known is not None and known.channel is not None and known.channel.room.name == request.room:
            member = self._authenticate(request.room, request.token)
            if known.member is not None and known.member.person in self._hub.ids_of(member.person):
                # Who was found to be somebody known goes on here under the id that they came with.
                known.channel.recount(known, replace(member, person=known.member.person))
                return await known.ask(seen)
        return await self._begin(request, address).ask(0)

    def _begin(self, request: JoinRequest, address: str) -> PollSession:
        limits = self._hub.limits
        network = self._hub.network(address)
        full = len(self._sessions) >= limits.polls
        # No connection stays open between two questions, so what counts these does not see who begins ever new ones.
        if full or (network and self._by_network[network] >= limits.polls_per_address):
            whose = "full" if full else "too many of this address poll"
            raise TokenRefused(CloseCode.JOINS_LIMITED, f"{whose}, retry_ms={limits.connections_retry_ms}")
        session = PollSession(self._hub, address, lambda: self._forget(session, network))
        self._sessions[session.id] = session
        self._by_network[network] += 1
        session.enter(request)
        return session

    def _forget(self, session: PollSession, network: str) -> None:
        del self._sessions[session.id]
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]


class PollSession(Socket):
    """One client that asks."""

    __slots__ = ("_answered_ms", "_asked_ms", "_asks", "_ended", "_last", "_number", "_waiter", "id")

    def __init__(self, hub: Hub, address: str, on_lost: Callable[[], None]) -> None:
        super().__init__(hub, Kind.POLL, address, on_lost)
        self.id = secrets.token_urlsafe(16)
        self._number = 0
        self._last = b""
        self._asks = 0
        self._asked_ms = self._answered_ms = hub.clock()
        self._waiter: asyncio.Future[None] | None = None
        self._ended: tuple[int, str] | None = None

    def enter(self, request: JoinRequest) -> None:
        """Join a room. Raises TokenRefused."""
        self.connection_made(cast(asyncio.Transport, Gathering(self)))
        try:
            payload = self._hub.join_stream(self, request)
        except TokenRefused:
            self.phase = Phase.CLOSING
            self.transport.abort()
            raise
        self.phase = Phase.OPEN
        if payload:
            self.deliver_state(payload)

    async def ask(self, seen: int) -> bytes:
        """Return an answer when there is something to tell, or after `poll_wait_ms`.

        `seen` is the number of the answer that the client has got last. A question that comes while another waits ends
        that one, with nothing in it.
        """
        if self._last and seen == self._number - 1:
            return self._last
        limits = self._hub.limits
        self.wake()
        self._asks += 1
        mine = self._asks
        pause_ms = self._answered_ms + limits.poll_pause_ms - self._hub.clock()
        if 0 < pause_ms <= limits.poll_pause_ms:
            await asyncio.sleep(pause_ms / 1000)
        if mine == self._asks and not self.transport.get_write_buffer_size() and self._ended is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._waiter], timeout=limits.poll_wait_ms / 1000)
        self._asked_ms = self._hub.clock()
        if mine != self._asks:
            return b'{"poll":%b,"n":%d,"items":[]}' % (encode(self.id), seen)
        self._waiter = None
        return self._answer()

    def _answer(self) -> bytes:
        gathering = cast(Gathering, self.transport)
        items = gathering.take().removesuffix(b",")
        self._number += 1
        self._answered_ms = self._hub.clock()
        close = b""
        if self._ended is not None:
            close = b',"close":%b' % encode(dict(zip(("code", "reason"), self._ended, strict=True)))
            gathering.abort()
        self._last = b'{"poll":%b,"n":%d,"items":[%b]%b}' % (encode(self.id), self._number, items, close)
        gathering.drained()
        return self._last

    def wake(self) -> None:
        """Have the question that waits answered."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def deliver(self, data: bytes) -> None:
        """Send one event, as JSON, of this session's own."""
        self.send(data + b",")

    def deliver_state(self, payload: bytes) -> None:
        """Send the room as it is: a JSON array, whose middle goes into the answer."""
        self.send(payload[1:-1] + b",")

    def close(self, code: int, reason: str) -> None:
        """End the session; who asks, or asks within `closing_ms`, is told."""
        if self.phase is Phase.OPEN:
            self._leave(code)
            self._ended = (int(code), reason)
            if self._waiter is None and code < CloseCode.BAD_FRAME:
                # Whoever comes next is taken in like a newcomer, here or elsewhere: there is nothing to wait for.
                self.transport.abort()
            self.wake()

    def turn(self, now_ms: int) -> None:
        """Look after the session: called by the wheel once a round."""
        if self._overdue(now_ms) or self._waiter is not None:
            return
        if now_ms - self._asked_ms > self._hub.limits.poll_gone_ms:
            self._leave(PEER_LOST)
            self.transport.abort()
