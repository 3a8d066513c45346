"""WHEP viewers: offers in, sessions out; each is a peer of the WebRTC transport and a viewer of its room's stream."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stream.directory import Clock, Directory
from stream.errors import OfferRefused
from stream.packet import Codec, Kind
from stream.protocol import h264, rtcp, rtp
from stream.relay import Relay
from stream.webrtc_sdp import AUDIO, VIDEO, Source, Track, agree, answer
from stream.webrtc_session import Accepted, Session
from stream.webrtc_transport import WebRtcTransport
from stream.webrtc_video import SDP_NAMES, SENT
from stream.whep_stream import SendRtp, Variant, WhepStream, WhepTotals

log = logging.getLogger("siyu.whep")

AT_ONCE: Final = bytes(3)
"""playout-delay 0/0: show the pictures since the last key frame as they come, until they are those of now."""
AS_THE_SOUND_NEEDS: Final = b"\x00\x0f\xff"
"""playout-delay from 0 to any: the sound waits in the player's jitter buffer, and lips must wait for it."""

TICK_S: Final = 0.25
NOT_LIVE_RETRY_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class WhepLimits:
    """Bounds of WHEP."""

    viewers_per_room_max: int = 2_000
    """A core carries about 700 at 2 Mbit/s; beyond, FLV and HLS are cheaper by ten."""
    resends_per_s_max: int = 600
    """Packets sent again to one viewer in a second: a third of a 2 Mbit/s stream and its bursts."""


class WhepViewer:
    """One viewer."""

    def __init__(
        self,
        output: "WhepOutput",
        room: str,
        stream: WhepStream,
        codec: Codec | None,
        video: Track | None,
        audio: Track | None,
    ) -> None:
        self.room = room
        self.stream = stream
        self.on_lost: Callable[[], None] = _nobody_asked
        """Called once, when the session is over."""
        self.codec = codec
        self._playout_delay = None if video is None else video.playout_delay
        self.variant: Variant = (0 if video is None else video.payload_type, self._extension(AT_ONCE))
        self.audio_payload_type = None if audio is None else audio.payload_type
        self.cursor: int | None = None
        self.session: Session | None = None
        self.send_rtp: SendRtp = _send_nothing
        self._output = output
        self._rtx_payload_type = None if video is None else video.rtx_payload_type
        self._rtx_sequence = secrets.randbits(15)
        self._resent = 0
        self._resent_from_ms = 0

    def _extension(self, delay: bytes) -> bytes:
        return b"" if self._playout_delay is None else rtp.extension_block(self._playout_delay, delay)

    # what the stream calls

    def caught_up(self) -> None:
        """Play in sync from now on: a player that must show each picture at once cannot wait for the sound."""
        if self.audio_payload_type is not None:
            self.variant = (self.variant[0], self._extension(AS_THE_SOUND_NEEDS))

    def send_rtcp(self, data: bytes) -> None:
        """Send one RTCP compound packet."""
        if self.session is not None:
            self.session.send_rtcp(data)

    def expel(self, code: str, detail: str) -> None:
        """Close a viewer that may watch no longer: RTCP and DTLS say that it is over, not why."""
        self.end(detail)

    def end(self, reason: str) -> None:
        """Tell the peer and close."""
        session = self.session
        if session is not None:
            session.send_rtcp(rtcp.goodbye([self.stream.video_ssrc, self.stream.audio_ssrc]))
            session.transport.close_session(session, reason)

    # what the transport calls

    def on_connected(self, now_ms: int) -> None:
        """Begin to play."""
        assert self.session is not None
        self.send_rtp = self.session.send_rtp
        self._output.connected(self, now_ms)

    def on_rtp(self, data: bytes, now_ms: int) -> None:
        """A viewer sends no media."""

    def on_rtcp(self, data: bytes, now_ms: int) -> None:
        """Send again what was lost; ask the host for a key frame."""
        for report in rtcp.parse_rtcp(data):
            if isinstance(report, rtcp.Nack):
                if report.media == self.stream.video_ssrc:
                    self._resend(report.sequences, now_ms)
            elif isinstance(report, rtcp.KeyRequest):
                self.stream.want_key(now_ms)

    def on_closed(self, reason: str, now_ms: int) -> None:
        """Leave the stream."""
        self.send_rtp = _send_nothing
        self._output.forget(self)
        self.on_lost()

    def _resend(self, sequences: tuple[int, ...], now_ms: int) -> None:
        if now_ms - self._resent_from_ms >= 1000:
            self._resent_from_ms, self._resent = now_ms, 0
        totals = self._output.totals
        totals.nacked += len(sequences)
        out: list[bytes] = []
        for sequence in sequences[: max(0, self._output.limits.resends_per_s_max - self._resent)]:
            kept = None if self.cursor is None else self.stream.lookup(sequence, self.cursor)
            if kept is None:
                continue
            if self._rtx_payload_type is None:
                out.append(kept.wire(self.stream.video_ssrc, self.variant))
                continue
            self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
            out.append(
                rtp.rtp_packet(
                    self._rtx_payload_type,
                    kept.marker,
                    self._rtx_sequence,
                    kept.timestamp,
                    self.stream.rtx_ssrc,
                    rtp.rtx_payload(kept.sequence, kept.payload),
                    self.variant[1],
                )
            )
        self._resent += len(out)
        totals.resent += len(out)
        if out:
            self.send_rtp(out, None)


class WhepOutput:
    """All WHEP viewers. Used on one thread; `start` needs a running loop."""

    def __init__(
        self, directory: Directory, transport: WebRtcTransport, *, clock: Clock, limits: WhepLimits | None = None
    ) -> None:
        self.limits = limits or WhepLimits()
        self.substitute: Callable[[Relay, str], Relay | None] | None = None
        """Gives the relay to play instead of one that the viewer of an offer cannot get, if there is one."""
        self.totals = WhepTotals()
        self._directory = directory
        self._transport = transport
        self._clock = clock
        self._streams: dict[str, WhepStream] = {}
        self._viewers: dict[str, WhepViewer] = {}
        self._per_room: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def viewers(self) -> int:
        """Sessions there are, those still connecting included."""
        return len(self._viewers)

    def viewers_in(self, room: str) -> int:
        """Sessions in one room now."""
        return self._per_room.get(room, 0)

    def join(self, room: str, offer: str, *, client: str, reached: str | None = None) -> Accepted:
        """Answer an offer. Raises OfferRefused: 409 not live, 422 what cannot be played, 4xx a bad offer, 503 full."""
        try:
            return self._join(room, offer, client, reached)
        except OfferRefused:
            self.totals.refused += 1
            raise

    def _join(self, room: str, text: str, client: str, reached: str | None) -> Accepted:
        relay = self._directory.find(room)
        if relay is None or not relay.playing:
            raise OfferRefused(409, "not_live", "the room is not live", retry_ms=NOT_LIVE_RETRY_MS)
        if self.substitute is not None:
            relay = self.substitute(relay, text) or relay
        codec, profile = _check_playable(relay)
        if self._per_room.get(room, 0) >= self.limits.viewers_per_room_max:
            raise OfferRefused(503, "room_full", "too many WebRTC viewers in this room: play FLV or MP4", 5_000)
        audio = relay.audio is not None
        codecs = [] if codec is None else [SDP_NAMES[codec]]
        agreed = agree(text, sending=True, codecs=codecs, profile=profile, audio=audio, video=codec is not None)
        stream = self._streams.get(relay.room)
        if stream is None or stream.relay is not relay:
            stream = WhepStream(relay, clock=self._clock, totals=self.totals, on_empty=self._retire)
        viewer = WhepViewer(self, room, stream, codec, agreed.track(VIDEO), agreed.track(AUDIO))
        session = self._transport.open_session(
            viewer,
            client=client,
            remote_ufrag=agreed.remote_ufrag,
            fingerprints=agreed.fingerprints,
            connects=agreed.connects,
        )
        viewer.session = session
        self._streams[relay.room] = stream
        self._viewers[session.id] = viewer
        self._per_room[room] = self._per_room.get(room, 0) + 1
        self.totals.joined += 1
        if self._timer is None:
            self._tick()
        sources = {
            VIDEO: Source(stream.video_ssrc, stream.rtx_ssrc, stream.epoch),
            AUDIO: Source(stream.audio_ssrc, None, stream.epoch),
        }
        local = self._transport.local_end(session, reached)
        sdp = answer(agreed, local, session=secrets.randbits(62), sources=sources)
        return Accepted(session.id, session.ufrag, sdp)

    def leave(self, room: str, number: str) -> bool:
        """End a session; whether there was one."""
        viewer = self.find(room, number)
        if viewer is None or viewer.session is None:
            return False
        self._transport.close_session(viewer.session, "the viewer left")
        return True

    def find(self, room: str, number: str) -> WhepViewer | None:
        """Give the session of a room by its id."""
        viewer = self._viewers.get(number)
        return viewer if viewer is not None and viewer.room == room else None

    def connected(self, viewer: WhepViewer, now_ms: int) -> None:
        """Let a viewer whose transport is up into its stream."""
        relay = viewer.stream.relay
        if self._directory.find(relay.room) is relay:
            viewer.stream.join(viewer, now_ms)
        else:
            viewer.end("the stream is over")

    def forget(self, viewer: WhepViewer) -> None:
        """Take out a viewer whose session is over."""
        session = viewer.session
        if session is None or self._viewers.pop(session.id, None) is None:
            return
        room = viewer.room
        self._per_room[room] -= 1
        if not self._per_room[room]:
            del self._per_room[room]
        viewer.stream.leave(viewer)

    async def drain(self) -> None:
        """End all sessions, in batches."""
        for count, viewer in enumerate(tuple(self._viewers.values()), 1):
            viewer.end("the server is going down")
            if count % 50 == 0:
                await asyncio.sleep(0.05)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stats(self) -> WhepTotals:
        """Return the present counts."""
        self.totals.viewers = len(self._viewers)
        return self.totals

    def _retire(self, stream: WhepStream) -> None:
        room = stream.relay.room
        if self._streams.get(room) is stream and not stream.viewers:
            del self._streams[room]

    def _tick(self) -> None:
        self._timer = None
        if not self._viewers:
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        now_ms = self._clock()
        for stream in tuple(self._streams.values()):
            stream.tick(now_ms)


def _nobody_asked() -> None:
    """Stand for `on_lost` where nobody wants to know."""


def _send_nothing(packets: list[bytes], runs: object = None) -> None:
    """What a viewer that is not connected gets."""


def _check_playable(relay: Relay) -> tuple[Codec | None, str | None]:
    """Give the picture's codec (None: it is sound alone), and H.264's profile as two hex digits.

    Raises OfferRefused 422.
    """
    video = relay.video
    if video is None:
        return None, None
    if video.codec not in SENT:
        names = ", ".join(SDP_NAMES[codec] for codec in SENT)
        raise OfferRefused(422, "codec", f"the stream is {video.codec}, WebRTC here carries {names}: play FLV")
    if any(packet.kind is Kind.VIDEO and packet.cts_ms for packet in relay.gop):
        raise OfferRefused(
            422,
            "b_frames",
            "the host sends B-frames, which WebRTC cannot carry: play FLV or MP4, or set bframes=0 in OBS",
        )
    return video.codec, h264.parse_avcc(video.data).codec[5:7] if video.codec is Codec.H264 else None
