"""aiortc as a WHIP host from outside, and a reader that keeps what it gets of one."""

import asyncio
import contextlib
import fractions
from collections.abc import AsyncIterator

import av
import numpy as np
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.rtcrtpsender import RTCRtpSender

from stream.packet import Kind, Packet
from stream.relay import Source
from stream.webrtc_session import Accepted
from tests.stream.webrtc_stage import WebRtcStage


class Picture(VideoStreamTrack):
    """A moving gradient."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        ramp = (np.add.outer(np.arange(240), np.arange(320)) + pts // 500) % 256
        frame = av.VideoFrame.from_ndarray(np.stack([ramp] * 3, axis=-1).astype(np.uint8), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Noise(VideoStreamTrack):
    """What compresses badly: several packets for each picture."""

    def __init__(self) -> None:
        super().__init__()
        chance = np.random.default_rng(1)
        self._pictures = [chance.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(8)]

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(self._pictures[pts // 3000 % 8], format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """440 Hz."""

    async def recv(self) -> av.AudioFrame:
        silence = await super().recv()
        assert isinstance(silence, av.AudioFrame)
        assert silence.pts is not None
        rate, pts = silence.sample_rate, silence.pts
        wave = np.sin((pts + np.arange(silence.samples)) * 2 * np.pi * 440 / rate) * 8000
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, pts, fractions.Fraction(1, rate)
        return frame


class OutsideHost:
    """aiortc as a WHIP encoder."""

    def __init__(self, *codecs: str, noisy: bool = False, picture: bool = True) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        if picture:
            video = self.connection.addTransceiver(Noise() if noisy else Picture(), direction="sendonly")
            known = RTCRtpSender.getCapabilities("video").codecs
            wanted = codecs or ("video/H264",)
            video.setCodecPreferences([codec for codec in known if codec.mimeType in wanted])
            self.video = video.sender
        self.connection.addTransceiver(Tone(), direction="sendonly")

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def publish(self, stage: WebRtcStage) -> Accepted:
        accepted = stage.whip.join("room", await self.offer(), client="127.0.0.1")
        await self.connection.setRemoteDescription(RTCSessionDescription(accepted.sdp, "answer"))
        return accepted


@contextlib.asynccontextmanager
async def outside_host(*codecs: str, noisy: bool = False, picture: bool = True) -> AsyncIterator[OutsideHost]:
    host = OutsideHost(*codecs, noisy=noisy, picture=picture)
    try:
        yield host
    finally:
        await host.connection.close()


class Listener:
    """A reader of a relay that keeps what it gets."""

    def __init__(self, relay: Source, now_ms: int) -> None:
        self.packets: list[Packet] = []
        self.relay = relay
        relay.attach(self, now_ms)

    def on_start(self, now_ms: int) -> None:
        self.packets += [*self.relay.configs(), *self.relay.gop]

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        self.packets.append(packet)

    def on_stop(self, now_ms: int) -> None:
        pass

    def on_close(self, now_ms: int) -> None:
        pass

    def pictures(self) -> list[Packet]:
        return [p for p in self.packets if p.kind is Kind.VIDEO and not p.config]

    def sound(self) -> list[Packet]:
        return [p for p in self.packets if p.kind is Kind.AUDIO and not p.config]

    async def until(self, count: int, kind: Kind, *, key: bool = False) -> list[Packet]:
        async with asyncio.timeout(60):
            while True:
                found = [p for p in self.packets if p.kind is kind and not p.config and (p.key or not key)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)
