"""A room's stream as FLV, MP4, HLS and recordings take it: Opus becomes AAC, all else is passed on untouched.

WebRTC hosts send Opus, which WebRTC viewers get as it came; everything else plays AAC. So there is one view per room,
made with the first reader that wants it and gone with the last; while the host's sound is Opus and somebody reads here
it runs one transcoder, on a thread of its own. With any other host it costs one call per packet.

    relay ──packets──► AacView ──picture, data, AAC──► fan-outs, HLS, recorder
                          │  ▲
                      Opus▼  │AAC, about 50 ms later
                      AudioTranscoder's thread

To its readers a view looks like the relay (`Source`). They are started with a picture and the promise of AAC sound (its
configuration is known beforehand); the sound itself begins with what comes from then on.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from heapq import merge
from typing import Final

from stream.packet import Codec, Kind, Packet
from stream.protocol import aac
from stream.relay import Reader, Relay, RelayLimits, StreamInfo
from stream.transcode_audio import AudioTranscoder

SOUND_PACKETS_MAX: Final = 2048
"""AAC frames kept for those who join: 43 s, more than the relay keeps of pictures."""


class _HostWatch:
    """A reader of the relay's host alone: tells its view when a stand-in takes the host's place."""

    def __init__(self, on_gone: Callable[[int], None]) -> None:
        self.on_stop = on_gone

    def on_start(self, now_ms: int) -> None:
        """The view is told of it as well."""

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        """So it is of packets."""

    def on_close(self, now_ms: int) -> None:
        """And of the end."""


class AacView:
    """One room's readers of AAC, themselves one reader of the relay. Needs a running loop once it transcodes."""

    def __init__(self, relay: Relay, clock: Callable[[], int]) -> None:
        self.relay = relay
        self._clock = clock
        self._readers: list[Reader] = []
        self._hosts_only: dict[int, Reader] = {}
        self._resting: set[int] = set()
        """Readers of the host alone, by id, while a stand-in plays."""
        self._watch = _HostWatch(self._on_host_gone)
        self._begun = False
        self._transcoder: AudioTranscoder | None = None
        self._config: Packet | None = None
        """The AAC sound's, while the host's is Opus."""
        self._sound: deque[Packet] = deque(maxlen=SOUND_PACKETS_MAX)
        self._sound_ms: int | None = None
        """The newest AAC frame's time; a room's clock never goes back, whatever its hosts do."""

    @property
    def transcodes(self) -> bool:
        """Whether sound is being turned into AAC now."""
        return self._transcoder is not None

    @property
    def has_readers(self) -> bool:
        """Whether anybody reads here."""
        return bool(self._readers)

    # -- what readers see of it (Source) -----------------------------------------------------------------------------

    @property
    def room(self) -> str:
        """The room's name."""
        return self.relay.room

    @property
    def limits(self) -> RelayLimits:
        """What the room may keep."""
        return self.relay.limits

    @property
    def live(self) -> bool:
        """Whether a host sends."""
        return self.relay.live

    @property
    def playing(self) -> bool:
        """Whether there is something to start with."""
        return self.relay.playing

    @property
    def standing_in(self) -> bool:
        """Whether what comes is a stand-in's."""
        return self.relay.standing_in

    @property
    def run_ends_ms(self) -> int | None:
        """Where the run that `on_stop` ends gives way to the next one."""
        return self.relay.run_ends_ms

    @property
    def bytes_per_s(self) -> int:
        """The host's rate."""
        return self.relay.bytes_per_s

    @property
    def media_clock_ms(self) -> int:
        """The room's newest media time."""
        return self.relay.media_clock_ms

    @property
    def metadata(self) -> Packet | None:
        """The host's onMetaData."""
        return self.relay.metadata

    @property
    def sound_ms(self) -> int | None:
        """The newest sound's media time, as its readers get it."""
        return self.relay.sound_ms if self._config is None else self._sound_ms

    @property
    def gop(self) -> list[Packet]:
        """Packets since the last key frame, with what there is of AAC in the place of Opus."""
        cached = self.relay.gop
        if self._config is None:
            return cached
        from_ms = cached[0].dts_ms if cached else 0
        sound = [packet for packet in self._sound if cached and packet.dts_ms >= from_ms]
        others = [packet for packet in cached if packet.kind is not Kind.AUDIO]
        return list(merge(others, sound, key=_dts_ms))

    def configs(self) -> tuple[Packet, ...]:
        """Give the configuration of each track that was heard, the picture's first."""
        config = self._config
        if config is None:
            return self.relay.configs()
        return tuple(
            replace(config, dts_ms=packet.dts_ms) if packet.kind is Kind.AUDIO else packet
            for packet in self.relay.configs()
        )

    def info(self) -> StreamInfo:
        """Give what is known of the stream as its readers get it."""
        info = self.relay.info()
        if self._config is None or info.audio_codec is None:
            return info
        return replace(info, audio_codec=aac.parse_asc(self._config.data).codec)

    def attach(self, reader: Reader, now_ms: int, *, host_only: bool = False) -> None:
        """Add a reader; it is started at once when the stream plays. `host_only`: stopped, not given a stand-in."""
        self._readers.append(reader)
        if host_only:
            if not self._hosts_only:
                self.relay.attach(self._watch, now_ms, host_only=True)
            self._hosts_only[id(reader)] = reader
        if len(self._readers) == 1:
            self.relay.attach(self, now_ms)
        elif host_only and self.standing_in:
            self._resting.add(id(reader))
        elif self.playing:
            reader.on_start(now_ms)

    def detach(self, reader: Reader) -> None:
        """Take a reader away; with the last one the view lets go of the stream."""
        if reader not in self._readers:
            return
        self._readers.remove(reader)
        self._resting.discard(id(reader))
        if self._hosts_only.pop(id(reader), None) is not None and not self._hosts_only:
            self.relay.detach(self._watch)
        if not self._readers:
            self.relay.detach(self)
            self._stop()

    # -- what the relay calls (Reader) -------------------------------------------------------------------------------

    def on_start(self, now_ms: int) -> None:
        """Begin a run of the stream."""
        self._stop()
        sound = next((packet for packet in self.relay.configs() if packet.kind is Kind.AUDIO), None)
        if sound is not None and sound.codec is Codec.OPUS:
            self._begin(sound)
        self._begun = True
        self._resting = set(self._hosts_only) if self.standing_in else set()
        for reader in self._awake():
            reader.on_start(now_ms)

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        """Pass a packet on, Opus by way of the transcoder."""
        if packet.kind is Kind.AUDIO and self._transcoder is not None:
            # Of one codec for the whole run: with another the relay begins a new one.
            self._transcoder.push(packet)
            return
        self._forward(packet, now_ms)

    def on_stop(self, now_ms: int) -> None:
        """The run is over."""
        self._stop()
        self._begun = False
        for reader in self._awake():
            reader.on_stop(now_ms)

    def on_close(self, now_ms: int) -> None:
        """The stream is over for good."""
        self._stop()
        readers, self._readers = self._readers, []
        self._hosts_only.clear()
        self._resting.clear()
        for reader in readers:
            reader.on_close(now_ms)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _on_host_gone(self, now_ms: int) -> None:
        """A stand-in takes the host's place; when the whole run ends instead, `on_stop` has told everybody."""
        if not self._begun:
            return
        for key, reader in tuple(self._hosts_only.items()):
            if key not in self._resting:
                self._resting.add(key)
                reader.on_stop(now_ms)

    def _awake(self) -> list[Reader]:
        if not self._resting:
            return self._readers.copy()
        return [reader for reader in self._readers if id(reader) not in self._resting]

    def _begin(self, sound: Packet) -> None:
        self._config = replace(sound, codec=Codec.AAC, data=aac.make_asc(48_000, 2))
        self._transcoder = AudioTranscoder(Codec.AAC, self._on_aac)
        self._transcoder.push(sound)

    def _stop(self) -> None:
        if self._transcoder is not None:
            self._transcoder.close()
            self._transcoder = None
        self._config = None
        self._sound.clear()

    def _on_aac(self, packets: list[Packet]) -> None:
        now_ms = self._clock()
        cached = self.relay.gop
        for packet in packets:
            if packet.config or (self._sound_ms is not None and packet.dts_ms <= self._sound_ms):
                # The configuration was told beforehand; after a break of the host's clock sound may lie on sound.
                continue
            self._sound_ms = packet.dts_ms
            while self._sound and (not cached or self._sound[0].dts_ms < cached[0].dts_ms):
                self._sound.popleft()
            self._sound.append(packet)
            self._forward(packet, now_ms)

    def _forward(self, packet: Packet, now_ms: int) -> None:
        for reader in self._awake() if self._resting else self._readers:
            reader.on_packet(packet, now_ms)


def _dts_ms(packet: Packet) -> int:
    return packet.dts_ms
