"""WHIP with aiortc as a host from outside: what readers and WHEP viewers get of it, keys, takeover, refusals."""

import asyncio
import threading
from itertools import pairwise

import av
import pytest

from stream.errors import OfferRefused
from stream.packet import Codec, Kind
from stream.protocol import rtcp, rtp
from stream.transcode_audio import AUDIO_THREAD
from stream.webrtc_session import Address
from tests.stream.webrtc_host import Listener, outside_host
from tests.stream.webrtc_stage import outside_viewer, webrtc_stage


async def test_readers_get_h264_and_opus_as_they_came_with_times_that_go_on() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        video = await listener.until(40, Kind.VIDEO)
        audio = await listener.until(40, Kind.AUDIO)
        assert {p.codec for p in video} == {Codec.H264}
        assert {p.codec for p in audio} == {Codec.OPUS}
        for track in (video, audio):
            times = [p.dts_ms for p in track]
            assert times == sorted(set(times))
        # But for where the first reports moved the sound.
        steps = [b.dts_ms - a.dts_ms for a, b in pairwise(audio)]
        assert steps.count(20) >= len(steps) - 3
        configs = {p.kind: p for p in listener.packets if p.config}
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.extradata = configs[Kind.VIDEO].data
        pictures = [frame for p in video for frame in decoder.decode(av.Packet(p.data))]
        assert {(frame.width, frame.height) for frame in pictures} == {(320, 240)}
        assert len(pictures) > 30
        info = stage.directory.info("room")
        assert (info.live, info.width, info.audio_codec) == (True, 320, "opus")


def audio_threads() -> set[threading.Thread]:
    """Transcoders of this process: each runs on a thread of this name."""
    return {thread for thread in threading.enumerate() if thread.name == AUDIO_THREAD}


async def test_sound_of_a_webrtc_host_is_not_transcoded_while_only_webrtc_viewers_are_there() -> None:
    others = audio_threads()
    async with webrtc_stage() as stage, outside_host() as host, outside_viewer() as viewer:
        await host.publish(stage)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=10, audio=20)
        assert viewer.loudest > 2000
        assert audio_threads() <= others
        assert stage.whep.stats().transcoded == 0
        # The same room's first reader of AAC starts the one transcoder, the second shares it, the last one ends it.
        view = stage.directory.aac("room")
        first, second = Listener(view, stage.clock()), Listener(view, stage.clock())
        for listener in (first, second):
            assert {p.codec for p in await listener.until(20, Kind.AUDIO)} == {Codec.AAC}
        assert len(audio_threads() - others) == 1
        assert stage.directory.stats().aac_rooms == 1
        assert all(a is b for a, b in zip(first.sound()[-10:], second.sound()[-10:], strict=True))
        heard = viewer.frames["audio"]
        for listener in (first, second):
            view.detach(listener)
        async with asyncio.timeout(60):
            while audio_threads() - others:
                await asyncio.sleep(0.02)
        await viewer.until(audio=heard + 20)


async def test_picture_and_sound_lie_as_the_sender_reports_say() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        await listener.until(60, Kind.VIDEO)
        (publisher,) = stage.whip._hosts.values()
        assert publisher._audio is not None
        assert publisher._video is not None
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


async def test_sound_that_the_reports_move_back_goes_on_in_step_and_its_times_never_go_back() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        await listener.until(20, Kind.AUDIO)
        (publisher,) = stage.whip._hosts.values()
        assert publisher._audio is not None
        # As when the first sound was long on the way: reports say that it is half a second older than it seemed.
        publisher._audio.base_ms += 500
        count = len(listener.sound())
        await listener.until(count + 20, Kind.AUDIO)
        publisher._audio.base_ms -= 500
        await listener.until(count + 60, Kind.AUDIO)
        times = [p.dts_ms for p in listener.sound()]
        assert times == sorted(set(times))
        picture, sound = listener.pictures()[-1], listener.sound()[-1]
        assert abs(sound.dts_ms - picture.dts_ms) < 200


async def test_a_picture_that_was_under_way_when_the_source_changed_is_not_shown() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        await host.publish(stage)
        await stage.until_playing()
        (publisher,) = stage.whip._hosts.values()
        frames = stage.whip.totals.frames
        assert publisher._video is not None
        payload_type = publisher._video.payload_type
        for ssrc, marker, unit in ((1, False, b"\x65first"), (2, True, b"\x41second")):
            publisher.on_rtp(rtp.rtp_packet(payload_type, marker, 1, 90_000 * ssrc, ssrc, unit), stage.clock())
        assert stage.whip.totals.frames == frames


async def test_parameter_sets_of_an_absurd_size_are_a_broken_picture() -> None:
    async with webrtc_stage() as stage, outside_host() as host:
        await host.publish(stage)
        await stage.until_playing()
        (publisher,) = stage.whip._hosts.values()
        broken = stage.whip.totals.broken_frames
        units = (b"\x67" + bytes(70_000), b"\x68pps", b"\x65slice")
        publisher._push_frame(rtp.Frame(0, units, True, True), stage.clock())
        assert stage.whip.totals.broken_frames == broken + 1


async def test_no_key_frame_is_asked_for_while_all_readers_can_ask_themselves() -> None:
    async with webrtc_stage() as stage, outside_host() as host, outside_viewer("video") as viewer:
        await host.publish(stage)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=10)
        asked = stage.whip.totals.keys_asked
        stage.ahead_ms += 5_000
        await viewer.until(video=viewer.frames["video"] + 30)
        assert stage.whip.totals.keys_asked == asked


async def test_sound_alone_goes_from_a_webrtc_host_to_all_viewers() -> None:
    async with webrtc_stage() as stage, outside_host(picture=False) as host, outside_viewer("audio") as viewer:
        heard = Listener(stage.directory.aac("room"), stage.clock())
        await host.publish(stage)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(audio=20)
        assert viewer.loudest > 2000
        assert viewer.frames["video"] == 0
        assert {p.codec for p in await heard.until(20, Kind.AUDIO)} == {Codec.AAC}
        assert stage.whip.totals.keys_asked == stage.whep.totals.keys_wanted == 0


async def test_a_viewer_of_sound_alone_is_sent_for_the_picture_when_there_is_one() -> None:
    async with webrtc_stage() as stage, outside_viewer("audio") as viewer:
        async with outside_host(picture=False) as first:
            accepted = await first.publish(stage)
            await stage.until_playing()
            await viewer.play(stage)
            await viewer.until(audio=5)
            stage.whip.leave("room", accepted.id)
        async with outside_host() as second:
            await second.publish(stage)
            async with asyncio.timeout(60):
                while stage.whep.viewers:
                    await asyncio.sleep(0.02)


async def test_a_host_of_vp8_is_taken_where_that_is_allowed_and_seen_by_webrtc_viewers_as_it_came() -> None:
    codecs = (Codec.H264, Codec.VP8)
    async with webrtc_stage(codecs=codecs) as stage, outside_host("video/VP8") as host, outside_viewer() as viewer:
        listener = Listener(stage.directory.relay("room"), stage.clock())
        await host.publish(stage)
        pictures = await listener.until(10, Kind.VIDEO)
        assert {p.codec for p in pictures} == {Codec.VP8}
        assert pictures[0].key
        assert stage.directory.info("room").video_codec == "vp8"
        await viewer.play(stage)
        await viewer.until(video=20, audio=20)
        assert viewer.sizes == {(320, 240)}


async def test_h264_is_answered_first_though_vp8_is_allowed_and_offered_first() -> None:
    codecs = (Codec.H264, Codec.VP8)
    async with webrtc_stage(codecs=codecs) as stage, outside_host("video/VP8", "video/H264") as host:
        offer = await host.offer()
        assert offer.index("VP8/90000") < offer.index("H264/90000")
        sdp = stage.whip.join("room", offer, client="127.0.0.1").sdp
        assert "H264/90000" in sdp
        assert "VP8/90000" not in sdp


async def test_viewers_whose_codec_the_next_host_does_not_send_are_let_go() -> None:
    codecs = (Codec.H264, Codec.VP8)
    async with webrtc_stage(codecs=codecs) as stage, outside_viewer("video") as viewer:
        async with outside_host() as first:
            accepted = await first.publish(stage)
            await stage.until_playing()
            await viewer.play(stage)
            await viewer.until(video=5)
            stage.whip.leave("room", accepted.id)
        async with outside_host("video/VP8") as second:
            await second.publish(stage)
            async with asyncio.timeout(60):
                while stage.whep.viewers:
                    await asyncio.sleep(0.02)
