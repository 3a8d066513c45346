"""WHIP with aiortc as a host from outside: what FLV and WHEP viewers get of it, keys, takeover, refusals."""

import asyncio
import contextlib
import fractions
from collections.abc import AsyncIterator

import av
import numpy as np
import pytest
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.rtcrtpsender import RTCRtpSender

from stream.errors import OfferRefused
from stream.ingest_whip import Accepted
from stream.packet import Codec, Kind, Packet
from stream.protocol import rtcp
from stream.relay import Relay
from stream.webrtc_transport import Address
from tests.stream.webrtc_stage import WebRtcStage, outside_viewer, webrtc_stage


class Picture(VideoStreamTrack):
    """A moving gradient."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        ramp = (np.add.outer(np.arange(240), np.arange(320)) + pts // 500) % 256
        frame = av.VideoFrame.from_ndarray(np.stack([ramp] * 3, axis=-1).astype(np.uint8), format="rgb24")
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

    def __init__(self, *codecs: str) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        video = self.connection.addTransceiver(Picture(), direction="sendonly")
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
async def outside_host(*codecs: str) -> AsyncIterator[OutsideHost]:
    host = OutsideHost(*codecs)
    try:
        yield host
    finally:
        await host.connection.close()


class Listener:
    """A reader of a relay that keeps what it gets."""

    def __init__(self, relay: Relay, now_ms: int) -> None:
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

    async def until(self, count: int, kind: Kind, *, key: bool = False) -> list[Packet]:
        async with asyncio.timeout(60):
            while True:
                found = [p for p in self.packets if p.kind is kind and not p.config and (p.key or not key)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)


async def test_readers_get_h264_and_aac_that_decode_with_times_that_go_on() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        video = await listener.until(40, Kind.VIDEO)
        audio = await listener.until(40, Kind.AUDIO)
        assert {p.codec for p in video} == {Codec.H264}
        assert {p.codec for p in audio} == {Codec.AAC}
        for track in (video, audio):
            times = [p.dts_ms for p in track]
            assert times == sorted(set(times))
        configs = {p.kind: p for p in listener.packets if p.config}
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.extradata = configs[Kind.VIDEO].data
        pictures = [frame for p in video for frame in decoder.decode(av.Packet(p.data))]
        assert {(frame.width, frame.height) for frame in pictures} == {(320, 240)}
        assert len(pictures) > 30
        sound = av.CodecContext.create("aac", "r")
        sound.extradata = configs[Kind.AUDIO].data
        assert isinstance(sound, av.AudioCodecContext)
        loud = [float(np.abs(frame.to_ndarray()).max()) for p in audio for frame in sound.decode(av.Packet(p.data))]
        assert max(loud) > 0.1
        info = stage.directory.info("room")
        assert (info.live, info.width, info.audio_codec) == (True, 320, "mp4a.40.2")


async def test_picture_and_sound_lie_as_the_sender_reports_say() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        await listener.until(60, Kind.VIDEO)
        (publisher,) = stage.whip._hosts.values()
        assert publisher._audio is not None
        video_ms, audio_ms = publisher._video.first_ntp_ms(), publisher._audio.first_ntp_ms()
        assert video_ms is not None
        assert audio_ms is not None
        assert abs((publisher._audio.base_ms - publisher._video.base_ms) - (audio_ms - video_ms)) <= 20


async def test_a_key_frame_is_asked_for_while_readers_cannot_ask_themselves() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        await listener.until(1, Kind.VIDEO, key=True)
        asked = stage.whip.totals.keys_asked
        stage.ahead_ms += 2_500
        keys = await listener.until(2, Kind.VIDEO, key=True)
        assert len(keys) >= 2
        assert stage.whip.totals.keys_asked > asked


async def test_a_webrtc_viewer_sees_and_hears_a_webrtc_host() -> None:
    async with webrtc_stage() as stage, outside_host() as host, outside_viewer() as viewer:
        await host.publish(stage)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=20, audio=20)
        assert viewer.sizes == {(320, 240)}
        assert viewer.loudest > 2000


async def test_a_viewers_request_for_a_key_frame_reaches_the_host_at_a_bounded_rate() -> None:
    async with webrtc_stage() as stage, outside_host() as host, outside_viewer("video") as viewer:
        await host.publish(stage)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=5)
        stage.ahead_ms += 1_000
        before = stage.whip.totals.keys_asked
        (seen,) = stage.whep._viewers.values()
        for _ in range(20):
            seen.on_rtcp(rtcp.picture_loss(1, seen.stream.video_ssrc), stage.clock())
        assert stage.whip.totals.keys_asked == before + 1


async def test_a_host_without_h264_is_told_so() -> None:
    async with webrtc_stage() as stage, outside_host("video/VP8") as host:
        with pytest.raises(OfferRefused, match=r"H\.264") as refused:
            stage.whip.join("room", await host.offer(), client="127.0.0.1")
        assert (refused.value.status, refused.value.code) == (422, "no_h264")
        assert stage.directory.info("room").live is False


async def test_a_second_host_is_refused_while_the_first_sends_and_takes_over_when_it_is_silent() -> None:
    async with webrtc_stage() as stage, outside_host() as first, outside_host() as second:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await first.publish(stage)
        await listener.until(5, Kind.VIDEO)
        offer = await second.offer()
        with pytest.raises(OfferRefused) as refused:
            stage.whip.join("room", offer, client="127.0.0.1")
        assert (refused.value.status, refused.value.code) == (409, "live")
        assert stage.whip.stats().publishers == 1
        # A socket that is silent and still looks alive.
        stage.ahead_ms += 600
        await second.publish(stage)
        assert stage.whip.stats().publishers == 1
        seen = len(listener.packets)
        await listener.until(seen + 10, Kind.VIDEO)


async def test_lost_packets_are_asked_for_and_come_again() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        await listener.until(3, Kind.VIDEO)
        take, count = stage.transport.receive, 0

        def lossy(data: bytes, address: Address, now_ms: int) -> None:
            nonlocal count
            media = 128 <= data[0] < 192 and not rtcp.is_rtcp(data)
            count += media
            if not media or count % 20:
                take(data, address, now_ms)

        stage.transport.receive = lossy  # type: ignore[method-assign]
        broken = stage.whip.totals.broken_frames
        await listener.until(90, Kind.VIDEO)
        assert stage.whip.totals.nacked > 0
        assert stage.whip.totals.broken_frames == broken


async def test_a_host_that_stops_gives_its_room_back() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        accepted = await host.publish(stage)
        await listener.until(3, Kind.VIDEO)
        assert not stage.whip.leave("another", accepted.id)
        assert stage.whip.leave("room", accepted.id)
        assert stage.directory.info("room").live is False
        assert stage.whip.stats().publishers == 0
