"""FLV files read as they come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import ProtocolError
from stream.packet import Codec, Kind, Packet
from stream.protocol import flv
from stream.protocol.flv_reader import TAG_BYTES_MAX, FlvReader
from tests.stream.media import Clip


def file_of(clip: Clip) -> bytes:
    return flv.header(audio=True, video=True) + b"".join(flv.tag(packet) for packet in clip.packets)


def test_a_file_gives_the_packets_it_was_made_of(clip: Clip) -> None:
    reader = FlvReader()
    assert tuple(reader.receive_data(file_of(clip))) == clip.packets
    assert reader.tracks == {Kind.AUDIO, Kind.VIDEO}


def test_one_byte_at_a_time_gives_the_same_packets_as_all_at_once(clip: Clip) -> None:
    data = file_of(clip)[:60_000]
    whole, dripped = FlvReader(), FlvReader()
    assert [packet for at in range(len(data)) for packet in dripped.receive_data(data[at : at + 1])] == (
        whole.receive_data(data)
    )


def test_the_header_says_which_tracks_there_are() -> None:
    reader = FlvReader()
    reader.receive_data(flv.header(audio=False, video=True))
    assert reader.tracks == {Kind.VIDEO}


def test_times_beyond_24_bits_are_read_from_the_fourth_byte() -> None:
    packet = Packet(Kind.AUDIO, Codec.AAC, 0xFEDCBA98, 0, True, False, b"sound")
    reader = FlvReader()
    assert reader.receive_data(flv.header(audio=True, video=False) + flv.tag(packet)) == [packet]


def test_what_says_nothing_to_a_player_is_read_over(clip: Clip) -> None:
    empty = bytes((9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)) + (11).to_bytes(4, "big")
    reader = FlvReader()
    assert reader.receive_data(flv.header(audio=True, video=True) + empty + flv.tag(clip.packets[0])) == [
        clip.packets[0]
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GIF89a", "not an FLV"),
        (b"HTTP", "not an FLV"),
        (b"FLV\x01\x05\x00\x00\x00\xff", "header of 255"),
        (flv.header(audio=True, video=True) + bytes((9, 0xFF, 0xFF, 0xFF)) + bytes(7), str(TAG_BYTES_MAX)),
        (flv.header(audio=True, video=True) + bytes((0x29, 0, 0, 1)) + bytes(7 + 1 + 4), "encrypted"),
        (flv.header(audio=True, video=True) + bytes((7, 0, 0, 1)) + bytes(7 + 1 + 4), "type 7"),
    ],
)
def test_what_is_no_stream_of_ours_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        FlvReader().receive_data(data)


@given(st.binary(max_size=400), st.lists(st.integers(0, 255), max_size=20))
def test_no_bytes_break_the_reader_otherwise(noise: bytes, cuts: list[int]) -> None:
    reader = FlvReader()
    data = flv.header(audio=True, video=True) + noise
    try:
        for at in sorted({*cuts, 0}):
            reader.receive_data(data[at : at + 13])
    except ProtocolError:
        return
    assert len(reader._pending) <= len(data) + 13 * len(cuts)
