"""avcC records and sequence parameter sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.packet import Kind
from stream.protocol import h264
from tests.stream.media import AVCC, Clip


def test_libx264s_record_gives_codec_and_size() -> None:
    assert h264.parse_avcc(AVCC) == h264.AvcConfig("avc1.64000d", 320, 240, 4)


def test_an_odd_size_is_told_after_cropping(wide_clip: Clip) -> None:
    record = next(packet.data for packet in wide_clip.configs if packet.kind is Kind.VIDEO)
    config = h264.parse_avcc(record)
    assert (config.width, config.height) == (642, 362)


def test_every_short_record_is_refused() -> None:
    size = int.from_bytes(AVCC[6:8], "big")
    for end in range(8 + size):
        with pytest.raises(ValueError, match=r"record|cut off"):
            h264.parse_avcc(AVCC[:end])


@given(st.binary(max_size=80))
def test_garbage_is_refused_and_nothing_else(garbage: bytes) -> None:
    for record in (garbage, AVCC[:8] + garbage.ljust(24, b"\xff")[:24]):
        try:
            config = h264.parse_avcc(record)
        except ValueError:
            continue
        assert config.width > 0


@given(st.binary(max_size=80), st.sampled_from((66, 77, 100, 244)))
def test_a_broken_parameter_set_is_refused(garbage: bytes, profile: int) -> None:
    try:
        width, height = h264.parse_sps(bytes((0x67, profile, 0, 31)) + garbage)
    except ValueError:
        return
    assert 0 < width <= 16_384
    assert 0 < height <= 16_384
