"""Streams of several servers: each tells the others in a book which rooms it has, and pulls those that it has not.

    host ─► `claim` ─► the book ─► all nodes know within `EXCHANGE_S`
    viewer ─► Puller ─► `find` ─► GET /live/ROOM.flv of the node that has the host

What is in the book is lost without harm: each node writes its own part again, twice a second. While the book cannot be
reached, rooms go on where their hosts are, and hosts are let in without asking.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from gateway.doors import VIA_HEADER
from gateway.edge import parse_origin
from stream.directory import PUBLISHER_SILENCE_MS, Clock, Directory
from stream.errors import AlreadyPublishing
from stream.ingest_pull import Puller, Source
from stream.relay import StreamInfo

logger = logging.getLogger("siyu.nodes")

EXCHANGE_S: Final = 0.5
"""How late a node hears of a host that comes or goes elsewhere, at most."""
ANSWER_S: Final = 2.0
"""The book answers in milliseconds; a node that waits longer goes on by itself."""
LIFE_MS: Final = 4_000
"""A node that has not written for so long is gone, and its rooms are free."""
CLAIM_S: Final = 2.5
"""How long a host waits for one at another node that may be gone: its silence shows within a second."""
CLAIM_AGAIN_S: Final = 0.2
ROOMS_MAX: Final = 2_000
"""In a node's part of the book, as many as a directory has relays."""
NODE_VIA: Final = "node "
"""Stands before a node's name among those that a request has come through: only edges may have it passed on."""


class Held(msgspec.Struct, frozen=True):
    """A room of a node: its stream as `StreamInfo` has it, at the Unix time `now_ms`."""

    sending: bool
    """Whether its host was heard a moment ago. One that was not gives way."""
    live: bool
    since_ms: int | None
    video_codec: str | None
    audio_codec: str | None
    width: int | None
    height: int | None
    media_clock_ms: int
    away: bool
    now_ms: int

    def info(self) -> StreamInfo:
        """As the directory has it."""
        fields = {name: value for name, value in msgspec.structs.asdict(self).items() if name not in _NOT_INFO}
        return StreamInfo(**fields)


_NOT_INFO: Final = frozenset({"sending", "now_ms"})


class Part(msgspec.Struct, frozen=True):
    """What one process writes: where its node is reached by the others, and its rooms."""

    url: str
    rooms: dict[str, Held]


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to read: who has which room, and the parts of those that live, both by process."""

    owners: Mapping[str, str]
    parts: Mapping[str, Part]


class Book(Protocol):
    """Where nodes tell each other. Everything raises OSError when it cannot be reached."""

    async def exchange(self, part: Part) -> Page:
        """Write this process's part and read all."""

    async def claim(self, room: str, url: str) -> bool:
        """Note that this process has the room, unless one at another node lives and hears its host."""

    async def release(self, rooms: Iterable[str]) -> None:
        """Note that this process has these rooms no more."""

    async def close(self) -> None:
        """Let go of the connection."""


class Nodes:
    """One process's view of the others; an `Upstreams` for its puller. `mint` makes a token that plays a room."""

    def __init__(
        self, book: Book, directory: Directory, *, node: str, url: str, mint: Callable[[str], str], clock: Clock
    ) -> None:
        self.node = node
        self.url = url
        self.puller: Puller | None = None
        self._book = book
        self._directory = directory
        self._mint = mint
        self._clock = clock
        self._mine: set[str] = set()
        self._elsewhere: dict[str, str] = {}
        """Rooms at other nodes, with the node's address."""
        self._task: asyncio.Task[None] | None = None
        self._down = False

    # — life —

    def start(self, puller: Puller) -> None:
        """Tell and hear, until closed."""
        self.puller = puller
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Give all rooms back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._book.release(self._mine)
        except (OSError, TimeoutError) as error:
            logger.info("the rooms of this node are free for others in %d ms: %s", LIFE_MS, _reason(error))
        await self._book.close()

    async def _run(self) -> None:
        while True:
            try:
                await self.exchange()
            except (OSError, TimeoutError) as error:
                self._note(_reason(error))
            await asyncio.sleep(EXCHANGE_S)

    # — hosts —

    async def claim(self, room: str) -> None:
        """Make the room this node's, for a host that may publish it. Raises AlreadyPublishing."""
        deadline_s = asyncio.get_running_loop().time() + CLAIM_S
        try:
            async with asyncio.timeout(CLAIM_S + ANSWER_S):
                while not await self._book.claim(room, self.url):
                    if asyncio.get_running_loop().time() >= deadline_s:
                        raise AlreadyPublishing(room)
                    await asyncio.sleep(CLAIM_AGAIN_S)
        except (OSError, TimeoutError) as error:
            # It is noted as soon as the book is back; a host must not wait for that.
            self._note(_reason(error))
        if len(self._mine) < ROOMS_MAX:
            self._mine.add(room)
        if self._elsewhere.pop(room, None) is not None:
            # Its viewers go on in the time that they have seen.
            self._directory.relay(room).go_on_from(self._directory.info(room).media_clock_ms, self._clock())
            self._directory.elsewhere(room, None, self._clock())

    def is_elsewhere(self, room: str) -> bool:
        """Whether another node has the room."""
        return room in self._elsewhere

    def knows(self, via: Iterable[str]) -> bool:
        """Whether a request comes straight from another node, for its viewers."""
        return any(part.startswith(NODE_VIA) for part in via)

    # — where to pull —

    async def find(self, room: str) -> Source | None:
        """The node that has the room."""
        url = self._elsewhere.get(room)
        if url is None:
            return None
        peer, prefix = parse_origin(url)
        headers = ((VIA_HEADER, NODE_VIA + self.node), ("authorization", f"Bearer {self._mint(room)}"))
        return Source(peer, f"{prefix}/live/{quote(room, safe='')}.flv?delay=low", headers)

    def refused(self, room: str, status: int) -> None:
        """Nothing is kept that could be wrong: the next attempt asks with what is known then."""

    def released(self, room: str) -> None:
        """Nothing is kept for it."""

    # — the book —

    async def exchange(self) -> None:
        """Tell what is here, hear what is elsewhere, and follow. Raises OSError and TimeoutError."""
        rooms = {room: held for room in tuple(self._mine) if (held := self._held(room)) is not None}
        gone = self._mine - rooms.keys()
        async with asyncio.timeout(ANSWER_S):
            if gone:
                await self._book.release(gone)
                self._mine -= gone
            page = await self._book.exchange(Part(self.url, rooms))
            for room in rooms.keys() - page.owners.keys():
                # The book was lost, or we were taken for gone.
                await self._book.claim(room, self.url)
        self._note("")
        now_ms = self._clock()
        for room in rooms:
            if page.owners.get(room, self.node) != self.node:
                self._mine.discard(room)
                self._directory.dismiss(room, now_ms)
        self._follow(page, now_ms)

    def _held(self, room: str) -> Held | None:
        """What is told of a room; None: neither its host is here nor anybody who waits for the host's return."""
        now_ms = self._clock()
        publication, relay = self._directory.hosted(room), self._directory.find(room)
        if publication is None and (relay is None or not relay.playing or self._directory.publication(room)):
            return None
        sending = publication is not None and now_ms - publication.heard_ms < PUBLISHER_SILENCE_MS
        info = relay.info() if relay is not None else self._directory.info(room)
        return Held(sending, **asdict(info), now_ms=now_ms)

    def _follow(self, page: Page, now_ms: int) -> None:
        before, self._elsewhere = self._elsewhere, {}
        for node, part in page.parts.items():
            if part.url == self.url:
                # This process, or a worker beside it: the node's own matter.
                continue
            for room, held in part.rooms.items():
                if page.owners.get(room) == node and self._directory.hosted(room) is None:
                    self._elsewhere[room] = part.url
                    self._directory.elsewhere(room, held.info(), min(held.now_ms, now_ms))
        for room in before.keys() - self._elsewhere.keys():
            self._directory.elsewhere(room, None, now_ms)
        for room, url in self._elsewhere.items():
            if before.get(room) != url and self.puller is not None:
                self.puller.redirect(room)

    def _note(self, why: str) -> None:
        """Log when the book goes and when it is back."""
        if bool(why) != self._down:
            self._down = bool(why)
            if why:
                logger.warning("where other nodes' streams are cannot be read, each serves its own: %s", why)
            else:
                logger.info("other nodes' streams are known again")


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
