"""One room's media between its host and its readers: what a new reader needs, one clock, and who is told.

Sans-I/O: `now_ms` comes with each call. Readers are few (one per output format in use, not one per viewer); what a
reader does on a packet is only to encode and queue, so the publish path never waits for a viewer.

Theory of operation. A host's connection is a run between `begin` and `end`. A run's packets are dropped until there is
something to decode: a configuration, then a key frame. The tracks are *settled* when picture and sound were both heard,
or when the one that is missing stayed away too long; only then readers start, because a file header has to say which
tracks there are. A reader starts with the packets since the last key frame (`gop`) and gets each packet after it. It is
stopped and started again, at a key frame, when a host returns or when a track turns up late.

    empty ─begin, media─► settling ─tracks known─► playing ─end─► standing in ─begin─► standing in, a host arrives
                                                      ▲                                        │
                                                      └────────────its first key frame─────────┘

While a host that played is away its run goes on with a stand-in (`fill`, see stand_in.py). A host that arrives is heard
but not relayed until its first key frame; there the old run ends, and the new one begins at the very next moment of the
room's time: nothing goes back, nothing overlaps, and what the host said before its picture is left out.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol, runtime_checkable

from stream.packet import Codec, Kind, Packet
from stream.protocol import codecs, h264
from stream.source import Reader as Reader
from stream.source import RelayLimits as RelayLimits
from stream.source import Source as Source
from stream.source import StreamInfo as StreamInfo
from stream.stand_in import FRAME_MS, MakeReel, StandIn, last_picture
from stream.timeline import START_MS, Timeline

AUDIO_WAIT_MS: Final = 2000
"""A track not heard this long after the first key frame counts as absent."""

VIDEO_WAIT_MS: Final = 5000
"""Sound may come 1 to 2 s before the first picture; a player told "audio only" never shows one, so wait longer."""

AUDIO_ONLY_CACHE_MS: Final = 1000
"""What a new listener of a stream without picture gets at once: enough for a player to begin."""

PACKET_BYTES_MAX: Final = 0xFFFFFF - 16
"""A frame must fit into an FLV tag and an RTMP message (24-bit sizes) behind the longest prefix, whatever form it came
in: classic HEVC has a shorter one than what is made of it."""

SEPARATOR: Final = "~"
"""Between a room's name and its rendition's: no room has it."""

METADATA_BYTES_MAX: Final = 65_536
"""onMetaData is a few hundred bytes; it is kept per stream."""

FILL_AFTER_MS: Final = 400
"""A host that is back sooner leaves no trace but its new key frame: every player holds more than this."""

RATE_SPAN_MS: Final = 2000
"""The stream's rate is measured over spans of this length: a few key frames of most encoders."""

_AUDIO, _VIDEO, _DATA = Kind.AUDIO, Kind.VIDEO, Kind.DATA  # each look at a member costs 0.14 µs on Python 3.11
_NEEDS_CONFIG: Final = frozenset((Codec.H264, Codec.HEVC, Codec.AV1, Codec.AAC, Codec.OPUS, Codec.FLAC))
ON_METADATA: Final = b"\x02\x00\x0aonMetaData"
"""How the script body that describes a stream begins (AMF0)."""


@runtime_checkable
class Holder(Protocol):
    """A reader that holds packets back, to send many at once."""

    def on_pause(self, now_ms: int) -> None:
        """The host is gone: send what is held, the stand-in comes in a moment."""


class _Arrival:
    """What a host said before its first key frame, while a stand-in plays."""

    __slots__ = ("audio_ms", "configs", "metadata", "pictured", "sounded")

    def __init__(self) -> None:
        self.metadata: Packet | None = None
        self.configs: dict[Kind, Packet] = {}
        self.audio_ms: int | None = None
        """When its sound was first heard."""
        self.sounded = False
        """It is the host of before, which had sound."""
        self.pictured = False
        """Pictures came, of which none could be begun with yet."""

    def can_decode(self, packet: Packet) -> bool:
        """Whether the frame's configuration is there, or its codec has none."""
        config = self.configs.get(packet.kind)
        return packet.codec not in _NEEDS_CONFIG or (config is not None and config.codec is packet.codec)


class Relay:
    """One room's stream. A Directory alone calls `begin`, `push`, `end`, `close`.

    `make_reel` gives the slate, if any. `follows`: what is pushed is in the time of another room, see Timeline.
    """

    def __init__(
        self,
        room: str,
        limits: RelayLimits,
        on_info: Callable[["Relay", int], None],
        make_reel: MakeReel | None = None,
        *,
        follows: bool = False,
    ) -> None:
        self.room = room
        self.live = False
        self.since_ms: int | None = None
        self.playing = False
        self.bytes_in = 0
        self.packets_dropped = 0
        """Packets that no reader could have decoded, or that were broken."""
        self.gop_overflows = 0
        self.bytes_per_s = 0
        self.gop: list[Packet] = []
        """Packets since the last key frame (without picture: the last second), in the room's time."""
        self.gop_bytes = 0
        self._gop_configs: tuple[Packet | None, Packet | None] = (None, None)
        self.metadata: Packet | None = None
        self.video: Packet | None = None
        self.audio: Packet | None = None
        """The newest configuration of each track (for a codec without one: an empty stand-in); None: no such track."""
        self.on_key_wanted: Callable[[int], None] | None = None
        """Set by an ingest whose host makes key frames when asked (WebRTC); None: the host cannot be asked."""
        self.on_wanted: Callable[[str], None] | None = None
        """Told the room when a reader comes: who can pull the stream from elsewhere begins then."""
        self.limits = limits
        self.run_ends_ms: int | None = None
        """Where the run that `on_stop` ends gives way to the next one, in the room's time; None: not known yet."""
        self._on_info = on_info
        self._make_reel = make_reel
        self._readers: list[Reader] = []
        self._asking: set[int] = set()
        self._hosts_only: set[int] = set()
        self._timeline = Timeline(follows=follows)
        self._size: tuple[int, int] | None = None
        self._codecs: dict[Kind, str] = {}
        self._announced: set[Kind] = set()
        self._in_gop = False
        self._settled = False
        self._keeps_time = False
        self._promised: frozenset[Kind] = frozenset()
        self._expected: frozenset[Kind] = frozenset()
        self._first_key_ms: int | None = None
        self._first_audio_ms: int | None = None
        self._last_key: Packet | None = None
        self._last_audio: Packet | None = None
        self._picture_ends_ms = 0
        self._stand_in: StandIn | None = None
        self._arrival: _Arrival | None = None
        self._left_ms = self._left_media_ms = 0
        self._rate_bytes = 0
        self._rate_from_ms: int | None = None
        self._closed = False

    @property
    def media_clock_ms(self) -> int:
        """The room's newest media time: what a player shows when it is as far as the host."""
        return START_MS if self._timeline.newest_ms is None else self._timeline.newest_ms

    @property
    def sound_ms(self) -> int | None:
        """The newest sound's media time; None: none was heard."""
        return self._timeline.last_of(Kind.AUDIO)

    @property
    def standing_in(self) -> bool:
        """Whether readers get a stand-in: `fill` is to be called often."""
        return self._stand_in is not None

    @property
    def has_readers(self) -> bool:
        """Whether anybody watches or waits."""
        return bool(self._readers)

    def configs(self) -> tuple[Packet, ...]:
        """Give the configuration of each track that was heard, as of the first packet of `gop`, the picture's first."""
        known = self._gop_configs if self.gop else (self.video, self.audio)
        return tuple(packet for packet in known if packet is not None and packet.kind in self._announced)

    def info(self) -> StreamInfo:
        """Give what is known of the stream now."""
        width, height = self._size or (None, None)
        return StreamInfo(
            self.live,
            self.since_ms,
            self._codecs.get(Kind.VIDEO),
            self._codecs.get(Kind.AUDIO),
            width,
            height,
            self.media_clock_ms,
            self.live and self.standing_in,
        )

    @property
    def needs_regular_keys(self) -> bool:
        """Whether a reader is there that cannot ask for a key frame when it needs one."""
        return len(self._readers) > len(self._asking)

    def want_key(self, now_ms: int) -> bool:
        """Ask the host for a key frame; whether it can be asked. The ingest bounds how often it really does."""
        if self.on_key_wanted is None:
            return False
        self.on_key_wanted(now_ms)
        return True

    def attach(self, reader: Reader, now_ms: int, *, asks: bool = False, host_only: bool = False) -> None:
        """Add a reader; it is started at once when the stream plays.

        `asks`: it calls `want_key` when it needs one. `host_only`: it is stopped, not given a stand-in.
        """
        self._readers.append(reader)
        if asks:
            self._asking.add(id(reader))
        if host_only:
            self._hosts_only.add(id(reader))
        if self.playing and not (host_only and self.standing_in):
            reader.on_start(now_ms)
        if self.on_wanted is not None:
            self.on_wanted(self.room)

    def detach(self, reader: Reader) -> None:
        """Take a reader away; one that is not attached is ignored."""
        if reader in self._readers:
            self._readers.remove(reader)
            self._asking.discard(id(reader))
            self._hosts_only.discard(id(reader))

    def begin(self, now_ms: int, *, keeps_time: bool = False, tracks: frozenset[Kind] = frozenset()) -> None:
        """A host is there; its media follows by `push`.

        `keeps_time`: it is no host but a relay of this room in another process, whose media time is kept. `tracks`:
        what it will send, when that is known: nothing else is waited for.
        """
        self.on_key_wanted = None
        self._keeps_time, self._promised = keeps_time, tracks
        if self.standing_in:
            self._arrival = _Arrival()
            return
        self._stop(now_ms)
        self._begin_run(None)

    def renew(self, now_ms: int) -> None:
        """End the run; another one of the same host follows at once."""
        self._stop(now_ms)
        self._begin_run(None)

    def go_on_from(self, media_ms: int, now_ms: int) -> None:
        """Let the media clock go on from where another process had this room: see Timeline."""
        self._timeline.go_on_from(media_ms, now_ms)

    def end(self, now_ms: int) -> None:
        """The host is gone. Readers stay for its return."""
        self.on_key_wanted = None
        self.live = False
        self.since_ms = None
        self._arrival = None
        if self.playing and not self.standing_in:
            self._stand_in_for_host(now_ms)
        elif not self.playing:
            self._stop(now_ms)

    def close(self, now_ms: int) -> None:
        """End it for the readers as well."""
        self.on_key_wanted = None
        self.live = False
        self.since_ms = None
        self._arrival = None
        self._stop(now_ms)
        self._stand_in = None
        self._closed = True
        for reader in tuple(self._readers):
            reader.on_close(now_ms)
        self._readers.clear()
        self._asking.clear()
        self._hosts_only.clear()

    def tick(self, now_ms: int) -> None:
        """Let time pass without a packet: a track that stays away is given up."""
        if self._arrival is not None:
            self._take_over_without_picture(now_ms)
        elif self.live and not self._settled:
            self._settle(now_ms)

    def stall(self, now_ms: int) -> None:
        """The host is there and says nothing: stand in for it until its next key frame."""
        if not self.playing or self.standing_in:
            return
        self._stand_in_for_host(now_ms)
        arrival = self._arrival = _Arrival()
        # It need not say again what it said before.
        arrival.metadata = self.metadata
        for config in (self.video, self.audio):
            if config is not None:
                arrival.configs[config.kind] = config
        arrival.sounded = Kind.AUDIO in self._announced

    def fill(self, now_ms: int) -> None:
        """Give readers what is due of the stand-in, while there is one."""
        if self._stand_in is not None and now_ms - self._left_ms >= FILL_AFTER_MS:
            for packet in self._stand_in.until(self._away_clock_ms(now_ms)):
                self._push_stand_in(packet, now_ms)

    def push(self, packet: Packet, now_ms: int) -> None:
        """Take one packet of the host, with the host's time."""
        self.bytes_in += len(packet.data)
        if len(packet.data) > PACKET_BYTES_MAX:
            self.packets_dropped += 1
        elif self._arrival is not None:
            self._hear(self._arrival, packet, now_ms)
        else:
            self._take(packet, now_ms)

    def _take(self, packet: Packet, now_ms: int) -> None:
        if packet.kind is _DATA:
            self._push_data(packet, now_ms)
        elif packet.config:
            self._push_config(packet, now_ms)
        else:
            self._push_media(packet, now_ms)

    def _push_data(self, packet: Packet, now_ms: int) -> None:
        if len(packet.data) > METADATA_BYTES_MAX:
            self.packets_dropped += 1
            return
        packet = replace(packet, dts_ms=self.media_clock_ms)
        if packet.data.startswith(ON_METADATA):
            self.metadata = packet
        if self.playing:
            self._forward(packet, now_ms)

    def _push_config(self, packet: Packet, now_ms: int) -> None:
        kind = packet.kind
        known = self.video if kind is Kind.VIDEO else self.audio
        if known is not None and known.codec is packet.codec and known.data == packet.data:
            return
        try:
            codec, size = codecs.describe(packet)
        except ValueError:
            # Broken by the peer: without a configuration its frames cannot be played either, they are dropped.
            self.packets_dropped += 1
            return
        if known is not None and known.codec is not packet.codec and self.playing and kind in self._announced:
            # No container takes another codec midway: readers start anew, at the next key frame.
            self._stop(now_ms)
            if kind is Kind.VIDEO:
                self._first_key_ms = None
        packet = replace(packet, dts_ms=self.media_clock_ms)
        self._codecs[kind] = codec
        if kind is Kind.VIDEO:
            self.video, self._size = packet, size
        else:
            self.audio = packet
        if self.gop:
            # The first of its track, after the picture began: it holds for all that is cached of the track.
            video, audio = self._gop_configs
            self._gop_configs = video or self.video, audio or self.audio
        if self.live:
            self._on_info(self, now_ms)
        if self.playing and kind in self._announced:
            self._forward(packet, now_ms)

    def _push_media(self, packet: Packet, now_ms: int) -> None:
        kind = packet.kind
        config = self.video if kind is _VIDEO else self.audio
        if config is None or config.codec is not packet.codec:
            if packet.codec in _NEEDS_CONFIG:
                self.packets_dropped += 1
                return
            self._push_config(replace(packet, config=True, data=b""), now_ms)
        if kind is _VIDEO:
            if self._first_key_ms is None:
                if not packet.key:
                    self.packets_dropped += 1
                    return
                self._first_key_ms = now_ms
        elif self._first_audio_ms is None:
            self._first_audio_ms = now_ms
        dts_ms = self._timeline.map(kind, packet.dts_ms, now_ms)
        if dts_ms is None:
            return
        # By hand, as for each packet of each host: `replace` takes three times as long.
        packet = Packet(kind, packet.codec, dts_ms, packet.cts_ms, packet.key, False, packet.data)
        self._note(packet, now_ms)
        self._measure(packet)
        if not self.live:
            self.live = True
            self.since_ms = now_ms
            self._on_info(self, now_ms)
        if self._settled and kind not in self._announced and (kind is _AUDIO or packet.key):
            # A track turned up after all: readers start anew, so that headers name it.
            self._stop(now_ms)
        self._cache(packet)
        if self.playing:
            self._forward(packet, now_ms)
        else:
            self._settle(now_ms)

    def _cache(self, packet: Packet) -> None:
        if packet.key and packet.kind is _VIDEO:
            self._in_gop = True
            self._clear_gop()
        elif self._audio_only:
            self._in_gop = True
            while self.gop and packet.dts_ms - self.gop[0].dts_ms > AUDIO_ONLY_CACHE_MS:
                oldest = self.gop.pop(0)
                self.gop_bytes -= len(oldest.data)
                if oldest.config:
                    self._gop_configs = None, oldest
        if not self._in_gop:
            return
        self._keep(packet)

    def _keep(self, packet: Packet) -> None:
        if not self.gop:
            self._gop_configs = self.video, self.audio
        self.gop.append(packet)
        self.gop_bytes += len(packet.data)
        span_ms = packet.dts_ms - self.gop[0].dts_ms
        limits = self.limits
        if (
            self.gop_bytes > limits.gop_bytes_max
            or span_ms > limits.gop_ms_max
            or len(self.gop) > limits.gop_packets_max
        ):
            self.gop_overflows += 1
            self._in_gop = False
            self._clear_gop()

    def _clear_gop(self) -> None:
        self.gop.clear()
        self.gop_bytes = 0

    @property
    def _audio_only(self) -> bool:
        return self._settled and _VIDEO not in self._announced

    def _settle(self, now_ms: int) -> None:
        key_ms, audio_ms = self._first_key_ms, self._first_audio_ms
        if key_ms is not None:
            # A host that returns is taken to have the tracks that it had: its viewers wait.
            if audio_ms is None and self._expected != {Kind.VIDEO} and now_ms - key_ms < AUDIO_WAIT_MS:
                return
        elif audio_ms is None or (self._expected != {Kind.AUDIO} and now_ms - audio_ms < VIDEO_WAIT_MS):
            return
        if not self._settled:
            self._settled = True
            self._announced = {kind for kind, at in ((Kind.VIDEO, key_ms), (Kind.AUDIO, audio_ms)) if at is not None}
            self._on_info(self, now_ms)
        if self.gop or self._audio_only:
            self.playing = True
            for reader in tuple(self._readers):
                reader.on_start(now_ms)

    def _stop(self, now_ms: int) -> None:
        was = self.playing
        self.playing = self._settled = self._in_gop = False
        self._clear_gop()
        if was:
            for reader in self._started():
                reader.on_stop(now_ms)

    def _started(self) -> list[Reader]:
        if self.standing_in:
            return [reader for reader in self._readers if id(reader) not in self._hosts_only]
        return self._readers.copy()

    def _forward(self, packet: Packet, now_ms: int) -> None:
        # A reader that starts later needs what changed after the key frame, too.
        if (packet.config or packet.kind is _DATA) and self._in_gop and self.gop:
            self._keep(packet)
        for reader in self._started() if self.standing_in else self._readers:
            reader.on_packet(packet, now_ms)

    # -- the host's absence ------------------------------------------------------------------------------------------

    def _begin_run(self, at_ms: int | None) -> None:
        """Forget the host there was; the next one's media begins at `at_ms`, or after the time that passed."""
        self._timeline.restart(at_ms, keeps=self._keeps_time)
        self._expected = self._promised or frozenset(self._announced)
        self.video = self.audio = self.metadata = None
        self._last_key = self._last_audio = None
        self._size = None
        self._codecs.clear()
        self._announced.clear()
        self._first_key_ms = self._first_audio_ms = None
        self._rate_from_ms = None

    def _note(self, packet: Packet, now_ms: int) -> None:
        """Keep what a stand-in begins with."""
        if packet.kind is Kind.AUDIO:
            self._last_audio = packet
            if self._first_key_ms is None:
                self._left_ms, self._left_media_ms = now_ms, packet.dts_ms
            return
        # By the picture alone: sound is sent ahead of it, and the room's clock would gain by each return.
        self._left_ms, self._left_media_ms = now_ms, packet.dts_ms
        if packet.key:
            self._last_key = packet
        self._picture_ends_ms = max(self._picture_ends_ms, packet.dts_ms + max(0, packet.cts_ms) + FRAME_MS)

    def _stand_in_for_host(self, now_ms: int) -> None:
        self.run_ends_ms = None
        for reader in self._readers:
            if id(reader) in self._hosts_only:
                reader.on_stop(now_ms)
            elif isinstance(reader, Holder):
                reader.on_pause(now_ms)
        video, audio, key = self.video, self.audio, self._last_key
        reel = None
        start_ms = self._picture_ends_ms
        if video is not None and key is not None and Kind.VIDEO in self._announced:
            if self._make_reel is not None and video.codec is Codec.H264 and self._size is not None:
                reel = self._make_reel(*self._size)
            if reel is None:
                length_bytes = h264.parse_avcc(video.data).length_bytes if video.codec is Codec.H264 else 4
                reel = last_picture(key, length_bytes)
                start_ms = max(start_ms - max(0, key.cts_ms), self._timeline.last_ms(Kind.VIDEO) + 1)
        heard = self._last_audio
        sound = None
        if audio is not None and heard is not None and Kind.AUDIO in self._announced:
            sound = audio, heard.data
        self._stand_in = StandIn(reel, start_ms, sound, self._timeline.last_ms(Kind.AUDIO))

    def _away_clock_ms(self, now_ms: int) -> int:
        return self._left_media_ms + max(0, now_ms - self._left_ms)

    def _push_stand_in(self, packet: Packet, now_ms: int) -> None:
        if packet.config:
            self._push_config(packet, now_ms)
            return
        self._timeline.advance(packet.kind, packet.dts_ms, now_ms)
        self._cache(packet)
        self._forward(packet, now_ms)

    def _hear(self, arrival: _Arrival, packet: Packet, now_ms: int) -> None:
        """Take a packet of a host whose first key frame has not come yet."""
        if packet.kind is Kind.DATA:
            if packet.data.startswith(ON_METADATA) and len(packet.data) <= METADATA_BYTES_MAX:
                arrival.metadata = packet
        elif packet.config:
            if len(packet.data) <= h264.RECORD_BYTES_MAX:
                arrival.configs[packet.kind] = packet
        elif not arrival.can_decode(packet):
            self.packets_dropped += 1
        elif packet.kind is Kind.AUDIO:
            if arrival.audio_ms is None:
                arrival.audio_ms = now_ms
            self._take_over_without_picture(now_ms)
        elif packet.key:
            self._take_over(arrival, now_ms)
            self._take(packet, now_ms)
        else:
            self.packets_dropped += 1
            arrival.pictured = True
            self.want_key(now_ms)

    def _take_over_without_picture(self, now_ms: int) -> None:
        arrival = self._arrival
        if arrival is None or arrival.audio_ms is None or arrival.pictured:
            return
        if self._announced == {Kind.AUDIO} or now_ms - arrival.audio_ms >= VIDEO_WAIT_MS:
            self._take_over(arrival, now_ms)

    def _take_over(self, arrival: _Arrival, now_ms: int) -> None:
        """End the stand-in's run here and begin the host's."""
        stand_in = self._stand_in
        assert stand_in is not None
        self.fill(now_ms)
        clock_ms = self._away_clock_ms(now_ms)
        self.run_ends_ms = at_ms = max(clock_ms, self._picture_ends_ms, self.media_clock_ms + 1)
        for packet in stand_in.finish(at_ms):
            self._push_stand_in(packet, now_ms)
        self._stop(now_ms)
        self.run_ends_ms = None
        self._stand_in = self._arrival = None
        self._begin_run(at_ms)
        for kept in (arrival.metadata, *arrival.configs.values()):
            if kept is not None:
                self._take(kept, now_ms)
        self._first_audio_ms = now_ms if arrival.sounded else arrival.audio_ms

    def _measure(self, packet: Packet) -> None:
        if self._rate_from_ms is None or packet.dts_ms < self._rate_from_ms:
            self._rate_from_ms, self._rate_bytes = packet.dts_ms, 0
        self._rate_bytes += len(packet.data)
        span_ms = packet.dts_ms - self._rate_from_ms
        if span_ms >= RATE_SPAN_MS:
            self.bytes_per_s = self._rate_bytes * 1000 // span_ms
            self._rate_from_ms, self._rate_bytes = packet.dts_ms, 0
