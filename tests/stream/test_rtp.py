"""RTP: packets, H.264 in and out of payloads, order and loss."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import RtpError
from stream.protocol.rtp import (
    ASKS_MAX,
    PAYLOAD_BYTES_MAX,
    REORDER_WAIT_MS,
    Frame,
    H264Depacketizer,
    ReceiveBuffer,
    RtpPacket,
    extension_block,
    h264_payloads,
    parameter_sets,
    parse_rtp,
    rtp_packet,
    split_avcc,
    unwrap,
)
from tests.stream.media import AVCC

SPS_UNIT, PPS_UNIT = parameter_sets(AVCC)


def unit(kind: int, size: int, seed: int = 1) -> bytes:
    return bytes((0x60 | kind,)) + random.Random(seed).randbytes(size - 1)


def packets_of(frames: list[list[bytes]], sets: tuple[bytes, ...] = ()) -> list[bytes]:
    """RTP packets of access units, a frame each 3,000 ticks."""
    out: list[bytes] = []
    for number, units in enumerate(frames):
        payloads = h264_payloads(units, sets)
        for at, payload in enumerate(payloads):
            out.append(rtp_packet(96, at == len(payloads) - 1, 65_500 + len(out), number * 3000, 7, payload))
    return out


def depacketized(datagrams: list[bytes]) -> list[Frame]:
    buffer, frames = ReceiveBuffer(), H264Depacketizer()
    out: list[Frame] = []
    for data in datagrams:
        for packet, gap in buffer.push(parse_rtp(data), 0):
            out += frames.push(packet, gap=gap)
    return out


def test_a_packet_is_read_as_it_was_written() -> None:
    data = rtp_packet(111, True, 65_537, 2**32 + 5, 9, b"sound", extension_block(3, bytes(3)))
    assert parse_rtp(data) == RtpPacket(111, True, 1, 5, 9, b"sound")
    assert len(data) == 12 + 8 + 5


def test_padding_and_contributors_are_taken_off() -> None:
    data = bytes((0xB1, 96)) + bytes(10) + b"csrc" + bytes((0xBE, 0xDE, 0, 1)) + b"ext!" + b"payload" + b"\0\0\3"
    assert parse_rtp(data).payload == b"payload"


@pytest.mark.parametrize("data", [b"", bytes(11), bytes(12), b"\x80" * 1501, b"\x9f" + bytes(15), b"\xa0" + bytes(11)])
def test_a_broken_packet_is_an_error_of_the_peer(data: bytes) -> None:
    with pytest.raises(RtpError):
        parse_rtp(data)


def test_parameter_sets_go_before_a_key_frame_in_one_packet() -> None:
    payloads = h264_payloads([unit(9, 2), unit(5, 500)], (SPS_UNIT, PPS_UNIT))
    assert payloads[0][0] & 31 == 24
    assert payloads[0][3:].startswith(SPS_UNIT)
    assert payloads[1] == unit(5, 500)


def test_a_key_frame_with_its_own_parameter_sets_keeps_them() -> None:
    payloads = h264_payloads([unit(7, 10), unit(8, 5), unit(5, 50)], (SPS_UNIT, PPS_UNIT))
    assert SPS_UNIT not in payloads[0]


def test_a_large_unit_is_cut_into_pieces_of_one_size() -> None:
    payloads = h264_payloads([unit(1, 5000)], ())
    sizes = [len(payload) for payload in payloads]
    assert sizes[:-1] == [PAYLOAD_BYTES_MAX] * (len(sizes) - 1)
    assert sizes[-1] <= PAYLOAD_BYTES_MAX
    assert [payload[1] >> 6 for payload in payloads] == [2, 0, 0, 0, 1]


sizes = st.lists(
    st.lists(st.tuples(st.sampled_from([1, 5, 6]), st.integers(2, 6000)), min_size=1, max_size=4), max_size=5
)


@settings(max_examples=100, deadline=None)
@given(sizes)
def test_access_units_come_out_as_they_went_in(shape: list[list[tuple[int, int]]]) -> None:
    frames = [[unit(kind, size, at) for at, (kind, size) in enumerate(units)] for units in shape]
    found = depacketized(packets_of(frames))
    assert [list(frame.units) for frame in found] == frames
    assert all(frame.whole for frame in found)


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), sizes)
def test_order_is_restored_and_doubles_are_dropped(chance: random.Random, shape: list[list[tuple[int, int]]]) -> None:
    frames = [[unit(kind, size, at) for at, (kind, size) in enumerate(units)] for units in shape]
    sent = packets_of(frames)
    mixed = sent[:1] + sorted(
        [data for data in sent[1:] for _ in range(chance.randint(1, 2))],
        key=lambda data: unwrap(parse_rtp(data).sequence, 65_500, 16) + chance.randint(0, 8),
    )
    assert [list(frame.units) for frame in depacketized(mixed)] == frames


@pytest.mark.parametrize("lost", [3, 4])
def test_a_lost_packet_marks_its_frame_and_no_other(lost: int) -> None:
    sent = packets_of([[unit(1, 3000, seed)] for seed in range(5)])
    buffer, frames, out = ReceiveBuffer(), H264Depacketizer(), []
    for number, data in enumerate(sent):
        if number == lost:
            continue
        for packet, gap in buffer.push(parse_rtp(data), number):
            out += frames.push(packet, gap=gap)
    for packet, gap in buffer.give_up(len(sent) + REORDER_WAIT_MS):
        out += frames.push(packet, gap=gap)
    assert [frame.whole for frame in out] == [True, False, True, True, True]
    assert buffer.lost == 1


def test_five_percent_loss_is_recovered_by_asking_again() -> None:
    chance = random.Random(5)
    frames = [[unit(5 if number % 25 == 0 else 1, 4000, number)] for number in range(100)]
    sent = packets_of(frames)
    kept = {parse_rtp(data).sequence: data for data in sent}
    buffer, depacketizer = ReceiveBuffer(), H264Depacketizer()
    out: list[Frame] = []
    back: list[tuple[int, bytes]] = []
    lost = 0

    def arrive(data: bytes, now_ms: int) -> None:
        for packet, gap in buffer.push(parse_rtp(data), now_ms):
            out.extend(depacketizer.push(packet, gap=gap))

    for now_ms, data in enumerate([*sent, *[b""] * 300]):
        for due_ms, again in [entry for entry in back if entry[0] <= now_ms]:
            back.remove((due_ms, again))
            arrive(again, now_ms)
        if data and (now_ms == 0 or chance.random() >= 0.05):
            arrive(data, now_ms)
        elif data:
            lost += 1
        # What is sent again is lost as often, and takes 40 ms there and back.
        asked = buffer.missing(now_ms, 50, 128)
        back += [(now_ms + 40, kept[sequence]) for sequence in asked if chance.random() >= 0.05]
    assert lost > 10
    assert buffer.lost == 0
    assert [list(frame.units) for frame in out] == frames
    assert all(frame.whole for frame in out)


def test_a_packet_is_asked_for_a_bounded_number_of_times() -> None:
    buffer = ReceiveBuffer()
    for sequence in (1, 3):
        buffer.push(RtpPacket(96, False, sequence, 0, 7, b"x"), 0)
    asked = [buffer.missing(now_ms, 20, 128) for now_ms in range(0, 1000, 10)]
    assert [numbers for numbers in asked if numbers] == [[2]] * ASKS_MAX


def test_a_sender_that_begins_anew_is_followed_at_once() -> None:
    buffer = ReceiveBuffer()
    buffer.push(RtpPacket(96, False, 1, 0, 7, b"x"), 0)
    assert [p.sequence for p, _ in buffer.push(RtpPacket(96, False, 20_000, 0, 7, b"x"), 1)] == [20_000]
    assert [p.sequence for p, _ in buffer.push(RtpPacket(96, False, 20_001, 0, 7, b"x"), 1)] == [20_001]


def test_the_report_tells_what_was_lost_since_the_last() -> None:
    buffer = ReceiveBuffer()
    for sequence in [0, 1, 2, 5, 6, 7]:
        buffer.push(RtpPacket(96, False, sequence, 0, 7, b"x"), 0)
    assert buffer.report() == (2 * 256 // 8, 2, 7)
    for sequence in [8, 9]:
        buffer.push(RtpPacket(96, False, sequence, 0, 7, b"x"), 0)
    assert buffer.report() == (0, 2, 9)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=30))
def test_any_bytes_are_packets_or_errors_of_the_peer(datagrams: list[bytes]) -> None:
    buffer, frames = ReceiveBuffer(), H264Depacketizer()
    for now_ms, data in enumerate(datagrams):
        try:
            packet = parse_rtp(b"\x80\xe0" + data)
        except RtpError:
            continue
        for ordered, gap in buffer.push(packet, now_ms * 40):
            frames.push(ordered, gap=gap)


def test_avcc_that_is_cut_off_gives_what_is_whole() -> None:
    data = b"\0\0\0\2ab\0\0\0\3cde"
    assert [list(split_avcc(data[:end], 4)) for end in (13, 12, 6)] == [[b"ab", b"cde"], [b"ab"], [b"ab"]]
    assert list(split_avcc(b"\0\0\0\0xx", 4)) == []


def test_sequence_numbers_go_on_over_their_wrap() -> None:
    numbers = [0]
    for step in range(1, 200_000, 700):
        numbers.append(unwrap(step & 0xFFFF, numbers[-1], 16))
    assert all(b - a in (1, 700) for a, b in pairwise(numbers))
