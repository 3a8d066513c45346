"""aiortc as an outside host and viewer: the film as tracks, and received tracks by the sender's clock."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import time
from statistics import median
from typing import Any

import av
import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import RtcpPacket, RtcpSrPacket, RtpPacket

from tests.matrix.flashes import BURST_S, TONE_HZ, Seen
from tests.matrix.material import FRAME_RATE, SAMPLE_RATE, SIZE, samples_of

VIDEO_CLOCK = 90_000
SOUND_S = 0.02
"""An Opus frame."""
NTP_UNIT = 1 << 32
RECENT = 5
"""Reports that say how a sender's clocks lie."""


def peer() -> RTCPeerConnection:
    """A connection without STUN servers."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


class _Paced(MediaStreamTrack):
    """Frames in real time from a start that all tracks of a film share."""

    def __init__(self, start_s: float, period_s: float) -> None:
        super().__init__()
        self._start_s = start_s
        self._period_s = period_s
        self._count = 0

    async def _next(self) -> int:
        number = self._count
        self._count += 1
        await asyncio.sleep(max(0.0, self._start_s + number * self._period_s - time.monotonic()))
        return number


class FilmPicture(_Paced):
    """White for the first 100 ms of each second."""

    kind = "video"

    def __init__(self, start_s: float) -> None:
        super().__init__(start_s, 1 / FRAME_RATE)
        width, height = SIZE
        luma = {white: np.full((height, width), 235 if white else 16, np.uint8) for white in (False, True)}
        grey = np.full((height // 2, width), 128, np.uint8)
        self._pictures = {white: np.vstack([plane, grey]) for white, plane in luma.items()}

    async def recv(self) -> av.VideoFrame:
        number = await self._next()
        frame = av.VideoFrame.from_ndarray(self._pictures[number % FRAME_RATE < FRAME_RATE * BURST_S], format="yuv420p")
        frame.pts, frame.time_base = number * VIDEO_CLOCK // FRAME_RATE, fractions.Fraction(1, VIDEO_CLOCK)
        return frame


class FilmSound(_Paced):
    """1 kHz for the first 100 ms of each second."""

    kind = "audio"

    def __init__(self, start_s: float) -> None:
        super().__init__(start_s, SOUND_S)

    async def recv(self) -> av.AudioFrame:
        samples = round(SOUND_S * SAMPLE_RATE)
        first = await self._next() * samples
        at = (np.arange(samples) + first) / SAMPLE_RATE
        tone = np.where(at % 1 < BURST_S, np.sin(2 * np.pi * TONE_HZ * at) * 16_000, 0).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, first, fractions.Fraction(1, SAMPLE_RATE)
        return frame


class Wire:
    """What a sender put on the wire: where its track's first frame lies on the wall clock that its reports tell."""

    def __init__(self, sender: RTCRtpSender, clock: int) -> None:
        self._clock = clock
        self._first: int | None = None
        self._starts_s: list[float] = []
        self._send = sender.transport._send_rtp
        self._ssrc = sender._ssrc
        # Both of a connection's senders share the transport: each sorts out its own.
        sender.transport._send_rtp = self._watch  # type: ignore[method-assign]

    async def _watch(self, data: bytes) -> None:
        await self._send(data)
        if 192 <= data[1] <= 223:  # RFC 5761 section 4: RTCP
            for report in RtcpPacket.parse(data):
                if isinstance(report, RtcpSrPacket) and report.ssrc == self._ssrc and self._first is not None:
                    told = report.sender_info
                    behind = (told.rtp_timestamp - self._first) % NTP_UNIT / self._clock
                    self._starts_s.append(told.ntp_timestamp / NTP_UNIT - behind)
        elif (packet := RtpPacket.parse(data)).ssrc == self._ssrc and self._first is None:
            self._first = packet.timestamp

    @property
    def start_s(self) -> float | None:
        """The wall clock at the first frame, the middle of what the last reports said; None before the first."""
        return median(self._starts_s[-RECENT:]) if self._starts_s else None


class Receiving:
    """Notes a connection's tracks by the sender's wall clock, as its reports (RTCP SR) tell it."""

    def __init__(self, connection: RTCPeerConnection, seen: Seen) -> None:
        self._seen = seen
        self._reports: dict[str, tuple[float, int]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._connection = connection
        connection.on("track", self._on_track)

    def _on_track(self, track: MediaStreamTrack) -> None:
        receiver = next(t.receiver for t in self._connection.getTransceivers() if t.receiver.track is track)
        handle = receiver._handle_rtcp_packet

        async def note(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket) and packet.sender_info.rtp_timestamp:
                told = packet.sender_info
                self._reports[track.kind] = (told.ntp_timestamp / NTP_UNIT, told.rtp_timestamp)
            await handle(packet)

        receiver._handle_rtcp_packet = note  # type: ignore[method-assign]
        # aiortc counts a track's frames from its first one; the reports do not.
        self._tasks.append(asyncio.create_task(self._note(track, vars(receiver)["_RTCRtpReceiver__timestamp_mapper"])))

    async def _note(self, track: MediaStreamTrack, mapper: Any) -> None:
        newest: int | None = None
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                clock = round(1 / frame.time_base)
                newest = frame.pts if newest is None else newest + _distance(frame.pts, newest)
                self._seen.stamp(track.kind, newest / clock)
                known = self._reports.get(track.kind)
                if known is None:
                    continue
                wall_s, timestamp = known
                at_s = wall_s + _distance(frame.pts + mapper._origin, timestamp) / clock
                if track.kind == "video":
                    self._seen.picture(at_s, float(frame.to_ndarray(format="gray").mean()))
                else:
                    self._seen.sound(at_s, samples_of(frame), frame.sample_rate)

    def close(self) -> None:
        """Stop noting."""
        for task in self._tasks:
            task.cancel()


def _distance(timestamp: int, other: int) -> int:
    """How far an RTP timestamp lies behind another, over the wrap of 32 bits."""
    return (timestamp - other + NTP_UNIT // 2) % NTP_UNIT - NTP_UNIT // 2


async def offer_to(connection: RTCPeerConnection, url: str, token: str | None, patience_s: float) -> str:
    """Send the offer (WHIP or WHEP) and take the answer; the session's address. Waits for a stream to play."""
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"content-type": "application/sdp", **({"authorization": f"Bearer {token}"} if token else {})}
    deadline = time.monotonic() + patience_s
    async with httpx.AsyncClient(timeout=patience_s, verify=False) as client:
        while True:
            answer = await client.post(url, content=connection.localDescription.sdp, headers=headers)
            if answer.status_code == 201:
                break
            # 404 and 409: there is no picture yet.
            assert answer.status_code in (404, 409, 503) and time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.2)
    await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return answer.headers["location"]
