"""Streams pulled from another process: an edge's origin, or the worker that has the host. HTTP-FLV in, packets out.

    a reader comes ─► Directory.on_wanted ─► Puller ─► one Pull for the room ─► Publication ─► Relay ─► all outputs

Each room is pulled once, however many watch, and let go `linger_ms` after the last reader. What is pulled keeps the
media time of where it comes from. When the connection is lost the pull is tried again, with growing pauses; readers
stay. Back at the same process, it goes on at the first frame that it has not got, as if nothing had been; at another
one, or one that was started anew, it begins again as after a host's return.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from stream.directory import Clock, Directory, Publication
from stream.errors import AlreadyPublishing, ProtocolError, PublishRefused
from stream.http_call import Peer, Response, ask
from stream.packet import Kind, Packet
from stream.protocol.flv_reader import FlvReader
from stream.protocol.http_exchange import Headers

log = logging.getLogger("siyu.pull")

SWEEP_S: Final = 0.25
"""How late a pull is let go, or a lost stream given up."""
OVERLAP_MS: Final = 20_000
"""A stream taken up again begins with its last key frame, this far back at most: what a relay's GOP cache holds."""
NODE_HEADER: Final = "siyu-node"
"""A response names the process that gives it: its media time goes on only while that one lives."""

_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class PullLimits:
    """Time-outs of pulls."""

    linger_ms: int = 10_000
    """How long a stream is kept without a reader: somebody who reloads the page finds it going."""
    hold_ms: int = 10_000
    """A stream whose source is lost counts as live for so long; then as one whose host has left."""
    head_s: float = 15.0
    """From the connection to the first byte: a source waits 10 s for its host."""
    silent_s: float = 10.0
    """Without a byte the connection counts as lost: a machine that is gone says nothing."""
    retry_first_s: float = 0.25
    retry_max_s: float = 5.0
    """Between two attempts; each pause is twice the one before, and cut by chance to as little as half."""
    steady_s: float = 5.0
    """A stream that came for so long begins with short pauses again."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a room can be had now: a server, the path with its query, and headers beside Host."""

    peer: Peer
    target: str
    headers: Headers = field(default=(), repr=False)


class Upstreams(Protocol):
    """Who knows where rooms can be had."""

    async def find(self, room: str) -> Source | None:
        """Say where; None when nobody has it now. Raises OSError or ProtocolError when that cannot be found out."""

    def refused(self, room: str, status: int) -> None:
        """Hear that the source answered with another status than 200."""

    def released(self, room: str) -> None:
        """Hear that the room is no longer pulled."""


@dataclass(slots=True)
class PullStats:
    """Figures for metrics; `streams` and `waiting` are present ones."""

    streams: int = 0
    waiting: int = 0
    """Wanted, and not had."""
    started: int = 0
    released: int = 0
    connected: int = 0
    lost: int = 0
    refused: int = 0
    bytes_in: int = 0


class _Pull:
    """One room's pull; the Publisher of what it brings."""

    def __init__(self, puller: "Puller", room: str) -> None:
        self.room = room
        self.idle_since_ms: int | None = None
        self.lost_ms: int | None = None
        self.publication: Publication | None = None
        self.task: asyncio.Task[None] | None = None
        self.source: Source | None = None
        self._puller = puller
        self._changed = asyncio.Event()
        self._node: str | None = None
        self._last_ms: dict[Kind, int] = {}
        self._resuming = False
        self._failing = False
        self._response: Response | None = None

    # what the directory calls

    def close(self, reason: str) -> None:
        """Give way to a host of this process, or to its end."""
        self._puller.drop(self.room, reason)

    # what the puller calls

    def redirect(self) -> None:
        """Leave the connection that there is: the room is elsewhere now."""
        if self._response is not None:
            self._response.close()
        self._changed.set()

    def hurry(self) -> None:
        """Look for the source now, instead of at the end of the pause."""
        self._changed.set()

    def end(self, reason: str) -> None:
        """Give the room back."""
        publication, self.publication = self.publication, None
        if publication is not None:
            publication.end(reason, self._puller.clock())

    async def run(self) -> None:
        """Pull until cancelled."""
        puller, limits = self._puller, self._puller.limits
        pause_s = limits.retry_first_s
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            began_s = loop.time()
            try:
                self.source = await puller.upstreams.find(self.room)
                if self.source is not None:
                    await self._follow(self.source)
            except (OSError, ProtocolError) as error:
                self._note(str(error) or type(error).__name__)
            except AlreadyPublishing:
                puller.drop(self.room, "its host is here")
                return
            except PublishRefused as refused:
                self._note(refused.description)
            self.source = None
            if self.publication is not None and self.lost_ms is None:
                self.lost_ms = puller.clock()
                puller.figures.lost += 1
            if loop.time() - began_s >= limits.steady_s:
                pause_s = limits.retry_first_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s * puller.share()):
                    await self._changed.wait()
            pause_s = min(limits.retry_max_s, pause_s * 2)

    def _note(self, what: str) -> None:
        """Log the first failure of a row: a source that is down is asked again and again, for every room."""
        if not self._failing:
            self._failing = True
            log.warning("room %s: cannot be pulled, tried again: %s", self.room, what)

    # the stream

    async def _follow(self, source: Source) -> None:
        puller = self._puller
        response = await ask(source.peer, "GET", source.target, headers=source.headers, timeout_s=puller.limits.head_s)
        self._response = response
        try:
            if response.status != 200:
                puller.figures.refused += 1
                puller.upstreams.refused(self.room, response.status)
                raise ProtocolError(f"{source.peer} answers {response.status}")
            node = response.headers.get(NODE_HEADER)
            self._resuming = node is not None and node == self._node and self.publication is not None
            if not self._resuming:
                self.end("its source began anew")
            self._node = node
            reader = FlvReader()
            puller.figures.connected += 1
            async for chunk in response.chunks(puller.limits.silent_s):
                puller.figures.bytes_in += len(chunk)
                packets = reader.receive_data(chunk)
                if packets:
                    self._take(packets, reader.tracks)
        finally:
            self._response = None
            response.close()

    def _take(self, packets: list[Packet], tracks: frozenset[Kind]) -> None:
        now_ms = self._puller.clock()
        for packet in packets:
            if self.publication is not None and not self._fresh(packet):
                continue
            if self.publication is None:
                self._publish(tracks, now_ms)
            assert self.publication is not None
            if packet.kind is not Kind.DATA and not packet.config:
                self._last_ms[packet.kind] = packet.dts_ms
            self.publication.push(packet, now_ms)

    def _publish(self, tracks: frozenset[Kind], now_ms: int) -> None:
        self.publication = self._puller.directory.publish_pulled(self.room, self, now_ms, tracks=tracks)
        self.lost_ms = None
        self._resuming = False
        self._last_ms.clear()
        if self._failing:
            self._failing = False
            log.info("room %s: pulled again", self.room)

    def _fresh(self, packet: Packet) -> bool:
        """Whether a packet is news; a stream taken up again repeats what follows its last key frame."""
        if not self._resuming or packet.kind is Kind.DATA or packet.config:
            return True
        last_ms = self._last_ms.get(packet.kind)
        if last_ms is None:
            return True
        ahead_ms = (packet.dts_ms - last_ms + _WRAP // 2) % _WRAP - _WRAP // 2
        if ahead_ms < -OVERLAP_MS:
            # The same process with another clock: its room was closed and opened again.
            self.end("its source began anew")
            return True
        if ahead_ms > 0:
            self.lost_ms = None
            self._failing = False
        return ahead_ms > 0


class _Waiter:
    """A reader that only waits for the stream to begin."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    def on_start(self, now_ms: int) -> None:
        self.began.set()

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        """Nothing is done with it."""

    def on_stop(self, now_ms: int) -> None:
        """It began all the same."""

    def on_close(self, now_ms: int) -> None:
        self.began.set()


@contextlib.asynccontextmanager
async def playing(directory: Directory, room: str, clock: Clock, timeout_s: float) -> AsyncIterator[None]:
    """Want a room for as long as the block lasts, which begins when it plays or `timeout_s` is over.

    For outputs that take a viewer only once there is something to play. Raises DirectoryFull.
    """
    relay, waiter = directory.relay(room), _Waiter()
    relay.attach(waiter, clock(), asks=True)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await waiter.began.wait()
        yield
    finally:
        relay.detach(waiter)


class Puller:
    """All pulls of this process. Used on one thread; `start` needs a running loop."""

    def __init__(
        self,
        directory: Directory,
        upstreams: Upstreams,
        *,
        clock: Clock,
        limits: PullLimits | None = None,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self.directory = directory
        self.upstreams = upstreams
        self.clock = clock
        self.limits = limits or PullLimits()
        self.figures = PullStats()
        self._chance = chance or secrets.SystemRandom().random
        self._pulls: dict[str, _Pull] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # — life —

    def start(self) -> None:
        """Pull what is wanted, from now on."""
        self.directory.on_wanted(self.want)
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._on_timer)

    async def close(self) -> None:
        """End all pulls."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for room in tuple(self._pulls):
            self.drop(room, "shutting down")
        if self._ending:
            await asyncio.wait(tuple(self._ending))

    def share(self) -> float:
        """Give the part of a pause that is really waited, from a half to all: not every edge at the same moment."""
        return 0.5 + self._chance() / 2

    # — demand —

    def want(self, room: str) -> None:
        """Pull a room, unless its host is here. One that is being tried is tried at once."""
        if self._closed or self.directory.hosted(room) is not None:
            return
        pull = self._pulls.get(room)
        if pull is not None:
            pull.idle_since_ms = None
            pull.hurry()
            return
        pull = self._pulls[room] = _Pull(self, room)
        self.figures.started += 1
        pull.task = task = asyncio.get_running_loop().create_task(pull.run(), name=f"pull {room}")
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def redirect(self, room: str) -> None:
        """Find anew where a room that is pulled can be had; one that is not, but has readers, is pulled from now on."""
        pull = self._pulls.get(room)
        relay = self.directory.find(room)
        if pull is not None:
            pull.redirect()
        elif relay is not None and relay.has_readers:
            self.want(room)

    def source(self, room: str) -> Source | None:
        """Say where the room is pulled from at this moment."""
        pull = self._pulls.get(room)
        return pull.source if pull is not None else None

    def drop(self, room: str, reason: str) -> None:
        """End a room's pull; without one nothing happens."""
        pull = self._pulls.pop(room, None)
        if pull is None:
            return
        self.figures.released += 1
        pull.end(reason)
        if pull.task is not None:
            pull.task.cancel()
        log.info("room %s: no longer pulled: %s", room, reason)
        self.upstreams.released(room)

    def sweep(self, now_ms: int) -> None:
        """Let time pass: let go of what nobody reads, give up what does not come back."""
        for room, pull in tuple(self._pulls.items()):
            if pull.lost_ms is not None and now_ms - pull.lost_ms >= self.limits.hold_ms:
                pull.lost_ms = None
                pull.end("its source is lost")
            relay = self.directory.find(room)
            if relay is not None and relay.has_readers:
                pull.idle_since_ms = None
            elif pull.idle_since_ms is None:
                pull.idle_since_ms = now_ms
            elif now_ms - pull.idle_since_ms >= self.limits.linger_ms:
                self.drop(room, "nobody watches")

    def stats(self) -> PullStats:
        """Return the present counts."""
        self.figures.streams = sum(pull.publication is not None for pull in self._pulls.values())
        self.figures.waiting = len(self._pulls) - self.figures.streams
        return self.figures

    # — inside —

    def _on_timer(self) -> None:
        # The next timer first: an error shows in the log, and the sweeping goes on.
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._on_timer)
        self.sweep(self.clock())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("%s ended by an error of ours", task.get_name(), exc_info=error)
            room = task.get_name().removeprefix("pull ")
            self.drop(room, "an error of ours")
