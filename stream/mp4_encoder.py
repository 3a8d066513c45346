"""A stream's packets as fragmented MP4, for progressive MP4 and for HLS.

H.264, HEVC and AV1 are carried, and AAC; a track of another codec is left out.
"""

from typing import Final

from stream.packet import Codec, Kind, Packet
from stream.protocol import aac, codecs, fmp4
from stream.relay import Source

AUDIO_DRIFT_MS_MAX: Final = 60
"""Sound is counted in samples, as millisecond times would leave gaps and overlaps; beyond this it follows its times."""

TICKS_PER_MS: Final = fmp4.VIDEO_TIMESCALE // 1000
LAST_TICKS_MAX: Final = 500 * TICKS_PER_MS
"""How long a last frame lasts at most: what passes before a stand-in shows the next one, and some."""
LAST_FRAME_TICKS: Final = 40 * TICKS_PER_MS
"""How long a last frame lasts when nothing tells: 25 frames a second."""

FORMS: Final = {Codec.H264: fmp4.AVC, Codec.HEVC: fmp4.HEVC, Codec.AV1: fmp4.AV1}
"""Pictures that can be carried. Of VP9 the configuration does not tell the size, of VP8 there is none."""


class Mp4Encoder:
    """Fragments of one stream. The last sample of each track waits for the next one, which tells its duration."""

    def __init__(self, relay: Source) -> None:
        self._video: Packet | None = None
        self._audio: Packet | None = None
        for packet in relay.configs():
            self._configure(packet)
        present = ((Kind.VIDEO, self._video), (Kind.AUDIO, self._audio))
        self.tracks = tuple(kind for kind, packet in present if packet is not None)
        self._init = b""
        self.rate = 0
        """Samples a second, the timescale of the sound."""
        self._sequence = 0
        self._done: dict[Kind, list[fmp4.Sample]] = {Kind.VIDEO: [], Kind.AUDIO: []}
        self._held: dict[Kind, fmp4.Sample] = {}
        self._parts: list[bytes] = []
        self._changes: dict[Kind, Packet] = {}
        self._starting = False
        self._sound_next: int | None = None
        self.content_type = "video/mp4"
        if self.tracks:
            self._describe()

    def head(self, dts_ms: int) -> bytes:
        """The init segment."""
        return self._init

    config = head

    def take(self, packet: Packet) -> None:
        """Add a sample, or change the configuration: then a new init segment comes between the fragments."""
        if packet.kind is Kind.DATA or packet.kind not in self.tracks:
            return
        if packet.config:
            self._changes[packet.kind] = packet
            return
        change = self._changes.pop(packet.kind, None)
        if packet.kind is Kind.VIDEO:
            time, offset = packet.dts_ms * TICKS_PER_MS, packet.cts_ms * TICKS_PER_MS
            if change is not None:
                self._change(change, time)
            if self._hold(Kind.VIDEO, fmp4.Sample(time, LAST_FRAME_TICKS, offset, packet.key, packet.data)):
                self._starting = False
        else:
            if change is not None:
                self._change(change, packet.dts_ms * self.rate // 1000)
            time = self._sound_time(packet.dts_ms)
            self._sound_next = time + aac.SAMPLES_PER_FRAME
            self._hold(Kind.AUDIO, fmp4.Sample(time, aac.SAMPLES_PER_FRAME, 0, True, packet.data))

    def split(self, packet: Packet) -> bytes:
        """Give the samples before `packet`: it tells the duration of the one that was held."""
        self.take(packet)
        data = self._collect()
        self._starting = packet.kind is Kind.VIDEO
        return data

    def cut(self) -> bytes:
        """Give the samples whose durations are known; nothing while the key frame at the start is held."""
        return b"" if self._starting else self._collect()

    def flush(self, end_ms: int | None = None) -> bytes:
        """Give all; the last picture lasts until `end_ms`, or as long as usual."""
        picture = self._held.get(Kind.VIDEO)
        if picture is not None and end_ms is not None:
            picture.duration = min(max(1, end_ms * TICKS_PER_MS - picture.time), LAST_TICKS_MAX)
        self._finish()
        return b"".join(self._take_parts())

    def _change(self, config: Packet, time: int) -> None:
        """Put the new init segment before the sample at `time`; the track's last one before lasts until then.

        The other track goes on as it was: any hole in the time that is buffered would stop a browser.
        """
        held = self._held.pop(config.kind, None)
        if held is not None:
            held.duration = max(1, time - held.time)
            self._done[config.kind].append(held)
        self._parts = [self._collect()]
        self._configure(config)
        self._describe()
        self._parts.append(self._init)

    def _configure(self, packet: Packet) -> None:
        if packet.codec in FORMS and codecs.describe(packet)[1] is not None:
            self._video = packet
        elif packet.codec is Codec.AAC:
            self._audio = packet

    def _describe(self) -> None:
        video = audio = None
        names = []
        if self._video is not None:
            name, size = codecs.describe(self._video)
            assert size is not None
            video = fmp4.VideoTrack(FORMS[self._video.codec], self._video.data, *size)
            names.append(name)
        if self._audio is not None:
            sound = aac.parse_asc(self._audio.data)
            audio = fmp4.AudioTrack(self._audio.data, sound.rate, sound.channels)
            names.append(sound.codec)
            if sound.rate != self.rate:
                self.rate, self._sound_next = sound.rate, None
        self._init = fmp4.init_segment(video, audio)
        self.content_type = f'video/mp4; codecs="{", ".join(names)}"'

    def _sound_time(self, dts_ms: int) -> int:
        told = dts_ms * self.rate // 1000
        counted = self._sound_next
        if counted is None or abs(told - counted) * 1000 > AUDIO_DRIFT_MS_MAX * self.rate:
            held = self._held.get(Kind.AUDIO)
            return told if held is None else max(told, held.time + 1)
        return counted

    def _hold(self, kind: Kind, sample: fmp4.Sample) -> bool:
        """Keep the sample until the next; give whether one before it is complete now."""
        before = self._held.get(kind)
        self._held[kind] = sample
        if before is None:
            return False
        # A machine that slept for half a day: the field has 32 bits.
        before.duration = min(sample.time - before.time, 0xFFFFFFFF)
        self._done[kind].append(before)
        return True

    def _finish(self) -> None:
        for kind, sample in self._held.items():
            self._done[kind].append(sample)
        self._held.clear()
        self._starting = False
        self._parts = [self._collect()]

    def _collect(self) -> bytes:
        done = self._done
        if done[Kind.VIDEO] or done[Kind.AUDIO]:
            self._sequence += 1
            tracks = ((fmp4.VIDEO_TRACK, done[Kind.VIDEO]), (fmp4.AUDIO_TRACK, done[Kind.AUDIO]))
            self._parts.append(fmp4.fragment(self._sequence, tracks))
            self._done = {Kind.VIDEO: [], Kind.AUDIO: []}
        return b"".join(self._take_parts())

    def _take_parts(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts
