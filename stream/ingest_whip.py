"""WHIP hosts: RTP in, packets into the room, as RTMP does it: the same rooms, the same takeover rule.

H.264 goes on as it comes, in AVCC form, and so does Opus: who needs AAC reads the room's `AacView`. The first sender
reports of both tracks say how their clocks lie to one another (RFC 3550 section 6.4.1). What is lost is asked
for again (NACK); a picture that stays broken is dropped with all up to the next key frame, and a key frame is asked
for (PLI). A host makes key frames only when asked: each 2 s while readers are there that cannot ask.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from stream.directory import Clock, Directory, Publication
from stream.errors import AlreadyPublishing, OfferRefused, PublishRefused
from stream.meter import Protocol
from stream.origin import Origin
from stream.packet import Codec, Kind, Packet
from stream.protocol import opus, rtcp, rtp
from stream.webrtc_sdp import AUDIO, VIDEO, Track, agree, answer, offers_video
from stream.webrtc_session import Accepted, Session
from stream.webrtc_transport import WebRtcTransport
from stream.webrtc_video import SDP_NAMES, TAKEN

log = logging.getLogger("siyu.whip")

TICK_S: Final = 0.05
"""How late a NACK is repeated or a gap given up, at most."""
KEY_INTERVAL_MS: Final = 2000
"""Between key frames for readers that cannot ask: what OBS is told to send."""
KEY_ASKED_MS: Final = 500
"""Between two requests, whoever asks."""
NACK_AGAIN_MS: Final = 80
"""Before a lost packet is asked for again: a round trip in one country."""
NACKED_AT_ONCE_MAX: Final = 128
"""In one feedback packet: a key frame of 150 KB."""
REPORT_INTERVAL_MS: Final = 1000
START_MS: Final = 10_000
"""Where a host's clock begins here: nothing that precedes the first packet is negative."""
SYNC_MS: Final = 20
"""Sound is moved when the reports say that it is off by more: less is not seen."""

SYNC_MS_MAX: Final = 2500
"""Beyond it the reports are wrong: packets of both tracks arrived within this time. Less than what breaks the room's
clock (`timeline.JUMP_MS`)."""


@dataclass(frozen=True, slots=True)
class WhipLimits:
    """Bounds of WHIP."""

    hosts_max: int = 500


@dataclass(slots=True)
class WhipTotals:
    """Counts for /metrics."""

    publishers: int = 0
    accepted: int = 0
    refused: int = 0
    packets_in: int = 0
    packets_lost: int = 0
    nacked: int = 0
    frames: int = 0
    broken_frames: int = 0
    keys_asked: int = 0


class _Source:
    """One track's packets and clock."""

    def __init__(self, payload_type: int, rate: int) -> None:
        self.payload_type = payload_type
        self.rate = rate
        self.ssrc: int | None = None
        self.buffer = rtp.ReceiveBuffer()
        self.base_ms = 0.0
        self._first: int | None = None
        self._newest = 0
        self._report: tuple[int, int] | None = None
        self._report_at_ms = 0
        self._transit: float | None = None
        self._jitter = 0.0

    def take(self, packet: rtp.RtpPacket, now_ms: int) -> list[tuple[rtp.RtpPacket, bool]]:
        """Order a packet; a new SSRC begins anew."""
        if packet.ssrc != self.ssrc:
            self.ssrc, self.buffer = packet.ssrc, rtp.ReceiveBuffer()
            self._first = self._report = self._transit = None
        transit = now_ms * self.rate / 1000 - packet.timestamp
        if self._transit is not None and abs(transit - self._transit) < self.rate:
            self._jitter += (abs(transit - self._transit) - self._jitter) / 16  # RFC 3550 section 6.4.1
        self._transit = transit
        return self.buffer.push(packet, now_ms)

    def time_ms(self, timestamp: int, now_ms: int, start_ms: int) -> int:
        """Give the host's time of an RTP timestamp; the first one's is that of its arrival."""
        if self._first is None:
            self._first = self._newest = timestamp
            self.base_ms = float(START_MS + now_ms - start_ms)
        value = rtp.unwrap(timestamp, self._newest, 32)
        self._newest = max(self._newest, value)
        return round(self.base_ms + (value - self._first) * 1000 / self.rate)

    def reported(self, report: rtcp.SenderReport, now_ms: int) -> None:
        """Note where the sender's clocks stand."""
        self._report, self._report_at_ms = (report.ntp, report.timestamp), now_ms

    def first_ntp_ms(self) -> float | None:
        """Give the sender's wall clock at the first timestamp, once it is known."""
        if self._report is None or self._first is None:
            return None
        ntp, timestamp = self._report
        behind = rtp.unwrap(timestamp, self._newest, 32) - self._first
        return ntp * 1000 / (1 << 32) - behind * 1000 / self.rate

    def block(self, now_ms: int) -> rtcp.ReportBlock | None:
        """Give the report on this source."""
        if self.ssrc is None:
            return None
        fraction, lost, highest = self.buffer.report()
        last, delay = 0, 0
        if self._report is not None:
            last = self._report[0] >> 16 & 0xFFFFFFFF
            delay = (now_ms - self._report_at_ms) * 65_536 // 1000
        return rtcp.ReportBlock(self.ssrc, fraction, lost, highest, int(self._jitter), last, delay & 0xFFFFFFFF)


class WhipHost:
    """One host: a peer of the transport and a publisher of its room."""

    def __init__(self, ingest: "WhipIngest", room: str, video: Track | None, audio: Track | None, now_ms: int) -> None:
        self.room = room
        self.session: Session | None = None
        self.publication: Publication | None = None
        self._ingest = ingest
        self._start_ms = now_ms
        self._video = None if video is None else _Source(video.payload_type, rtp.VIDEO_RATE)
        self._audio = None if audio is None else _Source(audio.payload_type, rtp.AUDIO_RATE)
        name = SDP_NAMES[Codec.H264] if video is None else video.codec
        self._format = TAKEN[next(codec for codec in TAKEN if SDP_NAMES[codec] == name)]()
        self._sound_ms: int | None = None
        self._waits_for_key = video is not None
        self._ssrc = secrets.randbits(31) + 1
        self._key_asked_ms = 0
        self._key_came_ms = 0
        self._reported_ms = 0

    # -- what the directory calls ------------------------------------------------------------------------------------

    @property
    def protocol(self) -> Protocol:
        """What this host speaks."""
        return "whip"

    def rtt_ms(self) -> int | None:
        """Not known: a side that only receives hears of no round trip (RFC 3550 section 6.4.1)."""
        return None

    def close(self, reason: str) -> None:
        """Let go of the room: it was taken over or closed."""
        self.leave(reason)

    def leave(self, reason: str) -> None:
        """End the session."""
        if self.session is not None:
            self.session.transport.close_session(self.session, reason)

    # -- what the transport calls ------------------------------------------------------------------------------------

    def on_connected(self, now_ms: int) -> None:
        """Media may come: ask for a key frame at once."""
        if self.publication is not None:
            self.publication.relay.on_key_wanted = self.want_key
        self.want_key(now_ms)

    def on_closed(self, reason: str, now_ms: int) -> None:
        """Give the room back."""
        if self.publication is not None:
            self.publication.end(reason, now_ms)
        self._ingest.forget(self)

    def on_rtp(self, data: bytes, now_ms: int) -> None:
        """Take one RTP packet."""
        packet = rtp.parse_rtp(data)
        totals = self._ingest.totals
        totals.packets_in += 1
        video = self._video
        if video is not None and packet.payload_type == video.payload_type:
            if packet.ssrc != video.ssrc:
                # Another source: what is under way is of the one before, and only a key frame can be decoded.
                self._format.renew()
                self._waits_for_key = True
            ordered = video.take(packet, now_ms)
            if not ordered:
                self._ask_again(now_ms)
            self._on_video(ordered, now_ms)
        elif self._audio is not None and packet.payload_type == self._audio.payload_type:
            self._on_audio(self._audio.take(packet, now_ms), now_ms)

    def on_rtcp(self, data: bytes, now_ms: int) -> None:
        """Take reports: they tell how picture and sound lie to one another."""
        for report in rtcp.parse_rtcp(data):
            if isinstance(report, rtcp.SenderReport):
                for source in (self._video, self._audio):
                    if source is not None and source.ssrc == report.ssrc:
                        source.reported(report, now_ms)
                self._synchronize()

    def _synchronize(self) -> None:
        video, audio = self._video, self._audio
        if video is None or audio is None:
            return
        video_ms, audio_ms = video.first_ntp_ms(), audio.first_ntp_ms()
        if video_ms is None or audio_ms is None:
            return
        base_ms = video.base_ms + audio_ms - video_ms
        off_ms = abs(base_ms - audio.base_ms)
        if SYNC_MS < off_ms <= SYNC_MS_MAX:
            log.debug("room %s: sound moved by %.0f ms", self.room, base_ms - audio.base_ms)
            audio.base_ms = base_ms

    # -- media -------------------------------------------------------------------------------------------------------

    def _on_video(self, ordered: list[tuple[rtp.RtpPacket, bool]], now_ms: int) -> None:
        for packet, gap in ordered:
            for frame in self._format.frames.push(packet, gap=gap):
                self._push_frame(frame, now_ms)

    def _push_frame(self, frame: rtp.Frame, now_ms: int) -> None:
        totals, video = self._ingest.totals, self._video
        assert video is not None
        if not frame.whole:
            self._broken(now_ms)
            return
        try:
            packets = self._format.packets(frame, video.time_ms(frame.timestamp, now_ms, self._start_ms))
        except ValueError:
            self._broken(now_ms)
            return
        if not packets:
            return
        if frame.key:
            self._waits_for_key = False
            self._key_came_ms = now_ms
        elif self._waits_for_key:
            self.want_key(now_ms)
            return
        totals.frames += 1
        for packet in packets:
            self._push(packet, now_ms)

    def _broken(self, now_ms: int) -> None:
        """A picture is lost, and all that build on it are."""
        self._ingest.totals.broken_frames += 1
        self._waits_for_key = True
        self.want_key(now_ms)

    def _on_audio(self, ordered: list[tuple[rtp.RtpPacket, bool]], now_ms: int) -> None:
        audio = self._audio
        if audio is None:
            return
        for packet, _ in ordered:
            if not opus.samples(packet.payload):
                continue
            time_ms = audio.time_ms(packet.timestamp, now_ms, self._start_ms)
            if self._sound_ms is None:
                self._push(Packet(Kind.AUDIO, Codec.OPUS, time_ms, 0, True, True, opus.head()), now_ms)
            elif time_ms <= self._sound_ms:
                # The reports moved the sound back (see `_synchronize`): what would lie on what was sent is left out.
                # Sent all the same, it would be a break of the host's clock to the room's, and never in sync again.
                continue
            self._sound_ms = time_ms
            self._push(Packet(Kind.AUDIO, Codec.OPUS, time_ms, 0, True, False, packet.payload), now_ms)

    def _push(self, packet: Packet, now_ms: int) -> None:
        if self.publication is not None:
            self.publication.push(packet, now_ms)

    # -- feedback ----------------------------------------------------------------------------------------------------

    def want_key(self, now_ms: int) -> None:
        """Ask for a key frame, unless that was done a moment ago."""
        video = self._video
        if video is None or video.ssrc is None or self.session is None or now_ms - self._key_asked_ms < KEY_ASKED_MS:
            return
        self._key_asked_ms = now_ms
        self._ingest.totals.keys_asked += 1
        empty = rtcp.receiver_report(self._ssrc, [])
        self.session.send_rtcp(empty + rtcp.picture_loss(self._ssrc, video.ssrc))

    def _ask_again(self, now_ms: int) -> None:
        video = self._video
        if video is None or video.ssrc is None or self.session is None:
            return
        missing = video.buffer.missing(now_ms, NACK_AGAIN_MS, NACKED_AT_ONCE_MAX)
        if missing:
            self._ingest.totals.nacked += len(missing)
            empty = rtcp.receiver_report(self._ssrc, [])
            self.session.send_rtcp(empty + rtcp.nack(self._ssrc, video.ssrc, missing))

    def tick(self, now_ms: int) -> None:
        """Let time pass: give up what is lost, ask again, report, ask for the key frames that readers need."""
        session = self.session
        if session is None or not session.connected:
            return
        if self._video is not None:
            self._on_video(self._video.buffer.give_up(now_ms), now_ms)
        if self._audio is not None:
            self._on_audio(self._audio.buffer.give_up(now_ms), now_ms)
        self._ask_again(now_ms)
        relay = self.publication.relay if self.publication is not None else None
        if self._waits_for_key or (
            relay is not None and relay.needs_regular_keys and now_ms - self._key_came_ms >= KEY_INTERVAL_MS
        ):
            self.want_key(now_ms)
        if now_ms - self._reported_ms >= REPORT_INTERVAL_MS:
            self._reported_ms = now_ms
            blocks = [s.block(now_ms) for s in (self._video, self._audio) if s is not None]
            session.send_rtcp(rtcp.receiver_report(self._ssrc, [block for block in blocks if block is not None]))

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return sum(source.buffer.lost for source in (self._video, self._audio) if source is not None)


class WhipIngest:
    """All WHIP hosts. Whoever calls `join` has checked the host's key.

    `codecs`: what hosts may send, in the order of preference. Every output carries H.264; of VP8 WHEP viewers get the
    picture as it came and the others what a transcoder makes of it, so it is taken only where there is one.
    """

    def __init__(
        self,
        directory: Directory,
        transport: WebRtcTransport,
        *,
        clock: Clock,
        limits: WhipLimits | None = None,
        codecs: Sequence[Codec] = (Codec.H264,),
    ) -> None:
        self.clock: Callable[[], int] = clock
        self.limits = limits or WhipLimits()
        self.totals = WhipTotals()
        self.codecs = tuple(codecs)
        self._directory = directory
        self._transport = transport
        self._hosts: dict[str, WhipHost] = {}
        self._lost = 0
        self._timer: asyncio.TimerHandle | None = None

    def join(
        self, room: str, offer: str, *, client: str, reached: str | None = None, origin: Origin | None = None
    ) -> Accepted:
        """Answer a host's offer and give it the room.

        Raises OfferRefused: 422 without H.264, 4xx a bad offer, 409 when the room has a live host, 503 full.
        """
        try:
            return self._join(room, offer, client, reached, origin)
        except OfferRefused:
            self.totals.refused += 1
            raise

    def _join(self, room: str, text: str, client: str, reached: str | None, origin: Origin | None) -> Accepted:
        codecs = [SDP_NAMES[codec] for codec in self.codecs]
        agreed = agree(text, sending=False, codecs=codecs, video=offers_video(text))
        if len(self._hosts) >= self.limits.hosts_max:
            raise OfferRefused(503, "full", "the server takes no more hosts now", retry_ms=5_000)
        now_ms = self.clock()
        host = WhipHost(self, room, agreed.track(VIDEO), agreed.track(AUDIO), now_ms)
        session = self._transport.open_session(
            host,
            client=client,
            remote_ufrag=agreed.remote_ufrag,
            fingerprints=agreed.fingerprints,
            connects=agreed.connects,
        )
        try:
            host.publication = self._directory.publish(room, host, now_ms, origin)
        except AlreadyPublishing as error:
            self._transport.close_session(session, "the room is live already")
            raise OfferRefused(409, "live", "this room is live already: stop the other encoder first", 1_000) from error
        except PublishRefused as error:
            self._transport.close_session(session, error.code)
            raise OfferRefused(503, "refused", error.description, 5_000) from error
        host.session = session
        self._hosts[session.id] = host
        self.totals.accepted += 1
        log.info("room %s: host at %s publishes by WHIP", room, client)
        if self._timer is None:
            self._tick()
        local = self._transport.local_end(session, reached)
        sdp = answer(agreed, local, session=secrets.randbits(62), sources={})
        return Accepted(session.id, session.ufrag, sdp)

    def find(self, room: str, number: str) -> WhipHost | None:
        """Give the session of a room by its id."""
        host = self._hosts.get(number)
        return host if host is not None and host.room == room else None

    def leave(self, room: str, number: str) -> bool:
        """End a session; whether there was one."""
        host = self.find(room, number)
        if host is None:
            return False
        host.leave("the host stopped")
        return True

    def forget(self, host: WhipHost) -> None:
        """Take out a host whose session is over."""
        if host.session is not None and self._hosts.pop(host.session.id, None) is not None:
            self._lost += host.lost

    async def drain(self) -> None:
        """End all sessions: hosts come back to whoever takes over."""
        for host in tuple(self._hosts.values()):
            host.leave("the server is going down")

    def close(self) -> None:
        """End all sessions and the timer."""
        for host in tuple(self._hosts.values()):
            host.leave("the server is going down")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stats(self) -> WhipTotals:
        """Return the present counts."""
        self.totals.publishers = len(self._hosts)
        self.totals.packets_lost = self._lost + sum(host.lost for host in self._hosts.values())
        return self.totals

    def _tick(self) -> None:
        self._timer = None
        if not self._hosts:
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        now_ms = self.clock()
        for host in tuple(self._hosts.values()):
            host.tick(now_ms)
