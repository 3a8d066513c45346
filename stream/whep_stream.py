"""One room's RTP for all its WHEP viewers: each packet is built once, kept for a while, and encrypted per viewer.

Theory of operation. The picture is one endless run of packets, counted from 0; the count's low bits are the RTP
sequence number, so all viewers share SSRC, sequence and time. A viewer is a cursor into it. A pass gives each viewer
at most PASS_PACKETS of what lies between its cursor and the head; who is not at the head then waits PACE_S for the
next pass. So a key frame leaves in small bursts, and one who joins gets what came since the last one as fast as that.
A viewer with another payload type or header extension (a *variant*) gets packets that differ in these bytes only.

Sound is not paced and not kept: a packet is one frame of 20 ms.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from stream.packet import Codec, Kind, Packet
from stream.protocol import opus, rtcp, rtp
from stream.relay import Relay
from stream.srtp import ONE, Run, runs_of
from stream.transcode_audio import AudioTranscoder
from stream.webrtc_video import VideoOut, video_out

PASS_PACKETS: Final = 40
"""Of one viewer in one pass: one write with segmentation offload."""
PACE_S: Final = 0.004
"""Between passes: 40 packets each 4 ms are 96 Mbit/s at most."""
SLICE_VIEWERS: Final = 64
"""Served before the loop may do something else: 64 × 8 packets take 2 ms."""
HISTORY_PACKETS: Final = 1000
"""Kept for retransmission: libsrtp sends nothing again that is more than 1,024 packets old (aiortc's window)."""
GOP_PACKETS_MAX: Final = 20_000
"""Kept for those who join: 24 MB, more than the relay keeps of a GOP."""
STALE_PACKETS: Final = 400
"""Since the last key frame: 2 s at 2 Mbit/s. One who joins waits for a new one, where the host can be asked."""
REPORT_INTERVAL_MS: Final = 1000
SAMPLES_PER_MS: Final = rtp.AUDIO_RATE // 1000
SOUND_OFF_MS_MAX: Final = 5
"""Sound is counted in samples as long as its packets' times agree so far."""
CNAME: Final = "siyu"

SendRtp = Callable[[list[bytes], Sequence[Run] | None], None]
Variant = tuple[int, bytes]
"""(payload type, header extension block)."""


class Viewer(Protocol):
    """What the stream needs of a viewer."""

    variant: Variant
    audio_payload_type: int | None
    cursor: int | None
    """Where it is in the run of packets; None: it waits for a key frame."""

    @property
    def codec(self) -> Codec | None:
        """What was agreed on with it for the picture; None: it hears only, as there was no picture."""

    @property
    def send_rtp(self) -> SendRtp: ...
    def caught_up(self) -> None: ...
    def send_rtcp(self, data: bytes) -> None: ...
    def end(self, reason: str) -> None: ...


@dataclass(slots=True)
class WhepTotals:
    """Counts of all streams, for /metrics."""

    viewers: int = 0
    joined: int = 0
    refused: int = 0
    packets_out: int = 0
    """Over all viewers."""
    bytes_out: int = 0
    skipped: int = 0
    """Times a viewer was behind what is kept and went on at a key frame."""
    nacked: int = 0
    resent: int = 0
    keys_wanted: int = 0
    keys_unavailable: int = 0
    """Key frames that viewers asked for and the host cannot be asked for."""
    transcoded: int = 0


@dataclass(slots=True, eq=False)
class Kept:
    """One packet of the picture."""

    sequence: int
    marker: bool
    timestamp: int
    payload: bytes
    built: dict[Variant, bytes] = field(default_factory=dict)

    def wire(self, ssrc: int, variant: Variant) -> bytes:
        """The packet's bytes before encryption, built on first use."""
        data = self.built.get(variant)
        if data is None:
            payload_type, extension = variant
            data = rtp.rtp_packet(
                payload_type, self.marker, self.sequence, self.timestamp, ssrc, self.payload, extension
            )
            self.built[variant] = data
        return data


class WhepStream:
    """A relay's reader; made with the first viewer of a room, gone with the last."""

    def __init__(
        self, relay: Relay, *, clock: Callable[[], int], totals: WhepTotals, on_empty: Callable[["WhepStream"], None]
    ) -> None:
        self.relay = relay
        self.viewers: dict[Viewer, None] = {}
        self.video_ssrc, self.rtx_ssrc, self.audio_ssrc = (secrets.randbits(31) + 1 for _ in range(3))
        self.head = 0
        """The count of the packet that comes next."""
        self._clock = clock
        self._totals = totals
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._base = secrets.randbits(15)
        self.epoch = secrets.randbits(31)
        """The RTP time of both tracks at media time 0; answers tell it, so that a player knows which frame it shows."""
        self._kept: deque[Kept] = deque()
        self._key: int | None = None
        self._format: VideoOut | None = None
        """None: there is nothing that can be sent now."""
        self._codec: Codec | None = None
        self._anchor: tuple[int, int] | None = None
        self._work: deque[tuple[list[bytes], tuple[Run, ...], int, list[Viewer]]] = deque()
        self._wake: asyncio.Handle | None = None
        self._sound_next: int | None = None
        self._audio_sequence = secrets.randbits(15)
        self._sent = {Kind.VIDEO: (0, 0), Kind.AUDIO: (0, 0)}
        self._transcoder: AudioTranscoder | None = None
        self._reported_ms = 0
        self._attached = False

    # -- viewers -----------------------------------------------------------------------------------------------------

    def join(self, viewer: Viewer, now_ms: int) -> None:
        """Begin to send to a connected viewer, from the last key frame on."""
        self.viewers[viewer] = None
        if self._codec not in (None, viewer.codec):
            self._loop.call_soon(viewer.end, "the host changed to another codec: connect again")
            return
        if not self._attached:
            self._attached = True
            self.relay.attach(self, now_ms, asks=True)
        viewer.cursor = self._key
        if viewer.codec is None:
            self._begin_sound(viewer, now_ms)
            return
        stale = self._key is not None and self.head - self._key > STALE_PACKETS
        if self._key is None or (stale and self.relay.want_key(now_ms)):
            # A new key frame is here sooner than a long run of old pictures.
            viewer.cursor = None
            self.want_key(now_ms)
        self._begin_sound(viewer, now_ms)
        self._schedule()

    def _begin_sound(self, viewer: Viewer, now_ms: int) -> None:
        if viewer.audio_payload_type is not None:
            self._start_audio()
        self._report(now_ms, [viewer])

    def leave(self, viewer: Viewer) -> None:
        """Stop sending to a viewer; after the last one nothing is packed any more."""
        self.viewers.pop(viewer, None)
        if not any(other.audio_payload_type is not None for other in self.viewers):
            self._stop_audio()
        if not self.viewers:
            self.close()
            self._on_empty(self)

    def close(self) -> None:
        """Let go of the relay."""
        self.relay.detach(self)
        self._attached = False
        self._stop_audio()
        self._kept.clear()
        self._key = None
        self._work.clear()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def want_key(self, now_ms: int) -> None:
        """Ask the host for a key frame, if it is one that can be asked."""
        self._totals.keys_wanted += 1
        if not self.relay.want_key(now_ms):
            self._totals.keys_unavailable += 1

    def lookup(self, sequence: int, cursor: int) -> Kept | None:
        """Give the packet of an RTP sequence number if it is kept and was sent to one at `cursor`."""
        index = rtp.unwrap(sequence - self._base, cursor, 16)
        start = self.head - len(self._kept)
        if not max(start, cursor - HISTORY_PACKETS) <= index < cursor:
            return None
        return self._kept[index - start]

    # -- what the relay calls ----------------------------------------------------------------------------------------

    def on_start(self, now_ms: int) -> None:
        """Pack the cached pictures; sound begins with what comes."""
        # The host may be another one: what made Opus of the sound before is of no use for its own.
        self._stop_audio()
        for packet in self.relay.configs():
            self._configure(packet)
        for packet in tuple(self.relay.gop):
            if packet.kind is Kind.VIDEO:
                self._push_video(packet)
            elif packet.config:
                self._configure(packet)
        self._schedule()

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        """Pack one packet and wake the sender."""
        if packet.config:
            self._configure(packet)
        elif packet.kind is Kind.VIDEO:
            self._push_video(packet)
            self._schedule()
        elif packet.kind is Kind.AUDIO and packet.codec is Codec.OPUS:
            self._send_audio([packet])
        elif packet.kind is Kind.AUDIO and self._transcoder is not None:
            self._totals.transcoded += 1
            self._transcoder.push(packet)

    def on_stop(self, now_ms: int) -> None:
        """The host is gone; viewers keep their last picture."""
        self._format = None

    def on_close(self, now_ms: int) -> None:
        """The stream is over."""
        for viewer in tuple(self.viewers):
            viewer.end("the stream is over")

    def _configure(self, packet: Packet) -> None:
        if packet.kind is Kind.AUDIO:
            if packet.codec is Codec.OPUS:
                self._stop_audio()
            elif self._transcoder is not None:
                self._transcoder.push(packet)
            elif any(viewer.audio_payload_type is not None for viewer in self.viewers):
                self._start_audio()
        elif packet.kind is Kind.VIDEO:
            self._format, self._codec = video_out(packet), packet.codec
            # Not from within: the relay is in the middle of its readers.
            for viewer in tuple(self.viewers):
                if viewer.codec is not packet.codec:
                    self._loop.call_soon(viewer.end, "the host changed to another codec: connect again")

    def _refuse_all(self, reason: str) -> None:
        self._format = None
        for viewer in tuple(self.viewers):
            self._loop.call_soon(viewer.end, reason)

    def _push_video(self, packet: Packet) -> None:
        if packet.config:
            self._configure(packet)
            return
        if self._format is None:
            return
        if packet.cts_ms:
            self._refuse_all("the host sends B-frames, which WebRTC cannot carry")
            return
        payloads = self._format.payloads(packet)
        if not payloads:
            return
        if self._anchor is None:
            self._anchor = packet.dts_ms, self._clock()
        if packet.key:
            self._key = self.head
            for viewer in self.viewers:
                if viewer.cursor is None and viewer.codec is not None:
                    viewer.cursor = self.head
        timestamp = self.epoch + packet.dts_ms * 90
        last = len(payloads) - 1
        for index, payload in enumerate(payloads):
            self._kept.append(Kept((self._base + self.head) & 0xFFFF, index == last, timestamp, payload))
            self.head += 1
        packets, octets = self._sent[Kind.VIDEO]
        self._sent[Kind.VIDEO] = packets + len(payloads), octets + sum(map(len, payloads))
        self._trim()

    def _trim(self) -> None:
        if self._key is not None and self.head - self._key > GOP_PACKETS_MAX:
            self._key = None
        keep_from = self.head - HISTORY_PACKETS
        if self._key is not None:
            keep_from = min(keep_from, self._key)
        kept = self._kept
        start = self.head - len(kept)
        while start < keep_from:
            kept.popleft()
            start += 1

    # -- the pass ----------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self._wake is None and not self._work:
            self._wake = self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        self._wake = None
        head, start = self.head, self.head - len(self._kept)
        groups: dict[tuple[int, Variant], list[Viewer]] = {}
        for viewer in self.viewers:
            cursor = viewer.cursor
            if cursor is None or cursor == head:
                continue
            if cursor < start:
                self._totals.skipped += 1
                viewer.cursor = cursor = self._key
                if cursor is None:
                    self.want_key(self._clock())
                    continue
            key = cursor, viewer.variant
            group = groups.get(key)
            if group is None:
                groups[key] = [viewer]
            else:
                group.append(viewer)
        for (cursor, variant), group in groups.items():
            end = min(cursor + PASS_PACKETS, head)
            packets = [self._kept[i - start].wire(self.video_ssrc, variant) for i in range(cursor, end)]
            runs = runs_of(packets)
            for at in range(0, len(group), SLICE_VIEWERS):
                self._work.append((packets, runs, end, group[at : at + SLICE_VIEWERS]))
        if self._work:
            self._slice()

    def _slice(self) -> None:
        self._wake = None
        packets, runs, end, group = self._work.popleft()
        viewers = self.viewers
        served = 0
        for viewer in group:
            if viewer in viewers:
                viewer.cursor = end
                viewer.send_rtp(packets, runs)
                served += 1
        self._totals.packets_out += served * len(packets)
        self._totals.bytes_out += served * sum(map(len, packets))
        if self._work:
            self._wake = self._loop.call_soon(self._slice)
        elif any(viewer.cursor is not None and viewer.cursor < self.head for viewer in self.viewers):
            self._wake = self._loop.call_later(PACE_S, self._pass)

    # -- sound -------------------------------------------------------------------------------------------------------

    def _start_audio(self) -> None:
        audio = self.relay.audio
        if self._transcoder is None and audio is not None and audio.codec is not Codec.OPUS:
            self._transcoder = AudioTranscoder(Codec.OPUS, self._send_audio)
            self._transcoder.push(audio)

    def _stop_audio(self) -> None:
        if self._transcoder is not None:
            self._transcoder.close()
            self._transcoder = None

    def _send_audio(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.config:
                continue
            if self._anchor is None:
                self._anchor = packet.dts_ms, self._clock()
            sequence = self._audio_sequence = (self._audio_sequence + 1) & 0xFFFF
            timestamp = self.epoch + self._sound_time(packet)
            built: dict[int, list[bytes]] = {}
            served = 0
            for viewer in self.viewers:
                payload_type = viewer.audio_payload_type
                if payload_type is None:
                    continue
                data = built.get(payload_type)
                if data is None:
                    data = [rtp.rtp_packet(payload_type, False, sequence, timestamp, self.audio_ssrc, packet.data)]
                    built[payload_type] = data
                viewer.send_rtp(data, ONE)
                served += 1
            self._totals.packets_out += served
            self._totals.bytes_out += served * (len(packet.data) + rtp.HEADER_BYTES)
            count, octets = self._sent[Kind.AUDIO]
            self._sent[Kind.AUDIO] = count + 1, octets + len(packet.data)

    def _sound_time(self, packet: Packet) -> int:
        """Give a packet's time in samples: where the one before ended, unless its own time says otherwise.

        Times in milliseconds are rounded; a receiver takes what lies off by a sample for a hole or an overlap.
        """
        told, counted = packet.dts_ms * SAMPLES_PER_MS, self._sound_next
        time = told if counted is None or abs(told - counted) > SOUND_OFF_MS_MAX * SAMPLES_PER_MS else counted
        self._sound_next = time + opus.samples(packet.data)
        return time

    # -- reports -----------------------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Report to all when it is time: picture and sound are played in sync by it (RFC 3550 section 6.4.1)."""
        if any(viewer.cursor is None and viewer.codec is not None for viewer in self.viewers):
            # The request may have been lost on the way to the host.
            self.relay.want_key(now_ms)
        for viewer in self.viewers:
            if viewer.cursor == self.head:
                viewer.caught_up()
        if now_ms - self._reported_ms >= REPORT_INTERVAL_MS:
            self._reported_ms = now_ms
            self._report(now_ms, list(self.viewers))

    def _report(self, now_ms: int, viewers: list[Viewer]) -> None:
        if self._anchor is None:
            return
        media_ms = self._anchor[0] + now_ms - self._anchor[1]
        ntp = rtcp.ntp_of(now_ms)
        parts: dict[bool, bytes] = {}
        for audio in (False, True):
            tracks = [(self.video_ssrc, 90, Kind.VIDEO)] + ([(self.audio_ssrc, 48, Kind.AUDIO)] if audio else [])
            data = b""
            for ssrc, rate, kind in tracks:
                packets, octets = self._sent[kind]
                timestamp = (self.epoch + media_ms * rate) & 0xFFFFFFFF
                report = rtcp.SenderReport(ssrc, ntp, timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
                data += rtcp.sender_report(report) + rtcp.source_description(ssrc, CNAME)
            parts[audio] = data
        for viewer in viewers:
            viewer.send_rtcp(parts[viewer.audio_payload_type is not None])
