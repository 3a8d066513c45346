"""VP8 and AV1 in RTP."""

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import RtpError
from stream.packet import Kind
from stream.protocol import av1, rtp_av1, rtp_vp8
from stream.protocol.codecs import describe
from stream.protocol.rtp import (
    PAYLOAD_BYTES_MAX,
    Depacketizer,
    Frame,
    ReceiveBuffer,
    RtpPacket,
    parse_rtp,
    rtp_packet,
)
from stream.webrtc_video import Av1In
from tests.stream import enhanced_host
from tests.stream.media import packets

KEY = b"\x10\x00\x00\x9d\x01\x2a" + (640).to_bytes(2, "little") + (360).to_bytes(2, "little")


def arrived(
    payloads: list[list[bytes]], lost: tuple[int, ...] = (), depacketizer: Depacketizer | None = None
) -> list[Frame]:
    """What a depacketizer (VP8's, if not said) makes of the payloads of some frames."""
    buffer, found = ReceiveBuffer(), []
    depacketizer = depacketizer or rtp_vp8.Vp8Depacketizer()
    sequence = 0
    for number, frame in enumerate(payloads):
        for at, payload in enumerate(frame):
            data = rtp_packet(96, at == len(frame) - 1, sequence, number * 3000, 1, payload)
            sequence += 1
            if sequence - 1 not in lost:
                for packet, gap in buffer.push(parse_rtp(data), sequence):
                    found += depacketizer.push(packet, gap=gap)
    for packet, gap in buffer.give_up(10_000):
        found += depacketizer.push(packet, gap=gap)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5000)), min_size=1, max_size=6))
def test_vp8_frames_come_out_as_they_went_in(shape: list[tuple[bool, int]]) -> None:
    frames = [(KEY if key else b"\x11") + random.Random(size).randbytes(size) for key, size in shape]
    found = arrived([rtp_vp8.payloads(frame) for frame in frames])
    assert [frame.units for frame in found] == [(frame,) for frame in frames]
    assert [frame.key for frame in found] == [key for key, _ in shape]
    assert all(frame.whole for frame in found)


def test_a_vp8_frame_that_lost_its_beginning_or_its_middle_is_not_whole() -> None:
    frames = [b"\x11" + bytes(4000) for _ in range(3)]
    sent = [rtp_vp8.payloads(frame) for frame in frames]
    assert [len(payloads) for payloads in sent] == [4, 4, 4]
    for lost in (4, 5, 6):
        assert [frame.whole for frame in arrived(sent, (lost,))] == [True, False, True]


def test_a_key_frames_size_is_read() -> None:
    assert rtp_vp8.is_key(KEY)
    assert rtp_vp8.size_of(KEY) == (640, 360)
    assert not rtp_vp8.is_key(b"\x11" + KEY[1:])
    assert not rtp_vp8.is_key(KEY[:9])


@pytest.mark.parametrize(
    "descriptor", ["10", "90 80 05", "90 80 85 06", "90 c0 05 01", "90 e0 85 06 01 20", "b0 10 20"]
)
def test_a_descriptor_of_any_length_is_taken_off(descriptor: str) -> None:
    depacketizer = rtp_vp8.Vp8Depacketizer()
    packet = RtpPacket(96, True, 1, 0, 1, bytes.fromhex(descriptor) + b"\x11frame")
    (frame,) = depacketizer.push(packet, gap=False)
    assert frame.units == (b"\x11frame",)
    assert frame.whole


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_any_bytes_make_vp8_frames_or_nothing(payloads: list[bytes]) -> None:
    depacketizer = rtp_vp8.Vp8Depacketizer()
    for number, payload in enumerate(payloads):
        try:
            depacketizer.push(RtpPacket(96, number % 3 == 2, number, number // 3, 1, payload), gap=False)
        except RtpError:
            pytest.fail("a depacketizer takes what comes")


# -- AV1 ---------------------------------------------------------------------------------------------------------------


def obu(kind: int, size: int) -> bytes:
    """An OBU of a temporal unit, with its size field."""
    body = random.Random(size).randbytes(size)
    length, left = b"", size
    while left >= 0x80:
        length += bytes((left & 0x7F | 0x80,))
        left >>= 7
    return bytes((kind << 3 | 2,)) + length + bytes((left,)) + body


def without_size(data: bytes) -> list[bytes]:
    return list(rtp_av1.split_obus(data))


def joined(payloads: list[bytes]) -> list[bytes]:
    """The OBUs of RTP payloads, read as a receiver does (section 4.4 of the payload format)."""
    found: list[bytes] = []
    for payload in payloads:
        head, at, first = payload[0], 1, True
        assert not head & 0x30, "each element has its length"
        while at < len(payload):
            size = shift = 0
            while True:
                byte = payload[at]
                at += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            piece = payload[at : at + size]
            assert len(piece) == size
            at += size
            if first and head & 0x80:
                found[-1] += piece
            else:
                found.append(piece)
            first = False
    return found


units = st.lists(st.tuples(st.sampled_from((3, 4, 5, 6)), st.integers(0, 5000)), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(units)
def test_av1_temporal_units_arrive_whole(shape: list[tuple[int, int]]) -> None:
    data = b"".join(obu(kind, size) for kind, size in shape)
    payloads = rtp_av1.payloads(obu(2, 0) + data, b"", key=False)
    assert joined(payloads) == without_size(data)
    assert all(len(payload) <= PAYLOAD_BYTES_MAX for payload in payloads)
    assert not any(payload[0] & 0x08 for payload in payloads)
    # Z says that the one before said Y.
    assert [bool(p[0] & 0x80) for p in payloads[1:]] == [bool(p[0] & 0x40) for p in payloads[:-1]]
    assert not payloads[0][0] & 0x80
    assert not payloads[-1][0] & 0x40


def test_a_key_frame_begins_with_its_sequence_header_and_says_so_once() -> None:
    header, frame = obu(1, 10), obu(6, 3000)
    payloads = rtp_av1.payloads(frame, header, key=True)
    assert joined(payloads) == [*without_size(header), *without_size(frame)]
    assert [bool(payload[0] & 0x08) for payload in payloads] == [True, False, False]
    # One that brings its own is left alone.
    assert joined(rtp_av1.payloads(header + frame, obu(1, 11), key=True)) == without_size(header + frame)


@given(st.binary(max_size=60))
def test_any_bytes_are_obus_or_nothing(data: bytes) -> None:
    for payload in rtp_av1.payloads(data, data, key=True):
        assert len(payload) <= PAYLOAD_BYTES_MAX


# -- AV1, the way back -------------------------------------------------------------------------------------------------


def back(payloads: list[list[bytes]], lost: tuple[int, ...] = ()) -> list[Frame]:
    return arrived(payloads, lost, rtp_av1.Av1Depacketizer())


@settings(max_examples=60, deadline=None)
@given(st.lists(units, min_size=1, max_size=4))
def test_av1_temporal_units_come_out_as_they_went_in(shapes: list[list[tuple[int, int]]]) -> None:
    frames = [b"".join(obu(kind, size) for kind, size in shape) for shape in shapes]
    found = back([rtp_av1.payloads(frame, b"", key=False) for frame in frames])
    assert [list(frame.units) for frame in found] == [without_size(frame) for frame in frames]
    assert [b"".join(map(av1.sized, frame.units)) for frame in found] == frames
    assert all(frame.whole and not frame.key for frame in found)


def test_an_av1_key_frame_is_known_by_its_sequence_header() -> None:
    (frame,) = back([rtp_av1.payloads(obu(6, 3000), obu(1, 10), key=True)])
    assert frame.key and frame.whole and [av1.kind_of(unit) for unit in frame.units] == [1, 6]


@pytest.mark.parametrize("lost", [3, 4])
def test_an_av1_frame_that_lost_a_packet_is_not_whole(lost: int) -> None:
    sent = [rtp_av1.payloads(obu(6, 3000), b"", key=False) for _ in range(3)]
    assert [len(payloads) for payloads in sent] == [3, 3, 3]
    assert [frame.whole for frame in back(sent, (lost,))] == [True, False, True]


@pytest.mark.parametrize(
    ("payload", "whole"),
    [
        # W says how many there are; the last has no length.
        ("20 02 30 aa 30 bb cc", True),
        ("10 30 aa bb", True),
        ("30 02 30 aa 02 30 bb 30 cc", True),
        ("00 02 30 aa", True),
        # Too long, cut off, fewer than said, a fragment without its start.
        ("00 09 30 aa", False),
        ("00 ff", False),
        ("30 02 30 aa", False),
        ("80 02 30 aa", False),
        ("00", False),
    ],
)
def test_av1_payloads_are_read_by_their_aggregation_header(payload: str, whole: bool) -> None:
    packet = RtpPacket(96, True, 1, 0, 1, bytes.fromhex(payload))
    (frame,) = rtp_av1.Av1Depacketizer().push(packet, gap=False)
    assert frame.whole is whole
    if whole:
        assert all(unit[0] == 0x30 for unit in frame.units) and 1 <= len(frame.units) <= 3


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_any_bytes_make_av1_frames_or_nothing(payloads: list[bytes]) -> None:
    depacketizer, incoming = rtp_av1.Av1Depacketizer(), Av1In()
    for number, payload in enumerate(payloads):
        packet = RtpPacket(96, number % 3 == 2, number, number // 3, 1, payload)
        for frame in depacketizer.push(packet, gap=False):
            if frame.whole:
                with contextlib.suppress(ValueError):
                    incoming.packets(frame, 0)


def test_a_sequence_header_makes_the_record_that_an_encoder_writes(tmp_path: Path) -> None:
    file = tmp_path / "av1.flv"
    enhanced_host.main(str(file), "libsvtav1", "-")
    sent = [packet for packet in packets(file.read_bytes()) if packet.kind is Kind.VIDEO]
    record = next(packet.data for packet in sent if packet.config)
    key = next(packet.data for packet in sent if packet.key and not packet.config)
    (frame,) = back([rtp_av1.payloads(key, record[4:], key=True)])
    config, picture = Av1In().packets(frame, 40)
    assert config.data[:4] == record[:4] and describe(config) == ("av01.0.00M.08", (320, 180))
    assert picture.key and picture.dts_ms == 40


@pytest.mark.parametrize(
    ("fields", "colour"),
    [
        # Main 10 bit; High 4:4:4; Professional 12 bit 4:2:0 and 4:2:2; monochrome; sRGB.
        ({"high": 1}, 0x4C),
        ({"profile": 1}, 0x00),
        ({"profile": 2, "high": 1, "twelve": 1, "sampling": (1, 1)}, 0x6C),
        ({"profile": 2, "high": 1, "twelve": 1, "sampling": (1, 0)}, 0x68),
        ({"profile": 2, "high": 1, "twelve": 0}, 0x48),
        ({"mono": 1}, 0x1C),
        ({"profile": 1, "described": (1, 13, 0)}, 0x00),
        ({"level": 13, "tier": 1}, 0x8C),
    ],
)
def test_a_record_tells_profile_depth_and_sampling(fields: dict[str, Any], colour: int) -> None:
    record = av1.make_av1c(b"\x08" + sequence_header(**fields))
    assert record[0] == 0x81 and record[1] == fields.get("profile", 0) << 5 | fields.get("level", 4)
    assert record[2] == colour
    found = av1.parse_sequence_header(sequence_header(**fields))
    assert (found.width, found.height) == (1280, 720)


def sequence_header(
    *,
    profile: int = 0,
    level: int = 4,
    tier: int = 0,
    high: int = 0,
    twelve: int = 0,
    mono: int = 0,
    sampling: tuple[int, int] = (1, 1),
    described: tuple[int, int, int] | None = None,
) -> bytes:
    """A sequence header as section 5.5.1 lays it out, without timing information."""
    bits = f"{profile:03b}000000000" + "0" * 12 + f"{level:05b}" + (f"{tier:b}" if level > 7 else "")
    bits += f"{10:04b}{9:04b}{1279:011b}{719:010b}0000000010011110000"
    bits += f"{high:b}" + (f"{twelve:b}" if profile == 2 and high else "") + ("" if profile == 1 else f"{mono:b}")
    bits += "0" if described is None else "1" + "".join(f"{value:08b}" for value in described)
    if mono:
        bits += "0"
    elif described != (1, 13, 0):
        bits += "0"
        if profile == 2 and twelve:
            bits += f"{sampling[0]:b}" + (f"{sampling[1]:b}" if sampling[0] else "")
        if profile == 0 or (profile == 2 and twelve and sampling == (1, 1)):
            bits += "00"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")
