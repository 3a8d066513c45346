"""VP8 and AV1 in RTP."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import RtpError
from stream.protocol import rtp_av1, rtp_vp8
from stream.protocol.rtp import PAYLOAD_BYTES_MAX, Frame, ReceiveBuffer, RtpPacket, parse_rtp, rtp_packet

KEY = b"\x10\x00\x00\x9d\x01\x2a" + (640).to_bytes(2, "little") + (360).to_bytes(2, "little")


def arrived(payloads: list[list[bytes]], lost: tuple[int, ...] = ()) -> list[Frame]:
    """What a depacketizer makes of the payloads of some frames."""
    depacketizer, buffer, found = rtp_vp8.Vp8Depacketizer(), ReceiveBuffer(), []
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
