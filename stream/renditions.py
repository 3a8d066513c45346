"""Which renditions there are, and which of them somebody watches: the transcoder runs for those alone.

A rendition is a relay of its own in the directory, named `ROOM~NAME`, in the time of its room: outputs play it as they
play any room. It lives while it is asked for or read, and IDLE_MS longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stream.directory import Clock, Directory, DirectoryFull
from stream.packet import Codec, Kind, Packet
from stream.relay import SEPARATOR, Relay
from stream.transcode_video import KEY_MS_WEBRTC, Made, Rendition, VideoTranscoder
from stream.webrtc_sdp import takes
from stream.webrtc_video import SDP_NAMES

WEBRTC: Final = Rendition("rtc", 1080, KEY_MS_WEBRTC)
"""What WebRTC carries: H.264 without B-frames, a key frame each 2 s."""
IDLE_MS: Final = 10_000
"""A rendition that nobody reads for so long is no longer made."""
TICK_S: Final = 1.0
ROOMS_MAX: Final = 8
"""Rooms that are transcoded at a time: each takes a thread, and a good part of a core."""
HEIGHTS: Final = range(144, 2161)
"""What a ladder's rung can be."""
SOUND_BITS: Final = 160_000
"""Of a stream's sound, a second."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A rendition as a multivariant playlist names it; `bandwidth` in bits a second at its peak, sound included."""

    name: str
    width: int
    height: int
    codecs: str
    bandwidth: int


@dataclass(slots=True)
class RenditionStats:
    """Figures for metrics."""

    rooms: int = 0
    active: int = 0
    packets: int = 0
    dropped: int = 0
    refused: int = 0


class _Job:
    """One room that is transcoded: a reader of its relay, host of its renditions."""

    def __init__(self, owner: Renditions, source: Relay) -> None:
        self.source = source
        self.asked_ms: dict[str, int] = {}
        self.relays: dict[str, Relay] = {}
        self.closed = False
        self._started = False
        self.transcoder = VideoTranscoder(self._on_made, asyncio.get_running_loop().call_soon_threadsafe)
        self._owner = owner

    def add(self, rendition: Rendition, relay: Relay, now_ms: int) -> None:
        self.relays[rendition.name] = relay
        relay.begin(now_ms)
        self.transcoder.wanted = {**self.transcoder.wanted, rendition.name: rendition}

    def remove(self, name: str, now_ms: int) -> None:
        self.relays.pop(name).close(now_ms)
        self.asked_ms.pop(name, None)
        self.transcoder.wanted = {key: value for key, value in self.transcoder.wanted.items() if key != name}

    # What the source's relay calls.

    def on_start(self, now_ms: int) -> None:
        packets = [packet for packet in (self.source.metadata, *self.source.configs(), *self.source.gop) if packet]
        if not self._started:
            # Nobody waits for what was cached, and to encode seconds of it at once would cost those who do.
            self._started = True
            self.transcoder.prime(packets)
            return
        for packet in packets:
            self.transcoder.push(packet)

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        self.transcoder.push(packet)

    def on_stop(self, now_ms: int) -> None:
        """Another run follows; in the renditions too it is one of its own."""
        self.transcoder.renew()

    def on_close(self, now_ms: int) -> None:
        self.closed = True
        asyncio.get_running_loop().call_soon(self._owner.forget, self)

    def _on_made(self, made: Made) -> None:
        now_ms = self._owner.clock()
        for name, packet in made:
            relay = self.relays.get(name)
            if relay is None:
                continue
            if packet is None:
                relay.renew(now_ms)
            else:
                self._owner.stats_now.packets += 1
                relay.push(packet, now_ms)


class Renditions:
    """All of a process. `heights`: the ladder's, of pictures lower than the room's own. Used on one thread."""

    def __init__(self, directory: Directory, *, clock: Clock, heights: Sequence[int] = ()) -> None:
        self.clock = clock
        self.stats_now = RenditionStats()
        self._directory = directory
        self._ladder = {str(height): Rendition(str(height), height) for height in sorted(heights, reverse=True)}
        self._jobs: dict[str, _Job] = {}
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    def variants(self, room: str) -> list[Variant]:
        """Give the ladder of a live room, the highest first."""
        source = self._directory.find(room)
        info = source.info() if source is not None else None
        if info is None or not info.width or not info.height:
            return []
        out = []
        for rendition in self._ladder.values():
            if rendition.height < min(info.width, info.height):
                width, height = rendition.size_of(info.width, info.height)
                codecs = ",".join(filter(None, (rendition.codec_of(info.width, info.height), info.audio_codec)))
                out.append(Variant(rendition.name, width, height, codecs, rendition.bits_per_s * 3 // 2 + SOUND_BITS))
        return out

    def watch(self, room: str, name: str) -> str | None:
        """Give the name of the relay that has a room's rendition, begun now if need be; None: there is no such one.

        It is to be called for each request, as it keeps the rendition alive.
        """
        rendition = WEBRTC if name == WEBRTC.name else self._ladder.get(name)
        source = self._directory.find(room)
        if rendition is None or source is None or not source.playing or source.video is None:
            return None
        now_ms = self.clock()
        job = self._jobs.get(room)
        if job is None or job.closed:
            if len(self._jobs) >= ROOMS_MAX:
                self.stats_now.refused += 1
                return None
            job = self._jobs[room] = _Job(self, source)
            source.attach(job, now_ms)
        job.asked_ms[name] = now_ms
        full_name = room + SEPARATOR + name
        if name not in job.relays:
            try:
                relay = self._directory.rendition(full_name)
            except DirectoryFull:
                self.stats_now.refused += 1
                return None
            job.add(rendition, relay, now_ms)
        if self._timer is None:
            self._tick()
        return full_name

    async def webrtc(self, room: str, timeout_s: float) -> Relay | None:
        """Give the relay that WebRTC can carry once it plays; None when it does not in time or cannot be made."""
        name = self.watch(room, WEBRTC.name)
        if name is None:
            return None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    relay = self._directory.find(name)
                    if relay is None or relay.playing:
                        return relay
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return None

    def forget(self, job: _Job) -> None:
        """End a room's renditions."""
        now_ms = self.clock()
        if self._jobs.get(job.source.room) is job:
            del self._jobs[job.source.room]
        job.closed = True
        job.source.detach(job)
        job.transcoder.close()
        self._dropped += job.transcoder.dropped
        for name in tuple(job.relays):
            self._directory.drop(job.source.room + SEPARATOR + name)
            job.remove(name, now_ms)

    def close(self) -> None:
        """End all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for job in tuple(self._jobs.values()):
            self.forget(job)

    def stats(self) -> RenditionStats:
        """Give figures for metrics."""
        now = self.stats_now
        now.rooms = len(self._jobs)
        now.active = sum(len(job.relays) for job in self._jobs.values())
        now.dropped = self._dropped + sum(job.transcoder.dropped for job in self._jobs.values())
        return now

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        self.sweep(self.clock())
        if not self._jobs:
            self._timer.cancel()
            self._timer = None

    def sweep(self, now_ms: int) -> None:
        """Let go of what nobody reads."""
        for job in tuple(self._jobs.values()):
            for name, relay in tuple(job.relays.items()):
                relay.tick(now_ms)
                if relay.has_readers:
                    job.asked_ms[name] = now_ms
                elif now_ms - job.asked_ms[name] >= IDLE_MS:
                    self._directory.drop(job.source.room + SEPARATOR + name)
                    job.remove(name, now_ms)
            if not job.relays:
                self.forget(job)


def needs_rendition(relay: Relay, offer: str) -> bool:
    """Whether the WebRTC viewer of this offer cannot get a room's picture as it is. Raises OfferRefused."""
    if relay.video is None:
        return False
    reordered = any(packet.kind is Kind.VIDEO and packet.cts_ms for packet in relay.gop)
    if reordered:
        return True
    if relay.video.codec is Codec.AV1:
        return not takes(offer, SDP_NAMES[Codec.AV1])
    return relay.video.codec not in (Codec.H264, Codec.VP8)
