"""FLV tags and RTMP media bodies."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.packet import Codec, Kind, Packet
from stream.protocol import flv
from tests.stream.media import ASC, AVCC, tags

VIDEO_CODECS = st.sampled_from((Codec.H264, Codec.HEVC))
AUDIO_CODECS = st.sampled_from((Codec.AAC, Codec.MP3, Codec.OPUS))
OFFSETS = st.integers(-(1 << 23), (1 << 23) - 1)
TIMES = st.integers(0, (1 << 32) - 1)


@given(VIDEO_CODECS, TIMES, OFFSETS, st.booleans(), st.binary(min_size=1, max_size=50))
def test_a_picture_comes_back_from_its_tag(codec: Codec, dts_ms: int, cts_ms: int, key: bool, data: bytes) -> None:
    packet = Packet(Kind.VIDEO, codec, dts_ms, cts_ms, key, False, data)
    [(kind, time, body)] = tags(flv.header(audio=True, video=True) + flv.tag(packet))
    assert (kind, time) == (9, dts_ms)
    assert flv.parse_video_body(body, time) == packet


@given(AUDIO_CODECS, TIMES, st.binary(min_size=1, max_size=50))
def test_sound_comes_back_from_its_tag(codec: Codec, dts_ms: int, data: bytes) -> None:
    packet = Packet(Kind.AUDIO, codec, dts_ms, 0, True, False, data)
    [(kind, time, body)] = tags(flv.header(audio=True, video=True) + flv.tag(packet))
    assert (kind, time) == (8, dts_ms)
    assert flv.parse_audio_body(body, time) == packet


@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.AV1])
def test_a_video_configuration_comes_back_and_is_no_key_frame(codec: Codec) -> None:
    packet = Packet(Kind.VIDEO, codec, 7, 0, False, True, AVCC)
    [(_, _, body)] = tags(flv.header(audio=False, video=True) + flv.tag(packet))
    assert flv.parse_video_body(body, 7) == packet


def test_h264_and_aac_have_the_classic_codec_ids() -> None:
    video = flv.tag(Packet(Kind.VIDEO, Codec.H264, 0, 80, True, False, b"v"))
    assert video[11:16] == bytes((0x17, 1, 0, 0, 80))
    assert flv.tag(Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC))[11:13] == bytes((0xAF, 0))


def test_time_goes_into_24_bits_and_8_more_and_wraps_at_32() -> None:
    packet = Packet(Kind.AUDIO, Codec.AAC, 0x12345678, 0, True, False, b"a")
    assert flv.tag(packet)[4:8] == bytes((0x34, 0x56, 0x78, 0x12))
    assert flv.tag(replace(packet, dts_ms=(1 << 32) + 5))[4:8] == bytes((0, 0, 5, 0))


def test_a_body_that_no_tag_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="24-bit"):
        flv.tag(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, False, bytes(1 << 24)))


def test_the_header_says_which_tracks_there_are() -> None:
    assert [flv.header(audio=a, video=v)[4] for a, v in ((True, True), (False, True), (True, False))] == [5, 1, 4]


def test_an_enhanced_avc1_header_is_h264_like_any_other() -> None:
    body = bytes((0x80 | 1 << 4 | 1,)) + b"avc1" + b"\x00\x00\x50" + b"nal"
    assert flv.parse_video_body(body, 3) == Packet(Kind.VIDEO, Codec.H264, 3, 80, True, False, b"nal")
    body = bytes((0x80 | 2 << 4 | 3,)) + b"hvc1" + b"nal"
    assert flv.parse_video_body(body, 3) == Packet(Kind.VIDEO, Codec.HEVC, 3, 0, False, False, b"nal")


def test_a_mod_ex_prefix_is_stepped_over() -> None:
    nanoseconds = bytes((2, 0, 1, 0)) + bytes((0 << 4 | 1,))
    body = bytes((0x80 | 1 << 4 | 7,)) + nanoseconds + b"avc1" + b"\0\0\0" + b"nal"
    assert flv.parse_video_body(body, 0) == Packet(Kind.VIDEO, Codec.H264, 0, 0, True, False, b"nal")


def test_of_many_tracks_the_first_is_taken() -> None:
    start = bytes((0x80 | 1 << 4 | 6,))
    one = start + bytes((0 << 4 | 1,)) + b"avc1" + b"\0" + b"\0\0\0" + b"nal"
    many = start + bytes((1 << 4 | 1,)) + b"avc1" + b"\0" + b"\0\0\6" + b"\0\0\0nal" + b"\1\0\0\6" + b"\0\0\0two"
    mixed = start + bytes((2 << 4 | 1,)) + b"avc1" + b"\0" + b"\0\0\6" + b"\0\0\0nal" + b"hvc1\1\0\0\6" + b"\0\0\0two"
    for body in (one, many, mixed):
        packet = flv.parse_video_body(body, 0)
        assert packet is not None
        assert packet.data == b"nal"
    assert flv.parse_video_body(start + bytes((1,)) + b"avc1" + b"\1" + b"\0\0\0nal", 0) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x17",
        b"\x17\x00\x00\x00\x00",
        b"\x17\x02\x00\x00\x00\x00",
        b"\x57\x00\x00\x00\x00\x01",
        b"\x92avc1",
        b"\x22\x01",
    ],
)
def test_a_video_body_with_nothing_to_play_is_none(body: bytes) -> None:
    assert flv.parse_video_body(body, 0) is None


@pytest.mark.parametrize("body", [b"", b"\xaf", b"\xaf\x01", b"\x92mp4a", b"\x00\x01\x02"])
def test_an_audio_body_with_nothing_to_play_is_none(body: bytes) -> None:
    assert flv.parse_audio_body(body, 0) is None


@given(st.binary(max_size=40))
def test_no_body_breaks_the_parsers(body: bytes) -> None:
    for packet in (flv.parse_video_body(body, 0), flv.parse_audio_body(body, 0), flv.parse_data_body(body, 0)):
        assert packet is None or packet.data
