"""Enhanced RTMP v2: bodies by hand, what connect says, and hosts of PyAV's FFmpeg through to FLV and RTMP."""

import asyncio
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.directory import Directory
from stream.fanout import ViewerLimits
from stream.ingest_rtmp import RtmpIngest
from stream.packet import Codec, Kind, Packet
from stream.protocol import amf0, flv
from stream.protocol.rtmp_events import MediaReceived
from stream.protocol.rtmp_session import RtmpSession
from stream.relay import Relay
from stream.tag_encoder import FlvEncoder
from tests.stream import enhanced_host
from tests.stream.media import AVCC, packets
from tests.stream.rtmp_peer import ENTROPY, HELLO, SERVER_HANDSHAKE_BYTES, command, commands
from tests.stream.rtmp_stage import KEY, PATIENCE_S, rtmp_stage, run
from tests.stream.stage import Host

VIDEO = {b"avc1": Codec.H264, b"hvc1": Codec.HEVC, b"av01": Codec.AV1, b"vp08": Codec.VP8, b"vp09": Codec.VP9}
AUDIO = {
    b"mp4a": Codec.AAC,
    b".mp3": Codec.MP3,
    b"Opus": Codec.OPUS,
    b"fLaC": Codec.FLAC,
    b"ac-3": Codec.AC3,
    b"ec-3": Codec.EAC3,
}


def picture(kind: int, rest: bytes, frame: int = 1) -> Packet | None:
    return flv.parse_video_body(bytes((0x80 | frame << 4 | kind,)) + rest, 5)


def sound(kind: int, rest: bytes) -> Packet | None:
    return flv.parse_audio_body(bytes((0x90 | kind,)) + rest, 5)


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fourcc", "codec"), VIDEO.items())
def test_each_video_packet_type_is_read(fourcc: bytes, codec: Codec) -> None:
    offset = b"\xff\xff\xd8" if codec in (Codec.H264, Codec.HEVC) else b""
    assert picture(0, fourcc + b"record") == Packet(Kind.VIDEO, codec, 5, 0, False, True, b"record")
    cts_ms = -40 if offset else 0
    assert picture(1, fourcc + offset + b"unit") == Packet(Kind.VIDEO, codec, 5, cts_ms, True, False, b"unit")
    assert picture(3, fourcc + b"unit", 2) == Packet(Kind.VIDEO, codec, 5, 0, False, False, b"unit")
    for nothing in (2, 4, 5, 8):
        assert picture(nothing, fourcc + b"more") is None


@pytest.mark.parametrize(("fourcc", "codec"), AUDIO.items())
def test_each_audio_packet_type_is_read(fourcc: bytes, codec: Codec) -> None:
    assert sound(0, fourcc + b"head") == Packet(Kind.AUDIO, codec, 5, 0, True, True, b"head")
    assert sound(1, fourcc + b"frame") == Packet(Kind.AUDIO, codec, 5, 0, True, False, b"frame")
    for nothing in (2, 3, 4, 8):
        assert sound(nothing, fourcc + b"more") is None


def test_nanoseconds_and_what_else_modifies_are_stepped_over() -> None:
    nanoseconds = b"\x02\x0f\x42\x3f"  # 999,999 ns: 3 bytes, as size − 1
    assert picture(7, nanoseconds + b"\x03" + b"hvc1unit") == picture(3, b"hvc1unit")
    assert sound(7, nanoseconds + b"\x01" + b"Opusframe") == sound(1, b"Opusframe")
    long = b"\xff\x01\x2b" + bytes(300) + b"\x17" + nanoseconds + b"\x03"
    assert picture(7, long + b"hvc1unit") == picture(3, b"hvc1unit")
    for cut in range(len(long)):
        assert picture(7, long[:cut]) is None


def test_of_many_tracks_number_0_is_taken_wherever_it_stands_and_the_others_are_counted() -> None:
    two = b"\1\0\0\3two"
    first = b"\0\0\0\3one"
    many = b"\x13" + b"hvc1" + two + first
    mixed = b"\x23" + b"av01" + two + b"hvc1" + first
    for body in (many, mixed):
        packet = picture(6, body)
        assert packet is not None
        assert (packet.codec, packet.data) == (Codec.HEVC, b"one")
        assert flv.tracks_left_out(Kind.VIDEO, b"\x96" + body) == 1
    assert sound(5, b"\x11" + b"Opus" + two + first) == sound(1, b"Opusone")
    assert flv.tracks_left_out(Kind.AUDIO, b"\x95\x11Opus" + two + first) == 1
    assert picture(6, b"\x13hvc1" + two) is None
    assert flv.tracks_left_out(Kind.VIDEO, b"\x96\x03hvc1\x02unit") == 1
    assert flv.tracks_left_out(Kind.VIDEO, b"\x17\x01\0\0\0") == 0
    assert flv.tracks_left_out(Kind.VIDEO, b"") == 0


@given(st.binary(max_size=40))
def test_no_bytes_break_multitrack_and_modifiers(rest: bytes) -> None:
    for kind in (5, 6, 7):
        for packet in (picture(kind, rest), sound(kind, rest)):
            assert packet is None or packet.data
        flv.tracks_left_out(Kind.VIDEO, bytes((0x90 | kind,)) + rest)


@pytest.mark.parametrize("codec", [*VIDEO.values(), *AUDIO.values()])
@pytest.mark.parametrize(("config", "cts_ms"), [(True, 0), (False, 0), (False, 80)])
def test_what_is_written_reads_back_as_it_was(codec: Codec, config: bool, cts_ms: int) -> None:
    video = codec in VIDEO.values()
    kind = Kind.VIDEO if video else Kind.AUDIO
    cts_ms = cts_ms if codec in (Codec.H264, Codec.HEVC) else 0
    if codec is Codec.MP3 and config:
        return  # it has none
    packet = Packet(kind, codec, 7, cts_ms, not video or not config, config, b"data")
    body = flv.body_prefix(packet) + packet.data
    assert (flv.parse_video_body if video else flv.parse_audio_body)(body, 7) == packet


# -- connect -----------------------------------------------------------------------------------------------------------


def test_a_peer_that_asks_is_told_what_can_be_forwarded() -> None:
    session = RtmpSession(ENTROPY)
    asked: dict[str, amf0.Value] = {"app": "live", "fourCcList": ["*"], "videoFourCcInfoMap": {"*": 1.0}, "capsEx": 7.0}
    session.receive_data(HELLO + command("connect", 1, asked))
    ((_, _, properties, information),) = commands(session.data_to_send()[SERVER_HANDSHAKE_BYTES:])
    for answer in (properties, information):
        assert isinstance(answer, dict)
        assert answer["capsEx"] == 7
        assert answer["videoFourCcInfoMap"] == {fourcc.decode(): 4 for fourcc in VIDEO}
        assert answer["audioFourCcInfoMap"] == {fourcc.decode(): 4 for fourcc in AUDIO}
        assert answer["fourCcList"] == [fourcc.decode() for fourcc in (*VIDEO, *AUDIO)]
    assert session.capabilities == 7


@pytest.mark.parametrize("caps", [float("nan"), float("inf"), -1.0, 2.0**40, "7", None])
def test_capabilities_that_are_no_number_are_none(caps: float | str | None) -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(HELLO + command("connect", 1, {"app": "live", "capsEx": caps}))
    assert session.capabilities == 0
    assert session.events_received() == []


def test_an_older_peer_sees_no_field_that_it_does_not_know() -> None:
    session = RtmpSession(ENTROPY)
    session.receive_data(HELLO + command("connect", 1, {"app": "live"}))
    assert b"fourCc" not in session.data_to_send()


# -- hosts -------------------------------------------------------------------------------------------------------------


class FlvFile:
    """A reader that keeps the stream as an FLV file."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.data = b""

    def on_start(self, now_ms: int) -> None:
        self.encoder = FlvEncoder(self.relay)
        self.data += self.encoder.head(self.relay.gop[0].dts_ms if self.relay.gop else 0)
        for packet in self.relay.gop:
            self.encoder.take(packet)

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        self.encoder.take(packet)

    def on_stop(self, now_ms: int) -> None:
        self.data += self.encoder.cut()

    def on_close(self, now_ms: int) -> None:
        return


@pytest.mark.parametrize(
    ("picture_by", "sound_by", "codecs"),
    [
        ("libx265", "aac", ("hvc1.1.6.L60.90", "mp4a.40.2")),
        ("libsvtav1", "libopus", ("av01.0.00M.08", "opus")),
        ("libvpx-vp9", "ac3", ("vp09.00.11.08", "ac-3")),
        ("libx264", "flac", ("avc1.64000c", "flac")),
        ("libx264", "eac3", ("avc1.64000c", "ec-3")),
    ],
)
async def test_a_host_of_a_new_codec_is_told_right_and_played_as_it_came(
    picture_by: str, sound_by: str, codecs: tuple[str, str]
) -> None:
    async with rtmp_stage() as stage:
        relay = stage.directory.relay("room")
        file = FlvFile(relay)
        relay.attach(file, 0, host_only=True)
        infos = []
        stage.directory.listen(lambda event: infos.append(event.info))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.stream.enhanced_host", stage.url(f"room?key={KEY}"), picture_by, sound_by),
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            _, said = await process.communicate()
            assert process.returncode == 0, said.decode()
            while stage.server.stats().connections:
                await asyncio.sleep(0.01)
        known = [(info.video_codec, info.audio_codec) for info in infos]
        assert codecs in known, known
        assert (infos[-1].width or 320, infos[-1].height or 180) == (320, 180)
        kept = packets(file.data)
        assert len([packet for packet in kept if packet.kind is Kind.VIDEO and not packet.config]) == 50
        script = (
            "import av, io, sys\n"
            "with av.open(io.BytesIO(sys.stdin.buffer.read()), format='flv') as source:\n"
            "    counts = {stream.type: 0 for stream in source.streams}\n"
            "    for packet in source.demux():\n"
            "        counts[packet.stream.type] += len(list(packet.decode()))\n"
            "print(counts['video'], counts['audio'] > 50)\n"
        )
        decoding = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await decoding.communicate(file.data)
        assert out.split()[0] == b"50"


async def test_pyav_plays_hevc_over_rtmp(tmp_path: Path) -> None:
    file = tmp_path / "hevc.flv"
    await asyncio.to_thread(enhanced_host.main, str(file), "libx265", "-")
    found = packets(file.read_bytes())
    script = "import av, sys\nwith av.open(sys.argv[1]) as s: print(s.streams.video[0].codec_context.name)"
    async with rtmp_stage(ViewerLimits()) as stage:
        publication = stage.publish()
        await stage.feed(publication, found)
        playing = asyncio.create_task(run(sys.executable, "-c", script, stage.url()))
        await stage.until_players(1)
        for turn in range(1, 200):
            await stage.feed(publication, [packet for packet in found if not packet.config], turn * 2000)
            await asyncio.sleep(0.05)
            if playing.done():
                break
        code, out, said = await playing
        assert (code, out) == (0, "hevc\n"), said


def test_hevc_behind_the_codec_id_of_h264_is_taken_for_what_it_is(tmp_path: Path) -> None:
    """OBS of before Enhanced RTMP sends it so."""
    file = tmp_path / "hevc.flv"
    enhanced_host.main(str(file), "libx265", "-")
    found = [packet for packet in packets(file.read_bytes()) if packet.kind is Kind.VIDEO]
    directory = Directory(lambda: 0)

    async def nobody(request: object) -> None:
        return

    feed = RtmpIngest(directory, nobody).publish("room", Host(), 0)
    for packet in found:
        head = bytes(((1 if packet.key or packet.config else 2) << 4 | 7, 0 if packet.config else 1)) + bytes(3)
        assert feed.push(MediaReceived(9, packet.dts_ms, head + packet.data), packet.dts_ms)
    relay = directory.relay("room")
    assert directory.info("room").video_codec == "hvc1.1.6.L60.90"
    assert relay.packets_dropped == 0
    avc = Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC)
    feed.push(MediaReceived(9, 5_000, b"\x17\x00\x00\x00\x00" + avc.data), 5_000)
    feed.push(MediaReceived(9, 5_000, b"\x17\x01\x00\x00\x00" + b"picture"), 5_000)
    assert directory.info("room").video_codec == "avc1.64000d"
