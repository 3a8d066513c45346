"""RTCP: our bytes against aiortc's reading, its bytes against ours, and garbage."""

import pytest
from aiortc import rtp as outside
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import RtpError
from stream.protocol.rtcp import (
    Bye,
    KeyRequest,
    Nack,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    full_intra_request,
    goodbye,
    is_rtcp,
    nack,
    ntp_of,
    parse_rtcp,
    picture_loss,
    receiver_report,
    sender_report,
    source_description,
)

BLOCK = ReportBlock(7, 64, 12, 70_000, 3, 99, 65_536)


def test_a_compound_packet_is_read_as_it_was_written() -> None:
    sender = SenderReport(1, ntp_of(1_700_000_000_500), 90_000, 10, 1200)
    compound = sender_report(sender) + source_description(1, "siyu") + receiver_report(2, [BLOCK])
    compound += picture_loss(2, 1) + full_intra_request(2, 1, 5) + nack(2, 1, [5, 6, 9]) + goodbye([1, 3])
    assert parse_rtcp(compound) == [
        sender,
        ReceiverReport(2, (BLOCK,)),
        KeyRequest(1),
        KeyRequest(1),
        Nack(1, (5, 6, 9)),
        Bye((1, 3)),
    ]
    assert is_rtcp(compound)


def test_aiortc_reads_what_we_write() -> None:
    compound = sender_report(SenderReport(1, 2, 3, 4, 5)) + source_description(1, "siyu")
    compound += receiver_report(2, [BLOCK]) + nack(2, 1, [65_534, 65_535, 0, 40]) + picture_loss(2, 1) + goodbye([1])
    found = outside.RtcpPacket.parse(compound)
    report, names, receiver, lost, picture, bye = found
    assert isinstance(report, outside.RtcpSrPacket)
    assert report.sender_info.rtp_timestamp == 3
    assert isinstance(names, outside.RtcpSdesPacket)
    assert [(item.ssrc, item.items) for item in names.chunks] == [(1, [(1, b"siyu")])]
    assert isinstance(receiver, outside.RtcpRrPacket)
    assert receiver.reports[0].packets_lost == 12
    assert isinstance(lost, outside.RtcpRtpfbPacket)
    # It does not wrap the numbers of a mask.
    assert sorted(number % 65_536 for number in lost.lost) == [0, 40, 65_534, 65_535]
    assert isinstance(picture, outside.RtcpPsfbPacket)
    assert isinstance(bye, outside.RtcpByePacket)


@given(st.sets(st.integers(0, 65_535), min_size=1, max_size=60))
def test_every_number_asked_for_is_in_the_request(numbers: set[int]) -> None:
    (found,) = parse_rtcp(nack(1, 2, numbers))
    assert isinstance(found, Nack)
    assert set(found.sequences) == numbers


def test_a_negative_count_of_lost_packets_is_read_as_one() -> None:
    data = receiver_report(2, [BLOCK])[:12] + b"\x40\xff\xff\xff" + receiver_report(2, [BLOCK])[16:]
    (found,) = parse_rtcp(data)
    assert isinstance(found, ReceiverReport)
    assert found.blocks[0].lost == -1


def test_the_time_of_1970_is_that_many_seconds_after_1900() -> None:
    assert ntp_of(0) >> 32 == 2_208_988_800
    assert ntp_of(500) & 0xFFFFFFFF == 1 << 31


@pytest.mark.parametrize("data", [b"", b"\x80\xc9\0", b"\x80\xc9\0\x05abcd", b"\0\xc9\0\0", b"\xa0\xc9\0\1abc\0"])
def test_a_broken_packet_is_an_error_of_the_peer(data: bytes) -> None:
    with pytest.raises(RtpError):
        parse_rtcp(data)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 31), st.sampled_from([200, 201, 202, 203, 204, 205, 206, 207]), st.binary(max_size=120))
def test_any_bytes_are_reports_or_errors_of_the_peer(count: int, kind: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    try:
        parse_rtcp(bytes((0x80 | count, kind, 0, len(body) // 4)) + body)
        parse_rtcp(body)
    except RtpError:
        return
