"""AAC to Opus and back, once per stream, on a thread of its own: WebRTC carries Opus, everything else AAC.

Decoder, resampler and encoder are FFmpeg's by PyAV, which gives up the interpreter's lock while it works. Times are
counted in samples, as millisecond times would leave gaps and overlaps; beyond DRIFT_MS_MAX they follow the packets'.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

import av

from stream.packet import Codec, Kind, Packet
from stream.protocol import aac

log = logging.getLogger("siyu.transcode")

QUEUE_PACKETS_MAX: Final = 256
"""5 s of sound; a thread that is later than this has no use for older ones."""
DRIFT_MS_MAX: Final = 60
"""A packet this far from where the count is: a gap, or another clock."""
DRIFT_MS_KEPT: Final = 15
"""What is left off for good: with the 20 ms within which a WHIP host's sound is not moved, lips stay under 40 ms."""
DRIFT_PACKETS: Final = 32
"""So many packets on end must lie off to the same side: two thirds of a second, as hosts stamp sound unevenly."""
OVERLAP_MS_MAX: Final = 3000
"""Sound that comes for a time already told is left out up to here; farther back it is another clock (timeline.py)."""
RATE: Final = 48_000
OPUS_SAMPLES: Final = 960
"""20 ms, what every browser sends and expects."""
OPUS_BITS_PER_S: Final = 96_000
AAC_BITS_PER_S: Final = 128_000

AUDIO_THREAD: Final = "audio"
"""What each transcoder's thread is called."""

_DECODERS: Final = {
    Codec.AAC: "aac",
    Codec.OPUS: "libopus",
    Codec.MP3: "mp3",
    Codec.FLAC: "flac",
    Codec.AC3: "ac3",
    Codec.EAC3: "eac3",
}

Deliver = Callable[[list[Packet]], None]


class AudioPipeline:
    """Packets of one codec in, packets of `target` out. Not thread-safe; `AudioTranscoder` runs it on its thread."""

    def __init__(self, target: Codec) -> None:
        self._target = target
        self._samples = OPUS_SAMPLES if target is Codec.OPUS else aac.SAMPLES_PER_FRAME
        self._decoder: av.AudioCodecContext | None = None
        self._encoder: av.AudioCodecContext | None = None
        self._resampler: av.AudioResampler | None = None
        self._source: tuple[Codec, bytes] | None = None
        self._in_ms = 0.0
        self._off_ms: list[float] = []
        self._out_from_ms = 0.0
        self._out_samples = 0
        self._told_to_ms: float | None = None

    def take(self, packet: Packet) -> Iterator[Packet]:
        """Give what `packet` completes. Broken sound is left out."""
        if packet.config:
            if self._source != (packet.codec, packet.data):
                self._source = packet.codec, packet.data
                self._decoder = None
            return
        if self._decoder is None:
            self._open(packet)
        decoder = self._decoder
        assert decoder is not None
        off_ms = packet.dts_ms - self._in_ms
        if self._resampler is None or abs(off_ms) > DRIFT_MS_MAX:
            yield from self._begin(packet.dts_ms)
        elif self._is_off(off_ms):
            yield from self._begin(self._in_ms + sum(self._off_ms) / DRIFT_PACKETS)
        try:
            frames = decoder.decode(av.Packet(packet.data))
        except av.FFmpegError as error:
            log.debug("sound that cannot be decoded: %s", error)
            self._in_ms += 20
            return
        for frame in frames:
            self._in_ms += frame.samples * 1000 / frame.sample_rate
            frame.pts = None
            assert self._resampler is not None
            for part in self._resampler.resample(frame):
                yield from self._encode(part)

    def _is_off(self, off_ms: float) -> bool:
        """Whether the packets of late all lie off to one side by more than is kept."""
        off = self._off_ms
        if abs(off_ms) <= DRIFT_MS_KEPT or (off and (off[-1] > 0) != (off_ms > 0)):
            off.clear()
        if abs(off_ms) > DRIFT_MS_KEPT:
            off.append(off_ms)
        return len(off) >= DRIFT_PACKETS

    def _open(self, packet: Packet) -> None:
        codec = _DECODERS[packet.codec]
        decoder = av.CodecContext.create(codec, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        if packet.codec is Codec.OPUS:
            decoder.sample_rate, decoder.layout, decoder.format = RATE, "stereo", "s16"
        elif self._source is not None and self._source[0] is packet.codec and self._source[1]:
            head = self._source[1]
            # FFmpeg's decoder wants FLAC's stream information alone (RFC 9639 section 8.2), without marker and header.
            decoder.extradata = head[8:42] if head.startswith(b"fLaC") else head
        self._decoder, self._resampler = decoder, None

    def _begin(self, dts_ms: float) -> Iterator[Packet]:
        """Count anew from here; a new encoder, as the old one would smear what was before into what comes."""
        encoder = av.CodecContext.create("libopus" if self._target is Codec.OPUS else "aac", "w")
        assert isinstance(encoder, av.AudioCodecContext)
        opus = self._target is Codec.OPUS
        encoder.sample_rate, encoder.layout = RATE, "stereo"
        encoder.format = "s16" if opus else "fltp"
        encoder.bit_rate = OPUS_BITS_PER_S if opus else AAC_BITS_PER_S
        encoder.time_base = Fraction(1, RATE)
        if opus:
            encoder.options = {"application": "audio", "frame_duration": "20"}
        encoder.open()
        had = self._encoder is not None
        self._encoder = encoder
        self._resampler = av.AudioResampler(encoder.format, "stereo", RATE, frame_size=self._samples)
        self._in_ms = self._out_from_ms = float(dts_ms)
        self._off_ms.clear()
        self._out_samples = 0
        if not opus and not had:
            yield Packet(Kind.AUDIO, Codec.AAC, round(dts_ms), 0, True, True, bytes(encoder.extradata or b""))

    def _encode(self, frame: av.AudioFrame) -> Iterator[Packet]:
        assert self._encoder is not None
        frame.pts, frame.time_base = self._out_samples, Fraction(1, RATE)
        self._out_samples += frame.samples
        for packet in self._encoder.encode(frame):
            # The encoder counts its own delay before 0; a player takes that off, so the count may begin there.
            ms = self._out_from_ms + (packet.pts or 0) * 1000 / RATE
            told_ms = self._told_to_ms
            # Half a millisecond is the rounding of a packet's time.
            if told_ms is not None and told_ms - OVERLAP_MS_MAX <= ms < told_ms - 0.5:
                continue
            self._told_to_ms = ms + self._samples * 1000 / RATE
            yield Packet(Kind.AUDIO, self._target, round(ms), 0, True, False, bytes(packet))


class AudioTranscoder:
    """Runs a pipeline on a thread. `deliver` is called on the loop with what came out, in order."""

    def __init__(self, target: Codec, deliver: Deliver) -> None:
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._queue: queue.Queue[Packet | None] = queue.Queue(QUEUE_PACKETS_MAX)
        self._closed = False
        self.dropped = 0
        self.failed = 0
        """Packets that no decoder or encoder takes."""
        self._thread = threading.Thread(target=self._run, args=(AudioPipeline(target),), name=AUDIO_THREAD, daemon=True)
        self._thread.start()

    def push(self, packet: Packet) -> None:
        """Hand over one packet; when the thread is far behind it is dropped."""
        if self._closed:
            return
        try:
            self._queue.put_nowait(packet)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """End the thread; nothing is delivered any more. What waits is thrown away."""
        if self._closed:
            return
        self._closed = True
        while True:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                try:
                    self._queue.get_nowait()
                except queue.Empty:
                    continue
            else:
                return

    def _run(self, pipeline: AudioPipeline) -> None:
        while not self._closed:
            packet = self._queue.get()
            if packet is None:
                return
            try:
                out = list(pipeline.take(packet))
            except (av.FFmpegError, ValueError, KeyError) as error:
                self.failed += 1
                if self.failed == 1:
                    # Once: what follows it is of the same kind, fifty times a second.
                    log.warning("sound cannot be transcoded: %s", error)
                continue
            if out:
                try:
                    self._loop.call_soon_threadsafe(self._hand_over, out)
                except RuntimeError:
                    # The loop is closed: the process ends.
                    return

    def _hand_over(self, packets: list[Packet]) -> None:
        if not self._closed:
            self._deliver(packets)
