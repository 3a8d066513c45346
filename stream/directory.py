"""Which room has which relay, and who may publish into it.

Sans-I/O but for the optional timer between `start` and `close`; everything else takes `now_ms`. A relay is made when
the first host or viewer asks for the room and lives until nobody needs it: a host that drops out finds its viewers,
and the room's clock, as it left them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from stream.aac_view import AacView
from stream.errors import AlreadyPublishing, PublishRefused, StreamError
from stream.meter import Meter
from stream.origin import Origin
from stream.packet import Codec, Kind, Packet
from stream.relay import Relay, RelayLimits, StreamInfo
from stream.stand_in import Reel

PUBLISHER_SILENCE_MS: Final = 500
"""A host silent for this long gives way: a dead socket still looks alive, and live-pusher gives up after 3 tries."""

SWEEP_INTERVAL_MS: Final = 500
"""How often the timer looks for relays that are over and for tracks that stay away."""

RATE_SPAN_MS: Final = 2000
"""A host's rate is measured over spans of this length: a key frame in it is no excess."""

STALL_MS: Final = 3000
"""A host that is connected and silent for this long is taken for away: its viewers' players are about to give up."""

FILL_INTERVAL_MS: Final = 50
"""How often rooms whose host is away get what is due of their stand-in: two frames of silence at a time."""

Clock = Callable[[], int]
"""Gives Unix time in milliseconds."""

_DATA: Final = Kind.DATA
_NOT_LIVE: Final = StreamInfo(False, None, None, None, None, None, 0)


class DirectoryFull(StreamError):
    """As many rooms have a relay as the limits allow; no other can get one now."""


@dataclass(frozen=True, slots=True)
class DirectoryLimits:
    """What all rooms together may keep."""

    relays_max: int = 2000
    """Rooms with a host or a waiting viewer; each costs its GOP cache once it is live."""
    linger_ms: int = 60_000
    """How long viewers wait for a host that dropped out: phones change networks, OBS retries after 2 s."""
    host_bits_per_s_max: int = 0
    """A host that sends more than this for `excess_ms` is closed; 0: no limit."""
    excess_ms: int = 10_000
    """Key frames and a player's first burst are no excess."""
    relay: RelayLimits = field(default_factory=RelayLimits)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something changed about a room's stream; `info` is how it is now, `origin` where it comes from, if known."""

    room: str
    info: StreamInfo
    now_ms: int
    origin: Origin | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class StreamStarted(StreamEvent):
    """The first frame of a host arrived."""


@dataclass(frozen=True, slots=True)
class StreamChanged(StreamEvent):
    """A codec, the picture size or a track changed while live; or the host fell silent, or is heard again."""


@dataclass(frozen=True, slots=True)
class StreamStopped(StreamEvent):
    """The host is gone; `reason` says why. Viewers go on waiting for its return."""

    reason: str


@dataclass(frozen=True, slots=True)
class DirectoryStats:
    """Figures for metrics, of all rooms now present."""

    relays: int
    live: int
    bytes_in: int
    packets_dropped: int
    gop_bytes: int
    gop_overflows: int
    takeovers: int
    refused: int
    expelled: int
    """Hosts that were closed because their key was revoked or they sent too much."""
    aac_rooms: int
    """Rooms whose sound is turned from Opus into AAC now."""


class Slate(Protocol):
    """What to show while a host is away."""

    def prepare(self, width: int, height: int) -> None:
        """Begin to make the slate of this size, if there is none yet. Returns at once."""

    def reel(self, width: int, height: int) -> Reel | None:
        """Give the slate of this size; None while it is not ready."""

    def close(self) -> None:
        """Make no more."""


class Publisher(Protocol):
    """What the directory asks of an ingest's connection."""

    def close(self, reason: str) -> None:
        """End the connection; `reason` is for its log."""


class Publication:
    """One host's right to publish into one room, from `Directory.publish` until `end` or a takeover."""

    __slots__ = (
        "_directory",
        "_rate_bytes",
        "_rate_ms",
        "_within_ms",
        "active",
        "heard_ms",
        "meter",
        "origin",
        "publisher",
        "pulled",
        "quiet",
        "relay",
    )

    def __init__(
        self,
        directory: "Directory",
        relay: Relay,
        publisher: Publisher,
        now_ms: int,
        origin: Origin | None,
        *,
        pulled: bool = False,
    ) -> None:
        self._directory = directory
        self.relay = relay
        self.publisher = publisher
        self.origin = origin
        self.heard_ms = now_ms
        self.meter = Meter(now_ms)
        self.active = True
        self.pulled = pulled
        """Whether it comes from another process, where its host is."""
        self.quiet = False
        """Whether nobody is told of its end: another process has the room, and tells of it."""
        self._rate_ms = self._within_ms = now_ms
        self._rate_bytes = relay.bytes_in

    def push(self, packet: Packet, now_ms: int) -> None:
        """Hand on one packet, with the host's own timestamps. After the end it does nothing: the room has moved on."""
        if not self.active:
            return
        if packet.kind is not _DATA:
            self.heard_ms = now_ms
            self.meter.note(packet, now_ms)
        self.relay.push(packet, now_ms)

    def end(self, reason: str, now_ms: int) -> None:
        """Give the room back. A second call does nothing."""
        if self.active:
            self.active = False
            self._directory._ended(self, reason, now_ms)  # noqa: SLF001

    def exceeds(self, bits_per_s_max: int, excess_ms: int, now_ms: int) -> bool:
        """Whether it sent more than `bits_per_s_max` for `excess_ms`, measured anew each RATE_SPAN_MS."""
        span_ms = now_ms - self._rate_ms
        if span_ms >= RATE_SPAN_MS:
            sent = self.relay.bytes_in - self._rate_bytes
            self._rate_ms, self._rate_bytes = now_ms, self.relay.bytes_in
            if sent * 8000 <= bits_per_s_max * span_ms:
                self._within_ms = now_ms
        return now_ms - self._within_ms >= excess_ms + RATE_SPAN_MS


@dataclass(slots=True)
class _Room:
    relay: Relay
    publication: Publication | None = None
    hosted: bool = False
    left_ms: int = 0
    rendition: bool = False
    """Made of another room: whoever makes it says when it ends, and nobody is told of it."""
    told: StreamInfo | None = None
    aac: AacView | None = None


class Directory:
    """All relays of this process, used on one thread only.

    `slate`: shown while a host is away; without it its last picture.
    """

    def __init__(self, clock: Clock, limits: DirectoryLimits | None = None, *, slate: Slate | None = None) -> None:
        self._clock = clock
        self._limits = limits or DirectoryLimits()
        self._slate = slate
        self._away: dict[str, Relay] = {}
        self._fill_timer: asyncio.TimerHandle | None = None
        self._rooms: dict[str, _Room] = {}
        self._listeners: list[Callable[[StreamEvent], None]] = []
        self._on_wanted: Callable[[str], None] | None = None
        self._on_hosted: Callable[[str, bool], None] | None = None
        self._elsewhere: dict[str, tuple[StreamInfo, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._takeovers = 0
        self._refused = 0
        self._expelled = 0
        self._closed = False

    def listen(self, callback: Callable[[StreamEvent], None]) -> None:
        """Call `callback` with each event, at once and on the host's path: it must be quick and not raise."""
        self._listeners.append(callback)

    def on_wanted(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with a room that gets a reader and has no host here, at once: it must be quick."""
        self._on_wanted = callback

    def on_hosted(self, callback: Callable[[str, bool], None]) -> None:
        """Call `callback` with a room and whether it has a host here, when that begins and ends, at once."""
        self._on_hosted = callback

    def elsewhere(self, room: str, info: StreamInfo | None, now_ms: int) -> None:
        """Take note of a stream whose host is at another process; None: nobody has it any more."""
        if info is None:
            self._elsewhere.pop(room, None)
        else:
            self._elsewhere[room] = info, now_ms

    def hosted(self, room: str) -> Publication | None:
        """Give the publication of the room's host, if its host is at this process."""
        publication = self.publication(room)
        return publication if publication is not None and not publication.pulled else None

    def give_up(self, room: str, now_ms: int) -> bool:
        """Let the room's host go if it has been silent for PUBLISHER_SILENCE_MS; whether no host is left here."""
        publication = self.hosted(room)
        if publication is None:
            return True
        if now_ms - publication.heard_ms < PUBLISHER_SILENCE_MS:
            return False
        self._takeovers += 1
        self._dismiss(publication, now_ms)
        return True

    def dismiss(self, room: str, now_ms: int) -> None:
        """Let the room's host go: another process has it."""
        publication = self.hosted(room)
        if publication is not None:
            publication.quiet = True
            self._dismiss(publication, now_ms)

    def find(self, room: str) -> Relay | None:
        """Give the room's relay if it has one."""
        entry = self._rooms.get(room)
        return entry.relay if entry else None

    def relay(self, room: str) -> Relay:
        """Give the room's relay, made now if need be: a viewer may wait for its host. Raises DirectoryFull."""
        return self._entry(room).relay

    def aac(self, room: str) -> AacView:
        """Give the room's stream for outputs that carry no Opus, made now if need be. Raises DirectoryFull."""
        entry = self._entry(room)
        if entry.aac is None:
            entry.aac = AacView(entry.relay, self._clock)
        return entry.aac

    def publication(self, room: str) -> Publication | None:
        """Give the hold of the room's host, while there is one."""
        entry = self._rooms.get(room)
        return entry.publication if entry else None

    def rendition(self, name: str) -> Relay:
        """Make a relay for packets in the time of another room; it stays until `drop`. Raises DirectoryFull."""
        entry = self._entry(name, rendition=True)
        return entry.relay

    def drop(self, name: str) -> None:
        """Forget a rendition; its relay is closed by its owner."""
        entry = self._rooms.get(name)
        if entry is not None and entry.rendition:
            del self._rooms[name]

    def info(self, room: str) -> StreamInfo:
        """Give what is known of the room's stream; not live if nothing is."""
        told = self._elsewhere.get(room)
        if told is not None and self.hosted(room) is None:
            info, at_ms = told
            passed_ms = max(0, self._clock() - at_ms) if info.live else 0
            return replace(info, media_clock_ms=info.media_clock_ms + passed_ms)
        relay = self.find(room)
        return relay.info() if relay else _NOT_LIVE

    def origins(self) -> dict[str, Origin]:
        """Give the rooms that have a host now, with where it comes from, as far as that was said."""
        return {
            room: entry.publication.origin
            for room, entry in self._rooms.items()
            if entry.publication is not None and entry.publication.origin is not None
        }

    def publish(self, room: str, publisher: Publisher, now_ms: int, origin: Origin | None = None) -> Publication:
        """Make `publisher` the room's host.

        A host that sent no media for PUBLISHER_SILENCE_MS is closed and gives way. Raises AlreadyPublishing when the
        room's host was heard since: asked again after its `retry_ms`, the answer is yes, unless the host really lives.
        Raises PublishRefused when there are too many rooms or the directory is closing. A stream that is pulled from
        another process gives way at once.
        """
        entry = self._free(room, now_ms, pulled=False)
        publication = entry.publication = Publication(self, entry.relay, publisher, now_ms, origin)
        entry.relay.begin(now_ms)
        if self._on_hosted is not None:
            self._on_hosted(room, True)
        return publication

    def publish_pulled(
        self, room: str, publisher: Publisher, now_ms: int, *, tracks: frozenset[Kind] = frozenset()
    ) -> Publication:
        """Feed the room from another process, in that one's media time; `tracks` as in `Relay.begin`.

        Nobody is told of stream events: they are told where the host is. Raises as `publish` does.
        """
        entry = self._free(room, now_ms, pulled=True)
        entry.publication = Publication(self, entry.relay, publisher, now_ms, None, pulled=True)
        entry.relay.begin(now_ms, keeps_time=True, tracks=tracks)
        return entry.publication

    def _free(self, room: str, now_ms: int, *, pulled: bool) -> _Room:
        """Give the room's entry, a former publisher having given way."""
        try:
            entry = self._entry(room)
        except DirectoryFull as full:
            self._refused += 1
            raise PublishRefused("NetStream.Publish.Denied", str(full)) from full
        former = entry.publication
        if former is not None:
            gives_way = former.pulled and not pulled
            if not gives_way and now_ms - former.heard_ms < PUBLISHER_SILENCE_MS:
                self._refused += 1
                raise AlreadyPublishing(room, former.heard_ms, PUBLISHER_SILENCE_MS - (now_ms - former.heard_ms))
            self._takeovers += not former.pulled
            self._dismiss(former, now_ms)
        entry.told = None
        entry.hosted = True
        return entry

    def expel(self, room: str, reason: str, now_ms: int) -> bool:
        """Close the room's host; `reason` is told to it. Whether there was one. Its viewers wait for another."""
        entry = self._rooms.get(room)
        if entry is None or entry.publication is None:
            return False
        publication = entry.publication
        self._expelled += 1
        publication.end(reason, now_ms)
        publication.publisher.close(reason)
        return True

    def sweep(self, now_ms: int) -> None:
        """Let time pass: give up tracks that stay away, hosts that send too much and relays that nobody needs."""
        most, excess_ms = self._limits.host_bits_per_s_max, self._limits.excess_ms
        for room, entry in tuple(self._rooms.items()):
            if entry.rendition:
                continue
            if entry.publication is not None:
                if most and not entry.publication.pulled and entry.publication.exceeds(most, excess_ms, now_ms):
                    text = f"it sent more than {most / 1e6:g} Mbit/s, lower the bitrate in the encoder"
                    self.expel(room, text, now_ms)
                    continue
                if now_ms - entry.publication.heard_ms >= STALL_MS:
                    entry.relay.stall(now_ms)
                    self._watch(entry.relay)
                    self._on_info(entry.relay, now_ms)
                entry.relay.tick(now_ms)
            elif not entry.hosted and entry.relay.has_readers:
                # Viewers that wait for a first host have a time-out of their own.
                continue
            elif now_ms - entry.left_ms >= self._limits.linger_ms:
                del self._rooms[room]
                entry.relay.close(now_ms)

    def fill(self, now_ms: int) -> None:
        """Give the viewers of hosts that are away what is due of the last picture or the slate."""
        for room, relay in tuple(self._away.items()):
            relay.fill(now_ms)
            if not relay.standing_in:
                del self._away[room]

    def start(self) -> None:
        """Sweep and fill by timers of the running loop, until `close`."""
        self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL_MS / 1000, self._on_timer)

    def close(self) -> None:
        """End every stream: hosts are closed, then viewers. Nothing can be published afterwards."""
        self._closed = True
        for timer in (self._timer, self._fill_timer):
            if timer is not None:
                timer.cancel()
        self._fill_timer = None
        if self._slate is not None:
            self._slate.close()
        now_ms = self._clock()
        for entry in tuple(self._rooms.values()):
            if entry.publication is not None:
                publisher = entry.publication.publisher
                entry.publication.end("shutting down", now_ms)
                publisher.close("shutting down")
            entry.relay.close(now_ms)
        self._rooms.clear()
        self._away.clear()

    def stats(self) -> DirectoryStats:
        """Sum up the rooms now present."""
        relays = [entry.relay for entry in self._rooms.values()]
        return DirectoryStats(
            relays=len(relays),
            live=sum(entry.relay.live and not entry.rendition for entry in self._rooms.values()),
            bytes_in=sum(relay.bytes_in for relay in relays),
            packets_dropped=sum(relay.packets_dropped for relay in relays),
            gop_bytes=sum(relay.gop_bytes for relay in relays),
            gop_overflows=sum(relay.gop_overflows for relay in relays),
            takeovers=self._takeovers,
            refused=self._refused,
            expelled=self._expelled,
            aac_rooms=sum(entry.aac is not None and entry.aac.transcodes for entry in self._rooms.values()),
        )

    def _on_timer(self) -> None:
        # The next timer first: an error of a listener shows in the log, and the sweeping goes on.
        self.start()
        self.sweep(self._clock())

    def _watch(self, relay: Relay) -> None:
        if relay.standing_in and not self._closed:
            self._away[relay.room] = relay
            if self._timer is not None and self._fill_timer is None:
                self._arm_fill()

    def _arm_fill(self) -> None:
        self._fill_timer = asyncio.get_running_loop().call_later(FILL_INTERVAL_MS / 1000, self._on_fill)

    def _on_fill(self) -> None:
        self._fill_timer = None
        if self._away:
            self._arm_fill()
            self.fill(self._clock())

    def _entry(self, room: str, *, rendition: bool = False) -> _Room:
        entry = self._rooms.get(room)
        if entry is None:
            if self._closed:
                raise DirectoryFull("the server is shutting down")
            if len(self._rooms) >= self._limits.relays_max:
                raise DirectoryFull("too many streams, try again later")
            make_reel = None if self._slate is None else self._slate.reel
            relay = Relay(room, self._limits.relay, self._on_info, make_reel, follows=rendition)
            relay.on_wanted = None if rendition else self._wanted
            entry = self._rooms[room] = _Room(relay, left_ms=self._clock(), rendition=rendition)
        return entry

    def _dismiss(self, publication: Publication, now_ms: int) -> None:
        publication.end("taken over", now_ms)
        publication.publisher.close("taken over by a new connection of the host")

    def _wanted(self, room: str) -> None:
        entry = self._rooms.get(room)
        if self._on_wanted is not None and entry is not None and entry.publication is None:
            self._on_wanted(room)

    def _ended(self, publication: Publication, reason: str, now_ms: int) -> None:
        relay = publication.relay
        entry = self._rooms.get(relay.room)
        was_live = relay.live
        relay.end(now_ms)
        if entry is not None and entry.publication is publication:
            entry.publication = None
            entry.left_ms = now_ms
            entry.told = None
        self._watch(relay)
        if publication.pulled:
            return
        if was_live and not publication.quiet:
            self._tell(StreamStopped(relay.room, relay.info(), now_ms, reason, origin=publication.origin))
        if self._on_hosted is not None:
            self._on_hosted(relay.room, False)

    def _on_info(self, relay: Relay, now_ms: int) -> None:
        entry = self._rooms.get(relay.room)
        if entry is None or not relay.live or entry.rendition:
            return
        info = relay.info()
        video = relay.video
        if self._slate is not None and video is not None and video.codec is Codec.H264 and info.width and info.height:
            self._slate.prepare(info.width, info.height)
        if entry.publication is None or entry.publication.pulled:
            return
        told, entry.told = entry.told, info
        origin = entry.publication.origin
        if told is None:
            self._tell(StreamStarted(relay.room, info, now_ms, origin=origin))
        elif _shape(told) != _shape(info):
            self._tell(StreamChanged(relay.room, info, now_ms, origin=origin))

    def _tell(self, event: StreamEvent) -> None:
        for listener in self._listeners:
            listener(event)


def _shape(info: StreamInfo) -> tuple[object, ...]:
    return info.video_codec, info.audio_codec, info.width, info.height, info.away
