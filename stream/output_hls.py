"""HLS and LL-HLS: `/live/ROOM/index.m3u8` and the files that it names.

packets → fMP4 windows of a part's length → `Timeline` → playlists and media by request. A room is cut only while
somebody asks: the first request attaches the room's reader to the relay, half a minute without one lets it go.

Requests come from the gateway as (room, file, query); what has to wait (a blocking reload, the preload hint) waits on
one condition per room, bounded in number and time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlencode

from stream.directory import Clock, Directory, DirectoryFull, StreamEvent, StreamStarted
from stream.mp4_encoder import Mp4Encoder
from stream.packet import Packet
from stream.protocol import fmp4, hls
from stream.relay import SEPARATOR, Source
from stream.window import Window, Windows

IDLE_MS: Final = 30_000
"""A room that nobody asked for so long is no longer cut."""
WAITING_MAX: Final = 20_000
"""Requests held at a time in all rooms: one a viewer in LL-HLS."""
START_WAIT_S: Final = 12.0
"""How long the first playlist waits for a whole segment."""
HELD_TARGETS: Final = 3
"""A held request is answered 503 after so many target durations (6.2.5.2)."""
QUERY_CHARACTERS_MAX: Final = 2_048
CLIENTS_MAX: Final = 20_000
"""Addresses of a room's players that are told apart: as many as may wait."""
CLIENT_MS: Final = 15_000
"""A player asks once a segment, at least; one that did not for so long is gone."""

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
MEDIA_TYPE: Final = "video/mp4"
FOR_EVER: Final = "public, max-age=31536000, immutable"
NEVER: Final = "no-cache"
BRIEFLY: Final = "public, max-age=10"
"""A blocking reload names its segment and part: the answer to the same URL never changes (6.2.5.2)."""


BYTES_PER_S_MAX: Final = 1_600_000
"""What a window of a given length may hold, a second: 12 Mbit/s and some."""
WINDOW_MS: Final = 60_000
"""Up to here a room is cut only while somebody watches; who wants to go back further wants to find what was before."""


def hls_limits(window_s: int) -> hls.HlsLimits:
    """Give the limits for viewers that can go back `window_s`."""
    least = hls.HlsLimits().window_bytes
    return hls.HlsLimits(window_ms=window_s * 1000, window_bytes=max(least, window_s * BYTES_PER_S_MAX))


@dataclass(frozen=True, slots=True)
class HlsAnswer:
    """What to send: a status, a body, its type and how long it may be cached. Errors have a `code` and a sentence."""

    status: int
    body: bytes
    content_type: str = "text/plain"
    cache: str = NEVER
    code: str = ""


def _refused(status: int, code: str, sentence: str) -> HlsAnswer:
    return HlsAnswer(status, sentence.encode(), code=code)


@dataclass(slots=True)
class HlsStats:
    """Figures for metrics."""

    rooms: int = 0
    waiting: int = 0
    playlists: int = 0
    media: int = 0
    bytes_out: int = 0
    refused: int = 0


class Variant(Protocol):
    """A rendition of a room."""

    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def codecs(self) -> str: ...
    @property
    def bandwidth(self) -> int: ...


class _Room:
    """One room's reader: cuts its stream while somebody watches."""

    def __init__(self, relay: Source, clock: Clock, limits: hls.HlsLimits, like: _Room | None = None) -> None:
        self.relay = relay
        self.asked_ms = clock()
        self.codecs = ""
        self.closed = False
        self._clients: dict[str, int] = {}
        lengths: hls.Timeline | None = None if like is None else like.timeline
        self.timeline: hls.Timeline = hls.Timeline(_base36(self.asked_ms), limits, lengths)
        self._like = like
        self._clock = clock
        self._limits = limits
        self._windows: Windows | None = None
        self._rate = 0
        self._map = b""
        self._changed = asyncio.Event()
        self.wall_offset_ms = 0

    def seen(self, client: str) -> None:
        """Note that an address asked."""
        clients = self._clients
        clients.pop(client, None)
        clients[client] = self.asked_ms
        if len(clients) > CLIENTS_MAX:
            del clients[next(iter(clients))]

    def viewers(self) -> int:
        """Count the addresses that asked within CLIENT_MS; the others are forgotten."""
        clients, from_ms = self._clients, self._clock() - CLIENT_MS
        # In the order of their last request.
        while clients and clients[oldest := next(iter(clients))] < from_ms:
            del clients[oldest]
        return len(clients)

    # What the relay calls.

    def on_start(self, now_ms: int) -> None:
        encoder = Mp4Encoder(self.relay)
        if not encoder.tracks:
            return
        self.codecs = encoder.content_type.partition('codecs="')[2].rstrip('"')
        self._rate = encoder.rate
        offset_ms = now_ms - self.relay.media_clock_ms
        # A host that sends its first seconds at once would take the dates back (4.4.4.6).
        self.wall_offset_ms = max(offset_ms, self.wall_offset_ms) if self.timeline.segments else offset_ms
        if self._like is not None:
            # A rendition is in its room's time: the same moment has the same date (6.2.4).
            self.wall_offset_ms = self._like.wall_offset_ms
        self._windows = windows = Windows(encoder, self._limits.part_ms, exact=True)
        for packet in tuple(self.relay.gop):
            self._take(windows.push(packet, now_ms))

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        windows = self._windows
        if windows is not None:
            done = windows.push(packet, now_ms)
            if done:
                self._take(done)

    def on_stop(self, now_ms: int) -> None:
        if self._windows is not None:
            end_ms, opened_ms = self.relay.run_ends_ms, self._windows.opened_ms
            if end_ms is not None and opened_ms is not None:
                # The last picture may last long, its part no longer than promised.
                end_ms = min(end_ms, opened_ms + self._limits.part_ms)
            self._take(self._windows.flush(end_ms))
            self._windows = None
        self.timeline.interrupt()
        self._tell()

    def on_close(self, now_ms: int) -> None:
        self.closed = True
        self._tell()

    def _take(self, windows: list[Window]) -> None:
        for window in windows:
            if window.key:
                self._map = window.head
            # A new configuration comes between fragments there; here it is a map of its own.
            data = fmp4.media_only(window.data)
            spans = fmp4.spans(data)
            if not spans or not self._map:
                continue
            start_ms, duration_ms = self._span_ms(spans)
            part = hls.Part(data, duration_ms, window.key)
            self.timeline.add(part, self._map, int(start_ms) + self.wall_offset_ms)
        if self._windows is not None and self.timeline.ready:
            self._windows.longest_ms = self.timeline.part_target_s * 1000
        self._tell()

    def _span_ms(self, spans: dict[int, tuple[int, int]]) -> tuple[float, float]:
        """Where the part begins and how long it lasts, by the picture where there is one."""
        if fmp4.VIDEO_TRACK in spans:
            start, end = spans[fmp4.VIDEO_TRACK]
            return start * 1000 / fmp4.VIDEO_TIMESCALE, (end - start) * 1000 / fmp4.VIDEO_TIMESCALE
        start, end = spans[fmp4.AUDIO_TRACK]
        return start * 1000 / self._rate, (end - start) * 1000 / self._rate

    # What requests wait on.

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for `condition`, looked at after each new part; False when the time is over or the stream is."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    if self.closed:
                        return False
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class HlsOutput:
    """Playlists and media of all rooms. `variants` gives a room's lower renditions; who asks adds `rendition=NAME`."""

    def __init__(
        self,
        directory: Directory,
        *,
        clock: Clock,
        limits: hls.HlsLimits | None = None,
        variants: Callable[[str], Sequence[Variant]] = lambda room: (),
    ) -> None:
        self._variants = variants
        self._directory = directory
        self._clock = clock
        self._limits = limits or hls.HlsLimits()
        self._rooms: dict[str, _Room] = {}
        self._stats = HlsStats()
        self._timer: asyncio.TimerHandle | None = None
        self._keeps = self._limits.window_ms > WINDOW_MS
        if self._keeps:
            directory.listen(self._on_stream)

    async def answer(self, room: str, file: str, query: Mapping[str, str], *, client: str = "") -> HlsAnswer:
        """Answer a request for `file` of `room`; the query is repeated on the children, less HLS's own directives.

        `client` is the address that asked: players are told apart by it.
        """
        live = self._room(room)
        if live is None:
            return _refused(503, "busy", "too many streams, try again later")
        live.asked_ms = self._clock()
        live.seen(client)
        if file.endswith(".m3u8"):
            if self._stats.waiting >= WAITING_MAX:
                self._stats.refused += 1
                return _refused(503, "busy", "too many requests are waiting, try again")
            self._stats.waiting += 1
            try:
                answer = await self._playlist(live, file, query)
            finally:
                self._stats.waiting -= 1
            self._stats.playlists += answer.status == 200
        else:
            answer = await self._media(live, file)
            self._stats.media += answer.status == 200
        self._stats.bytes_out += len(answer.body) if answer.status == 200 else 0
        self._stats.refused += answer.status >= 400
        return answer

    async def _playlist(self, live: _Room, file: str, query: Mapping[str, str]) -> HlsAnswer:
        timeline = live.timeline
        if not await live.until(lambda: timeline.ready, START_WAIT_S):
            if live.relay.live:
                return _refused(503, "starting", "the first segment is not whole yet, try again")
            return _refused(404, "not_live", "the room is not live")
        children = _children(query)
        if children is None:
            return _refused(400, "invalid", "the query is too long")
        if file == "index.m3u8":
            info = live.relay.info()
            size = (info.width, info.height) if info.width and info.height else None
            bandwidth = live.relay.bytes_per_s * 8 * 12 // 10
            own = hls.Rendition(live.codecs, bandwidth, size, children)
            text = hls.multivariant(own, *self._lower(live.relay.room, query))
            return HlsAnswer(200, text.encode(), PLAYLIST_TYPE, NEVER)
        if file != "media.m3u8":
            return _refused(404, "not_found", "the playlists are index.m3u8 and media.m3u8")
        cache = NEVER
        if "_HLS_msn" in query:
            refused = await self._hold(live, query)
            if refused is not None:
                return refused
            cache = BRIEFLY
        elif "_HLS_part" in query:
            return _refused(400, "invalid", "_HLS_part comes with _HLS_msn")
        text = timeline.playlist(children, skip=query.get("_HLS_skip") in {"YES", "v2"})
        return HlsAnswer(200, text.encode(), PLAYLIST_TYPE, cache)

    def _lower(self, room: str, query: Mapping[str, str]) -> list[hls.Rendition]:
        out = []
        for variant in self._variants(room):
            children = _children({**query, "rendition": variant.name}) or ""
            size = variant.width, variant.height
            out.append(hls.Rendition(variant.codecs, variant.bandwidth, size, children))
        return out

    async def _hold(self, live: _Room, query: Mapping[str, str]) -> HlsAnswer | None:
        """Hold a blocking reload until its segment or part is there (6.2.5.2)."""
        timeline = live.timeline
        number = _number(query["_HLS_msn"])
        part = _number(query["_HLS_part"]) if "_HLS_part" in query else None
        if number is None or ("_HLS_part" in query and part is None):
            return _refused(400, "invalid", "_HLS_msn and _HLS_part are whole numbers")
        if timeline.too_far(number, part):
            return _refused(400, "invalid", "_HLS_msn or _HLS_part lies too far ahead")
        if not await live.until(lambda: timeline.has(number, part), HELD_TARGETS * timeline.target_s):
            return _refused(503, "late", "the stream is late, try again")
        return None

    async def _media(self, live: _Room, file: str) -> HlsAnswer:
        timeline = live.timeline
        data = timeline.media(file)
        if data is None:
            awaited = timeline.awaited(file)
            if awaited is not None and self._stats.waiting < WAITING_MAX:
                self._stats.waiting += 1
                try:
                    await live.until(lambda: timeline.has(*awaited), HELD_TARGETS * max(1, timeline.target_s))
                finally:
                    self._stats.waiting -= 1
                data = timeline.media(file)
        if data is None:
            return _refused(404, "not_found", "no such part or segment (any more)")
        return HlsAnswer(200, data, MEDIA_TYPE, FOR_EVER)

    def viewers_in(self, room: str) -> int:
        """Addresses that asked for something of the room lately: HLS knows no viewer, only requests."""
        live = self._rooms.get(room)
        return live.viewers() if live is not None else 0

    def stats(self) -> HlsStats:
        """Give figures for metrics."""
        self._stats.rooms = len(self._rooms)
        return self._stats

    def close(self) -> None:
        """Let all rooms go; held requests are answered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for name in tuple(self._rooms):
            self._drop(name)

    def _on_stream(self, event: StreamEvent) -> None:
        if isinstance(event, StreamStarted):
            self._room(event.room)

    def _room(self, name: str) -> _Room | None:
        room = self._rooms.get(name)
        if room is not None and room.closed:
            self._drop(name)
            room = None
        if room is None:
            try:
                relay = self._directory.aac(name)
            except DirectoryFull:
                return None
            source = self._rooms.get(name.partition(SEPARATOR)[0])
            like = source if source is not None and source.timeline.ready else None
            room = self._rooms[name] = _Room(relay, self._clock, self._limits, like)
            relay.attach(room, self._clock())
            if self._timer is None:
                self._arm()
        return room

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(IDLE_MS / 4000, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now_ms = self._clock()
        for name, room in tuple(self._rooms.items()):
            kept = self._keeps and (room.relay.live or room.relay.standing_in) and not room.closed
            if now_ms - room.asked_ms >= IDLE_MS and not kept:
                self._drop(name)
        if self._rooms:
            self._arm()

    def _drop(self, name: str) -> None:
        room = self._rooms.pop(name)
        room.relay.detach(room)
        room.on_close(self._clock())


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    out = ""
    while number:
        number, rest = divmod(number, 36)
        out = digits[rest] + out
    return out or "0"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _children(query: Mapping[str, str]) -> str | None:
    """The query for child URIs: all but HLS's own directives; None when it is too long or could break a playlist."""
    text = urlencode([(name, value) for name, value in query.items() if not name.startswith("_HLS_")])
    return text if len(text) <= QUERY_CHARACTERS_MAX else None
