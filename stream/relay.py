"""One room's media between its host and its readers: what a new reader needs, one clock, and who is told.

Sans-I/O: `now_ms` comes with each call. Readers are few (one per output format in use, not one per viewer); what a
reader does on a packet is only to encode and queue, so the publish path never waits for a viewer.

Theory of operation. A host's connection is a run between `begin` and `end`. A run's packets are dropped until there is
something to decode: a configuration, then a key frame. The tracks are *settled* when picture and sound were both heard,
or when the one that is missing stayed away too long; only then readers start, because a file header has to say which
tracks there are. A reader starts with the packets since the last key frame (`gop`) and gets each packet after it. It is
stopped and started again, at a key frame, when the host leaves and returns or when a track turns up late.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from stream.packet import Codec, Kind, Packet
from stream.protocol import aac, codecs, h264
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

METADATA_BYTES_MAX: Final = 65_536
"""onMetaData is a few hundred bytes; it is kept per stream."""

RATE_SPAN_MS: Final = 2000
"""The stream's rate is measured over spans of this length: a few key frames of most encoders."""

_NEEDS_CONFIG: Final = frozenset((Codec.H264, Codec.HEVC, Codec.AV1, Codec.AAC, Codec.OPUS, Codec.FLAC))
ON_METADATA: Final = b"\x02\x00\x0aonMetaData"
"""How the script body that describes a stream begins (AMF0)."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What one room may keep."""

    gop_bytes_max: int = 16 * 1024 * 1024
    """Bytes from one key frame to the next: 20 s at 6 Mbit/s. Over it, new readers wait for the next key frame."""
    gop_ms_max: int = 20_000
    """Media time from one key frame to the next: OBS sends a key frame each 8 s or so when it is not told otherwise."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What is known of a room's stream: codecs as in RFC 6381 (None: no such track), times in ms, size in pixels."""

    live: bool
    since_ms: int | None
    video_codec: str | None
    audio_codec: str | None
    width: int | None
    height: int | None
    media_clock_ms: int


class Reader(Protocol):
    """What the relay asks of an output. Each call must be quick: it runs on the host's path."""

    def on_start(self, now_ms: int) -> None:
        """Tracks are settled; take `relay.gop` and the configurations."""

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        """The next packet, after those that `gop` held at the start."""

    def on_stop(self, now_ms: int) -> None:
        """Nothing comes until the next `on_start`."""

    def on_close(self, now_ms: int) -> None:
        """The stream is over for good."""


class Relay:
    """One room's stream. Owned by a Directory, which alone calls `begin`, `push`, `end`, `close`."""

    def __init__(self, room: str, limits: RelayLimits, on_info: Callable[["Relay", int], None]) -> None:
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
        self.limits = limits
        self._on_info = on_info
        self._readers: list[Reader] = []
        self._asking: set[int] = set()
        self._timeline = Timeline()
        self._size: tuple[int, int] | None = None
        self._codecs: dict[Kind, str] = {}
        self._announced: set[Kind] = set()
        self._in_gop = False
        self._settled = False
        self._first_key_ms: int | None = None
        self._first_audio_ms: int | None = None
        self._rate_bytes = 0
        self._rate_from_ms: int | None = None
        self._closed = False

    @property
    def media_clock_ms(self) -> int:
        """The room's newest media time: what a player shows when it is as far as the host."""
        return START_MS if self._timeline.newest_ms is None else self._timeline.newest_ms

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

    def attach(self, reader: Reader, now_ms: int, *, asks: bool = False) -> None:
        """Add a reader; it is started at once when the stream plays. `asks`: it calls `want_key` when it needs one."""
        self._readers.append(reader)
        if asks:
            self._asking.add(id(reader))
        if self.playing:
            reader.on_start(now_ms)

    def detach(self, reader: Reader) -> None:
        """Take a reader away; one that is not attached is ignored."""
        if reader in self._readers:
            self._readers.remove(reader)
            self._asking.discard(id(reader))

    def begin(self, now_ms: int) -> None:
        """A host is there; its media follows by `push`."""
        self._stop(now_ms)
        self.on_key_wanted = None
        self._timeline.restart()
        self.video = self.audio = self.metadata = None
        self._size = None
        self._codecs.clear()
        self._announced.clear()
        self._first_key_ms = self._first_audio_ms = None
        self._rate_from_ms = None

    def end(self, now_ms: int) -> None:
        """The host is gone. Readers stay for its return."""
        self._stop(now_ms)
        self.on_key_wanted = None
        if self.live:
            self.live = False
            self.since_ms = None

    def close(self, now_ms: int) -> None:
        """End it for the readers as well."""
        self.end(now_ms)
        self._closed = True
        for reader in tuple(self._readers):
            reader.on_close(now_ms)
        self._readers.clear()
        self._asking.clear()

    def tick(self, now_ms: int) -> None:
        """Let time pass without a packet: a track that stays away is given up."""
        if self.live and not self._settled:
            self._settle(now_ms)

    def push(self, packet: Packet, now_ms: int) -> None:
        """Take one packet of the host, with the host's time."""
        self.bytes_in += len(packet.data)
        if len(packet.data) > PACKET_BYTES_MAX:
            self.packets_dropped += 1
        elif packet.kind is Kind.DATA:
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
            codec, size = _describe(packet)
        except ValueError:
            # Broken by the peer: without a configuration its frames cannot be played either, they are dropped.
            self.packets_dropped += 1
            return
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
        config = self.video if kind is Kind.VIDEO else self.audio
        if config is None or config.codec is not packet.codec:
            if packet.codec in _NEEDS_CONFIG:
                self.packets_dropped += 1
                return
            self._push_config(replace(packet, config=True, data=b""), now_ms)
        if kind is Kind.VIDEO:
            if self._first_key_ms is None:
                if not packet.key:
                    self.packets_dropped += 1
                    return
                self._first_key_ms = now_ms
        elif self._first_audio_ms is None:
            self._first_audio_ms = now_ms
        packet = replace(packet, dts_ms=self._timeline.map(kind, packet.dts_ms, now_ms))
        self._measure(packet)
        if not self.live:
            self.live = True
            self.since_ms = now_ms
            self._on_info(self, now_ms)
        if self._settled and kind not in self._announced and (kind is Kind.AUDIO or packet.key):
            # A track turned up after all: readers start anew, so that headers name it.
            self._stop(now_ms)
        self._cache(packet)
        if self.playing:
            self._forward(packet, now_ms)
        else:
            self._settle(now_ms)

    def _cache(self, packet: Packet) -> None:
        if packet.kind is Kind.VIDEO and packet.key:
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
        if self.gop_bytes > self.limits.gop_bytes_max or span_ms > self.limits.gop_ms_max:
            self.gop_overflows += 1
            self._in_gop = False
            self._clear_gop()

    def _clear_gop(self) -> None:
        self.gop.clear()
        self.gop_bytes = 0

    @property
    def _audio_only(self) -> bool:
        return self._settled and Kind.VIDEO not in self._announced

    def _settle(self, now_ms: int) -> None:
        key_ms, audio_ms = self._first_key_ms, self._first_audio_ms
        if key_ms is not None:
            if audio_ms is None and now_ms - key_ms < AUDIO_WAIT_MS:
                return
        elif audio_ms is None or now_ms - audio_ms < VIDEO_WAIT_MS:
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
            for reader in tuple(self._readers):
                reader.on_stop(now_ms)

    def _forward(self, packet: Packet, now_ms: int) -> None:
        # A reader that starts later needs what changed after the key frame, too.
        if (packet.config or packet.kind is Kind.DATA) and self._in_gop and self.gop:
            self._keep(packet)
        for reader in self._readers:
            reader.on_packet(packet, now_ms)

    def _measure(self, packet: Packet) -> None:
        if self._rate_from_ms is None or packet.dts_ms < self._rate_from_ms:
            self._rate_from_ms, self._rate_bytes = packet.dts_ms, 0
        self._rate_bytes += len(packet.data)
        span_ms = packet.dts_ms - self._rate_from_ms
        if span_ms >= RATE_SPAN_MS:
            self.bytes_per_s = self._rate_bytes * 1000 // span_ms
            self._rate_from_ms, self._rate_bytes = packet.dts_ms, 0


def _describe(packet: Packet) -> tuple[str, tuple[int, int] | None]:
    """Give the RFC 6381 codec and the picture size of a configuration. Raises ValueError when it is broken."""
    if packet.codec is Codec.H264:
        avc = h264.parse_avcc(packet.data)
        return avc.codec, (avc.width, avc.height)
    if packet.codec is Codec.AAC:
        return aac.parse_asc(packet.data).codec, None
    if packet.codec in _DESCRIBED and packet.data:
        return _DESCRIBED[packet.codec](packet.data)
    if len(packet.data) > h264.RECORD_BYTES_MAX:
        raise ValueError("the configuration is too long")
    return {Codec.MP3: "mp4a.6b", Codec.AC3: "ac-3", Codec.EAC3: "ec-3"}.get(packet.codec, packet.codec.value), None


_DESCRIBED: Final[dict[Codec, Callable[[bytes], tuple[str, tuple[int, int] | None]]]] = {
    Codec.HEVC: codecs.describe_hevc,
    Codec.AV1: codecs.describe_av1,
    Codec.VP9: codecs.describe_vp9,
    Codec.OPUS: codecs.describe_opus,
    Codec.FLAC: codecs.describe_flac,
}
