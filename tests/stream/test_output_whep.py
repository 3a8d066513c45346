"""WHEP with aiortc as a player from outside: picture, sound, limits, farewells."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from aiortc import RTCSessionDescription

from stream.directory import Directory
from stream.errors import OfferRefused
from stream.output_whep import AS_THE_SOUND_NEEDS, AT_ONCE, WhepLimits
from stream.packet import Codec, Kind, Packet
from stream.protocol import opus, rtcp, rtp
from stream.protocol.rtp import RtpPacket, extension_block, parse_rtp
from stream.relay import Relay
from stream.srtp import Run
from stream.webrtc_sdp import PLAYOUT_DELAY
from stream.webrtc_transport import TransportLimits
from stream.whep_stream import PACE_S, PASS_PACKETS, Variant, WhepStream, WhepTotals
from tests.stream.media import Clip, make_clip
from tests.stream.stage import Host
from tests.stream.webrtc_stage import OutsideViewer, outside_viewer, webrtc_stage


@pytest.fixture(scope="module")
def plain_clip() -> Clip:
    """Without B-frames, as WebRTC needs it."""
    return make_clip(2, b_frames=0)


async def test_a_viewer_sees_and_hears_an_rtmp_host(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer() as viewer:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=30, audio=30)
        assert viewer.sizes == {(320, 240)}
        assert viewer.loudest > 2000
        assert stage.whep.stats().viewers == 1


async def test_the_first_picture_comes_from_the_cached_key_frame(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        publication = stage.publish()
        for packet in (*plain_clip.configs, *plain_clip.media[:30]):
            publication.push(packet, stage.clock())
        await viewer.play(stage)
        # Nothing more comes from the host.
        await viewer.until(video=8)


async def test_the_transcoder_runs_only_while_somebody_listens(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        async with outside_viewer("video") as viewer:
            await viewer.play(stage)
            await viewer.until(video=5)
            assert stage.whep.stats().transcoded == 0
        async with outside_viewer() as listener:
            await listener.play(stage)
            await listener.until(audio=5)
        relay = stage.directory.find("room")
        async with asyncio.timeout(60):
            while relay is not None and relay.has_readers:
                await asyncio.sleep(0.02)
        counted = stage.whep.stats().transcoded
        await asyncio.sleep(0.1)
        assert stage.whep.stats().transcoded == counted


async def test_a_room_that_is_not_live_is_a_conflict_that_says_when_to_come_back() -> None:
    async with webrtc_stage() as stage, outside_viewer() as viewer:
        with pytest.raises(OfferRefused) as refused:
            stage.whep.join("room", await viewer.offer(), client="127.0.0.1")
        assert (refused.value.status, refused.value.code, refused.value.retry_ms) == (409, "not_live", 1000)


async def test_b_frames_are_refused_with_a_reason(clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer() as viewer:
        publication = stage.publish()
        for packet in (*clip.configs, *clip.media[:40]):
            publication.push(packet, stage.clock())
        with pytest.raises(OfferRefused, match="B-frames") as refused:
            stage.whep.join("room", await viewer.offer(), client="127.0.0.1")
        assert (refused.value.status, refused.value.code) == (422, "b_frames")


async def test_a_viewer_that_vanishes_is_dropped_within_ten_seconds(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        publication = stage.publish()
        stage.feed(publication, plain_clip, ready=20)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=3)
        stage.ahead_ms = 9_900
        stage.transport.sweep(stage.clock())
        assert stage.whep.viewers == 0
        assert stage.transport.stats().consent_lost == 1
        assert not publication.relay.has_readers


async def test_a_viewer_that_closes_is_gone_at_once(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        async with outside_viewer("video") as viewer:
            await viewer.play(stage)
            await viewer.until(video=3)
        async with asyncio.timeout(60):
            while stage.whep.viewers:
                await asyncio.sleep(0.02)


async def test_a_session_that_is_never_connected_is_forgotten(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        publication = stage.publish()
        stage.feed(publication, plain_clip, ready=20)
        await stage.until_playing()
        stage.whep.join("room", await viewer.offer(), client="127.0.0.1")
        stage.ahead_ms = 16_000
        stage.transport.sweep(stage.clock())
        assert stage.whep.viewers == 0
        assert stage.transport.stats().setup_timeouts == 1


async def test_deleting_a_session_ends_it_for_its_own_room_only(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        accepted = await viewer.play(stage)
        await viewer.until(video=3)
        assert not stage.whep.leave("another", accepted.id)
        assert stage.whep.leave("room", accepted.id)
        assert not stage.whep.leave("room", accepted.id)
        assert stage.whep.viewers == 0


async def test_rooms_and_the_server_take_a_bounded_number_of_viewers(plain_clip: Clip) -> None:
    limits = TransportLimits(sessions_max=3, sessions_per_address_max=1)
    async with webrtc_stage(limits, WhepLimits(viewers_per_room_max=2)) as stage, outside_viewer() as viewer:
        for room in ("room", "other"):
            publication = stage.publish(room)
            for packet in (*plain_clip.configs, *plain_clip.media[:30]):
                publication.push(packet, stage.clock())
        offer = await viewer.offer()
        codes = []
        for room, client in (
            ("room", "127.0.0.1"),
            ("room", "127.0.0.1"),
            ("room", "127.0.0.1"),
            ("other", "203.0.113.9"),
            ("other", "203.0.113.9"),
        ):
            try:
                stage.whep.join(room, offer, client=client)
                codes.append("")
            except OfferRefused as refused:
                codes.append(refused.code)
        assert codes == ["", "", "room_full", "", "full"]
        stage.transport.limits = TransportLimits(sessions_per_address_max=1)
        with pytest.raises(OfferRefused) as refused_address:
            stage.whep.join("other", offer, client="203.0.113.9")
        assert refused_address.value.status == 429


async def test_viewers_stay_when_the_host_returns_and_go_on_with_its_new_picture(
    plain_clip: Clip,
) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        first = stage.publish()
        stage.feed(first, plain_clip, ready=20)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=5)
        first.end("dropped", stage.clock())
        seen = viewer.frames["video"]
        stage.feed(stage.publish(), make_clip(2, size=(160, 96), b_frames=0), ready=20)
        await viewer.until(video=seen + 20)
        assert (160, 96) in viewer.sizes


async def test_the_end_of_the_stream_ends_its_viewers(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        await viewer.play(stage)
        await viewer.until(video=3)
        stage.directory.close()
        assert stage.whep.viewers == 0


async def test_two_viewers_get_the_same_bytes_before_encryption(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as one, outside_viewer("video") as two:
        publication = stage.publish()
        for packet in (*plain_clip.configs, *plain_clip.media[:30]):
            publication.push(packet, stage.clock())
        sent: dict[str, list[bytes]] = {}
        for name, viewer in (("one", one), ("two", two)):
            await viewer.play(stage)
            await viewer.until(video=2)
            joined = list(stage.whep._viewers.values())[-1]
            original = joined.send_rtp
            log = sent.setdefault(name, [])

            def note(
                packets: list[bytes], runs: object = None, log: list[bytes] = log, original: object = original
            ) -> None:
                log.extend(packets)
                original(packets, runs)  # type: ignore[operator]

            joined.send_rtp = note
        for packet in plain_clip.media[30:60]:
            if packet.kind is Kind.VIDEO:
                publication.push(packet, stage.clock())
        async with asyncio.timeout(60):
            while not sent["one"] or len(sent["one"]) != len(sent["two"]):
                await asyncio.sleep(0.02)
        assert all(a is b for a, b in zip(sent["one"], sent["two"], strict=True))


async def test_a_viewer_answers_nothing_to_a_wrong_password(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage:
        viewer = OutsideViewer("video")
        publication = stage.publish()
        for packet in (*plain_clip.configs, *plain_clip.media[:30]):
            publication.push(packet, stage.clock())
        accepted = stage.whep.join("room", await viewer.offer(), client="127.0.0.1")
        session = stage.transport._sessions[accepted.id]
        session.password = "another"
        from stream.protocol import stun

        request = stun._signed(0x0001, bytes(12), 0x0006, f"{session.ufrag}:x".ljust(20).encode(), "guess")
        stage.transport.receive(request, ("127.0.0.1", 9), stage.clock())
        assert stage.transport.stats().datagrams_out == 0
        assert stage.transport.stats().ignored == 1
        await viewer.close()


class Ear:
    """A viewer of a stream that keeps what it is sent."""

    codec = Codec.H264
    variant: Variant = (96, b"")
    audio_payload_type: int | None = 111
    cursor: int | None = None

    def caught_up(self) -> None:
        """It holds nothing back."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, int]] = []
        """(the loop's time, how many packets) of each hand-over."""
        self.packets: list[bytes] = []
        self.reports: list[rtcp.Report] = []
        self.ended: list[str] = []

    def send_rtp(self, packets: list[bytes], runs: object = None) -> None:
        self.batches.append((asyncio.get_running_loop().time(), len(packets)))
        self.packets += packets

    def send_rtcp(self, data: bytes) -> None:
        self.reports += rtcp.parse_rtcp(data)

    def end(self, reason: str) -> None:
        self.ended.append(reason)

    def sound(self) -> list[RtpPacket]:
        return [p for p in map(parse_rtp, self.packets) if p.payload_type == 111]


def ear_at(relay: Relay, now_ms: int = 0, variant: Variant = (96, b"")) -> Ear:
    ear = Ear()
    ear.variant = variant
    stream = WhepStream(relay, clock=lambda: now_ms, totals=WhepTotals(), on_empty=lambda stream: None)
    stream.join(ear, now_ms)
    return ear


async def test_sound_lies_end_to_end_in_samples_though_times_are_told_in_milliseconds(plain_clip: Clip) -> None:
    directory = Directory(lambda: 0)
    publication = directory.publish("room", Host(), 0)
    picture = plain_clip.only(Kind.VIDEO)
    sound = Packet(Kind.AUDIO, Codec.OPUS, 0, 0, True, True, opus.head())
    half = bytes((0x80, 1))  # CELT, 2.5 ms: a length that milliseconds cannot say
    for packet in (*picture[:2], sound):
        publication.push(packet, 0)
    publication.push(replace(sound, config=False, data=half), 0)
    ear = ear_at(publication.relay)
    for number in range(1, 100):
        publication.push(replace(sound, config=False, data=half, dts_ms=number * 5 // 2), 0)
    steps = {b.timestamp - a.timestamp for a, b in pairwise(ear.sound())}
    assert steps == {120}
    # A second of silence (DTX) is a gap and nothing else.
    before = ear.sound()[-1].timestamp
    publication.push(replace(sound, config=False, data=half, dts_ms=1248), 0)
    assert ear.sound()[-1].timestamp - before == pytest.approx(1000 * 48, abs=5 * 48)


@pytest.mark.parametrize(("kinds", "settles"), [(("video", "audio"), True), (("video",), False)])
async def test_a_player_may_hold_the_picture_for_the_sound_once_it_has_caught_up(
    plain_clip: Clip, kinds: tuple[str, ...], settles: bool
) -> None:
    at_once, as_needed = (rtp.extension_block(5, delay) for delay in (AT_ONCE, AS_THE_SOUND_NEEDS))
    async with webrtc_stage() as stage, outside_viewer(*kinds) as viewer:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        offer = await viewer.offer()
        assert "m=video" in offer
        head, mark, video = offer.partition("m=video")
        line, end, rest = video.partition("\r\n")
        offer = head + mark + line + end + rest.replace("a=mid", f"a=extmap:5 {PLAYOUT_DELAY}\r\na=mid", 1)
        accepted = stage.whep.join("room", offer, client="127.0.0.1")
        (mine,) = stage.whep._viewers.values()
        payload_type = mine.variant[0]
        sent: list[bytes] = []
        connected = mine.on_connected

        def note(now_ms: int) -> None:
            connected(now_ms)
            send = mine.send_rtp

            def noting(packets: list[bytes], runs: Sequence[Run] | None) -> None:
                sent.extend(packet[12:20] for packet in packets if packet[1] & 127 == payload_type)
                send(packets, runs)

            mine.send_rtp = noting

        mine.on_connected = note  # type: ignore[method-assign]
        await viewer.connection.setRemoteDescription(RTCSessionDescription(accepted.sdp, "answer"))
        await viewer.until(video=5)
        async with asyncio.timeout(60):
            while not (at_once in sent and len(sent) > 50 and (as_needed in sent or not settles)):
                await asyncio.sleep(0.02)
    assert sent[0] == at_once
    assert set(sent) == ({at_once, as_needed} if settles else {at_once})


async def test_a_long_key_frame_leaves_in_small_bursts() -> None:
    directory = Directory(lambda: 0)
    publication = directory.publish("room", Host(), 0)
    config = next(packet for packet in make_clip(1, (160, 96), b_frames=0).configs if packet.kind is Kind.VIDEO)
    unit = b"\x65" + bytes(500_000)
    publication.push(config, 0)
    publication.push(replace(config, config=False, key=True, data=len(unit).to_bytes(4, "big") + unit), 0)
    publication.relay.tick(3_000)
    ear = ear_at(publication.relay)
    async with asyncio.timeout(60):
        while sum(count for _, count in ear.batches) < 419:
            await asyncio.sleep(0.01)
    assert max(count for _, count in ear.batches) <= PASS_PACKETS
    # At least so long between two of them, however busy the machine is.
    assert min(b - a for (a, _), (b, _) in pairwise(ear.batches)) > PACE_S / 2
    assert [parse_rtp(data).marker for data in ear.packets] == [False] * 418 + [True]


async def test_players_that_know_it_are_told_to_show_pictures_at_once(plain_clip: Clip) -> None:
    directory = Directory(lambda: 0)
    publication = directory.publish("room", Host(), 0)
    for packet in plain_clip.packets[:40]:
        publication.push(packet, 0)
    block = extension_block(5, bytes(3))
    told = ear_at(publication.relay, variant=(96, block))
    untold = ear_at(publication.relay)
    async with asyncio.timeout(60):
        while not (told.packets and untold.packets):
            await asyncio.sleep(0.01)
    # One-byte header, number 5, 3 bytes of zeros: least and most delay 0 (RFC 8285 section 4.2, playout-delay).
    assert told.packets[0][12:20] == bytes.fromhex("bede0001 52000000")
    assert told.packets[0][0] & 0x10
    assert not untold.packets[0][0] & 0x10
    assert parse_rtp(told.packets[0]).payload == parse_rtp(untold.packets[0]).payload


async def test_reports_lay_picture_and_sound_on_one_clock(plain_clip: Clip) -> None:
    now_ms = 1_000
    directory = Directory(lambda: now_ms)
    publication = directory.publish("room", Host(), now_ms)
    sound = Packet(Kind.AUDIO, Codec.OPUS, 0, 0, True, True, opus.head())
    picture = plain_clip.only(Kind.VIDEO)
    for packet in (*picture[:5], sound, replace(sound, config=False, data=b"\xfcx")):
        publication.push(packet, now_ms)
    ear = Ear()
    stream = WhepStream(publication.relay, clock=lambda: now_ms, totals=WhepTotals(), on_empty=lambda stream: None)
    stream.join(ear, now_ms)
    publication.push(replace(sound, config=False, data=b"\xfcx", dts_ms=200), now_ms)
    publication.push(replace(picture[5], dts_ms=200), now_ms)
    now_ms += 1_000
    stream.tick(now_ms)
    async with asyncio.timeout(60):
        while len(ear.packets) < 3:
            await asyncio.sleep(0.01)
    reports = {r.ssrc: r for r in ear.reports if isinstance(r, rtcp.SenderReport)}
    video, audio = reports[stream.video_ssrc], reports[stream.audio_ssrc]
    assert video.ntp == audio.ntp == rtcp.ntp_of(now_ms)
    video_ms = (video.timestamp - stream.epoch) % 2**32 / 90
    audio_ms = (audio.timestamp - stream.epoch) % 2**32 / 48
    assert video_ms == audio_ms
    # Both packets were of the same moment.
    last = {p.payload_type: p for p in map(parse_rtp, ear.packets)}
    assert (last[96].timestamp - stream.epoch) % 2**32 / 90 == (last[111].timestamp - stream.epoch) % 2**32 / 48


async def test_a_viewer_that_waits_for_the_handshake_plays(plain_clip: Clip) -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        offer = (await viewer.offer()).replace("a=setup:actpass", "a=setup:passive")
        sdp = stage.whep.join("room", offer, client="127.0.0.1").sdp
        assert "a=setup:active" in sdp
        await viewer.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        await viewer.until(video=10, seconds=60)
